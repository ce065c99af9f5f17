#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Origin CPU per request for a real site, accelerated and not: the second half of deploy/quickstart.sh. The same
sequence of keep-alive requests, every file of the document root in a shuffled order, goes to both ports in turns.
Prints the quickstart's table; needs a lab that is up and whose cache was filled by mirror.py and crawl.py.
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


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def crawl_facts(path):
    crawl = read_json(path)
    passes = [row for row in crawl["passes"] if row["pass"] != "ref"]
    return {"requests": sum(row["requests"] for row in passes), "passes": len(passes),
            "mismatches": sum(row["mismatches"] for row in crawl["passes"]),
            "bytes": sum(row["bytes"] for row in passes)}


def visits_rows(mirror, crawl, hits):
    """Lines of the table about what wget and crawl.py asked, each ratio of all requests that were made."""
    rows = []
    for row in mirror["passes"]:
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(row["answers"].items()))
        rows.append((f"wget, {row['pass']}", f"{row['requests']} requests ({answers}), {row['bytes'] / 1e6:.0f} MB, "
                     f"{row['hits']} hits: {origin.ratio_of(row['hits'], row['requests']):.1%}"))
    rows += [("crawl, as a browser", f"{crawl['requests']} requests in {crawl['passes']} passes over IPv4 and IPv6, "
              f"{crawl['bytes'] / 1e6:.0f} MB, {hits} hits: {origin.ratio_of(hits, crawl['requests']):.1%}"),
             ("mismatches with port 8080", str(crawl["mismatches"] + len(mirror["problems"])))]
    return rows


def show(facts):
    rows = visits_rows(facts["mirror"], facts["crawl"], facts["crawl_hits"])
    for name, part in (("all files", facts["whole"]), (f"files below {SMALL_BYTES} bytes", facts["small"])):
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
    parser.add_argument("--mirror", required=True, metavar="FILE", help="what mirror.py wrote")
    parser.add_argument("--crawl", required=True, metavar="FILE", help="what crawl.py --json printed")
    parser.add_argument("--json", metavar="FILE", help="write everything there, too")
    args = parser.parse_args()
    lab = origin.Lab(args.prefix)
    try:
        lab.read()
        # Of the mirrors and the crawl; what follows asks for more.
        all_hits = lab.status()["hits_total"]
        mirror = read_json(args.mirror)
        found = targets_of(lab.env["DOCROOT"])
        small = [(target, size) for target, size in found if size < SMALL_BYTES]
        facts = {"mirror": mirror, "crawl": crawl_facts(args.crawl),
                 "crawl_hits": all_hits - sum(row["hits"] for row in mirror["passes"]), "machine": origin.machine(),
                 "whole": measure(lab, found), "small": measure(lab, small)}
    except origin.BenchError as error:
        print(f"site.py: {error}", file=sys.stderr)
        return 1
    show(facts)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
    idle = [row["pass"] for row in mirror["passes"] if not row["hits"] and not row["fills"]]
    if facts["crawl"]["mismatches"] or mirror["problems"] or not facts["crawl_hits"] or idle:
        print("site.py: bytes differ, or nothing was answered by XDP", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
