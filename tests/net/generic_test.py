#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generic mode, where replies leave by TC and not by the fan-out: the same bytes, repaired alike.

The lab attaches natively; here its interfaces are attached anew. What is compared is the answer of
the unaccelerated port, as everywhere (mixed.py).
"""

import json
import sys

import netlab
from netlab import Lab, check, say

SIZES = [100, 1024, 5000, 11673, 14000, 60000]
TARGETS = ["/s1024.html", "/s5000.html", "/s11673.html"]


def site(path):
    return netlab.make_docroot(path, SIZES, compressed=[5000])


def attach_anew(lab, mode):
    """What wbctl said of the interface towards the client."""
    results = []
    for name in (lab.env["ORIGIN_BOOSTER_IF"], lab.env["ORIGIN_IF"]):
        lab.wbctl("detach", name, "--force")
        results.append(lab.wbctl("attach", name, "--mode", mode))
    return results[-1]


def mode_of(lab):
    return {row["name"]: row["mode"] for row in lab.status()["interfaces"]}[lab.env["ORIGIN_IF"]]


def served(lab, work, least):
    before = lab.hits()
    report = work()
    hits = lab.hits() - before
    check(hits >= least, f"only {hits} hits")
    return report, hits


def same_bytes():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        result = attach_anew(lab, "generic")
        check(result["mode"] == "generic" and result["why"] == "asked for", str(result))
        lab.warm(*TARGETS)
        before = lab.reasons()
        for family in (4, 6):
            report, hits = served(lab, lambda: lab.mixed(family=family, count=1500), 60)
            say(f"  generic, IPv{family}: {report['requests']} mixed requests equal, {hits} hits")
            report, hits = served(lab, lambda: lab.load(TARGETS, 2, family=family), 500)
            say(f"  generic, IPv{family}: {report['completed']} requests, {hits} hits, max "
                f"{report['max_ms']} ms")
        # Replies that never left would be sent by the timer, sooner or later.
        grown = netlab.difference(lab.reasons(), before)
        check(20 * grown.get("timer/timer_resent", 0) < grown["in/hit"], f"by the timer: {grown}")
        # Another mode than the one in force is refused, and nothing is changed.
        done = lab.wbctl_run("attach", lab.env["ORIGIN_IF"], "--mode", "native")
        check(done.returncode == 1 and "generic mode already" in done.stderr, str(done))
        again = lab.wbctl("attach", lab.env["ORIGIN_IF"])
        check(again["why"].startswith("attached already, since "), str(again))
        check(mode_of(lab) == "generic", "the mode has changed")


def adopted():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        attach_anew(lab, "generic")
        lab.warm(*TARGETS)
        load = lab.start(*lab.load_command(TARGETS, 8, "--connections", 8, "--rate", 400))
        lab.accelerd("kill")
        lab.accelerd("start")
        check(mode_of(lab) == "generic", "adopted in another mode")
        lab.warm(*TARGETS)
        _, hits = served(lab, lambda: netlab.finish_load(load), 200)
        say(f"  generic, adopted under load: {hits} hits")


def repaired():
    wire = ["--seed", 7, "--loss-ab", 0.02, "--loss-ba", 0.02]
    with netlab.scratch() as path, Lab(site(path), wire=wire) as lab:
        attach_anew(lab, "generic")
        lab.warm(*TARGETS)
        before = lab.reasons()
        for family in (4, 6):
            served(lab, lambda: lab.load(TARGETS, 6, "--connections", 8, "--rate", 400,
                                         family=family), 500)
        grown = netlab.difference(lab.reasons(), before)
        say(f"  generic, 2 % loss: {json.dumps(grown)}")
        for reason in ("in/repair_sack", "timer/timer_resent"):
            check(grown.get(reason, 0) > 0, f"no {reason}: {grown}")


def falls_back():
    """No NAPI at the client: what native XDP transmits would vanish."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.must("client", "ethtool", "-K", lab.env["CLIENT_IF"], "gro", "off")
        lab.wbctl("detach", lab.env["ORIGIN_IF"], "--force")
        done = lab.wbctl_run("attach", lab.env["ORIGIN_IF"], "--mode", "native")
        check(done.returncode == 1 and "gro on" in done.stderr, str(done))
        result = lab.wbctl("attach", lab.env["ORIGIN_IF"])
        check(result["mode"] == "generic", str(result))
        check("native XDP would lose every reply" in result["why"], str(result))
        lab.warm(*TARGETS)
        for family in (4, 6):
            served(lab, lambda: lab.mixed(family=family, count=500), 20)
        say(f"  auto without NAPI at the peer: {result['mode']}, {result['why'][:60]}...")


if __name__ == "__main__":
    sys.exit(netlab.main([same_bytes, adopted, repaired, falls_back]))
