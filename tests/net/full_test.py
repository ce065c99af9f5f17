#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be full is full: the table of connections, the cache, the ring of misses. The
others are served on, it is counted, and it passes.
"""

import os
import pathlib
import signal
import sys
import time

import netlab
from netlab import Lab, check, say

CONNECTIONS = 1024  # the least that limits.connections takes
BEYOND = 60
RING_HOLDS = (1 << 20) // 200  # wb_misses by the bytes of a record


def configuration(limits):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return f"limits: {limits}\n" + text


def hits_of(lab, connection, target, times):
    before = lab.hits()
    for _ in range(times):
        check(connection.request(lab.request(target)).status == 200, target)
    return lab.hits() - before


def connections():
    with netlab.scratch() as path, Lab(
            netlab.make_docroot(path, [1024]),
            conf=configuration(f"{{ connections: {CONNECTIONS} }}")) as lab:
        lab.warm("/s1024.html")
        body = netlab.pattern("s1024", 1024)
        request = lab.request("/s1024.html")
        early = lab.connect(timeout=20)
        check(early.request(request).body == body, "bytes")
        held = []
        with lab.inside("client"):
            for _ in range(CONNECTIONS + BEYOND):
                held.append(netlab.wbhttp.Connection(lab.address(), 80, 20))
        for turn in range(2):
            for connection in held:
                check(connection.request(request).body == body, f"bytes, round {turn}")
        check(hits_of(lab, early, "/s1024.html", 20) == 20, "the first one hits no more")
        late = lab.connect(timeout=20)
        check(hits_of(lab, late, "/s1024.html", 5) == 0, "the table is not full")
        full = lab.reasons()["sock/table_full"]
        status = lab.status()["connections"]
        for connection in held:
            check(connection.idle_state() == "open", "a connection was lost")
            connection.close()
        end = time.monotonic() + 20
        while True:
            fresh = lab.connect(timeout=20)
            fresh.request(request)
            got = hits_of(lab, fresh, "/s1024.html", 5)
            fresh.close()
            if got:
                break
            check(time.monotonic() < end, f"no room again: {lab.status()['connections']}")
            time.sleep(0.1)
        say(f"  connections: {len(held) + 2} open, {status['followed']} of {status['max']} followed, "
            f"{full} left alone, each answered; room again once they were closed")
        check(full >= BEYOND, f"table_full {full}")
        late.close()
        early.close()


def cache():
    count = 300
    with netlab.scratch() as path:
        for number in range(count):
            (path / f"o{number}.html").write_bytes(netlab.pattern(f"o{number}", 9000))
        with Lab(path, conf=configuration("{ memory: 1MiB, objects: 64 }")) as lab:
            hot, load = lab.connect(timeout=20), lab.connect(timeout=20)
            lab.warm("/o0.html")
            got, asked = 0, 0
            before = lab.hits()
            for number in range(count):
                for _ in range(3):
                    body = load.request(lab.request(f"/o{number}.html")).body
                    check(body == netlab.pattern(f"o{number}", 9000), f"bytes of {number}")
                    # Asked all the time, so not to be evicted for what is asked for once.
                    check(hot.request(lab.request("/o0.html")).body == netlab.pattern("o0", 9000),
                          "bytes of the hot one")
                    asked += 1
            status = lab.status()["cache"]
            got = lab.hits() - before
            say(f"  cache: {count} objects of 9 KB in 64 places: {got} hits of {2 * asked}, "
                f"{status['evictions']} evictions, {status['objects']} held")
            check(50 < status["objects"] <= 64, f"{status}")
            check(got > asked * 0.5, "the hot one did not stay")
            # A key for each class of Accept-Encoding, of which all share a place.
            lab.warm(*(f"/o{number}.html" for number in range(40)))
            log = pathlib.Path(lab.env["ACCELERD_LOG"]).read_text()
            check("cannot write" not in log, "a table of the cache was too small; see the log")
            # One that was refused for room comes in once there is some.
            last = f"/o{count - 1}.html"
            lab.warm(last)
            status = lab.status()["cache"]
            check(status["objects"] <= 64 and status["evictions"] > 0, f"{status}")
            check(hits_of(lab, load, last, 10) == 10, "not cached again")


def queries():
    """One client asks for one file under ever new names (?n). The fetches stay within fill_rate, and
    whatever others ask for stays."""
    for policy in ("pass", "key"):
        with netlab.scratch() as path, Lab(
                netlab.make_docroot(path, [1024, 5000]),
                conf=configuration("{ objects: 64, fill_rate: 50 }") + f"    query: {policy}\n") as lab:
            lab.warm("/s5000.html")
            hot, enemy = lab.connect(timeout=20), lab.connect(timeout=20)
            before, fills = lab.hits(), lab.status()["cache"]["fills_total"]
            begun = time.monotonic()
            for number in range(700):
                enemy.request(lab.request(f"/s1024.html?{number}"))
                hot.request(lab.request("/s5000.html"))
            spent = time.monotonic() - begun
            fills = lab.status()["cache"]["fills_total"] - fills
            got = lab.hits() - before
            say(f"  queries: {policy}: 700 names of one file in {spent:.1f} s: {fills} fetches, {got} "
                f"hits of 700 for the other client")
            check(fills <= 50 * (spent + 1) + 20, f"{fills} fetches in {spent:.1f} s, 50 per second")
            check(got >= 690, f"only {got} of 700")
            check(policy == "key" or fills <= 2, f"{fills} fetches")


def ring():
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, [1024])) as lab:
        lab.warm("/s1024.html")
        connection = lab.connect(timeout=20)
        body = netlab.pattern("s1024", 1024)
        before = lab.reasons()
        pid = int(lab.env["ACCELERD_PID"])
        os.kill(pid, signal.SIGSTOP)
        try:
            for number in range(RING_HOLDS * 3 // 2):
                answer = connection.request(lab.request(f"/s1024.html?{number}"))
                check(answer.body == body, f"bytes of {number}")
        finally:
            os.kill(pid, signal.SIGCONT)
        lost = lab.reasons()["in/event_lost"] - before.get("in/event_lost", 0)
        say(f"  ring: {RING_HOLDS * 3 // 2} misses while accelerd was frozen, {lost} not reported")
        check(lost > RING_HOLDS // 4, f"only {lost} lost: the ring was not full")
        end = time.monotonic() + 30
        while hits_of(lab, connection, "/s1024.html?after", 1) == 0:
            check(time.monotonic() < end, "misses are not reported any more")
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(netlab.main([connections, cache, queries, ring]))
