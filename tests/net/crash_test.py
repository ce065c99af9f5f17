#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""accelerd dies, freezes, stops and leaves under load: no request fails.

Load is load.py with every body verified. Killed: the successor adopts the programs, and what they
owe. Frozen: hits end with the lease, so old bytes live no longer. Detached: connections drain, or
are reset with --force. A second accelerd is turned away and does no harm.
"""

import os
import pathlib
import signal
import sys
import time

import netlab
from netlab import Lab, check, say

TARGETS = ["/s1024.html", "/s5000.html", "/s11673.html"]
LEASE_S = 0.5
# The heartbeat is written every so often; a request may be under way; this machine is shared.
LEASE_MARGIN_S = 0.15
DOWN_S = 3  # so long the origin is to do without accelerd, at least


def site(path):
    return netlab.make_docroot(path, [1024, 5000, 11673])


def wait_until(what, holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def programs(lab):
    """Names of the XDP and TC programs on the interface towards the client."""
    shown = lab.must("origin", "bpftool", "net", "show")
    return [line for line in shown.splitlines() if line.startswith(lab.env["ORIGIN_IF"] + "(")]


def pins(lab):
    path = pathlib.Path(lab.env["PIN_DIR"])
    return [str(file) for file in path.rglob("*") if file.is_file()] if path.exists() else []


def hits_grow(lab, least=50):
    before = lab.hits()
    wait_until("hits", lambda: lab.hits() >= before + least)


def killed():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        load = lab.start(*lab.load_command(TARGETS, 16, "--connections", 8, "--rate", 800))
        # Connections come and go all the time, while accelerd is down, too.
        renewing = lab.start(*lab.load_command(TARGETS, 16, "--connections", 4, "--rate", 200,
                                               "--renew-after", 20, family=6))
        hits_grow(lab)
        before = lab.hits()
        lab.accelerd("kill")
        check(programs(lab), "the programs went with accelerd")
        time.sleep(DOWN_S)
        lab.accelerd("start")
        check(lab.status()["adopted"], "the second accelerd did not adopt")
        check(lab.hits() >= before, "counters were lost")
        lab.warm(*TARGETS)
        hits_grow(lab, 200)
        resumed = lab.hits() - before
        report = netlab.finish_load(load)
        say(f"  killed: {report['completed']} requests, 0 failed, max {report['max_ms']} ms, "
            f"{resumed} hits since the kill")
        check(report["reasked"] == 0, f"connections were closed: {report}")
        # Nothing may wait for the successor's timer.
        check(report["max_ms"] < 1000 * DOWN_S - 500, f"a reply hung for {report['max_ms']} ms")
        report = netlab.finish_load(renewing)
        say(f"  killed, IPv6: {report['completed']} requests, 0 failed, {report['renewed']} "
            f"connections renewed")
        check(report["reasked"] == 0 and report["renewed"] > 0, f"not only renewed: {report}")
        # Stopped in order while connections are spliced: these stay, and are adopted again.
        load = lab.start(*lab.load_command(TARGETS, 10, "--connections", 8, "--rate", 800))
        hits_grow(lab, 200)
        lab.accelerd("stop")
        check(programs(lab), "the programs went although connections need them")
        lab.accelerd("start")
        check(lab.status()["adopted"], "no adoption after a stop under load")
        lab.warm(*TARGETS)
        hits_grow(lab, 200)
        report = netlab.finish_load(load)
        say(f"  stopped: {report['completed']} requests, 0 failed, max {report['max_ms']} ms")
        # An accelerd that adopted leaves as cleanly as one that did not.
        loads = [lab.start(*lab.load_command(TARGETS, 10, "--connections", 4, "--rate", 400,
                                             "--renew-after", 100, family=family))
                 for family in (4, 6)]
        hits_grow(lab, 200)
        done = lab.wbctl("detach", lab.env["ORIGIN_IF"], "--deadline", 60)
        say(f"  detach after adoption: {done}")
        check(not programs(lab), f"left on the interface: {programs(lab)}")
        check(done["reset_connections"] == 0 and done["drained_connections"] > 0, str(done))
        check(all(load.poll() is None for load in loads), "the load ended before the detach")
        for load in loads:
            report = netlab.finish_load(load)
            check(report["reasked"] == 0 and report["renewed"] > 0, f"not only renewed: {report}")


def orphaned():
    """A reply that lost its middle, and whose repair was lost, when accelerd died."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        connection = lab.connect(timeout=15)
        whole = connection.request(lab.request(TARGETS[2])).body
        # The last segment passes and acknowledges the request, so that the client has nothing to
        # send again and only a timer can help. (The others differ from it in their acknowledgment,
        # so that GRO does not join them.)
        lab.must("client", "nft", "add table ip t; add chain ip t i { type filter hook input "
                 "priority 0; }; add rule ip t i tcp sport 80 meta length > 1000 drop")
        before = lab.reasons().get("timer/timer_resent", 0)
        connection.send(lab.request(TARGETS[2]))
        wait_until("a repair by the timer",
                   lambda: lab.reasons().get("timer/timer_resent", 0) > before)
        lab.accelerd("kill")
        lab.must("client", "nft", "delete table ip t")
        check(connection.idle_state() == "open", "the reply came without accelerd: nothing tested")
        lab.accelerd("start")
        body = connection.read_response().body
        check(body == whole, f"{len(body)} bytes, other than before")
        say("  orphaned: the reply was repaired by the next accelerd")


def second():
    """Another accelerd with the same configuration."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        load = lab.start(*lab.load_command(TARGETS, 6, "--connections", 8, "--rate", 800))
        hits_grow(lab)
        binary = f"{lab.env['BUILD_DIR']}/ctl/accelerd/accelerd"
        done = lab.run("origin", binary, "--config", lab.env["CONF"], timeout=20)
        check(done.returncode == 3, f"exit code {done.returncode}: {done.stderr}")
        check(f"process {lab.env['ACCELERD_PID']} runs with" in done.stderr, done.stderr)
        check(load.poll() is None, "the load ended before the second accelerd")
        hits_grow(lab, 500)
        status = lab.status()
        check(status["mode"] == "serve" and status["pid"] == int(lab.env["ACCELERD_PID"]),
              str(status))
        check(programs(lab), "the programs went with the second accelerd")
        report = netlab.finish_load(load)
        say(f"  second: {report['completed']} requests, 0 failed; {done.stderr.strip()[-200:]}")


def frozen():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        load = lab.start(*lab.load_command(TARGETS[:2], 8, "--connections", 4, "--rate", 400))
        connection = lab.connect()
        request = lab.request(TARGETS[2])
        old = connection.request(request).body
        hits_grow(lab)
        pid = int(lab.env["ACCELERD_PID"])
        os.kill(pid, signal.SIGSTOP)
        try:
            new = netlab.pattern("new", 11673)
            temporary = path / "new.tmp"
            temporary.write_bytes(new)
            os.rename(temporary, path / "s11673.html")
            changed = time.monotonic()
            last_old = 0.0
            seen_old = 0
            while time.monotonic() < changed + 2:
                begun = time.monotonic()
                body = connection.request(request).body
                check(body in (old, new), f"{len(body)} bytes, neither old nor new")
                if body == old:
                    last_old = begun - changed
                    seen_old += 1
        finally:
            os.kill(pid, signal.SIGCONT)
        say(f"  frozen: {seen_old} old answers, the last asked for {1000 * last_old:.0f} ms after "
            f"the change (lease {1000 * LEASE_S:.0f} ms)")
        check(seen_old > 0, "no hit while frozen: the lease was not tested")
        check(last_old <= LEASE_S + LEASE_MARGIN_S, f"old bytes {last_old:.3f} s after the change")
        check(lab.reasons().get("in/lease", 0) > 0, "no request passed for the lease")
        hits_grow(lab, 100)
        for _ in range(50):
            check(connection.request(request).body == new, "old bytes after the thaw")
        report = netlab.finish_load(load)
        say(f"  frozen: {report['completed']} requests, 0 failed, max {report['max_ms']} ms")
        check(report["reasked"] == 0, f"connections were closed: {report}")


def detached():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        name = lab.env["ORIGIN_IF"]
        lab.warm(*TARGETS)
        load = lab.start(*lab.load_command(TARGETS, 12, "--connections", 8, "--rate", 800,
                                           "--renew-after", 100))
        hits_grow(lab, 200)
        done = lab.wbctl("detach", name, "--deadline", 60)
        say(f"  detach: {done}")
        check(not programs(lab), f"left on the interface: {programs(lab)}")
        check(load.poll() is None, "the load ended before the detach")
        check(done["reset_connections"] == 0 and done["drained_connections"] > 0, str(done))
        served = lab.hits()
        report = netlab.finish_load(load)
        say(f"  detach: {report['completed']} requests, 0 failed, {report['renewed']} connections "
            f"renewed")
        check(report["reasked"] == 0 and report["renewed"] > 0, f"not only renewed: {report}")
        lab.load(TARGETS, 1)
        check(lab.hits() == served, "hits from a detached interface")
        lab.wbctl("attach", name)
        check(programs(lab), "not attached again")
        # Held open by the client: the deadline passes, and force resets.
        load = lab.start(*lab.load_command(TARGETS, 8, "--connections", 8, "--rate", 800))
        hits_grow(lab, 200)
        done = lab.wbctl_run("--json", "detach", name, "--deadline", 1)
        check(done.returncode == 4, f"detach with busy connections exits {done.returncode}")
        check(programs(lab), "the programs went at the deadline")
        done = lab.wbctl("detach", name, "--force")
        say(f"  detach --force: {done}")
        check(done["reset_connections"] == 8, f"8 connections were to be reset: {done}")
        check(not programs(lab), f"left on the interface: {programs(lab)}")
        report = netlab.finish_load(load, fails=True)
        check(set(report["errors"]) <= {"reset"} and report["failed"] == 8,
              f"only the 8 resets were to fail: {report}")
        lab.load(TARGETS, 1)


def clean_stop():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        before = lab.hits()
        lab.load(TARGETS, 1)
        check(lab.hits() > before, "no hits")
        check(pins(lab), f"no pins while running in {lab.env['PIN_DIR']}")
        wait_until("no spliced connection",
                   lambda: lab.status()["connections"]["spliced"] == 0, seconds=90)
        lab.accelerd("stop")
        check(not pins(lab), f"pins left: {pins(lab)}")
        check(not programs(lab), f"left on the interface: {programs(lab)}")
        lab.load(TARGETS, 1)
        say("  clean stop: no pins, no programs, nginx serves")
        lab.accelerd("start")
        check(not lab.status()["adopted"], "adopted from nothing")


if __name__ == "__main__":
    sys.exit(netlab.main([killed, orphaned, second, frozen, detached, clean_stop]))
