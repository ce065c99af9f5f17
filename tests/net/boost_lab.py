# SPDX-License-Identifier: Apache-2.0
"""What tests of the redirection share: the control API, and who answers a new connection to a VIP."""

import contextlib
import http.client
import json
import socket
import time

from netlab import check

BOOSTER, ORIGIN = "booster", "origin"


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


def who(lab, vip, port=80, timeout=2.0, host=None):
    """Who answers a new connection. TRACE is refused by both: by nginx with its name in the answer. In the client's
    namespace; OSError: nobody.
    """
    with contextlib.closing(socket.create_connection((vip, port), timeout)) as sock:
        sock.settimeout(timeout)
        sock.sendall(f"TRACE / HTTP/1.1\r\nHost: {host or lab.domain}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(4096):  # to its end: what is left unread would reset the connection
            answer += part
    check(answer.startswith(b"HTTP/1.1 405 "), f"TRACE is answered: {answer[:200]!r}")
    return ORIGIN if b"\r\nServer: nginx" in answer else BOOSTER


def outage(lab, vip, seconds, timeout=0.1):
    """New connections, one after the other, for so long: the longest time in which none was answered, and who
    answered last.
    """
    longest, answered, last = 0.0, time.monotonic(), None
    end = answered + seconds
    while time.monotonic() < end:
        try:
            last = who(lab, vip, timeout=timeout)
            now = time.monotonic()
            longest, answered = max(longest, now - answered), now
            time.sleep(0.005)
        except OSError:
            time.sleep(0.005)
    return max(longest, time.monotonic() - answered), last
