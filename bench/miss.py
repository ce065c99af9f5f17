# SPDX-License-Identifier: Apache-2.0
"""What a miss costs: the same requests, none of which can be a hit, on port 80 of a lab with the accelerator (bqa) and
of one without (bqn), keep-alive, in alternation.
"""

import json
import os
import statistics
import tempfile

import origin

SIZES = {"20k.bin": 20000}
TARGETS = {"static file, 20000 bytes": "/20k.bin", "dynamic, no-store": "/dynamic/x"}
WARM_S = 0.15


def main(args):
    plain, accel = origin.Lab("bqn"), origin.Lab("bqa")
    rows = []
    with tempfile.TemporaryDirectory(prefix="wb-bench-") as directory:
        os.chmod(directory, 0o755)
        origin.make_files(directory, SIZES)
        facts = origin.machine()
        plain.up("--without", "accel", "--docroot", directory, "--open-file-cache")
        accel.up("--docroot", directory, "--open-file-cache", "--conf",
                 origin.configuration(directory, "miss", exclude="/20k.bin"))
        for what, target in TARGETS.items():
            rows.append(measure(args, plain, accel, directory, what, target))
        facts["congestion_control"] = origin.congestion_control(accel)
        plain.down()
        accel.down()
    print("Origin CPU per request that is no hit, us: median (spread: half of maximum - minimum)\n")
    print("| request | nginx alone | with the accelerator | median ratio of the pairs |\n|---|---|---|---|")
    for row in rows:
        cells = [f"{row[side]['median']:.2f} ({(row[side]['max'] - row[side]['min']) / 2:.2f})"
                 for side in ("alone", "attached")]
        print(f"| {row['what']} | {cells[0]} | {cells[1]} | {row['ratio']:.3f} |")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"what": "miss", "machine": facts, "seconds": args.seconds, "rounds": args.rounds, "rows": rows},
                      file, indent=1)
    hits = [row["what"] for row in rows if row["hits"]]
    for what in hits:
        print(f"WARNING: {what}: some were hits")
    return 1 if hits else 0


def measure(args, plain, accel, directory, what, target):
    options = ("--mode", "keep", "--target", target, "--docroot", directory, "--connections", str(args.connections),
               "--warm", str(WARM_S))
    alone, attached = [], []
    hits_before = accel.status()["hits_total"]
    for _ in range(args.rounds):
        for lab, samples in ((plain, alone), (accel, attached)):
            samples.append(lab.load("client", lab.env["ORIGIN_IP"], args.seconds, *options)["us_per_request"])
    row = {"what": what, "alone": origin.summary(alone), "attached": origin.summary(attached),
           "hits": accel.status()["hits_total"] - hits_before}
    # Of pairs, because what disturbs the machine lasts longer than one.
    row["ratio"] = statistics.median(b / a for a, b in zip(alone, attached))
    return row
