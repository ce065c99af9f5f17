#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd with 10,000 idle clients, 2,000 of them in TLS, and 1,000 slow ones: bounded memory, and the others are served."""

import pathlib
import resource
import socket
import ssl
import sys
import time

import netlab
from booster_lab import ORIGIN, TO, resident
from netlab import Lab, check, say

PLAIN, TLS, SLOW = 8000, 2000, 1000
SMALL = [f"/s{size}.html" for size in (1, 700, 1400, 3000)]
LARGE = 2_000_000  # more than boosterd and the sockets on the way keep
DEADLINE_S = 4
MORE = f"""
timeouts: {{ head: {DEADLINE_S}s, body: {DEADLINE_S}s, write: {DEADLINE_S}s, idle: 300s }}
limits: {{ client_connections: {2 * (PLAIN + TLS)}, buffer: 64KiB }}
"""
# Measured: 6.2 and 20.2 KiB for an idle client, up to 35 KiB for a slow one.
PLAIN_BYTES, TLS_BYTES, SLOW_BYTES = 12 << 10, 40 << 10, 96 << 10


def ask_once(lab, sock):
    """One request on a kept connection; whether all of the response came."""
    sock.sendall(lab.request("/s700.html"))
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 700:
        more = sock.recv(4096)
        if not more:
            return False
        data += more
    return data.startswith(b"HTTP/1.1 200")


def idle_clients(lab, pid, count, context=None):
    before = resident(pid)
    clients = []
    with lab.inside("client"):
        for _ in range(count):
            sock = socket.create_connection((lab.address(host=TO), 443 if context else 80), 10)
            if context:
                sock = context.wrap_socket(sock, server_hostname=lab.domain)
            check(ask_once(lab, sock), f"client {len(clients)} of {count} got no response")
            clients.append(sock)
    each = (resident(pid) - before) / count
    say(f"  {count} idle clients{' in TLS' if context else ''}: {each / 1024:.1f} KiB each")
    return clients, each


def slow_clients(lab, count):
    """A third each: half a head, a body that does not come, a response that is not read."""
    clients = []
    with lab.inside("client"):
        for number in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(10)
            sock.connect((lab.address(host=TO), 80))
            sock.sendall((lab.request("/s1.html")[:-2], lab.request("/s1.html", [("Content-Length", "5000")], "POST"),
                          lab.request(f"/s{LARGE}.html"))[number % 3])
            clients.append(sock)
    return clients


def origin_connections(lab):
    return len(lab.must("origin", "ss", "-Htn", "state", "established", "src", ORIGIN).splitlines())


def a_crowd_is_borne():
    with netlab.scratch() as path:
        netlab.make_docroot(path, (1, 700, 1400, 3000, LARGE))
        with Lab(path, booster=True) as lab:
            config = pathlib.Path(lab.env["BOOSTERD_CONF"])
            config.write_text(config.read_text() + MORE)
            lab.boosterd("stop")
            lab.boosterd("start")
            lab.warm(*SMALL)
            pid = int(lab.env["BOOSTERD_PID"])
            calm = lab.load(SMALL, 3, "--connections", 8, to=TO)

            plain, each = idle_clients(lab, pid, PLAIN)
            check(each < PLAIN_BYTES, f"{each} bytes for an idle client")
            tls, each = idle_clients(lab, pid, TLS, ssl.create_default_context(cafile=lab.env["CA_CERT"]))
            check(each < TLS_BYTES, f"{each} bytes for an idle client in TLS")
            before = resident(pid)
            load = lab.start(*lab.load_command(SMALL, 4, "--connections", 8, to=TO))
            slow = slow_clients(lab, SLOW)
            time.sleep(1)
            each, links = (resident(pid) - before) / SLOW, origin_connections(lab)
            crowded = netlab.finish_load(load)
            say(f"  {SLOW} slow clients: {each / 1024:.1f} KiB each, {links} connections to the origin; "
                f"{calm['completed'] / 3:.0f} requests/s before, {crowded['completed'] / 4:.0f} beside them")
            check(each < SLOW_BYTES, f"{each} bytes for a slow client")
            check(crowded["completed"] / 4 > 0.2 * calm["completed"] / 3, f"{calm} before, {crowded} beside the crowd")

            # The slow ones are ended by the deadlines, the idle ones are not.
            time.sleep(DEADLINE_S + 2)
            open_slow = sum(1 for sock in slow if not ended(sock))
            check(open_slow == 0, f"{open_slow} slow clients are still there")
            for sock in plain[::40] + tls[::20]:
                check(ask_once(lab, sock), "an idle client was not served")
            for sock in slow + plain + tls:
                sock.close()
            links = origin_connections(lab)
            check(links < 64, f"{links} connections to the origin are left")
            log = pathlib.Path(lab.env["BOOSTERD_LOG"]).read_text()
            check(" is down" not in log, f"an origin that worked was found down: {log[-1000:]}")


def ended(sock):
    """Reads what there is, to see the end behind it."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 20):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    wanted = PLAIN + TLS + SLOW + 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most if most == resource.RLIM_INFINITY else max(most, wanted)))
    sys.exit(netlab.main([a_crowd_is_borne]))
