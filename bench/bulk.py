# SPDX-License-Identifier: Apache-2.0
"""What objects above 16 KiB cost the origin, by each path of the bulk sender and by nginx: with the device segmenting (TSO
on) and with the host segmenting (TSO off), keep-alive, in alternation.
"""

import json
import os
import statistics
import tempfile

import origin

SIZES = {"100k.bin": 100_000, "1m.bin": 1_000_000}
PATHS = ("packet", "xsk")
CONNECTIONS = {"100k.bin": 8, "1m.bin": 4}
WARM_S = 0.2


def measure(args, directory, lab, name):
    options = ("--mode", "keep", "--target", f"/{name}", "--docroot", directory, "--connections",
               str(CONNECTIONS[name]), "--warm", str(WARM_S))
    return lab.load("client", lab.env["ORIGIN_IP"], args.seconds, *options)


def compare(args, directory, path, tso):
    """Rows of one lab, beside one that has nginx alone."""
    rows = {name: {"nginx": [], path: []} for name in SIZES}
    plain, accel = origin.Lab("bqn"), origin.Lab("bqa")
    conf = origin.configuration(directory, path, bulk=path)
    options = ("--docroot", directory, "--open-file-cache", "--tso", tso)
    plain.up("--without", "accel", *options)
    accel.up("--conf", conf, *options)
    accel.warm([f"/{name}" for name in SIZES])
    for _ in range(args.rounds):
        for name, samples in rows.items():
            samples["nginx"].append(measure(args, directory, plain, name)["us_per_request"])
            result = accel.hits(lambda wanted=name: measure(args, directory, accel, wanted))
            if result["hit_ratio"] < 0.98:
                raise origin.BenchError(f"{name}: only {result['hit_ratio']:.1%} were sent in bulk: {result['reasons']}")
            samples[path].append(result["us_per_request"])
    plain.down()
    accel.down()
    return rows


def main(args):
    report = []
    with tempfile.TemporaryDirectory(prefix="wb-bench-") as directory:
        os.chmod(directory, 0o755)
        origin.make_files(directory, SIZES)
        facts = origin.machine()
        for tso in ("off", "on"):
            for path in PATHS:
                for name, samples in compare(args, directory, path, tso).items():
                    ratios = [a / b for a, b in zip(samples["nginx"], samples[path])]
                    report.append({"tso": tso, "path": path, "object": name, "ratio": statistics.median(ratios),
                                   "nginx": origin.summary(samples["nginx"]), "bulk": origin.summary(samples[path])})
    print("Origin CPU per reply, us: median (minimum to maximum)\n\n"
          "| TSO | object | nginx | bulk | path | nginx / bulk, median of pairs |\n|---|---|---|---|---|---|")
    for row in report:
        cells = [f"{row[side]['median']:.0f} ({row[side]['min']:.0f} to {row[side]['max']:.0f})" for side in ("nginx", "bulk")]
        print(f"| {row['tso']} | {row['object']} | {cells[0]} | {cells[1]} | {row['path']} | {row['ratio']:.2f} |")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"what": "bulk", "machine": facts, "rows": report}, file, indent=1)
    return 0
