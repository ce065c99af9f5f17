#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd with 1 % of the packets lost, both ways, between it and its clients or between it and the origin: hits,
misses, large objects and bodies over HTTP/1.1 and HTTP/2. Every byte is right, nothing fails, nothing is posted twice,
and the links to the origin stay, or are opened again where it is they that lose packets. With 0.1 % XDP goes on answering.
"""

import json
import pathlib
import re
import sys
import time

import netlab
from booster_lab import ORIGIN, TO, EchoOrigin
from booster_test import await_keys, first_origin
from netlab import Background, Lab, check, say, wbhttp

SMALL = (1, 700, 3000, 9000, 13999)
LARGE = 1_000_000
HITS = [f"/s{size}.html" for size in SMALL]
MISSES = [f"/plain/s{size}.html" for size in (700, 40000)]
BULK = f"/s{LARGE}.html"
LOSS = 0.01
SECONDS = 8
CLIENTS, POSTS = 6, 40  # each on a connection of its own
LINKS = 2  # of one worker
# Two lost packets in a row are no fault of the origin's.
MORE = "\ntimeouts: { connect: 20s }\n"


def site(path):
    netlab.make_docroot(path, (*SMALL, LARGE))
    (path / "plain").mkdir()
    netlab.make_docroot(path / "plain", (700, 40000))
    return path


def conf():
    """As of every lab, but for a folder that accelerd leaves to nginx."""
    return (netlab.REPO / "deploy/lab/accelerd.yaml.in").read_text() + "    exclude: [/plain/]\n"


def connections(lab):
    """From boosterd to the origin's web server, by their ports."""
    rows = lab.must("booster", "ss", "-Htn", "state", "established", "dst", f"{ORIGIN}:80").splitlines()
    return {row.split()[2].rpartition(":")[2] for row in rows}


def permanent_links(lab):
    """Those that are there before the first request, health checks apart."""
    ports = connections(lab)
    for _ in range(4):
        time.sleep(0.3)
        ports &= connections(lab)
    check(len(ports) == LINKS, f"{len(ports)} permanent links")
    return ports


def metric(lab, name):
    """The sum of its series of the origin."""
    text = lab.must("booster", "curl", "-s", lab.env["BOOSTERD_METRICS"])
    labels = rf'{{[^}}]*origin="{re.escape(ORIGIN)}:80"[^}}]*}}'
    found = re.findall(rf"^webbooster_booster_{name}{labels} (\S+)$", text, re.MULTILINE)
    check(found, f"no {name} of {ORIGIN}")
    return sum(map(float, found))


def post(lab, client):
    """Bodies of different sizes, and none, which could be sent again; each under a number of its own."""
    connection = lab.connect(80, to=TO, timeout=30)
    for number in range(POSTS):
        body = netlab.pattern(f"{client}.{number}", (0, 900, 5000, 60000)[number % 4])
        fields = [("Content-Length", str(len(body)))]
        request = wbhttp.request_bytes("POST", f"/echo/{client}/{number}", lab.domain, fields, body=body)
        answer = connection.request(request, b"POST")
        check(answer.status == 200 and answer.body == body,
              f"POST {client}/{number}: {answer.head}, {len(answer.body)} bytes")
        if not answer.keeps_alive():
            connection.close()
            connection = lab.connect(80, to=TO, timeout=30)
    connection.close()


def over_http1(lab):
    posts = [Background(lambda client=client: post(lab, client)) for client in range(CLIENTS)]
    report = lab.load([*HITS * 2, *MISSES, BULK], SECONDS, "--connections", 12, to=TO)
    for one in posts:
        one.join()
    say(f"  HTTP/1.1: {report['completed']} requests, {report['bytes'] >> 20} MiB, p99 {report['p99_ms']:.0f} ms; "
        f"{CLIENTS * POSTS} bodies sent")
    check(report["completed"] > 100 and report["bytes"] > 4 * LARGE, f"{report}")
    check(report["clean_closes"] == 0, f"boosterd ended connections: {report}")


def over_http2(lab, path):
    """All at once over one connection of curl's; then h2load, which has more streams."""
    with netlab.scratch() as out:
        (out / "body").write_bytes(netlab.pattern("body", 30000))
        sections, wanted = [], []
        for number in range(240):
            target = ([*HITS, *MISSES, "/echo/h2/"] * 4 + [BULK])[number % 33]
            file, lines = path / target[1:], []
            if target.startswith("/echo"):
                file, lines, target = out / "body", [f'data-binary = "@{out}/body"'], f"{target}{number}"
            wanted.append((target, file))
            sections.append("\n".join([
                f'url = "https://{lab.domain}{target}"', f'resolve = "{lab.domain}:443:{lab.address(host=TO)}"',
                "http2", "silent", f'cacert = "{lab.env["CA_CERT"]}"', "max-time = 60", f'output = "{out}/{number}"',
                'write-out = "%{http_code} %{http_version} %{num_connects}\\n"', *lines]))
        (out / "conf").write_text("\nnext\n".join(sections))
        rows = lab.must("client", "curl", "-q", "--parallel", "--parallel-max", 40, "-K", out / "conf").splitlines()
        check(len(rows) == len(wanted) and {row[:5] for row in rows} == {"200 2"}, f"curl: {rows}")
        for number, (target, file) in enumerate(wanted):
            check((out / str(number)).read_bytes() == file.read_bytes(), f"curl over HTTP/2: other bytes for {target}")
        sizes = [*SMALL * 2, 700, 40000]
        (out / "uris").write_text("".join(f"https://{lab.domain}{target}\n" for target in [*HITS * 2, *MISSES]))
        count = 6 * 30 * len(sizes)
        said = lab.must("client", "h2load", "-n", count, "-c", 6, "-m", 20, "-i", out / "uris", "-T", 60, "-N", 60,
                        f"--connect-to={lab.address(host=TO)}:443")
        bodies = int(re.search(r"\((\d+)\) data", said)[1])
        posts = sum(target.startswith("/echo") for target, _ in wanted)
        say(f"  HTTP/2: {len(wanted)} requests of curl's, {posts} with bodies; {count} of h2load's, {bodies >> 20} MiB")
        check(f"status codes: {count} 2xx" in said and " 0 failed, 0 errored" in said, said)
        check(bodies == 6 * 30 * sum(sizes), f"{bodies} bytes, not {6 * 30 * sum(sizes)}:\n{said}")


def lossy(between):
    with netlab.scratch() as path, Lab(site(path), booster=True, bulk=True, nginx_include=EchoOrigin.INCLUDE,
                                       conf=conf()) as lab:
        echo = EchoOrigin(lab)
        config = pathlib.Path(lab.env["BOOSTERD_CONF"])
        config.write_text(config.read_text() + MORE)
        # Its program for acknowledgments is on the interface that the wire replaces.
        lab.boosterd("stop")
        lab.wire("insert", between=between)
        lab.boosterd("start")
        lab.warm(*HITS)
        await_keys(lab, len(HITS))
        links = permanent_links(lab)
        lab.wire("set", "--seed", "7", "--loss", LOSS, between=between)
        over_http1(lab)
        over_http2(lab, path)
        origin, left, retries = first_origin(lab), links & connections(lab), metric(lab, "origin_retries_total")
        wire = json.loads(lab.wire("counters", between=between))
        lost = [wire[way]["lost"] for way in ("ab", "ba")]
        say(f"  {between}: {lost} packets lost; {origin['hits']} by key, {origin['misses']} whole, "
            f"{retries:.0f} asked again; {len(left)} of {LINKS} links stayed")
        check(min(lost) >= 30, f"only {lost} packets lost")
        check(origin["hits"] > 1000 and origin["misses"] > 300, f"{origin}")
        twice = {request: count for request, count in echo.seen.items() if count != 1}
        check(not twice, f"sent more than once: {twice}")
        if between == "client-booster":
            check(left == links, f"links to the origin were opened again: {links} before, {left} are left")
        check(metric(lab, "origin_links") == LINKS, "links are missing")
        check(metric(lab, "origin_changes_total") == 0, "the origin was found down")
        check(retries == 0, f"{retries} requests were asked again")
        echo.close()


def links_are_made_anew():
    """A link that has lost a request is the web server's from then on: it must not be kept."""
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        lab.boosterd("stop")
        lab.wire("insert", between="booster-origin")
        lab.boosterd("start")
        lab.warm(*HITS)
        await_keys(lab, len(HITS))
        lab.wire("set", "--seed", "7", "--loss", LOSS / 10, between="booster-origin")
        before = lab.reasons()
        with netlab.scratch() as out:
            (out / "uris").write_text("".join(f"http://{lab.domain}{target}\n" for target in HITS))
            said = lab.must("client", "h2load", "--h1", "-t1", "-c64", "-D", SECONDS, "-i", out / "uris",
                            f"--connect-to={lab.address(host=TO)}:80")
        grown = netlab.difference(lab.reasons(), before)
        hits = sum(grown.get(f"in/{name}", 0) for name in ("hit", "hit_keyed", "hit_late"))
        left = {name: grown.get(f"in/{name}", 0) for name in ("unsynced", "kernel_busy", "kernel_unacked", "out_of_order", "tcp_options")}
        say(f"  0.1 % lost: {said.split('finished in ')[1].splitlines()[0]}; packets of requests: {hits} answered by XDP, {left}")
        check(" 0 failed, 0 errored, 0 timeout" in said, said)
        check(3 * hits >= sum(left.values()), f"XDP answered {hits} packets of requests, and left {left}")
        check(left["unsynced"] <= hits / 10, f"links stay the web server's: {left}")


def between_clients_and_booster():
    lossy("client-booster")


def between_booster_and_origin():
    lossy("booster-origin")


if __name__ == "__main__":
    sys.exit(netlab.main([between_clients_and_booster, between_booster_and_origin, links_are_made_anew]))
