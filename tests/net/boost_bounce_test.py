#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd boosts a domain whose clients come to the origin: its accelerd bounces new connections to the booster. They go
back and forth under slow downloads, boosterd and accelerd die, and the origin's load decides by itself.

The origin has the VIP's clients; boosterd takes them out of the tunnel by the director of its interface to the origin.
"""

import contextlib
import sys
import time

import netlab
from boost_lab import BOOSTER, ORIGIN, Download, api, boost, inside, state, watched, who
from netlab import Lab, check, say

TOGGLES = 200
DOWNLOADS = 10  # begun on each side
LONG_BYTES = 8 << 20
AT = 30  # percent of load beyond which the lab's domain is boosted
BOUNCE = """redirect:
  bounce:
    booster: @BOOSTER_IP@
    services: [{ domain: @DOMAIN@, vips: [@VIP_SITE@, "@VIP_SITE6@"], ports: [80] }]
"""
LAB = netlab.REPO / "deploy" / "lab"


def replaced(text, old, new):
    check(text.count(old) == 1, f"the lab's configuration has not one {old!r}")
    return text.replace(old, new)


def booster_conf():
    text = (LAB / "boosterd.yaml.in").read_text()
    text = replaced(text, "  interfaces: [@BOOSTER_CLIENT_IF@]\n",
                    '  interfaces: [@BOOSTER_IF@]\n  tunnel: [@BOOSTER_IP@, "@BOOSTER_IP6@"]\n')
    return replaced(text, '{ vips: [@VIP_SITE@, "@VIP_SITE6@"],', '{ vips: [@VIP_SITE@, "@VIP_SITE6@"], ports: [80], by: bounce,')


@contextlib.contextmanager
def bouncing(path):
    """The VIP's clients come to the origin, and get the booster's answers by its own link."""
    with Lab(docroot=path, booster=True, conf=BOUNCE + (LAB / "accelerd.yaml.in").read_text(), booster_conf=booster_conf()) as lab:
        lab.must("client", "ip", "route", "del", f"{lab.env['VIP_SITE']}/32", "metric", 10)
        lab.must("client", "ip", "-6", "route", "del", f"{lab.env['VIP_SITE6']}/128", "metric", 10)
        lab.must("booster", "ip", "route", "add", lab.env["CLIENT_IP"], "via", lab.env["CLIENT_BOOSTER_IP"])
        lab.must("booster", "ip", "-6", "route", "add", lab.env["CLIENT_IP6"], "via", lab.env["CLIENT_BOOSTER_IP6"])
        check(state(lab)["by"] == "bounce", f"{state(lab)}")
        yield lab


def meets(lab, side, what, vip="VIP_SITE"):
    met = inside(lab, lambda: who(lab, lab.env[vip]))
    check(met == side, f"{what}: a new connection meets the {met}, not the {side}")


@contextlib.contextmanager
def downloads(lab, reference):
    """Slow ones, of which half began at the origin, half at the booster, each by IPv4 and IPv6. All have to survive."""
    all_of = []
    for mode in ("off", "on"):
        boost(lab, mode)
        for number in range(DOWNLOADS):
            vip = lab.env["VIP_SITE6" if number % 2 else "VIP_SITE"]
            all_of.append(inside(lab, lambda: Download(lab, vip, reference, len(all_of))))
    try:
        yield
        lasted = sum(one.is_alive() for one in all_of)
        check(lasted == len(all_of), f"{len(all_of) - lasted} downloads ended early: {[one.error for one in all_of if one.error]}")
    finally:
        for one in all_of:
            one.hurry.set()
    for one in all_of:
        one.join(60)
        check(not one.is_alive() and one.error is None, f"download {one.number}: {one.error}")
    say(f"  {len(all_of)} downloads of {LONG_BYTES >> 20} MiB survived")


def site(path):
    reference = netlab.pattern("long", LONG_BYTES)
    (path / "long.bin").write_bytes(reference)
    netlab.make_docroot(path, (1024,))
    return reference


def toggles():
    """Each first new connection after an answer of the control API meets the right side."""
    with netlab.scratch() as path:
        reference = site(path)
        with bouncing(path) as lab, downloads(lab, reference):
            took = []
            for turn in range(TOGGLES // 2):
                vip = "VIP_SITE6" if turn % 2 else "VIP_SITE"
                for mode, side in (("on", BOOSTER), ("off", ORIGIN)):
                    took.append(boost(lab, mode)["took_ms"])
                    meets(lab, side, f"toggle {len(took)}, {mode}", vip)
            took.sort()
            say(f"  {TOGGLES} toggles in force after p50 {took[len(took) // 2]:.1f} ms, at most {took[-1]:.1f}")
            counters = state(lab)["counters"]
            check(counters["new_local"] >= TOGGLES // 2 and counters["flow_local"] > 0, f"{counters}")


def port_again():
    """A client's port whose last connection the origin, or the booster, still remembers in TIME-WAIT."""
    with netlab.scratch() as path:
        site(path)
        with bouncing(path) as lab:
            for port, vip in ((40001, "VIP_SITE"), (40002, "VIP_SITE6")):
                for mode, side in (("off", ORIGIN), ("on", BOOSTER), ("off", ORIGIN)):
                    boost(lab, mode)
                    met = inside(lab, lambda: who(lab, lab.env[vip], own_port=port))
                    check(met == side, f"port {port} again, mode {mode}: it meets the {met}")
            waits = [lab.must(host, "ss", "-Htn", "state", "time-wait", "dport", 40001) for host in ("origin", "booster")]
            check(all(waits), f"nothing was in TIME-WAIT: {waits}")


def boosterd_killed():
    with netlab.scratch() as path:
        site(path)
        with bouncing(path) as lab:
            boost(lab, "on")
            for vip in ("VIP_SITE", "VIP_SITE6"):
                meets(lab, BOOSTER, "boosted", vip)
            watched(lab, "boosterd killed while boosted", lambda: lab.boosterd("kill"), ORIGIN)
            watched(lab, "boosterd started again, boosted as before", lambda: lab.boosterd("start"), BOOSTER)
            watched(lab, "boosterd stopped", lambda: lab.boosterd("stop"), ORIGIN)
            lab.boosterd("start")
            boost(lab, "off")
            watched(lab, "boosterd killed while calm", lambda: lab.boosterd("kill"), ORIGIN)


def accelerd_killed():
    """Downloads go on at either side, also those at the booster, whose packets the origin's programs send on."""
    with netlab.scratch() as path:
        reference = site(path)
        with bouncing(path) as lab:
            with downloads(lab, reference):
                meets(lab, BOOSTER, "boosted")
                watched(lab, "accelerd killed while boosted", lambda: lab.accelerd("kill"), ORIGIN)
                # boosterd's channel pauses between its tries, longer each time.
                watched(lab, "accelerd started again", lambda: lab.accelerd("start"), BOOSTER, seconds=4)
                check(state(lab)["mode"] == "on", f"{state(lab)}")
            boost(lab, "off")
            meets(lab, ORIGIN, "calm")


def by_load():
    """A peak of new connections at the origin moves them to the booster, and its end moves them back."""
    with netlab.scratch() as path:
        site(path)
        with bouncing(path) as lab:
            quiet(lab)
            boost(lab, "auto", at_percent=AT)
            time.sleep(0.5)
            meets(lab, ORIGIN, "auto without load")
            peak = lab.start("client", "wrk", "-t1", "-c16", "-d4s", "-H", f"Host: {lab.domain}", "-H", "Connection: close",
                             f"http://{lab.env['VIP_SITE']}/s1024.html")
            begun = time.monotonic()
            wait_for(lab, "boosted", 3)
            say(f"  boosted {time.monotonic() - begun:.2f} s after the peak began")
            meets(lab, BOOSTER, "a peak")
            out, err = peak.communicate(timeout=30)
            check(peak.returncode == 0 and "Socket errors" not in out and "Non-2xx" not in out, f"wrk: {out}{err}")
            over = time.monotonic()
            wait_for(lab, "calm", 20)
            say(f"  calm {time.monotonic() - over:.2f} s after it was over")
            meets(lab, ORIGIN, "after the peak")
            decisions = [one["reason"] for one in api(lab, "GET", f"/v1/boost/{lab.domain}/explain")[1]["decisions"]]
            check(decisions[:2] == ["below_lower", "above_raise"], f"{decisions}")


def quiet(lab):
    """The origin's load is far below the threshold for half a second: what else the machine does would move the domain."""
    end, since = time.monotonic() + 20, time.monotonic()
    while time.monotonic() < since + 0.5:
        load = state(lab)["load"]
        if load is None or load["cpu_percent"] > AT / 2:
            since = time.monotonic()
        check(time.monotonic() < end, f"without clients the origin's load is {load}")
        time.sleep(0.02)


def wait_for(lab, name, seconds):
    end = time.monotonic() + seconds
    while state(lab)["state"] != name:
        check(time.monotonic() < end, f"not {name} within {seconds} s: {state(lab)}")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(netlab.main([toggles, port_again, boosterd_killed, accelerd_killed, by_load]))
