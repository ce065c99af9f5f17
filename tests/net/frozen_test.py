#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""accelerd is frozen, and more changes on disk meanwhile than inotify remembers: once it goes on,
nothing stale is answered, and the loss is counted. (Lease and load: crash_test.py, frozen.)
"""

import os
import pathlib
import signal
import sys
import time
import urllib.request

import netlab
from netlab import Lab, check, say

CREATIONS = 40000
QUEUE = pathlib.Path("/proc/sys/fs/inotify/max_queued_events")
OBJECTS = 20


def metric(lab, name):
    """Of the exporter, in the origin's namespace."""
    with lab.inside("origin"), urllib.request.urlopen(lab.env["ACCELERD_METRICS"], timeout=10) as f:
        for line in f.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise netlab.TestFailure(f"no metric {name}")


def overflow():
    check(int(QUEUE.read_text()) < CREATIONS, f"{QUEUE} holds more than {CREATIONS} events")
    with netlab.scratch() as path, Lab(path) as lab:
        targets = [f"/o{number}.html" for number in range(OBJECTS)]
        for target in targets:
            (path / target[1:]).write_bytes(netlab.pattern("old" + target, 3000))
        lab.warm(*targets)
        connection = lab.connect(timeout=20)
        before = lab.hits()
        for target in targets:
            connection.request(lab.request(target))
        check(lab.hits() == before + OBJECTS, "not all are hits")
        check(metric(lab, "webbooster_watch_overflows_total") == 0, "an overflow before")
        pid = int(lab.env["ACCELERD_PID"])
        load = lab.start(*lab.load_command(targets[-1:], 4, "--connections", 4))
        os.kill(pid, signal.SIGSTOP)
        try:
            for number in range(CREATIONS):
                os.close(os.open(path / f"n{number}", os.O_CREAT | os.O_WRONLY))
            # These changes find the queue full. The last object stays, for the load.
            for target in targets[:-1]:
                (path / "new").write_bytes(netlab.pattern("new" + target, 3000))
                os.rename(path / "new", path / target[1:])
            time.sleep(0.6)  # the lease is over: what is answered now is nginx's
            for target in targets[:-1]:
                body = connection.request(lab.request(target)).body
                check(body == netlab.pattern("new" + target, 3000), f"{target} is stale: frozen")
        finally:
            os.kill(pid, signal.SIGCONT)
        thawed, asked = time.monotonic(), 0
        while time.monotonic() < thawed + 1.5:
            for target in targets[:-1]:
                body = connection.request(lab.request(target)).body
                check(body == netlab.pattern("new" + target, 3000), f"{target} is stale")
                asked += 1
        report = netlab.finish_load(load)
        check(report["reasked"] == 0, f"{report}")
        counted = metric(lab, "webbooster_watch_overflows_total")
        dropped = lab.status()["cache"]
        say(f"  overflow: {CREATIONS} files made while frozen, {counted:.0f} overflows counted, "
            f"{dropped['invalidations']} objects dropped, {asked} requests after the thaw, none "
            f"stale; load: {report['completed']} requests, 0 failed, max {report['max_ms']} ms")
        check(counted >= 1 and dropped["watch_overflows"] == counted, f"{counted}, {dropped}")
        before = lab.hits()
        lab.warm(*targets)
        for target in targets:
            connection.request(lab.request(target))
        check(lab.hits() >= before + OBJECTS - 2, "no hits again")
        (path / "new").write_bytes(netlab.pattern("newer", 3000))
        os.rename(path / "new", path / targets[0][1:])
        time.sleep(0.02)
        body = connection.request(lab.request(targets[0])).body
        check(body == netlab.pattern("newer", 3000), "not watched any more after the overflow")


if __name__ == "__main__":
    sys.exit(netlab.main([overflow]))
