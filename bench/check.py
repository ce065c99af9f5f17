# SPDX-License-Identifier: Apache-2.0
"""Do the cost targets hold? MTU 1500, TSO off, in rounds of pairs until all bounds hold or the rounds are over.

A bound is what any machine must show, lest the check fails for what its neighbours do; the target is what the product
is meant to reach on an idle machine, and is reported. The floor says what the device leaves to be reached.
"""

import dataclasses
import json
import os
import statistics
import tempfile

import origin
import quick

SIZES = {"1k.bin": 1024, "11k.bin": 11673, "20k.bin": 20000}
MTU = 1500
LEAST_ROUNDS = 5


@dataclasses.dataclass
class Criterion:
    what: str
    dear: str   # measurement that is divided
    cheap: str  # by this one
    bound: float
    target: float
    at_most: bool = False
    ratios: list = dataclasses.field(default_factory=list)

    def holds(self, value):
        median = statistics.median(self.ratios)
        return median <= value if self.at_most else median >= value


def criteria():
    return [Criterion("hit, 11673 bytes: nginx keep-alive / accelerator", "keep", "accel", 2.2, 5),
            Criterion("hit, 11673 bytes: nginx close / accelerator", "close", "accel", 4, 9),
            Criterion("hit, 11673 bytes: accelerator / floor", "accel", "floor", 2.7, 1.25, at_most=True),
            Criterion("keyed hits, 3 of 11673 bytes to a packet: nginx keep-alive / accelerator", "keep", "keyed_11k",
                      2.6, 5),
            Criterion("keyed hits, 3 of 11673 bytes to a packet: nginx close / accelerator", "close", "keyed_11k", 4.5, 9),
            Criterion("keyed hits, 8 of 1024 bytes to a packet: nginx keep-alive / accelerator", "keep_1k", "keyed",
                      8, 15),
            Criterion("miss, 20000 bytes: accelerator / nginx alone", "miss", "alone", 1.2, 1.05, at_most=True)]


class Check:
    def __init__(self, args, directory):
        self.args = args
        self.directory = directory
        self.plain, self.accel = origin.Lab("bqn"), origin.Lab("bqa")
        options = ("--mtu", str(MTU), "--tso", "off", "--docroot", directory, "--open-file-cache")
        self.plain.up("--without", "accel", *options)
        self.accel.up(*options, "--conf", origin.configuration(directory, "check", exclude="/20k.bin"))
        self.accel.warm(["/1k.bin", "/11k.bin"])
        self.floor = quick.Floor(self.plain, SIZES["11k.bin"], MTU, 1)

    def load(self, lab, name, *more, host="client", address="ORIGIN_IP", connections=0):
        return lab.load(host, lab.env[address], self.args.seconds, "--target", f"/{name}", "--docroot", self.directory,
                        "--warm", str(quick.WARM_S), "--connections", str(connections or self.args.connections), *more)

    def hits(self, measure):
        result = self.accel.hits(measure)
        if result["hit_ratio"] < quick.MIN_HITS:
            raise origin.BenchError(f"only {result['hit_ratio']:.1%} of the requests were hits: {result['reasons']}")
        return result

    def keyed(self, name):
        """As many requests to a packet as quick.py uses, on the booster's links."""
        return self.hits(lambda: self.load(
            self.accel, name, "--mode", "keyed", "--key-file", self.accel.env["KEY_FILE"], "--batch",
            str(quick.batch(SIZES[name], MTU)), host="booster", address="ORIGIN_BOOSTER_IP", connections=quick.LINKS))

    def close(self):
        self.floor.close()
        self.plain.down()
        self.accel.down()

    def round(self):
        """One of each, us per request."""
        keep = ("--mode", "keep")
        results = {
            "close": self.load(self.plain, "11k.bin", "--mode", "close"),
            "accel": self.hits(lambda: self.load(self.accel, "11k.bin", *keep)),
            "keep": self.load(self.plain, "11k.bin", *keep),
            "floor": self.floor.measure(self.args.seconds),
            "keyed": self.keyed("1k.bin"),
            "keyed_11k": self.keyed("11k.bin"),
            "keep_1k": self.load(self.plain, "1k.bin", *keep),
            "miss": self.load(self.accel, "20k.bin", *keep),
            "alone": self.load(self.plain, "20k.bin", *keep),
        }
        return {name: result["us_per_request"] for name, result in results.items()}


def main(args):
    wanted, samples = criteria(), []
    with tempfile.TemporaryDirectory(prefix="wb-bench-") as directory:
        os.chmod(directory, 0o755)
        origin.make_files(directory, SIZES)
        facts = origin.machine()
        check = Check(args, directory)
        while len(samples) < args.rounds:
            samples.append(check.round())
            for one in wanted:
                one.ratios.append(samples[-1][one.dear] / samples[-1][one.cheap])
            if len(samples) >= LEAST_ROUNDS and all(one.holds(one.bound) for one in wanted):
                break
        check.close()
    best = statistics.median(sample["keep"] / sample["floor"] for sample in samples)
    print(f"Median ratios of {len(samples)} rounds. On a device with this floor, nginx keep-alive / accelerator is at most "
          f"{best:.1f} for a hit of 11673 bytes alone.\n\n| what | ratio | target | |\n|---|---|---|---|")
    for one in wanted:
        verdict = ("met" if one.holds(one.target) else f"not met, but within {one.bound:g}" if one.holds(one.bound)
                   else f"FAILED: beyond {one.bound:g}")
        print(f"| {one.what} | {statistics.median(one.ratios):.3f} | {'at most' if one.at_most else 'at least'} "
              f"{one.target:g} | {verdict} |")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"what": "check", "machine": facts, "seconds": args.seconds, "samples": samples,
                       "criteria": [dataclasses.asdict(one) for one in wanted]}, file, indent=1)
    return 0 if all(one.holds(one.bound) for one in wanted) else 1
