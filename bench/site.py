#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Origin CPU per request for a real site, accelerated and not: the second half of deploy/quickstart.sh. The same
sequence of keep-alive requests, every file of the document root in a shuffled order, goes to both ports in turns.
Prints the quickstart's table; needs a lab that is up and whose cache was filled by a crawl.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import urllib.parse

import origin

SMALL_BYTES = 14000  # below: what one initial window of TCP holds
HIT_BYTES = 16384 - 300  # WB_BODY_MAX less a head: what can be a hit at all
CONNECTIONS = 8
REQUESTS = 4000
LIMIT_S = 60
ROUNDS = 3


def targets_of(docroot):
    """(target, size) of every file that nginx would send."""
    found = []
    for directory, _, names in sorted(os.walk(docroot)):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and os.access(path, os.R_OK) and not name.endswith(".gz"):
                target = "/" + os.path.relpath(path, docroot)
                found.append((urllib.parse.quote(target), os.path.getsize(path)))
    random.Random(1).shuffle(found)
    return found


def measure(lab, files):
    """Medians of both ports, and the hit ratio of the accelerated one, for (target, size) pairs."""
    targets = [target for target, _ in files]
    eligible = sum(size <= HIT_BYTES for _, size in files) / len(files)
    direct, accelerated, ratios = [], [], []
    with tempfile.NamedTemporaryFile("w", prefix="wb-site-", suffix=".txt", encoding="ascii") as file:
        file.write("\n".join(targets) + "\n")
        file.flush()
        options = ("--mode", "keep", "--targets-file", file.name, "--docroot", lab.env["DOCROOT"], "--requests",
                   str(REQUESTS), "--connections", str(CONNECTIONS))
        # Unmeasured: fills what the crawl did not ask for.
        lab.load("client", lab.env["ORIGIN_IP"], LIMIT_S, "--port", lab.env["ORIGIN_PORT"], *options)
        for _ in range(ROUNDS):
            direct.append(lab.load("client", lab.env["ORIGIN_IP"], LIMIT_S, "--port", lab.env["ORIGIN_DIRECT_PORT"],
                                   *options)["us_per_request"])
            result = lab.hits(lambda: lab.load("client", lab.env["ORIGIN_IP"], LIMIT_S, "--port",
                                               lab.env["ORIGIN_PORT"], *options))
            accelerated.append(result["us_per_request"])
            ratios.append(result["hit_ratio"])
    direct, accelerated = origin.summary(direct), origin.summary(accelerated)
    return {"direct": direct, "accelerated": accelerated, "hit_ratio": sorted(ratios)[len(ratios) // 2],
            "ratio": direct["median"] / accelerated["median"], "files": len(targets), "eligible": eligible,
            "reasons": result["reasons"]}


def crawl_facts(path):
    with open(path, encoding="utf-8") as file:
        crawl = json.load(file)
    passes = [row for row in crawl["passes"] if row["pass"] != "ref"]
    return {"requests": sum(row["requests"] for row in passes), "passes": len(passes),
            "mismatches": len(crawl["problems"]) if len(crawl["problems"]) < 20
            else max(20, sum(row["mismatches"] for row in crawl["passes"])),
            "bytes": sum(row["bytes"] for row in passes)}


def show(facts):
    crawl, whole, small = facts["crawl"], facts["whole"], facts["small"]
    rows = [("crawl: requests", f"{crawl['requests']} in {crawl['passes']} passes, {crawl['bytes'] / 1e6:.0f} MB"),
            ("crawl: mismatches with port 8080", str(crawl["mismatches"])),
            ("crawl: hit ratio", f"{facts['crawl_hit_ratio']:.1%}")]
    for name, part in (("all files", whole), (f"files below {SMALL_BYTES} bytes", small)):
        rows += [(f"{name}", f"{part['files']} files, {part['eligible']:.0%} of them small enough to be hits"),
                 ("  hit ratio", f"{part['hit_ratio']:.1%} of {REQUESTS} keep-alive requests"),
                 ("  origin CPU per request, nginx alone", f"{part['direct']['median']:.1f} us"),
                 ("  origin CPU per request, accelerated", f"{part['accelerated']['median']:.1f} us"),
                 ("  ratio", f"{part['ratio']:.1f}")]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"  {name:<{width}}  {value}" for name, value in rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--prefix", required=True, help="of the lab")
    parser.add_argument("--crawl", required=True, metavar="FILE", help="what crawl.py --json printed")
    parser.add_argument("--json", metavar="FILE", help="write everything there, too")
    args = parser.parse_args()
    lab = origin.Lab(args.prefix)
    try:
        lab.read()
        status = lab.status()  # of the crawl; what follows asks for more
        found = targets_of(lab.env["DOCROOT"])
        small = [(target, size) for target, size in found if size < SMALL_BYTES]
        facts = {"crawl": crawl_facts(args.crawl), "crawl_hits": status["hits_total"],
                 "crawl_hit_ratio": status["hit_ratio"], "machine": origin.machine(),
                 "whole": measure(lab, found), "small": measure(lab, small)}
    except origin.BenchError as error:
        print(f"site.py: {error}", file=sys.stderr)
        return 1
    show(facts)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
    if facts["crawl"]["mismatches"] or not facts["crawl_hits"]:
        print("site.py: bytes differ, or nothing was answered by XDP", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
