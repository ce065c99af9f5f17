#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lost, doubled and reordered packets: nothing fails, and no reply waits longer than nginx's own.

The bad wire of support/wire.c is between client and origin. Both ports are asked each time, so both
suffer the same wire in the same run. Reply times are pooled over address families and compared by
slower(), which says what it allows and why.
"""

import math
import sys

import curl_mix
import netlab
from netlab import Lab, check, say

SIZES = [100, 1024, 1448, 3001, 5000, 8192, 11673, 13999]
LARGE_SIZES = [40000, 102400, 400000]
DISORDER = ("--dup", "0.01", "--reorder", "0.01")
# Standard deviations that chance does not explain, at the first look, with three and with seven times
# as many requests. The early ones are less, for what passes them is not looked at again.
Z = (2, 2.5, 3)
P99_FACTOR, P99_SLACK_S = 1.05, 0.010
LEAST_SAMPLES = 100
LEAST_RTO_S = 0.2  # of Linux
# Waits longer than these are for that many retransmission timeouts in a row, each twice the last.
TIMEOUTS_S = [0.18, 0.55, 1.3, 2.9]
DOUBLING = 2.1
MAX_SLACK_S = 0.050


class Pool:
    """Reply times of both ports, of any number of reports."""

    def __init__(self):
        self.mine, self.reference = [], []

    def add(self, mine, reference):
        self.mine += mine
        self.reference += reference


def order_statistic(ordered, share, deviations):
    """Of the quantile of so much, the limit of its confidence interval so many standard deviations
    off: the ranks of samples around a quantile are binomial, whatever their distribution.
    """
    count = len(ordered)
    rank = share * count + deviations * math.sqrt(count * share * (1 - share))
    return ordered[min(count - 1, max(0, math.ceil(rank) - 1))]


def slower(name, pool, z):
    """None, or in what the accelerator's replies are slower than nginx's by more than chance, which
    is z standard deviations.

    p99: at 1 % loss, one request in a hundred is itself lost and waits 200 ms for the peer, on both
    ports, so the 99th percentile is sometimes 5 ms and sometimes 205. Hence the limits of its
    confidence intervals are compared, with 5 % and 10 ms on top for two noisy CPUs.
    Waits for one, two, three, four timeouts: their number must not exceed the reference's by more
    than chance.
    Maximum: it is decided by how often in a row one packet was lost, each time doubling the wait.
    Of two equal ports, one suffers a longer row than the other every other time. That the second
    largest time lies two doublings above the reference's largest, or the largest three, has at 5 %
    a chance below 1 in 1000 for each of the two dozen pools of a run. That there are waits at all
    is judged by their number, and a few replies (of curl, which may also lose a SYN and wait for
    1 s) have no largest worth comparing.
    """
    mine, reference = sorted(pool.mine), sorted(pool.reference)
    low, high = order_statistic(mine, 0.99, -z), order_statistic(reference, 0.99, z)
    late, reference_late = [[sum(1 for time in times if time > limit) for limit in TIMEOUTS_S]
                            for times in (mine, reference)]
    p99, reference_p99 = [1000 * order_statistic(times, 0.99, 0) for times in (mine, reference)]
    share = len(mine) / len(reference)
    longest = max(reference[-1], LEAST_RTO_S)
    text = (f"{name}: {len(mine)} replies, p99 {p99:.1f} ms (nginx {reference_p99:.1f}), "
            f"waits for timeouts {late} (nginx {reference_late}), "
            f"max {1000 * mine[-1]:.0f} ms (nginx {1000 * reference[-1]:.0f})")
    say(f"  {text}")
    if low > P99_FACTOR * high + P99_SLACK_S:
        return f"{text}: p99 at least {1000 * low:.1f} ms, nginx's at most {1000 * high:.1f} ms"
    if any(count > share * other + z * math.sqrt(count + share * other) + 1
           for count, other in zip(late, reference_late)):
        return f"{text}: more waits for timeouts"
    if len(reference) >= LEAST_SAMPLES and (
            mine[-2] > DOUBLING**2 * longest + MAX_SLACK_S or
            mine[-1] > DOUBLING**3 * longest + MAX_SLACK_S):
        return f"{text}: maximum"
    return None


def judge(name, ask):
    """ask(pool, part) adds the reply times of part `part` of the requests to the pool. Fails when
    the accelerator is slower still after seven times as many requests.

    Replies of one connection wait together for one lost packet, or for one lost SYN, so chance is
    larger than the formulae above know. More requests tell: chance fades, a fault does not.
    """
    pool, part = Pool(), 0
    for parts, z in zip((1, 2, 4), Z):
        for _ in range(parts):
            ask(pool, part)
            part += 1
        fault = slower(name, pool, z)
        if fault is None:
            return
    check(False, fault)


class Trial:
    """One lab with one bad wire; options of the wire are set anew by each kind of trial."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

    def mixed(self, profile, count, *options):
        """The same profile over IPv4 and IPv6; hits and repairs per request."""
        requests, before = 0, self.lab.status()

        def ask(pool, part):
            nonlocal requests
            for family in (4, 6):
                report = self.lab.mixed(family=family, profile=profile, count=count,
                                        seed=family + 10 * part,
                                        options=("--ref-always", "--connections", 16, "--samples",
                                                 *options))
                pool.add(report["samples"], report["reference_samples"])
                requests += report["requests"]

        judge(f"{self.name} {profile}", ask)
        now = self.lab.status()
        hits = now["hits_total"] - before["hits_total"]
        repairs = {cause: now["repairs"][cause] - before["repairs"][cause]
                   for cause in now["repairs"]}
        say(f"  {self.name} {profile}: {requests} requests, 0 failures, {hits} hits, "
            f"repairs {repairs}")
        return hits / requests, sum(repairs.values()) / requests

    def curl(self, count):
        def ask(pool, part):
            hits = 0
            for family in (4, 6):
                report = curl_mix.compare(self.lab, family, SIZES + LARGE_SIZES[:2],
                                          family + 10 * part, count)
                pool.add(report["seconds"], report["reference_seconds"])
                hits += report["hits"]
            say(f"  {self.name} curl: {2 * count} requests, 0 differences, {hits} hits")

        judge(f"{self.name} curl", ask)

    def all_kinds(self, share, count, replies_suffer=True):
        """share: of packets lost, for the least number of repairs."""
        hits, repairs = self.mixed("hits", count)
        check(hits >= 0.4, f"only {hits} hits per request")
        check(not replies_suffer or repairs >= hits * share / 4,
              f"only {repairs} repairs per request at {share} loss")
        # Connections that end, and files that the kernel sends while replies are repaired.
        self.mixed("all", count // 4, "--renew-after", 24)
        self.mixed("large", count // 15)
        self.curl(count // 20)


def site(path):
    netlab.make_docroot(path, SIZES + LARGE_SIZES, compressed=(5000,))
    (path / "index.html").write_bytes(netlab.pattern("index", 900))
    return path


def bad_lab(path, **options):
    return Lab(site(path), bulk=True, wire=["--seed", "7"], **options)


def lossy(share, count):
    with netlab.scratch() as path, bad_lab(path) as lab:
        lab.warm(*[f"/s{size}.html" for size in SIZES])
        lab.wire("set", "--seed", "7", "--loss", share, *DISORDER)
        Trial(lab, f"{100 * share:.0f} % both ways").all_kinds(share, count)
        say(f"  wire: {lab.wire('counters').strip()}")


def one_percent():
    lossy(0.01, 2000)


def five_percent():
    lossy(0.05, 2000)


def one_direction():
    with netlab.scratch() as path, bad_lab(path) as lab:
        lab.warm(*[f"/s{size}.html" for size in SIZES])
        lab.wire("set", "--seed", "8", "--loss-ab", 0.05)
        Trial(lab, "5 % of requests").all_kinds(0.05, 400, replies_suffer=False)
        lab.wire("set", "--seed", "9", "--loss-ba", 0.05)
        Trial(lab, "5 % of replies").all_kinds(0.05, 400)


def with_tso():
    """The origin's stack hands large packets to its device, which loses their segments one by one.
    """
    with netlab.scratch() as path, bad_lab(path, tso="on") as lab:
        lab.warm(*[f"/s{size}.html" for size in SIZES])
        text = lab.must("origin", "ethtool", "-k", lab.env["ORIGIN_IF"])
        check("tcp-segmentation-offload: on" in text, "the wire has switched TSO off")
        lab.wire("set", "--seed", "10", "--loss", 0.05, *DISORDER)
        Trial(lab, "5 %, TSO").all_kinds(0.05, 400)


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
    sys.exit(netlab.main([one_percent, five_percent, one_direction, with_tso, taken_out]))
