#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keep-alive load that checks every byte: each body's SHA-256 against the file served.

Failed are resets, closes in mid-response, wrong bytes or status, timeouts. A clean close between
responses is not (nginx limits requests and idle time per connection): the client reconnects, asks
again and counts that in "reasked". Prints one JSON object; exit 1 when anything failed. SIGTERM ends
the load before its time.
"""

import argparse
import collections
import hashlib
import json
import os
import selectors
import signal
import sys
import time
import urllib.parse

import wbhttp

RECONNECT_PAUSE_S = 0.05


class Verifier:
    """Digests of the files; a file that changes during the run is read again."""

    def __init__(self, docroot):
        self.docroot = docroot
        self._known = {}

    def stamp(self, target):
        path = os.path.join(self.docroot, urllib.parse.unquote(target.split("?")[0]).lstrip("/"))
        if target.split("?")[0].endswith("/"):
            path = os.path.join(path, "index.html")
        status = os.stat(path)
        return path, status.st_mtime_ns, status.st_size, status.st_ino

    def digest(self, target):
        stamp = self.stamp(target)
        if stamp not in self._known:
            with open(stamp[0], "rb") as file:
                self._known[stamp] = hashlib.sha256(file.read()).digest()
        return self._known[stamp]


class Client:
    """One connection with at most one request under way."""

    def __init__(self, load, source):
        self.load = load
        self.source = source
        self.connection = None
        self.target = None
        self.expected = None
        self.sent = 0.0
        self.ready_at = 0.0
        self.fresh = True

    def ask(self, target, now, again=False):
        self.target = target
        if not again:
            self.sent = now
            self.expected = self.load.verifier.digest(target) if self.load.verifier else None
        try:
            if self.connection is None:
                args = self.load.args
                self.connection = wbhttp.Connection(args.host, args.port, args.timeout, self.source)
                self.load.selector.register(self.connection.sock, selectors.EVENT_READ, self)
                self.fresh = True
            self.connection.send(self.load.requests[target])
            self.connection.sock.setblocking(False)
        except wbhttp.HttpError as error:
            self.fail(error.kind, now)

    def close(self):
        if self.connection:
            self.load.selector.unregister(self.connection.sock)
            self.connection.close()
            self.connection = None

    def fail(self, kind, now):
        self.load.errors[kind] += 1
        self.close()
        self.target = None
        self.ready_at = now + RECONNECT_PAUSE_S

    def readable(self):
        try:
            data = self.connection.sock.recv(1 << 20)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.fail("reset", time.monotonic())
            return
        now = time.monotonic()
        parser = self.connection.parser
        try:
            if data:
                parser.feed(data)
                if self.target is None:
                    raise wbhttp.HttpError("extra", "bytes that nobody asked for")
                response = parser.next(b"GET")
            else:
                response = parser.finish(b"GET")
        except wbhttp.HttpError as error:
            self.fail(error.kind, now)
            return
        if response:
            self._take(response, now)
        elif not data:
            self._closed_between(now)

    def _closed_between(self, now):
        self.load.clean_closes += 1
        fresh, target = self.fresh, self.target
        self.close()
        if target is None:
            return
        if fresh:  # closed before its first response: no keep-alive limit explains that
            self.fail("closed", now)
            return
        self.load.reasked += 1
        self.ask(target, now, again=True)

    def _take(self, response, now):
        problem = self._problem(response)
        target, self.target = self.target, None
        self.fresh = False
        if problem:
            self.load.note(target, response, problem)
            self.fail(problem, now)
            return
        self.load.completed += 1
        self.load.bytes += len(response.body)
        self.load.latency.append(now - self.sent)
        self.connection.requests += 1
        if not response.keeps_alive():
            self.load.clean_closes += 1
            self.close()
        elif self.connection.requests == self.load.args.renew_after:
            self.load.renewed += 1
            self.close()
        elif self.connection.parser.in_response():
            self.fail("extra", now)

    def _problem(self, response):
        if response.status != 200:
            return f"status_{response.status}"
        if self.expected is not None:
            digest = hashlib.sha256(response.body).digest()
            # The file may have changed since the request left; then the new content is right, too.
            if digest not in (self.expected, self.load.verifier.digest(self.target)):
                return "wrong_bytes"
        return None


class Load:
    def __init__(self, args):
        self.args = args
        self.selector = selectors.DefaultSelector()
        self.verifier = Verifier(args.verify_dir) if args.verify_dir else None
        self.requests = {target: wbhttp.request_bytes("GET", target, args.domain,
                                                      [("User-Agent", "load")])
                         for target in args.target}
        self.errors = collections.Counter()
        self.completed = self.bytes = self.clean_closes = self.reasked = self.renewed = 0
        self.latency = []
        self.notes = []
        self.end = 0.0

    def stop(self, *_):
        """No more requests; those under way are awaited."""
        self.end = 0.0

    def note(self, target, response, problem):
        if len(self.notes) < 5:
            self.notes.append({"target": target, "problem": problem, "bytes": len(response.body),
                               "head": response.head.decode("latin-1")})

    def run(self):
        sources = [(source, 0) for source in self.args.source] or [None]
        clients = [Client(self, sources[number % len(sources)])
                   for number in range(self.args.connections)]
        started = time.monotonic()
        self.end = started + self.args.seconds
        signal.signal(signal.SIGTERM, self.stop)
        asked = 0
        while True:
            now = time.monotonic()
            if now >= self.end and not any(client.target for client in clients):
                break
            due = int((now - started) * self.args.rate) - asked if self.args.rate else len(clients)
            # The one idle longest first, or with a rate the last ones would hardly ever ask.
            for client in sorted(clients, key=lambda one: one.sent):
                if client.target:
                    if now - client.sent > self.args.timeout:
                        client.fail("timeout", now)
                elif now < self.end and due > 0 and now >= client.ready_at:
                    client.ask(self.args.target[asked % len(self.args.target)], now)
                    asked += 1
                    due -= 1
            for key, _ in self.selector.select(0.001 if self.args.rate else 0.02):
                if key.data.connection and key.fileobj is key.data.connection.sock:
                    key.data.readable()
        for client in clients:
            client.close()
        return time.monotonic() - started

    def report(self, seconds):
        failed = sum(self.errors.values())
        stats = wbhttp.percentiles(self.latency)
        return {"completed": self.completed, "failed": failed, "errors": dict(self.errors),
                "p50_ms": stats["p50_ms"],
                "p99_ms": stats["p99_ms"], "max_ms": stats["max_ms"], "seconds": round(seconds, 2),
                "bytes": self.bytes,
                "clean_closes": self.clean_closes, "reasked": self.reasked,
                "renewed": self.renewed, "notes": self.notes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--target", action="append", required=True,
                        help="repeatable; asked in turn")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0,
                        help="requests per second in all; 0: as fast as answered")
    parser.add_argument("--source", action="append", default=[],
                        help="address of the client's; repeatable: connections have them in turn")
    parser.add_argument("--verify-dir", help="document root to compare with")
    parser.add_argument("--renew-after", type=int, default=0,
                        help="responses after which a connection is renewed; 0: never")
    parser.add_argument("--timeout", type=float, default=30)
    load = Load(parser.parse_args())
    report = load.report(load.run())
    print(json.dumps(report))
    return 1 if report["failed"] or not report["completed"] else 0


if __name__ == "__main__":
    sys.exit(main())
