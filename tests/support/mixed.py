#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the accelerated and the reference port the same mixed requests and demands the same bytes.

C lanes run at once, each with one keep-alive connection per port. A lane takes the next case, asks
the reference (unless that case was asked before and its files have not changed since), then the
port under test, and compares; only the value of Date may differ. Whatever is lost, reset, late
(--timeout), surplus or different is a failure; exit 1 if there is any.
"""

import argparse
import collections
import hashlib
import json
import os
import select
import sys
import time

import wbhttp
from exchange import Exchange, compare
from mixed_cases import PROFILES, Generator, Site

SHOWN_FAILURES = 20
# nginx ends a connection after so many requests (keepalive_requests); it does not count what XDP
# answers, so both connections of a lane are renewed before.
RENEW_AFTER = 900
# nginx closes a connection idle for its keepalive_timeout; earlier than this, an idle close is a
# lost connection.
IDLE_CLOSE_OK_S = 30.0
# Connecting stops all lanes; while one has taken so long (its SYN was lost), no reply of the others
# was timed.
STOPPED_S = 0.02


class Reference:
    """Answers of the reference by exact request bytes, worthless once a file they depend on
    changes.
    """

    def __init__(self):
        self._outcomes = {}
        self._bodies = {}  # equal bodies are kept once

    @staticmethod
    def stamp(case):
        found = []
        for path in case.paths:
            try:
                status = os.stat(path)
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def get(self, case, stamp):
        known = self._outcomes.get(case.key())
        return known[1] if known and known[0] == stamp else None

    def put(self, case, stamp, outcome):
        outcome.responses = [(head, self._bodies.setdefault(hashlib.sha256(body).digest(), body))
                             for head, body in outcome.responses]
        self._outcomes[case.key()] = (stamp, outcome)


class Lane:
    """A pair of connections and the case under way on them."""

    def __init__(self, runner, number):
        self.runner = runner
        self.number = number
        self.connections = {}
        self.exchange = None
        self.port = None
        self.case = None
        self.index = -1
        self.stamp = ()
        self.wanted = None
        self.retries = 0
        self.history = collections.deque(maxlen=4)

    def begin(self, case, index):
        self.case, self.index, self.retries = case, index, 0
        self.stamp = Reference.stamp(case)
        self.wanted = None if self.runner.args.ref_always else self.runner.reference.get(case,
                                                                                         self.stamp)
        self._ask(self.runner.args.port if self.wanted else self.runner.args.ref_port)

    def _ask(self, port):
        self.port = port
        self.exchange = None
        try:
            connection = self._connection(port)
        except wbhttp.HttpError as error:
            self.runner.fail(self, {"what": str(error), "port": port})
            self.case = None
            return
        self.exchange = Exchange(self.case, connection, time.monotonic())

    def _connection(self, port):
        connection = self.connections.get(port)
        if connection:
            state = connection.idle_state()
            aged = time.monotonic() - connection.sent_at > IDLE_CLOSE_OK_S
            if state == "closed" and (aged or port != self.runner.args.port):
                self.runner.idle_closes += 1
            elif state != "open" and port == self.runner.args.port:
                self.runner.fail(self, {"what": f"connection {state} between responses",
                                        "port": port})
            if state != "open" or connection.requests >= self.runner.args.renew_after:
                self.drop(port)
                connection = None
        if connection is None:
            begun = time.monotonic()
            connection = wbhttp.Connection(self.runner.args.host, port, self.runner.args.timeout)
            if time.monotonic() - begun > STOPPED_S:
                self.runner.untimed.update(lane.exchange for lane, _ in self.runner.lanes.values()
                                           if lane.exchange)
            self.connections[port] = connection
            self.runner.watch(connection, self)
        return connection

    def drop(self, port):
        connection = self.connections.pop(port, None)
        if connection:
            self.runner.unwatch(connection)
            connection.close()

    def step(self, now, readable):
        """Advances the exchange; True when the case is finished."""
        if self.case is None:
            return True
        if not self.exchange.step(now, readable):
            return False
        outcome = self.exchange.outcome
        if outcome.end != "open" or outcome.doomed:
            self.drop(self.port)
        if self.port == self.runner.args.ref_port:
            return self._reference_done(outcome)
        self._test_done(outcome)
        return self.case is None

    def _reference_done(self, outcome):
        if outcome.failed():
            self.runner.reference_failures += 1
            self.retries += 1
            if self.retries > 2:
                self.runner.fail(self, {"what": f"reference {outcome.end} {outcome.detail}"})
                self.case = None
                return True
            self._ask(self.runner.args.ref_port)
            return self.case is None
        self.runner.reference_asked += 1
        self.runner.time(self.runner.reference_latency, self, outcome)
        self.wanted = outcome
        self.runner.reference.put(self.case, self.stamp, outcome)
        self._ask(self.runner.args.port)
        return self.case is None

    def _test_done(self, outcome):
        difference = compare(outcome, self.wanted, self.runner.args.date_slack)
        if difference and Reference.stamp(self.case) != self.stamp and self.retries < 3:
            self.retries += 1
            self.runner.raced += 1
            self.stamp = Reference.stamp(self.case)
            self._ask(self.runner.args.ref_port)
            return
        if difference:
            self.runner.fail(self, difference)
        self.runner.counts[self.case.kind] += 1
        self.runner.responses += len(outcome.responses)
        self.runner.time(self.runner.latency, self, outcome)
        self.history.append(self.case.kind)
        self.case = None


class Runner:
    def __init__(self, args):
        self.args = args
        self.reference = Reference()
        self.epoll = select.epoll()
        self.lanes = {}
        self.counts = collections.Counter()
        self.latency = collections.defaultdict(list)
        self.reference_latency = collections.defaultdict(list)
        self.failures = 0
        self.failures_by_kind = collections.Counter()
        self.shown = []
        self.responses = self.reference_asked = self.reference_failures = 0
        self.idle_closes = self.raced = 0
        self.untimed = set()  # exchanges

    def time(self, latency, lane, outcome):
        if lane.exchange not in self.untimed:
            latency[lane.case.kind].append(outcome.elapsed_s)
        self.untimed.discard(lane.exchange)

    def watch(self, connection, lane):
        self.lanes[connection.sock.fileno()] = (lane, connection)
        self.epoll.register(connection.sock, select.EPOLLIN)

    def unwatch(self, connection):
        self.epoll.unregister(connection.sock)
        del self.lanes[connection.sock.fileno()]

    def fail(self, lane, difference):
        self.failures += 1
        self.failures_by_kind[lane.case.kind] += 1
        if len(self.shown) < SHOWN_FAILURES:
            request = b"".join(piece for piece in lane.case.pieces if piece)
            self.shown.append({"seed": self.args.seed, "index": lane.index, "kind": lane.case.kind,
                               "lane": lane.number, "before": list(lane.history),
                               "pieces": [len(piece or b"") for piece in lane.case.pieces],
                               "request": repr(request[:300]), **difference})

    def run(self):
        args = self.args
        site = Site(args.docroot, args.domain, args.seed, args.max_bytes)
        site.learn(wbhttp.Connection(args.host, args.ref_port, args.timeout))
        generator = Generator(site, args.seed, args.profile)
        lanes = [Lane(self, number) for number in range(args.connections)]
        idle = list(lanes)
        busy = set()
        index = 0
        while busy or index < args.count:
            while idle and index < args.count:
                lane = idle.pop()
                lane.begin(generator.next_case(), index)
                index += 1
                (busy.add if lane.case else idle.append)(lane)
            if busy:
                self._turn(busy, idle)

    def _turn(self, busy, idle):
        now = time.monotonic()
        wake = min((lane.exchange.wake_at for lane in busy), default=now)
        ready = set()
        for fd, _ in self.epoll.poll(max(0.0, wake - now)):
            lane, connection = self.lanes[fd]
            if lane.exchange and lane.exchange.connection is connection:
                ready.add(lane)
            else:
                # Out of turn: the state is judged when the connection is used next; until then do
                # not spin on it.
                self.epoll.modify(fd, 0)
        now = time.monotonic()
        for lane in list(busy):
            if lane in ready or now >= lane.exchange.wake_at:
                if lane.step(now, lane in ready):
                    busy.discard(lane)
                    idle.insert(0, lane)

    def report(self, seconds):
        kinds = {kind: {"count": self.counts[kind], "failures": self.failures_by_kind[kind],
                        "latency": wbhttp.percentiles(self.latency[kind]),
                        "reference_latency": wbhttp.percentiles(self.reference_latency[kind])}
                 for kind in sorted(set(self.counts) | set(self.failures_by_kind))}
        mine = [s for found in self.latency.values() for s in found]
        theirs = [s for found in self.reference_latency.values() for s in found]
        samples = {"samples": mine, "reference_samples": theirs} if self.args.samples else {}
        return {"requests": sum(self.counts.values()), "responses": self.responses,
                "failures": self.failures,
                "seconds": round(seconds, 2), "seed": self.args.seed, "profile": self.args.profile,
                "reference_asked": self.reference_asked,
                "reference_failures": self.reference_failures,
                "idle_closes": self.idle_closes, "raced": self.raced,
                "latency": wbhttp.percentiles(mine),
                "reference_latency": wbhttp.percentiles(theirs),
                "kinds": kinds, "shown": self.shown, **samples}


def print_report(report):
    print(f"{'kind':18} {'count':>6} {'fail':>5} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} "
          f"{'ref p50':>8} {'ref p99':>8} {'ref max':>8}")
    for kind, row in list(report["kinds"].items()) + [("total", report)]:
        mine, theirs = row["latency"], row["reference_latency"]
        cells = " ".join(f"{'-' if stats[name] is None else format(stats[name], '.2f'):>8}"
                         for stats in (mine, theirs) for name in ("p50_ms", "p99_ms", "max_ms"))
        print(f"{kind:18} {row.get('count', report['requests']):6} {row['failures']:5} {cells}")
    for failure in report["shown"]:
        print(f"\nFAIL seed {failure['seed']} index {failure['index']} kind {failure['kind']} "
              f"lane {failure['lane']} "
              f"after {failure['before']}: {failure['what']}")
        for name in ("request", "pieces", "got", "wanted", "got_head", "wanted_head"):
            if name in failure:
                print(f"  {name}: {failure[name]}")
    print(f"\n{report['requests']} requests, {report['responses']} responses, "
          f"{report['failures']} failures, "
          f"{report['reference_asked']} asked of the reference, {report['seconds']} s")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--host", required=True, help="address of the origin, IPv4 or IPv6")
    parser.add_argument("--port", type=int, default=80, help="port under test")
    parser.add_argument("--ref-port", type=int, default=8080)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--docroot", required=True)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="all")
    parser.add_argument("--max-bytes", type=int, default=4 << 20, help="leave larger files out")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one response")
    parser.add_argument("--date-slack", type=float, default=2.0, help="seconds a Date may be off")
    parser.add_argument("--ref-always", action="store_true",
                        help="ask the reference each time: latencies compare")
    parser.add_argument("--renew-after", type=int, default=RENEW_AFTER,
                        help="responses after which a connection is renewed")
    parser.add_argument("--samples", action="store_true",
                        help="all reply times in the JSON, in seconds")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    runner = Runner(parse_args())
    started = time.monotonic()
    runner.run()
    report = runner.report(time.monotonic() - started)
    if runner.args.json:
        print(json.dumps(report))
    else:
        print_report(report)
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
