#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets that XDP sees on one CPU and the kernel's stack on another (receive packet steering)."""

import socket
import subprocess
import sys

import netlab
from netlab import Lab, check, say

SIZES = [1024, 8000]
ROUNDS = 40


def late_hits():
    """A request that brings the kernel the first acknowledgment of its response is answered by TC,
    from the job that XDP left on its CPU: at once, not by the retransmission timer.
    """
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES)
        with Lab(path) as lab:
            lab.warm(*(f"/s{size}.html" for size in SIZES))
            # NAPI is on CPU 0. The namespace's interfaces are seen in a /sys of its own only.
            subprocess.run(["ip", "netns", "exec", f"{lab.prefix}-origin", "sh", "-c", "for i in "
                            "/sys/class/net/*/queues/rx-*/rps_cpus; do echo 2 >$i; done"],
                           check=True)
            before = lab.reasons()
            connection = lab.connect()
            for turn in range(ROUNDS):
                size = SIZES[turn % len(SIZES)]
                connection.request(lab.request(f"/none{turn}"))
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
                response = connection.request(lab.request(f"/s{size}.html"))
                check(response.body == netlab.pattern(f"s{size}", size), f"bytes of turn {turn}")
            connection.close()
            grown = netlab.difference(lab.reasons(), before)
            say(f"  {grown}")
            late, resent = grown.get("in/hit_late", 0), grown.get("timer/timer_resent", 0)
            check(late >= ROUNDS / 2, f"{late} late hits of {ROUNDS}: this test tests nothing")
            check(grown.get("seg/segment_spare", 0) > 0, "no frame of a fan-out was over")
            odd = {name: n for name, n in grown.items() if name in
                   ("seg/segment_unmarked", "seg/segment_failed", "in/no_room")}
            check(not odd, f"{odd}")
            check(resent <= late / 10, f"{resent} of {late} late hits were left to the timer")


if __name__ == "__main__":
    sys.exit(netlab.main([late_hits]))
