#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A load peak made by real clients, and a domain in mode `auto`: boosted within half a second of the load's crossing the
threshold, the origin below it from then on, and back after the peak; each switch within the budget. And 10,000
configured domains: what they cost a booster on which all are calm.
"""

import json
import pathlib
import subprocess
import sys
import threading
import time

import netlab
from boost_lab import BOOSTER, ORIGIN, api, boost, state, who
from booster_lab import resident
from netlab import Lab, check, say

RAISE = 70
MOST_S = 0.5
DOMAINS = 10000
MOST_CPU = 0.01  # of one, with all of them calm and in mode auto
MOST_KIB = 4  # of memory for each, beyond what it takes without VIPs


class Watch(threading.Thread):
    """What the origin's CPU and the domain's state are, by boosterd, each 10 ms."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.rows, self.stop = lab, [], threading.Event()
        self.start()

    def run(self):
        while not self.stop.is_set():
            domain = state(self.lab)
            self.rows.append((time.monotonic(), (domain["load"] or {}).get("cpu_percent", 0.0), domain["state"]))
            time.sleep(0.01)

    def finish(self):
        self.stop.set()
        self.join()
        return self.rows


def h2load(lab, seconds, connections, rate=None):
    """As many requests as go, or so many a second of each connection; in pieces, each with new connections."""
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        options = ["--rps", rate] if rate else []
        # Without a time to warm up its timer does not end it.
        out = lab.must("client", "h2load", "--h1", "-t1", f"-c{connections}", "-D", "500ms", "--warm-up-time", "10ms", *options,
                       f"--connect-to={lab.env['VIP_SITE']}:80", f"http://{lab.domain}/s1024.html")
        line = next(line for line in out.splitlines() if line.startswith("requests: "))
        counts = dict(part.strip().split(" ", 1)[::-1] for part in line.removeprefix("requests: ").split(","))
        check(counts["failed"] == counts["errored"] == counts["timeout"] == "0", f"h2load: {line}")
        done += int(counts["succeeded"])
    return done


def a_peak():
    with netlab.scratch() as path, Lab(docroot=netlab.make_docroot(path, (1024,)), booster=True) as lab:
        boost(lab, "auto", at_percent=RAISE)
        time.sleep(1)
        check(state(lab)["state"] == "calm", f"boosted without a load: {state(lab)}")
        watch = Watch(lab)
        h2load(lab, 2, 2, 25)
        began = time.monotonic()
        requests = h2load(lab, 8, 64)
        ended = time.monotonic()
        # hold of the lab is 3 s, and the load is smoothed over 2.
        while state(lab)["state"] == "boosted":
            check(time.monotonic() < ended + 20, f"20 s after the peak: {state(lab)}")
            h2load(lab, 0.5, 2, 25)
        back = time.monotonic()
        rows = watch.finish()
        crossed = next(at for at, cpu, _ in rows if at > began and cpu >= RAISE)
        boosted = next((at for at, _, what in rows if at > began and what == "boosted"), None)
        check(boosted, f"not boosted in the peak: {rows[-5:]}")
        settled = sorted(cpu for at, cpu, what in rows if boosted + 2 < at < ended and what == "boosted")
        say(f"  boosted {boosted - crossed:.2f} s after the load crossed {RAISE} % and {boosted - began:.2f} s after the peak began; the "
            f"origin's CPU then: median {settled[len(settled) // 2]:.0f} %; back {back - ended:.1f} s after the peak; {requests} requests")
        check(boosted - crossed < MOST_S, f"boosted {boosted - crossed:.2f} s after the load crossed the threshold")
        check(settled[len(settled) // 2] < RAISE, f"the origin is not relieved: {settled}")
        explain = api(lab, "GET", f"/v1/boost/{lab.domain}/explain")[1]
        moves = [one for one in explain["decisions"] if one["from"] != one["to"]]
        check([one["reason"] for one in reversed(moves)] == ["above_raise", "below_lower"], f"{moves}")
        check("70 %" in moves[-1]["text"], f"{moves[-1]}")
        with lab.inside("client"):
            check(who(lab, lab.env["VIP_SITE"]) == ORIGIN, "not at the origin after the peak")
            boost(lab, "off")
        metrics = lab.must("booster", "curl", "-s", lab.env["BOOSTERD_METRICS"])
        for text in ('webbooster_boost_decisions_total{direction="boost",reason="above_raise"} 1',
                     'webbooster_boost_decisions_total{direction="return",reason="below_lower"} 1',
                     f'webbooster_director_packets_total{{domain="{lab.domain}",result="new_local"}}'):
            check(text in metrics, f"no {text} in the metrics")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def restart(lab, text):
    pathlib.Path(lab.env["BOOSTERD_CONF"]).write_text(text)
    lab.boosterd("stop")
    began = time.monotonic()
    lab.boosterd("start")
    time.sleep(2)
    before, at = cpu_seconds(lab.env["BOOSTERD_PID"]), time.monotonic()
    time.sleep(5)
    return {"memory": resident(lab.env["BOOSTERD_PID"]), "start": at - began - 2,
            "cpu": (cpu_seconds(lab.env["BOOSTERD_PID"]) - before) / (time.monotonic() - at)}


def ten_thousand_domains():
    """A calm domain is a map entry for each of its ports, and some memory."""
    with netlab.scratch() as path, Lab(docroot=netlab.make_docroot(path, (1024,)), booster=True) as lab:
        text = pathlib.Path(lab.env["BOOSTERD_CONF"]).read_text()
        key = f", key_file: {lab.env['KEY_FILE']}, catalogue: \"198.18.1.1:{lab.env['CATALOGUE_PORT']}\""

        def many(redirect):
            return text + "".join(
                f'  - {{ name: d{number}.test, origins: [{{ address: "198.18.1.1:80"{key} }}]{redirect(number)} }}\n'
                for number in range(DOMAINS - 2))

        few = restart(lab, many(lambda _: ""))  # the same domains, without VIPs
        full = restart(lab, many(lambda number: f", redirect: {{ vips: [198.19.{number >> 8}.{number & 255}], mode: auto }}"))
        each = (full["memory"] - few["memory"]) / (DOMAINS - 2)
        maps = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", *pathlib.Path(lab.env["DIRECTOR_PIN_DIR"]).glob("*/wb_services")],
                              capture_output=True, check=True).stdout
        services = len(json.loads(maps))
        say(f"  {DOMAINS} domains: boosterd starts in {full['start']:.1f} s (without VIPs {few['start']:.1f}), {each / 1024:.1f} KiB and "
            f"{services / DOMAINS:.2f} map entries each, {full['cpu'] * 100:.2f} % of a CPU idle (without VIPs {few['cpu'] * 100:.2f})")
        check(services == 2 * (DOMAINS - 2) + 8, f"{services} services")
        check(each < MOST_KIB * 1024, f"{each / 1024:.1f} KiB a domain")
        check(full["cpu"] - few["cpu"] < MOST_CPU, f"idle, it takes {full['cpu']:.3f} of a CPU")
        with lab.inside("client"):
            for mode, side in (("on", BOOSTER), ("off", ORIGIN)):
                boost(lab, mode)
                check(who(lab, lab.env["VIP_SITE"]) == side, f"boost {mode} among {DOMAINS} domains")
        metrics = lab.must("booster", "curl", "-s", lab.env["BOOSTERD_METRICS"])
        check(len(metrics) < 4 << 20, f"a scrape has {len(metrics)} bytes")


if __name__ == "__main__":
    sys.exit(netlab.main([a_peak, ten_thousand_domains]))
