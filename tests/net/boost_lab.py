# SPDX-License-Identifier: Apache-2.0
"""What tests of the redirection share: the control API, and who answers a new connection to a VIP."""

import contextlib
import http.client
import json
import socket
import threading
import time

import netlab
from netlab import Background, check, say

BOOSTER, ORIGIN = "booster", "origin"
MOST_S = 0.5  # that new connections may be without an answer


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("boosterd", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def api(lab, method, path, body=None, sock="BOOSTERD_SOCK"):
    """Status and JSON."""
    connection = Unix(lab.env[sock])
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def boost(lab, mode, domain=None, **more):
    """POST /v1/boost/DOMAIN; what it answers, which must be 200."""
    status, outcome = api(lab, "POST", f"/v1/boost/{domain or lab.domain}", {"mode": mode, **more})
    check(status == 200, f"boost {mode}: {status} {outcome}")
    return outcome


def state(lab, domain=None):
    status, all_of = api(lab, "GET", "/v1/boost")
    check(status == 200, f"boost status: {status} {all_of}")
    return next(one for one in all_of["domains"] if one["name"] == (domain or lab.domain))


def who(lab, vip, port=80, timeout=2.0, host=None, own_port=0):
    """Who answers a new connection. TRACE is refused by both: by nginx with its name in the answer. In the client's
    namespace; OSError: nobody. The server closes first.
    """
    with contextlib.closing(socket.create_connection((vip, port), timeout, ("", own_port))) as sock:
        sock.settimeout(timeout)
        sock.sendall(f"TRACE / HTTP/1.1\r\nHost: {host or lab.domain}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(4096):  # to its end: what is left unread would reset the connection
            answer += part
    if not answer:  # who had it was killed in between
        raise ConnectionError("the connection ended without an answer")
    check(answer.startswith(b"HTTP/1.1 405 "), f"TRACE is answered: {answer[:200]!r}")
    return ORIGIN if b"\r\nServer: nginx" in answer else BOOSTER


def outage(lab, vip, over, timeout=0.1):
    """New connections, one after the other, until the event `over`: the longest time in which none was answered, and
    who answered, in turn.
    """
    longest, answered, sides = 0.0, time.monotonic(), []
    while not over.is_set():
        try:
            side = who(lab, vip, timeout=timeout)
            now = time.monotonic()
            longest, answered = max(longest, now - answered), now
            if sides[-1:] != [side]:
                sides.append(side)
        except OSError:
            pass
        time.sleep(0.005)
    return max(longest, time.monotonic() - answered), sides


def watched(lab, what, during, expected, seconds=1.5, most=MOST_S):
    """New connections are made one after the other from 0.3 s before `during` until `seconds` after it. Returns who
    answered them, in turn.
    """
    over, result = threading.Event(), []
    thread = Background(lambda: result.append(inside(lab, lambda: outage(lab, lab.env["VIP_SITE"], over))))
    try:
        time.sleep(0.3)
        during()
        time.sleep(seconds)
    finally:
        over.set()
        thread.join()
    longest, sides = result[0]
    say(f"  {what}: no new connection was answered for {longest * 1000:.0f} ms; answered by the {', then the '.join(sides)}")
    check(longest < most, f"{what}: for {longest:.3f} s no new connection was answered")
    check(sides[-1] == expected, f"{what}: answered by the {sides[-1]}, not by the {expected}")
    return sides


def inside(lab, work):
    with lab.inside("client"):
        return work()


class Staying:
    """Connections that were made before, of which each is asked again and again."""

    def __init__(self, lab, count):
        self.lab, self.body = lab, netlab.pattern("s1024", 1024)
        self.socks = [inside(lab, lambda: socket.create_connection((lab.env["VIP_SITE"], 80), 5)) for _ in range(count)]
        self.ask()

    def ports(self):
        return {sock.getsockname()[1] for sock in self.socks}

    def ask(self, ports=None):
        """All of them, or those of these ports."""
        asked = [sock for sock in self.socks if ports is None or sock.getsockname()[1] in ports]
        for sock in asked:
            sock.sendall(self.lab.request("/s1024.html"))
        for number, sock in enumerate(asked):
            answer = b""
            while not answer.endswith(self.body):
                part = sock.recv(65536)
                check(part, f"connection {number} ended")
                answer += part

    def close(self):
        for sock in self.socks:
            sock.close()


class Download(threading.Thread):
    """A response that is read slowly, so that it lasts as long as the test; each byte is compared."""

    def __init__(self, lab, vip, reference, number):
        super().__init__(daemon=True)
        self.reference, self.number = reference, number
        self.error, self.side, self.hurry = None, None, threading.Event()
        self.sock = socket.create_connection((vip, 80), 10)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.sock.settimeout(60)
        self.sock.sendall(lab.request("/long.bin"))
        self.start()

    def run(self):
        try:
            self.read()
        except (OSError, netlab.TestFailure) as error:
            self.error = error
        finally:
            self.sock.close()

    def read(self):
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.sock.recv(4096)
            check(part, f"download {self.number}: no head")
            head += part
        at = head.index(b"\r\n\r\n") + 4
        check(head.startswith(b"HTTP/1.1 200 "), f"download {self.number}: {head[:60]!r}")
        got = head[at:]
        done = 0
        while True:
            check(got == self.reference[done:done + len(got)], f"download {self.number}: other bytes from {done}")
            done += len(got)
            if done == len(self.reference):
                return
            if not self.hurry.is_set():
                time.sleep(0.5)
            got = self.sock.recv(32768 if not self.hurry.is_set() else 1 << 20)
            check(got, f"download {self.number}: ends after {done} bytes")
