#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A load peak on one domain of a lab that is up, the automatic boost, and the return: peak.py --prefix P.

Clients of VIP_SITE open new connections all the time (h2load over HTTP/1.1): few requests, then as many as go, then
few. The domain is in mode `auto`; each 250 ms boosterd is asked where new connections go and how busy the origin
is. Printed as a table and as bars, and with --svg FILE as a plot. Exit code 1: a request failed; or, on a machine that is not
busy with other things, the domain was not boosted within the peak, the origin was not relieved, or the domain did not return.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[1]
LAB = str(REPO / "deploy" / "lab.sh")
# Name, seconds, connections, requests a second of each (0: as many as go).
PHASES = (("calm", 2, 4, 25), ("peak", 7, 64, 0), ("calm again", 9, 4, 25))
RUN_S = 0.5  # then new connections
SAMPLE_S = 0.25
RAISE, LOWER = 60, 40


class Failed(Exception):
    """What was to be shown did not happen."""


def env_of(prefix):
    text = subprocess.run([LAB, "env", "--prefix", prefix], check=True, text=True, capture_output=True).stdout
    return dict(word.split("=", 1) for word in shlex.split(text))


def wbctl(env, *words):
    done = subprocess.run([env["WBCTL"], "--socket", env["BOOSTERD_SOCK"], "--json", "boost", *words], check=True,
                          text=True, capture_output=True)
    return json.loads(done.stdout)


def domain_of(status, name):
    return next(domain for domain in status["domains"] if domain["name"] == name)


class Clients:
    """Runs h2load again and again, with new connections each time; counts what it says."""

    def __init__(self, prefix, env, path):
        self.command = [LAB, "exec", "--prefix", prefix, "client", "h2load", "--h1", "-t1"]
        self.target = [f"--connect-to={env['VIP_SITE']}:80", f"http://{env['DOMAIN']}{path}"]
        self.done = self.failed = 0
        self.rate = 0.0

    def run(self, connections, rate):
        # Without a time to warm up its timer does not end it.
        command = [*self.command, f"-c{connections}", "-D", f"{RUN_S * 1000:.0f}ms", "--warm-up-time", "10ms"]
        if rate:
            command += ["--rps", str(rate)]
        began = time.monotonic()
        text = subprocess.run([*command, *self.target], check=True, text=True, capture_output=True, timeout=60).stdout
        line = next(line for line in text.splitlines() if line.startswith("requests: "))
        counts = dict(part.strip().split(" ", 1)[::-1] for part in line.removeprefix("requests: ").split(","))
        done, bad = int(counts["succeeded"]), int(counts["failed"]) + int(counts["errored"]) + int(counts["timeout"])
        if bad:
            raise Failed(f"requests failed: {line}")
        self.done += done
        self.rate = done / (time.monotonic() - began)


def sample(env, clients, phase, began):
    """One row: what boosterd says now."""
    domain = domain_of(wbctl(env, "status"), env["DOMAIN"])
    load = domain["load"] or {}
    return {"t": time.monotonic() - began, "phase": phase, "state": domain["state"], "reason": domain["reason"],
            "cpu": load.get("cpu_percent", 0.0), "origin_rps": load.get("requests_per_s", 0.0),
            "client_rps": clients.rate, "resets": domain["counters"].get("client_rst", 0)}


def drive(env, clients):
    rows, errors = [], []
    began = time.monotonic()
    for phase, seconds, connections, rate in PHASES:
        end = time.monotonic() + seconds

        def ask(end=end, connections=connections, rate=rate):
            try:
                while time.monotonic() < end:
                    clients.run(connections, rate)
            except (Failed, subprocess.SubprocessError, OSError, KeyError, StopIteration) as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while thread.is_alive():
            rows.append(sample(env, clients, phase, began))
            time.sleep(SAMPLE_S)
        thread.join()
        if errors:
            raise Failed(str(errors[0]))
    return rows


def bar(percent, width=25):
    filled = round(min(percent, 100) / 100 * width)
    return "#" * filled + "." * (width - filled)


def table(rows):
    lines = [f"{'s':>5}  {'phase':<10}  {'new connections':<15}  {'origin CPU':>10}  {'':<25}  {'requests/s':>10}"]
    shown = None
    for row in rows:
        # One row a second, and each change of state.
        if shown is not None and row["t"] - shown["t"] < 1 and row["state"] == shown["state"]:
            continue
        where = "booster" if row["state"] == "boosted" else "origin"
        lines.append(f"{row['t']:5.1f}  {row['phase']:<10}  {where:<15}  {row['cpu']:8.0f} %  {bar(row['cpu'])}  "
                     f"{row['client_rps']:10.0f}")
        shown = row
    return "\n".join(lines)


def svg(rows):
    """Origin CPU and the clients' rate over time; the boosted time is shaded."""
    width, height, end = 760, 260, max(row["t"] for row in rows)
    top = max(max(row["client_rps"] for row in rows), 1)

    def points(key, most):
        return " ".join(f"{40 + 700 * row['t'] / end:.1f},{230 - 200 * min(row[key] / most, 1):.1f}" for row in rows)

    boosted = [(row["t"], after["t"]) for row, after in zip(rows, rows[1:]) if row["state"] == "boosted"]
    shade = "".join(f'<rect x="{40 + 700 * a / end:.1f}" y="30" width="{700 * (b - a) / end:.1f}" height="200" '
                    'fill="#dfe8f6"/>' for a, b in boosted)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>{shade}'
            f'<line x1="40" x2="740" y1="{230 - 2 * RAISE}" y2="{230 - 2 * RAISE}" stroke="#c66" stroke-dasharray="4"/>'
            f'<polyline fill="none" stroke="#c00" points="{points("cpu", 100)}"/>'
            f'<polyline fill="none" stroke="#06c" points="{points("client_rps", top)}"/>'
            '<text x="40" y="20" fill="#c00">origin CPU, 0 to 100 % (dashed: raise)</text>'
            f'<text x="320" y="20" fill="#06c">requests/s of the clients, up to {top:.0f}</text>'
            '<text x="600" y="20" fill="#678">shaded: boosted</text>'
            f'<text x="40" y="250">0 s</text><text x="705" y="250">{end:.0f} s</text></svg>\n')


def busy(rows):
    """The origin's CPU in percent before there was a peak, if others keep it above `lower`: then nothing can be seen."""
    calm = sorted(row["cpu"] for row in rows if row["phase"] == "calm")
    return calm[len(calm) // 2] if calm and calm[len(calm) // 2] >= LOWER else None


def verdict(rows):
    """What has to be seen in the rows; the figures of the summary."""
    peak = [row for row in rows if row["phase"] == "peak"]
    boosted = [row for row in peak if row["state"] == "boosted"]
    if not boosted:
        raise Failed("the domain was not boosted within the peak")
    before = [row["cpu"] for row in peak if row["state"] != "boosted" and row["cpu"] > 0]
    settled = sorted(row["cpu"] for row in boosted if row["t"] - boosted[0]["t"] > 2)
    if not settled or settled[len(settled) // 2] >= RAISE:
        raise Failed("the origin was not relieved by the boost")
    if rows[-1]["state"] == "boosted":
        raise Failed("the domain did not return")
    return {"boosted_after_s": boosted[0]["t"] - peak[0]["t"], "cpu_before": max(before, default=0.0),
            "cpu_boosted": settled[len(settled) // 2]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True, help="of the lab")
    parser.add_argument("--path", default="/", help="what is asked for")
    parser.add_argument("--svg", type=pathlib.Path, help="a plot")
    parser.add_argument("--json", type=pathlib.Path, help="all rows")
    options = parser.parse_args()
    env = env_of(options.prefix)
    if not env.get("VIP_SITE"):
        parser.error("this lab has no booster")
    name, clients = env["DOMAIN"], None
    wbctl(env, "auto", name, "--at", str(RAISE))
    try:
        clients = Clients(options.prefix, env, options.path)
        rows = drive(env, clients)
    finally:
        wbctl(env, "off", name)
    print(table(rows))
    if options.svg:
        options.svg.write_text(svg(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if busy(rows) is not None:
        print(f"\n{clients.done} requests, none failed. The machine is busy with other things ({busy(rows):.0f} % before the peak): "
              "its load says nothing of this domain.")
        return 0
    figures = verdict(rows)
    print(f"\n{clients.done} requests, none failed. Boosted {figures['boosted_after_s']:.1f} s after the peak began; "
          f"origin CPU {figures['cpu_before']:.0f} % before, {figures['cpu_boosted']:.0f} % while boosted.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(f"peak.py: {failed}", file=sys.stderr)
        sys.exit(1)
