#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the peer says without data after a hit: its window closes and opens, its kernel asks whether
we are still there.

A pure acknowledgment on a spliced connection may be about XDP's replies, about the kernel's, or
neither; whoever keeps one from the kernel that it needs stalls the connection or loses it.
"""

import array
import fcntl
import select
import socket
import sys
import termios
import time

import netlab
from netlab import Lab, check, comparable, say, wbhttp

SMALL, LARGE_BYTES = 5000, 6 << 20
# A window that opens unnoticed is found by the persist timer, 200 ms later at the least.
STALLS = 12
STALL_SLACK_S = 1.0
QUIET_S = 0.03
IDLE_S, PROBE_S, PROBES = 1, 1, 2
PROBED_PORT = 81


def configuration():
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return text.replace("ports: [80]", f"ports: [80, {PROBED_PORT}]")


def connect(lab, port, family, options):
    """A connection whose socket has the options before it is connected."""
    with lab.inside("client"):
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    sock.settimeout(10)
    sock.connect((lab.address(family), port))
    return wbhttp.Connection.on(sock, 10.0)


def spliced(lab, connection, request, wanted):
    """Asks until an answer is XDP's; the last thing that happened on the connection is a hit."""
    for _ in range(6):
        before = lab.hits()
        check(comparable(connection.request(request)) == wanted, "the hit differs")
        connection.quickack()
        if lab.hits() > before:
            return
    raise netlab.TestFailure(f"no hit: {lab.reasons()}")


# The window.

def pending(sock):
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


def wait_for_stall(sock):
    """Until nothing more comes, for the receive buffer is full."""
    seen, since = pending(sock), time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.002)
        if pending(sock) != seen:
            seen, since = pending(sock), time.monotonic()
    return seen


def read_slowly(connection, request):
    """The response, read in gulps of all that has come, each after a pause that closes the window;
    and for how long nothing came after the window had opened.
    """
    sock, parser = connection.sock, connection.parser
    connection.send(request)
    stalls, waited = 0, 0.0
    while True:
        if stalls < STALLS:
            gulp = wait_for_stall(sock)
            check(gulp > 0, "nothing to read")
            stalls += 1
            while gulp > 0:
                data = sock.recv(gulp)
                parser.feed(data)
                gulp -= len(data)
        begun = time.monotonic()
        readable, _, _ = select.select([sock], [], [], connection.timeout_s)
        waited += time.monotonic() - begun
        check(readable, f"nothing comes for {connection.timeout_s} s after stall {stalls}, "
              f"{len(parser.buffer)} bytes so far")
        if stalls == STALLS:
            parser.feed(sock.recv(1 << 20))
        response = parser.next(b"GET")
        if response:
            check(stalls == STALLS, f"only {stalls} stalls: the buffer is too large")
            return response, waited


def slow_reader():
    with netlab.scratch() as path:
        netlab.make_docroot(path, [SMALL])
        (path / "large.bin").write_bytes(netlab.pattern("large", LARGE_BYTES))
        with Lab(path) as lab:
            hot, large = f"/s{SMALL}.html", lab.request("/large.bin")
            lab.warm(hot)
            small_buffer = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
            for family in (4, 6):
                reference = connect(lab, 8080, family, small_buffer)
                wanted = comparable(reference.request(lab.request(hot)))
                body, nginx_s = read_slowly(reference, large)
                check(comparable(body)[1] == (path / "large.bin").read_bytes(), "wrong reference")
                connection = connect(lab, 80, family, small_buffer)
                spliced(lab, connection, lab.request(hot), wanted)
                answer, waited = read_slowly(connection, large)
                check(comparable(answer) == comparable(body), "the large file differs")
                connection.quickack()
                spliced(lab, connection, lab.request(hot), wanted)
                say(f"  IPv{family}: {LARGE_BYTES >> 20} MB after a hit with {STALLS} stalls: "
                    f"{1000 * waited:.0f} ms of waiting, nginx alone {1000 * nginx_s:.0f} ms")
                check(waited <= nginx_s + STALL_SLACK_S,
                      f"waited {waited:.2f} s for an open window, nginx alone {nginx_s:.2f} s")


# Keep-alive probes of TCP.

def probes_sent(lab, host):
    """TCPKeepAlive of the host's kernel."""
    text = lab.must(host, "cat", "/proc/net/netstat")
    names, values = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    return int(values[names.index("TCPKeepAlive")])


def keepalive_probes():
    """Unanswered, each side would give up after IDLE_S + PROBES * PROBE_S seconds."""
    include = "".join(f"listen {address}{PROBED_PORT} so_keepalive={IDLE_S}s:{PROBE_S}s:{PROBES};\n"
                      for address in ("", "[::]:"))
    ours = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)]
    with netlab.scratch() as path, \
            Lab(netlab.make_docroot(path, [SMALL]), conf=configuration(),
                nginx_include=include) as lab:
        hot = f"/s{SMALL}.html"
        lab.warm(hot)
        request = lab.request(hot)
        wanted = comparable(lab.connect(8080).request(request))
        idle = {}
        for family in (4, 6):
            idle[f"IPv{family}, probes of the client"] = connect(lab, 80, family, ours)
            idle[f"IPv{family}, probes of the server"] = connect(lab, PROBED_PORT, family, [])
            idle[f"IPv{family}, probes of both"] = connect(lab, PROBED_PORT, family, ours)
        for connection in idle.values():
            spliced(lab, connection, request, wanted)
        before = {host: probes_sent(lab, host) for host in ("client", "origin")}
        end = time.monotonic() + 2 * (IDLE_S + PROBES * PROBE_S)
        while time.monotonic() < end:
            time.sleep(0.1)
            for name, connection in idle.items():
                check(connection.idle_state() == "open", f"{name}: {connection.idle_state()}")
        for host in before:
            sent = probes_sent(lab, host) - before[host]
            say(f"  {host}: {sent} probes")
            check(sent >= 4 * PROBES, f"only {sent} probes of the {host}")
        for name, connection in idle.items():
            spliced(lab, connection, request, wanted)
        say(f"  {len(idle)} idle connections with hits, all open, all hot again")


if __name__ == "__main__":
    sys.exit(netlab.main([slow_reader, keepalive_probes]))
