#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The last segments of XDP's replies are lost: accelerd's timer sends them again, in time.

Nothing else can in that time: a lost tail brings no duplicate ACK and no SACK, and the peer's own
retransmission of its request comes 200 ms later at the earliest. The files end in a text by which
the wire knows their tail; it loses each such segment once. With accelerd frozen the same replies
wait for the peer: so much is the timer worth, and so the test can fail.
"""

import os
import signal
import sys

import netlab
from netlab import Lab, check, say

TAIL = b"~tail~"
# Bytes of the file, and of its end that are lost: one segment, two or three, all, one of one.
FILES = {"/one": (11673, 90), "/two": (11673, 1600), "/three": (8000, 3000), "/all": (5000, 5000),
         "/single": (700, 600)}
ROUNDS = 8
PEER_S = 0.2  # the least retransmission timeout of Linux
IN_TIME_S = 0.12
# Of all replies; the rest may have met another's work on one of two CPUs.
IN_TIME_SHARE = 0.95


def site(path):
    for target, (size, lost) in FILES.items():
        tail = (TAIL * size)[:lost]
        (path / target[1:]).write_bytes(netlab.pattern(target[1:], size - lost) + tail)
    (path / "whole").write_bytes(netlab.pattern("whole", 5000))
    return path


def ask(lab, connection, path, target):
    answer = connection.request(lab.request(target))
    check(answer.body == (path / target[1:]).read_bytes(), f"{target}: {answer.head!r}")
    connection.quickack()
    return answer.elapsed_s


def spliced(lab, path, family):
    """A connection whose last answer was XDP's, whole; and how many were."""
    connection = lab.connect(80, family)
    begin = lab.hits()
    for _ in range(6):
        before = lab.hits()
        ask(lab, connection, path, "/whole")
        if (now := lab.hits()) > before:
            return connection, now - begin
    raise netlab.TestFailure(f"no hits: {lab.reasons()}")


def lost_by(lab):
    return netlab.json.loads(lab.wire("counters"))["ba"]["lost"]


def by_the_timer(lab, path):
    for family in (4, 6):
        before, lost = lab.status(), lost_by(lab)
        times, whole = {target: [] for target in FILES}, 0
        for _ in range(ROUNDS):
            for target in FILES:
                # A new one each time: each loss halves the window, and then the kernel answers.
                connection, hits = spliced(lab, path, family)
                whole += hits
                times[target].append(ask(lab, connection, path, target))
                connection.close()
        now, lost = lab.status(), lost_by(lab) - lost
        judge(f"IPv{family}", times, now["hits_total"] - before["hits_total"] - whole, lost,
              now["repairs"]["timer"] - before["repairs"]["timer"])


def judge(name, times, hits, lost, resent):
    asked = sum(len(found) for found in times.values())
    worst = ", ".join(f"{target} {1000 * max(found):.0f}" for target, found in times.items())
    in_time = sum(1 for found in times.values() for each in found if each <= IN_TIME_S)
    say(f"  {name}: {hits} of {asked} answers were hits without their tail, {lost} segments lost, "
        f"{resent} rounds of the timer; slowest in ms: {worst}")
    check(hits == asked and lost >= asked, f"{hits} hits of {asked}, {lost} lost")
    check(resent >= asked, f"only {resent} repairs by the timer")
    check(in_time >= IN_TIME_SHARE * asked,
          f"only {in_time} of {asked} within {1000 * IN_TIME_S:.0f} ms: {times}")


def by_the_peer(lab, path):
    """With accelerd frozen, within its lease: the peer's timeout it is."""
    pid = int(lab.env["ACCELERD_PID"])
    for target in FILES:
        connection, _ = spliced(lab, path, 4)
        before = lab.hits()
        os.kill(pid, signal.SIGSTOP)
        try:
            waited = ask(lab, connection, path, target)
        finally:
            os.kill(pid, signal.SIGCONT)
        check(lab.hits() > before, f"{target} was no hit")
        say(f"  {target} without the timer: {1000 * waited:.0f} ms")
        check(waited >= PEER_S, f"{target} was repaired in {1000 * waited:.0f} ms all the same")
        connection.close()


def tails():
    with netlab.scratch() as path, Lab(site(path), wire=["--lose-text", TAIL.decode()]) as lab:
        lab.warm(*FILES, "/whole")
        by_the_timer(lab, path)
        by_the_peer(lab, path)


if __name__ == "__main__":
    sys.exit(netlab.main([tails]))
