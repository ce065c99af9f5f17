#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd before origins that reset, cut and close at the worst times, one that is slow while a crowd asks, and boosterd without a
descriptor left."""

import collections
import os
import pathlib
import resource
import socket
import struct
import sys
import threading
import time

import netlab
from booster_lab import ORIGIN, TO, booster, restart_with
from netlab import Lab, check, say
from wbhttp import HttpError, request_bytes

PORTS = (9090, 9091)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
# What the origin does with the request of a number, which its target ends with: number modulo their count.
ANSWERS = {
    "whole": OK,
    "closes afterwards": OK,
    "reset before the head": b"",
    "reset within the head": OK[:20],
    "reset within the body": OK[:-2],
}
SLOW_S = 0.4  # for what is below /public/ and /own/

class FaultyOrigin:
    """A web server on the origin's machine that logs each request that it has read whole, and then does what ANSWERS says."""

    def __init__(self, lab, port):
        self.seen = collections.Counter()
        with lab.inside("origin"):
            self.listener = socket.create_server((ORIGIN, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        rest = b""
        with connection:
            while True:
                try:
                    request, rest = self._read(connection, rest)
                except (OSError, EOFError):
                    return
                method, target = request.split(b" ", 2)[:2]
                if target.startswith((b"/public/", b"/own/")):
                    self._crawl(connection, target)
                    continue
                number = int(target.rpartition(b"/")[2]) if target.startswith(b"/n/") else 0
                self.seen[method.decode(), number] += 1
                kind = list(ANSWERS)[number % len(ANSWERS)]
                try:
                    connection.sendall(ANSWERS[kind])
                except OSError:
                    return
                if kind.startswith("reset"):
                    time.sleep(0.005)  # what was sent arrives before the reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if kind != "whole":
                    return

    def _crawl(self, connection, target):
        """Says which of the requests for this target it answers, and whether the answer is for all."""
        self.seen[target] += 1
        body = b"%d" % self.seen[target]
        control = b"max-age=60" if target.startswith(b"/public/") else b"private"
        time.sleep(SLOW_S)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: %s\r\n\r\n%s" % (len(body), control, body))

    @staticmethod
    def _read(connection, data):
        while b"\r\n\r\n" not in data:
            data += FaultyOrigin._more(connection)
        head, _, data = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        while len(data) < length:
            data += FaultyOrigin._more(connection)
        return head, data[length:]

    @staticmethod
    def _more(connection):
        data = connection.recv(65536)
        if not data:
            raise EOFError
        return data


def post(lab, numbers, statuses):
    """One client: each number once, on a connection kept as long as it lives. Statuses by number; 0: no whole response."""
    connection = None
    for number in numbers:
        # Without a body it could be sent again.
        body = b"x" * (number * (number // len(ANSWERS) % 2))
        connection = connection or lab.connect(80, to=TO)
        try:
            fields = [("Content-Length", str(len(body)))]
            answer = connection.request(request_bytes("POST", f"/n/{number}", lab.domain, fields, body=body))
            statuses[number] = answer.status
            check(answer.status != 200 or answer.body == b"done", f"{number}: {answer.body}")
            if answer.keeps_alive():
                continue
        except (HttpError, OSError):
            statuses[number] = 0
        connection.close()
        connection = None


def post_all(lab, count, clients=8):
    statuses = {}
    threads = [threading.Thread(target=post, args=(lab, range(first, count, clients), statuses)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    check(len(statuses) == count, f"{count - len(statuses)} of {count} requests never ended")
    return statuses


def nothing_is_posted_twice():
    """POSTs reach an origin once at most, and exactly once if the client was told so; what origins answer whole, comes."""
    with netlab.scratch() as path, Lab(path, booster=True, without="accel") as lab:
        origins = [FaultyOrigin(lab, port) for port in PORTS]
        restart_with(lab, [f"{ORIGIN}:{port}" for port in PORTS], "quota: { rate: 0 }", response="2s")
        count = 600
        statuses = post_all(lab, count)
        seen = sum((origin.seen for origin in origins), collections.Counter())
        posted = [seen["POST", number] for number in range(count)]
        check(max(posted) <= 1, f"sent more than once: {[n for n in range(count) if posted[n] > 1][:20]}")
        wrong = [n for n in range(count) if statuses[n] == 200 and posted[n] != 1]
        check(not wrong, f"200 for what no origin has seen: {wrong[:20]}")
        kinds = collections.Counter()
        for number in range(count):
            kinds[list(ANSWERS)[number % len(ANSWERS)], statuses[number]] += 1
        say(f"  {dict(kinds)}")
        for kind in ("whole", "closes afterwards"):
            check(kinds[kind, 200] >= 0.95 * count / len(ANSWERS), f"{kind}: {kinds}")
        for kind in ("reset before the head", "reset within the head"):
            check(set(status for k, status in kinds if k == kind) <= {502, 503}, f"{kind}: {kinds}")
        check(set(status for k, status in kinds if k == "reset within the body") <= {0, 502, 503}, f"{kinds}")
        for origin in origins:
            origin.listener.close()


def ask_all(lab, target, count):
    """So many clients at once. The bodies, and how long the last one took."""
    connections = [lab.connect(80, to=TO) for _ in range(count)]
    bodies = []

    def ask(connection):
        answer = connection.request(request_bytes("GET", target, lab.domain))
        bodies.append((answer.status, answer.body))
        connection.close()

    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    took = time.monotonic() - begun
    check(len(bodies) == count and {status for status, _ in bodies} == {200}, f"{target}: {bodies[:5]}")
    return [body for _, body in bodies], took


def a_crowd_is_one_request():
    """What many ask for at once, an origin is asked for once by each worker, if the answer is for all; nobody gets another's."""
    with netlab.scratch() as path, Lab(path, booster=True, without="accel") as lab:
        origin = FaultyOrigin(lab, PORTS[0])
        crowd, workers = 100, len(os.sched_getaffinity(0))
        restart_with(lab, [f"{ORIGIN}:{PORTS[0]}"], "quota: { rate: 0 }", response="10s")
        bodies, took = ask_all(lab, "/public/1", crowd)
        say(f"  {crowd} clients: {origin.seen[b'/public/1']} requests, {took:.2f} s")
        # The clients do not come in one instant: one who is behind the head asks anew.
        check(origin.seen[b"/public/1"] <= 2 * workers, f"{origin.seen[b'/public/1']} requests to the origin")
        check(len(set(bodies)) == origin.seen[b"/public/1"], f"{set(bodies)}")
        bodies, took = ask_all(lab, "/own/1", crowd)
        say(f"  {crowd} clients, each its own: {took:.2f} s")
        check(len(set(bodies)) == crowd, f"{crowd - len(set(bodies))} clients got what was another's")
        check(took < 2 * SLOW_S + 1.5, f"waited one for the other: {took} s")
        status = booster(lab)["domains"][0]["origins"][0]
        check(status["coalesced"] >= crowd - 2 * workers, f"{status}")
        # That it is not for all is known now.
        _, took = ask_all(lab, "/own/1", crowd)
        check(took < SLOW_S + 1, f"waited for what is not for all: {took} s")
        restart_with(lab, [f"{ORIGIN}:{PORTS[0]}"], "coalesce: false")
        ask_all(lab, "/public/2", crowd)
        check(origin.seen[b"/public/2"] == crowd, f"turned off: {origin.seen[b'/public/2']} requests for {crowd}")
        origin.listener.close()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def without_descriptors_it_goes_on():
    """Connections beyond its descriptors are ended at once, without taking the CPU; those it has are served, and later new ones."""
    with netlab.scratch() as path, Lab(path, booster=True, without="accel") as lab:
        netlab.make_docroot(path, (700,))
        restart_with(lab, [f"{ORIGIN}:80"], "quota: { rate: 0 }")
        pid = int(lab.env["BOOSTERD_PID"])
        first = lab.connect(80, to=TO)
        check(first.request(lab.request("/s700.html")).status == 200, "not served")
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # What is numbered below the limit may be opened.
        highest = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
        crowd = [lab.connect(80, to=TO) for _ in range(100)]
        time.sleep(0.5)
        before = cpu_seconds(pid)
        time.sleep(1)
        took = cpu_seconds(pid) - before
        ended = sum(1 for connection in crowd if connection.idle_state() != "open")
        say(f"  {ended} of {len(crowd)} ended, {took:.2f} s of CPU in 1 s")
        check(took < 0.2, f"{took} s of CPU in 1 s with nothing to do")
        check(ended >= 70, f"only {ended} of {len(crowd)} connections ended, with 20 descriptors")
        check(first.request(lab.request("/s700.html")).status == 200, "the connection from before is not served")
        for connection in crowd:
            connection.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        time.sleep(0.3)
        again = lab.connect(80, to=TO)
        check(again.request(lab.request("/s700.html")).status == 200, "no connection after the crowd")
        again.close()
        first.close()


if __name__ == "__main__":
    sys.exit(netlab.main([nothing_is_posted_twice, a_crowd_is_one_request, without_descriptors_it_goes_on]))
