#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Acknowledgments of a booster link, thinned by TC egress (booster/link/ack_thinning.h).

ackthin_client is the booster's side of one link, with and without. Counted are the packets that the
origin's interface receives; the client compares every byte with what port 8080 answers.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import netlab
from keyed_test import Link
from netlab import Lab, check, say

CLIENT = pathlib.Path(os.environ.get("WB_BUILD_DIR", netlab.REPO / "build")) / "tests/net/ackthin_client"
SMALL, LARGE = "/small", "/large"  # 1 KB and 11.4 KB with their heads
WARM_TURNS, TURNS = 200, 600
# Two CPUs that others share: now and then the client sleeps longer than an ACK is withheld.
CHANCE = 0.10
HIT_TARGETS = [(SMALL, 1), (SMALL, 4), (SMALL, 16), (LARGE, 1), (LARGE, 3)]


def site(path):
    (path / SMALL[1:]).write_bytes(netlab.pattern("small", 794))
    (path / LARGE[1:]).write_bytes(netlab.pattern("large", 11170))
    (path / "other").write_bytes(netlab.pattern("other", 900))
    return path


class Client:
    """An ackthin_client in the lab; targets: (target, key or None)."""

    def __init__(self, lab, targets, thin, family=4, host="booster", to="ORIGIN_BOOSTER"):
        self.lab, self.files = lab, contextlib.ExitStack()
        folder = self.files.enter_context(netlab.scratch())
        link, paths = Link(lab, family, host=host, to=to), []
        plain = lab.connect(8080, family, host=host, to=to)
        for number, (target, key) in enumerate(targets):
            answer = plain.request(lab.request(target))
            for name, data in (("ask", link.request(target, key)), ("answer", answer.head + answer.body)):
                file = folder / f"{number}.{name}"
                file.write_bytes(data)
                paths.append(file)
        link.close()
        plain.close()
        interface = lab.env["BOOSTER_IF" if host == "booster" else "CLIENT_IF"]
        self.counted = lab.env["ORIGIN_BOOSTER_IF" if host == "booster" else "ORIGIN_IF"]
        # nsenter and not `ip netns exec`: the process is to be the client itself, for signals.
        command = ["nsenter", f"--net=/run/netns/{lab.prefix}-{host}", "taskset", "-c", "1", CLIENT,
                   lab.address(family, to), 80, interface if thin else "-", *paths]
        self.process = subprocess.Popen([str(word) for word in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.files.close()

    def received(self):
        """Packets of the origin's interface."""
        for line in self.lab.must("origin", "cat", "/proc/net/dev").splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == self.counted:
                return int(numbers.split()[1])
        raise netlab.TestFailure(f"no interface {self.counted}")

    def run(self, turns, batch, think_us=0, release=True):
        """Batches one after the other; what the client says, and `packets` of the origin's."""
        before = self.received()
        print(turns, batch, think_us, int(release), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        check(line, f"the client has ended with {self.process.poll()}")
        return json.loads(line) | {"packets": self.received() - before}

    def acks(self, report, earlier):
        return netlab.difference(report["acks"], earlier["acks"])


def measure(lab, target, batch, thin, family=4):
    with Client(lab, [(target, None)], thin, family) as client:
        warm = client.run(WARM_TURNS, batch)
        before = lab.reasons()
        report = client.run(TURNS, batch)
        grown = netlab.difference(lab.reasons(), before)
    report["per_request"] = report["packets"] / (TURNS * batch)
    report["repairs"] = grown.get("timer/timer_resent", 0) + grown.get("in/repair_sack", 0)
    hits = grown.get("in/hit", 0) + grown.get("in/hit_keyed", 0)
    check(hits >= 0.9 * TURNS, f"{hits} packets of hits in {TURNS} turns: {grown}")
    if thin:
        report["acks"] = client.acks(report, warm)
    say(f"  IPv{family} {target} x {batch}, {'thinned' if thin else 'plain'}: "
        f"{report['per_request']:.3f} packets a request, p50 {report['p50_us']} us, "
        f"p99 {report['p99_us']} us, {report['repairs']} repairs {report['acks']}")
    return report


def fewer_packets():
    """One packet for a batch, its request, and no harm done."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(SMALL, LARGE)
        for target, batch in HIT_TARGETS:
            plain = measure(lab, target, batch, False)
            for family in (4, 6):
                thinned = measure(lab, target, batch, True, family)
                check(thinned["per_request"] <= (1 + CHANCE) / batch,
                      f"{target} x {batch}: {thinned['per_request']} packets a request")
                check(thinned["retransmissions"] == 0 and thinned["congestion_state"] == 0,
                      f"the booster's TCP noticed: {thinned}")
            if (target, batch) != (SMALL, 1):  # whose ACK the kernel delays by itself
                check(plain["per_request"] >= 1.9 / batch, f"plain: {plain['per_request']}")


if __name__ == "__main__":
    sys.exit(netlab.main([fewer_packets]))
