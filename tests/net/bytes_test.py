#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every byte: over 10,000 mixed requests, and curl and wrk, answered as port 8080 answers them.

In four rounds: IPv4 and IPv6, each with the origin's segmentation left to the device and not.
Exit 1 on any difference, and when the accelerator answered fewer than it must have.
"""

import gzip
import os
import subprocess
import sys

import netlab
from netlab import Lab, check, say

SIZES = [0, 1, 2, 99, 100, 101, 1023, 1024, 1025, 1447, 1448, 1449, 2047, 2895, 2896, 3001, 4096,
         5000, 6143, 7777, 8192, 9001, 10240, 11399, 11673, 12288, 13001, 13999, 14000, 14336,
         15360, 20001, 40000, 65536, 102400, 400000]
# profile, requests in each round, least share of hits in its responses. Split and pipelined
# requests of direct clients are the kernel's by design.
ROUNDS = [("all", 1200, 0.05), ("hits", 700, 0.5), ("split", 400, 0.0), ("pipelined", 300, 0.0)]
# So that hits and odd requests meet on many young connections.
RENEW_AFTER = 16


def make_site(path):
    netlab.make_docroot(path, SIZES, compressed=(1024, 5000, 14000, 102400))
    (path / "index.html").write_bytes(netlab.pattern("index", 900))
    for folder in ("plain", "with space", "\u00e4\u00f6\u00fc", "100%", "deep/er/still"):
        inner = path / folder
        inner.mkdir(parents=True)
        for name in ("index.html", "a b.txt", "\u65e5\u672c\u8a9e.html", "50%.css", "q?mark.js",
                     "plus+and&.svg", "quote'\"s.html", "semi;colon.html", "~tilde.html"):
            (inner / name).write_bytes(netlab.pattern(f"{folder}/{name}"[:9], 600 + 37 * len(name)))
    for name in ("style.css", "plain/style.css"):
        data = netlab.pattern(name, 6000)
        (path / name).write_bytes(data)
        (path / f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    for folder, _, files in os.walk(path):
        for name in files:
            os.utime(os.path.join(folder, name), (1700000000, 1700000000))


def round_of(lab, family, seed):
    asked = 0
    for profile, count, least in ROUNDS:
        before = lab.hits()
        report = lab.mixed(family=family, profile=profile, count=count, seed=seed,
                           options=("--renew-after", RENEW_AFTER))
        hits = lab.hits() - before
        say(f"  IPv{family} {profile:10} {report['requests']:5} requests {report['responses']:5} "
            f"responses {hits:5} hits, 0 differences, {report['seconds']} s")
        check(report["requests"] == count, f"{profile}: only {report['requests']} of {count}")
        check(hits >= least * report["responses"],
              f"{profile}: only {hits} hits in {report['responses']} responses")
        asked += report["requests"]
    return asked


def with_curl(lab, family):
    """curl on both ports, one connection for all targets of a port; head and body compared."""
    targets = [f"/s{size}.html" for size in SIZES if 0 < size <= 14336]
    host = lab.address(family)
    shown = f"[{host}]" if family == 6 else host
    before = lab.hits()
    answers = {}
    for turn in range(2):  # the first round may fill the cache
        for port in (80, 8080):
            urls = [f"http://{shown}:{port}{target}" for target in targets]
            done = subprocess.run(lab.command("client", "curl", "-sgi", "-H", "Host: site.test",
                                              *urls), capture_output=True)
            check(done.returncode == 0, f"curl exits {done.returncode}")
            answers[port] = netlab.wbhttp.normalise(done.stdout)  # of all heads in it
        check(answers[80] == answers[8080], f"curl over IPv{family} sees a difference")
    hits = lab.hits() - before
    say(f"  IPv{family} curl       {2 * len(targets):5} requests, {hits} hits, 0 differences")
    check(hits >= len(targets), f"curl: only {hits} hits")


def with_wrk(lab, family):
    """wrk checks only status and framing; load.py verifies bodies on the same server meanwhile."""
    targets = ["/s1024.html", "/s11673.html", "/s13999.html"]
    lab.warm(*targets)
    before = lab.hits()
    verified = lab.start(*lab.load_command(targets, 2, "--connections", 4, family=family))
    host = lab.address(family)
    shown = f"[{host}]" if family == 6 else host
    out = lab.must("client", "wrk", "-t1", "-c8", "-d2s", "--timeout", "5s", "-H",
                   f"Host: {lab.domain}", f"http://{shown}{targets[1]}")
    report = netlab.finish_load(verified)
    hits = lab.hits() - before
    wrk = int(out.split(" requests in ")[0].split()[-1])
    check("Non-2xx" not in out and "Socket errors" not in out, f"wrk: {out}")
    say(f"  IPv{family} wrk        {wrk} requests, load.py {report['completed']} verified, "
        f"{hits} hits")
    check(hits >= 0.9 * (wrk + report["completed"]), f"wrk: only {hits} hits:\n{out}")


def run_rounds(tso):
    with netlab.scratch() as path:
        make_site(path)
        with Lab(path, tso=tso) as lab:
            asked = sum(round_of(lab, family, 10 * family + (tso == "on")) for family in (4, 6))
            for family in (4, 6):
                with_curl(lab, family)
                with_wrk(lab, family)
    check(asked >= 5000, f"only {asked} requests")


def without_tso():
    run_rounds("off")


def with_tso():
    run_rounds("on")


if __name__ == "__main__":
    sys.exit(netlab.main([without_tso, with_tso]))
