#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two domains of one origin, and a booster that has room for one of them: the one of low priority has its peak and is
boosted; that of the other one displaces it, without a failed request on either side and with the connections that it has at
the booster; and it comes back when the other peak is over.
"""

import contextlib
import re
import subprocess
import sys
import time

import netlab
from boost_lab import BOOSTER, ORIGIN, Staying, api, boost, inside, state, who
from netlab import Lab, check, say

AT = 10  # percent of the origin's load
KEPT = 10
LAB = netlab.REPO / "deploy" / "lab"


def booster_conf():
    """Both domains are the first origin's, and what a peak costs is beyond the capacity."""
    text = (LAB / "boosterd.yaml.in").read_text()
    for old, new in (("  pin_dir:", "  capacity: 1\n  pin_dir:"), ("origins: [@ORIGIN@]", "priority: low\n    origins: [@ORIGIN@]"),
                     ("origins: [@ORIGIN2@]", "priority: high\n    origins: [@ORIGIN@]")):
        check(text.count(old) == 1, f"the lab's configuration has not one {old!r}")
        text = text.replace(old, new)
    return text


class Peak:
    """Clients that make a TLS connection for each request, as many as go."""

    def __init__(self, lab, path, domain, vip, target):
        self.stop, self.log = path / f"{domain}.stop", path / f"{domain}.log"
        once = f"h2load --h1 -t1 -c32 -n32 --connect-to={vip}:443 https://{domain}{target}"
        self.process = lab.start("client", "sh", "-c", f"while [ ! -e {self.stop} ]; do {once} || exit 1; done >{self.log}")

    def finish(self):
        self.stop.touch()
        err = self.process.communicate(timeout=30)[1]
        check(self.process.returncode == 0, f"h2load: {err}")
        counts = re.findall(r"^requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (.*)$", self.log.read_text(), re.MULTILINE)
        check(counts and all(total == good and rest == "0 failed, 0 errored, 0 timeout" for total, good, rest in counts),
              f"requests failed: {[row for row in counts if row[0] != row[1]][:5]}")
        return sum(int(row[0]) for row in counts)


def becomes(lab, domain, names, seconds):
    """Seconds until the domain is in one of these states."""
    began = time.monotonic()
    while state(lab, domain)["state"] not in names:
        check(time.monotonic() < began + seconds, f"not {names} within {seconds} s: {state(lab, domain)}")
        time.sleep(0.01)
    return time.monotonic() - began


def explained(lab, domain):
    return api(lab, "GET", f"/v1/boost/{domain}/explain")[1]


def told(lab, low, high):
    """Whom the low one made room for: wbctl, the log, the metrics."""
    words = "the booster's capacity was needed by a domain before it"
    decision = next(one for one in explained(lab, low)["decisions"] if one["reason"] == "preempted")
    check(decision["from"] == "boosted" and decision["to"] == "draining" and f"the booster has {high}" in decision["text"], f"{decision}")
    shown = subprocess.run([lab.env["WBCTL"], "boost", "explain", low, "--socket", lab.env["BOOSTERD_SOCK"]], text=True,
                           capture_output=True)
    check(shown.returncode == 0 and words in shown.stdout and f"the booster has {high}" in shown.stdout, f"wbctl: {shown}")
    with open(lab.env["BOOSTERD_LOG"], encoding="utf-8") as log:
        check(f"{low} is draining: {words}" in log.read(), "not in the log")
    metrics = lab.must("booster", "curl", "-s", lab.env["BOOSTERD_METRICS"])
    for line in ('webbooster_boost_decisions_total{direction="return",reason="preempted"} 1',
                 f'webbooster_boost_domain_boosted{{domain="{low}"}} 0', f'webbooster_boost_domain_boosted{{domain="{high}"}} 1',
                 'webbooster_boost_domains{state="draining"} 1'):
        check(line in metrics, f"no {line} in the metrics")


def meets(lab, vip, domain, side, what):
    met = inside(lab, lambda: who(lab, lab.env[vip], host=domain))
    check(met == side, f"{what}: a new connection to {domain} meets the {met}, not the {side}")


def low_makes_room():
    with netlab.scratch() as path, Lab(docroot=netlab.make_docroot(path, (1024,)), booster=True, booster_conf=booster_conf()) as lab:
        low, high = lab.domain, lab.env["DOMAIN2"]
        lab.must("origin", "ip", "address", "add", f"{lab.env['VIP_SHOP']}/32", "dev", "lo")
        for domain in (low, high):
            boost(lab, "auto", domain, at_percent=AT)
        time.sleep(1)
        check([state(lab, domain)["state"] for domain in (low, high)] == ["calm"] * 2, "boosted without clients")
        low_peak = Peak(lab, path, low, lab.env["VIP_SITE"], "/s1024.html")
        say(f"  {low} is boosted {becomes(lab, low, ('boosted',), 5):.2f} s after its peak began")
        time.sleep(4)  # hold is 3 s: the origin is calm, and the peak goes on
        before = state(lab, low)
        check(before["state"] == "boosted" and before["relief_percent"] > 0, f"{before}")
        check(state(lab, high)["state"] == "calm", f"without clients: {state(lab, high)}")
        with contextlib.closing(Staying(lab, KEPT)) as staying:
            high_peak = Peak(lab, path, high, lab.env["VIP_SHOP"], "/")
            say(f"  {high} is boosted {becomes(lab, high, ('boosted',), 5):.2f} s after its peak began")
            say(f"  {low} makes room for it {becomes(lab, low, ('draining',), 5):.2f} s later")
            told(lab, low, high)
            meets(lab, "VIP_SITE", low, ORIGIN, "pre-empted")
            meets(lab, "VIP_SHOP", high, BOOSTER, "boosted")
            staying.ask()
            time.sleep(5)  # its hold is over, and its peak is not
            staying.ask()
            now = state(lab, low)
            check(now["state"] == "draining" and now["reason"] == "preempted", f"its connections are open: {now}")
            text = explained(lab, low)["text"]
            check("no capacity left for it" in text and f"the booster has {high}" in text, text)
        becomes(lab, low, ("calm",), 5)
        check(state(lab, high)["state"] == "boosted", f"in its peak: {state(lab, high)}")
        high_requests = high_peak.finish()
        say(f"  {low} is boosted again {becomes(lab, low, ('boosted',), 10):.2f} s after the other peak")
        meets(lab, "VIP_SITE", low, BOOSTER, "the other peak is over")
        time.sleep(2)
        moves = [one["reason"] for one in reversed(explained(lab, low)["decisions"]) if one["from"] != one["to"]]
        check(moves == ["above_raise", "preempted", "above_raise"], f"{moves}")
        say(f"  {low_peak.finish()} requests of {low}, {high_requests} of {high}: none failed")


if __name__ == "__main__":
    sys.exit(netlab.main([low_makes_room]))
