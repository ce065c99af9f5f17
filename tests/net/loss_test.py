#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lost, doubled and reordered packets: nothing fails, and no reply waits longer than nginx's own.

The bad wire of support/wire.c is between client and origin. mixed.py asks both ports each time, so
both suffer the same wire in the same run. Reply times of the accelerated port may exceed the
reference's by no more than the noise allowed below.
"""

import sys

import netlab
from netlab import Lab, check, say

SIZES = [100, 1024, 1448, 3001, 5000, 8192, 11673, 13999]
DISORDER = ("--dup", "0.01", "--reorder", "0.01")
# Of percentiles of a few thousand exchanges, in which a single retransmission timeout of TCP's
# (200 ms and its doublings) decides.
P99_FACTOR, P99_SLACK_MS = 1.15, 30
MAX_FACTOR, MAX_SLACK_MS = 1.5, 250


def judge(name, report):
    mine, reference = report["latency"], report["reference_latency"]
    say(f"  {name}: {report['requests']} requests, 0 failures, p99 {mine['p99_ms']} ms "
        f"(nginx {reference['p99_ms']}), max {mine['max_ms']} ms (nginx {reference['max_ms']})")
    check(mine["p99_ms"] <= P99_FACTOR * reference["p99_ms"] + P99_SLACK_MS,
          f"{name}: p99 {mine['p99_ms']} ms, nginx {reference['p99_ms']} ms")
    check(mine["max_ms"] <= MAX_FACTOR * reference["max_ms"] + MAX_SLACK_MS,
          f"{name}: max {mine['max_ms']} ms, nginx {reference['max_ms']} ms")


def lossy(percent):
    share = str(percent / 100)
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES, compressed=(5000,))
        (path / "index.html").write_bytes(netlab.pattern("index", 900))
        with Lab(path, wire=["--seed", "7", "--loss", share, *DISORDER]) as lab:
            lab.warm(*[f"/s{size}.html" for size in SIZES])
            for family in (4, 6):
                before = lab.status()
                report = lab.mixed(family=family, profile="hits", count=2500, seed=family,
                                   options=("--ref-always", "--connections", 16))
                now = lab.status()
                hits = now["hits_total"] - before["hits_total"]
                repairs = {cause: now["repairs"][cause] - before["repairs"][cause]
                           for cause in now["repairs"]}
                judge(f"{percent} % IPv{family} hits", report)
                say(f"    {hits} hits, repairs {repairs}")
                check(hits >= 1000, f"only {hits} hits")
                check(sum(repairs.values()) >= hits * percent / 100 / 4,
                      f"only {repairs} repairs at {percent} % loss")
                # No times here: each reconnection that loses its SYN stops all lanes of mixed.py.
                report = lab.mixed(family=family, profile="all", count=600, seed=family,
                                   options=("--connections", 16, "--renew-after", 24))
                say(f"  {percent} % IPv{family} all: {report['requests']} requests, 0 failures")
            counters = lab.wire("counters")
            say(f"  wire: {counters.strip()}")


def one_percent():
    lossy(1)


def five_percent():
    lossy(5)


def taken_out():
    """A lab is as before when its wire is gone: XDP's replies arrive."""
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES)
        with Lab(path, wire=["--loss", "0.01"]) as lab:
            targets = [f"/s{size}.html" for size in SIZES]
            lab.warm(*targets)
            lab.wire("remove")
            before = lab.hits()
            report = lab.load(targets, 1)
            hits = lab.hits() - before
            say(f"  taken out: {report['completed']} requests, {hits} hits")
            check(hits >= 0.9 * report["completed"], f"{hits} hits of {report['completed']}")


if __name__ == "__main__":
    sys.exit(netlab.main([one_percent, five_percent, taken_out]))
