#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests cut in two at every byte, each on a connection that a hit has spliced before.

A request that spans packets is the kernel's; what must hold is that the kernel gets every byte of
it at the right place, whatever the cut, that its answer is port 8080's, and that the connection is
in step afterwards: a further request is answered right as well. In four rounds: IPv4 and IPv6, each
with the origin's segmentation left to the device and not. Connections are treated many at once, so
that each phase (all spliced, all cut, all answered) is seen before the next begins.
"""

import sys

import netlab
from netlab import Lab, check, comparable, say, wbhttp

SIZES = [500, 2500, 5000]
HOT, OTHER = "/s2500.html", "/s500.html"
AT_ONCE = 64  # whose replies fit the device's queue of 256 frames
# The first request of a connection may find the kernel still busy with the handshake.
TRIES = 6
# For which the first piece goes to the kernel, by what of the request it lacks.
PASSED = ["in/request_length", "in/request_line", "in/request_field", "in/request_method"]


def forms(lab):
    """Representative requests: name, method, text."""
    target = "/s5000.html"
    etag = lab.connect(8080).request(lab.request(target)).value(b"etag")

    def ask(method, fields, body=b""):
        return method.encode(), wbhttp.request_bytes(method, target, lab.domain, fields, body=body)

    return {
        "GET with fields": ask("GET", [("Accept", "text/html"), ("User-Agent", "x/1.0"),
                                       ("Accept-Encoding", "gzip, deflate")]),
        "keep-alive": ask("GET", [("Connection", "keep-alive")]),
        "HEAD": ask("HEAD", []),
        "conditional": ask("GET", [("If-None-Match", etag)]),
        "POST": ask("POST", [("Content-Length", "37")], b"a=%s&b=%s" % (b"x" * 16, b"y" * 16)),
    }


def each(connections, data, wanted, what, method=b"GET"):
    """All ask, then all read."""
    for connection in connections:
        connection.send(data)
    expect(connections, wanted, what, method)


def expect(connections, wanted, what, method=b"GET"):
    for number, connection in enumerate(connections):
        where = f"{what}, connection {number} of {len(connections)}"
        try:
            answer = comparable(connection.read_response(method))
        except wbhttp.HttpError as error:
            raise netlab.TestFailure(f"{where}: {error}") from error
        check(answer == wanted, f"{where}: {answer[0]!r}, {len(answer[1])} bytes, "
              f"reference {wanted[0]!r}")
        check(not connection.parser.in_response(), f"{where}: bytes after the response")
        connection.quickack()


def splice(lab, connections, wanted):
    """Until each of them has been answered by XDP."""
    for _ in range(TRIES):
        before = lab.hits()
        each(connections, lab.request(HOT), wanted[HOT], "before the cut")
        if lab.hits() - before == len(connections):
            return
    raise netlab.TestFailure(f"not all of {len(connections)} connections have hits: "
                             f"{lab.reasons()}")


def cut_at(lab, family, name, cuts, wanted):
    method, data = forms(lab)[name]
    connections = [lab.connect(80, family) for _ in cuts]
    splice(lab, connections, wanted)
    for connection, cut in zip(connections, cuts):
        connection.send(data[:cut])
    for connection, cut in zip(connections, cuts):
        connection.send(data[cut:])
    expect(connections, wanted[name], f"{name} cut at {cuts[0]} and on", method)
    each(connections, lab.request(OTHER), wanted[OTHER], f"after {name} cut at {cuts[0]} and on")
    each(connections, lab.request(HOT), wanted[HOT], f"second after {name}")
    for connection in connections:
        connection.close()


def every_cut(lab, family):
    reference = lab.connect(8080, family)
    wanted = {target: comparable(reference.request(lab.request(target)))
              for target in (HOT, OTHER)}
    before = lab.reasons()
    total = 0
    for name, (method, data) in forms(lab).items():
        wanted[name] = comparable(reference.request(data, method))
        cuts = range(1, len(data))
        for first in range(0, len(cuts), AT_ONCE):
            cut_at(lab, family, name, cuts[first:first + AT_ONCE], wanted)
        total += len(cuts)
    grown = netlab.difference(lab.reasons(), before)
    passed = sum(grown.get(reason, 0) for reason in PASSED)
    say(f"  IPv{family}: {total} cuts, each after a hit and before two requests, 0 differences; "
        f"{passed} first pieces passed")
    check(passed >= total, f"only {passed} of {total} came cut: {grown}")


def rounds():
    for tso in ("off", "on"):
        with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES), tso=tso) as lab:
            lab.warm(*[f"/s{size}.html" for size in SIZES])
            say(f"  TSO {tso}")
            for family in (4, 6):
                every_cut(lab, family)


if __name__ == "__main__":
    sys.exit(netlab.main([rounds]))
