#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every byte: over 10,000 mixed requests of a raw-socket client, and those of curl and wrk, are
answered as port 8080 answers them.

In four rounds: IPv4 and IPv6, each with the origin's segmentation left to the device and not; and
with several queues on both CPUs. net/split_test.py has the requests cut at every byte.
Exit 1 on any difference, and when the accelerator answered fewer than it must have.
"""

import gzip
import os
import subprocess
import sys

import curl_mix
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
CURL_REQUESTS = 300  # in each round, of one process over one connection
WRK_SECONDS = 2


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


def with_curl(lab, family, seed):
    report = curl_mix.compare(lab, family, SIZES[3:], seed, CURL_REQUESTS)
    say(f"  IPv{family} curl       {report['requests']:5} requests over {report['connections']} "
        f"connections, {report['hits']} hits, 0 differences")
    check(report["connections"] <= 3, f"curl made {report['connections']} connections")
    check(report["hits"] >= 0.4 * report["requests"], f"curl: only {report['hits']} hits")
    return report["requests"]


def wrk_cases(lab, family, path):
    """Files for wrk_check.lua: hits, conditional ones, and three kinds of misses. HEAD is left out:
    wrk would wait for the body.
    """
    reference = lab.connect(8080, family)
    etag = reference.request(lab.request("/s5000.html")).value(b"etag")
    cases = [(target, []) for target in ("/s1024.html", "/s11673.html", "/s13999.html") * 3]
    cases += [("/s5000.html", [("If-None-Match", etag)]), ("/s5000.html", []),
              ("/s5000.html", [("Accept-Encoding", "gzip")]), ("/dynamic/wrk", []),
              ("/s40000.html", []), ("/none.html", []), ("/s3001.html", [("Range", "bytes=7-999")])]
    lines = []
    for number, (target, fields) in enumerate(cases):
        request = lab.request(target, fields)
        answer = reference.request(request)
        (path / f"{number}.request").write_bytes(request)
        (path / f"{number}.body").write_bytes(answer.body)
        lines.append(f"{path}/{number}.request {path}/{number}.body {answer.status}\n")
    (path / "cases").write_text("".join(lines))
    return path / "cases"


def with_wrk(lab, family):
    lab.warm("/s1024.html", "/s11673.html", "/s13999.html", "/s5000.html")
    host = lab.address(family)
    shown = f"[{host}]" if family == 6 else host
    with netlab.scratch() as path:
        cases = wrk_cases(lab, family, path)
        before = lab.hits()
        out = lab.must("client", "wrk", "-t4", "-c4", f"-d{WRK_SECONDS}s", "--timeout", "5s", "-s",
                       netlab.SUPPORT / "wrk_check.lua", f"http://{shown}/", cases)
    hits = lab.hits() - before
    verdict = next(line for line in out.splitlines() if line.startswith("checked ")).split(" ", 4)
    checked, wrong = int(verdict[1]), int(verdict[3])
    say(f"  IPv{family} wrk        {checked:5} requests, {hits} hits, {wrong} differences")
    check(wrong == 0 and "Socket errors" not in out, f"wrk: {out}")
    check(hits >= 0.5 * checked, f"wrk: only {hits} hits:\n{out}")
    return checked


def mixed_requests():
    """The raw-socket client alone must make the 10,000; the others come on top."""
    asked = {"raw socket": 0, "curl": 0, "wrk": 0}
    for tso in ("off", "on"):
        with netlab.scratch() as path:
            make_site(path)
            with Lab(path, bulk=True, tso=tso) as lab:
                say(f"  TSO {tso}")
                for family in (4, 6):
                    seed = 10 * family + (tso == "on")
                    asked["raw socket"] += round_of(lab, family, seed)
                    asked["curl"] += with_curl(lab, family, seed)
                    asked["wrk"] += with_wrk(lab, family)
    say(f"  compared: {asked}")
    check(asked["raw socket"] >= 10000, f"only {asked}")
    check(asked["curl"] >= 1000 and asked["wrk"] >= 4000, f"only {asked}")


# Two queues.

def spread(lab):
    """Both of the origin's queues have a thread on a CPU of its own, and the stack takes what they
    pass on either CPU: packets of a connection are then in XDP, TC ingress and TC egress at once.
    """
    name = lab.env["ORIGIN_IF"]
    subprocess.run(["ip", "netns", "exec", lab.env["NS_ORIGIN"], "sh", "-ec",
                    f"for q in /sys/class/net/{name}/queues/rx-*; do echo 3 >$q/rps_cpus; done"],
                   check=True)
    threads = sorted(int(file.parent.name) for file in netlab.pathlib.Path("/proc").glob("*/comm")
                     if netlab.comm_of(file).startswith(f"napi/{name}-"))
    check(len(threads) == 2, f"NAPI threads of {name}: {threads}")
    for cpu, thread in enumerate(threads):
        os.sched_setaffinity(thread, {cpu})
    for worker in lab.nginx_workers():
        os.sched_setaffinity(worker, {0, 1})


def frames_by_queue(lab):
    text = lab.must("origin", "ethtool", "-S", lab.env["ORIGIN_IF"])
    rows = dict(line.strip().split(": ") for line in text.splitlines()[1:] if ": " in line)
    return [int(rows[f"rx_queue_{queue}_xdp_packets"]) for queue in range(2)]


def two_queues():
    with netlab.scratch() as path:
        make_site(path)
        with Lab(path, bulk=True, queues=2) as lab:
            spread(lab)
            targets = ["/s1024.html", "/s11673.html", "/s13999.html", "/s40000.html"]
            lab.warm(*targets[:3])
            before, frames = lab.hits(), frames_by_queue(lab)
            for family in (4, 6):
                load = lab.start(*lab.load_command(targets, 3, "--connections", 32, family=family))
                for profile, count in (("hits", 1000), ("all", 400)):
                    lab.mixed(family=family, profile=profile, count=count, seed=family,
                              options=("--connections", 32, "--renew-after", 64))
                report = netlab.finish_load(load)
                say(f"  IPv{family}: 1400 mixed requests on 32 connections beside "
                    f"{report['completed']} of load.py on 32 more, 0 differences")
            frames = [now - then for now, then in zip(frames_by_queue(lab), frames)]
            say(f"  {lab.hits() - before} hits; frames by queue {frames}")
            check(min(frames) >= sum(frames) / 20, f"one queue only: {frames}")
            check(lab.hits() - before >= 2000, f"only {lab.hits() - before} hits: {lab.reasons()}")


if __name__ == "__main__":
    sys.exit(netlab.main([mixed_requests, two_queues]))
