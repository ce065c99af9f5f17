# SPDX-License-Identifier: Apache-2.0
"""Origin CPU per request: nginx with a connection per request and keep-alive, the accelerator, keyed requests that
share packets, and the floor. Two labs at once: bqn without the accelerator, so that nginx is at its best, and bqa
with it. Repeated in rounds, so that what disturbs the machine for a moment disturbs all alike.
"""

import json
import os
import subprocess
import tempfile
import time

import origin

SIZES = {"1k.bin": 1024, "11k.bin": 11673, "14k.bin": 14000}
LIMIT_S = 180       # what the whole may take
HEAD_BYTES = 240    # of nginx's reply
REQUEST_BYTES = 41  # "GET /11k.bin HTTP/1.1", "Host: site.test" and their ends
MTUS = (1500, 3498)
FANOUT_MAX = 32     # WB_FANOUT_MAX: segments for one packet
BURST_BYTES = 131072  # the most that accelerd lets one burst have (max_cwnd_bytes)
KEYED_BATCH = 8
LINKS = 4
WARM_S = 0.15
MIN_HITS = 0.95
CONFIGS = ("close", "keep", "accel", "keyed", "floor", "floor_keyed")


def segments(size, mtu):
    """Packets of a reply, with TCP timestamps on IPv4."""
    return -(-(size + HEAD_BYTES) // (mtu - 52))


def batch(size, mtu):
    """Keyed requests to a packet: eight, or as many as one fan-out and one burst can answer."""
    return max(1, min(KEYED_BATCH, FANOUT_MAX // segments(size, mtu), BURST_BYTES // (size + HEAD_BYTES)))


class Floor:
    """The floor program on the booster link of lab bqn, for replies of `count` times `size` bytes."""

    def __init__(self, lab, size, mtu, count):
        self.lab = lab
        self.count = count
        self.segments = segments(size, mtu) * count
        last = size + HEAD_BYTES - (segments(size, mtu) - 1) * (mtu - 52) + 66
        self.payload = REQUEST_BYTES + 24 if count == 1 else count * (REQUEST_BYTES + 48)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            lab.exec_command("origin", origin.FLOOR, "attach", "--if", lab.env["ORIGIN_BOOSTER_IF"], "--segments",
                             str(self.segments), "--full", str(mtu + 14), "--last", str(last)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            self.process.wait(10)
            raise origin.BenchError("the floor program cannot be attached")
        lab.read()

    def measure(self, seconds):
        command = self.lab.exec_command(
            "booster", origin.FLOOR, "send", "--host", self.lab.env["ORIGIN_BOOSTER_IP"], "--segments",
            str(self.segments), "--payload", str(self.payload), "--outstanding", str(64 if self.count == 1 else LINKS),
            "--warm", str(WARM_S), "--seconds", str(seconds))
        result = self.lab.judged(command, seconds)
        result["us_per_request"] /= self.count
        return result

    def close(self):
        self.process.communicate("", timeout=10)


class Quick:
    def __init__(self, args, directory):
        self.args = args
        self.directory = directory
        self.samples = {}  # (mtu, tso, name, config) -> [result]
        self.facts = {}

    def add(self, mtu, tso, name, config, result):
        self.samples.setdefault((mtu, tso, name, config), []).append(result)

    def run_mtu(self, mtu):
        plain, accel = origin.Lab("bqn"), origin.Lab("bqa")
        options = ("--mtu", str(mtu), "--docroot", self.directory, "--open-file-cache")
        plain.up("--without", "accel", *options)
        accel.up(*options)
        accel.warm([f"/{name}" for name in SIZES])
        self.facts[f"offloads_mtu_{mtu}"] = {}
        begun = time.monotonic()
        for number in range(1, self.args.rounds + 1):
            for name in SIZES:
                self.round_plain(plain, mtu, name)
                self.round_accel(accel, mtu, name)
            # On a slow or busy machine two rounds must do, lest the whole takes more than 3 minutes.
            if number >= 2 and (time.monotonic() - begun) * (number + 1) / number > self.args.budget:
                break
        # Last, because each attaching makes new NAPI threads.
        for name, size in SIZES.items():
            for config, count in (("floor", 1), ("floor_keyed", batch(size, mtu))):
                floor = Floor(plain, size, mtu, count)
                try:
                    for _ in range(self.args.rounds):
                        self.add(mtu, None, name, config, floor.measure(self.args.seconds))
                finally:
                    floor.close()
        self.facts["congestion_control"] = origin.congestion_control(accel)
        plain.down()
        accel.down()

    def round_plain(self, lab, mtu, name):
        for tso in ("off", "on"):
            ifname = lab.env["ORIGIN_IF"]
            origin.run(["nsenter", f"--net=/run/netns/{lab.prefix}-origin", "ethtool", "-K", ifname, "tx", tso, "tso",
                        tso, "gso", tso], 10)
            self.facts[f"offloads_mtu_{mtu}"][f"tso_{tso}"] = origin.offloads(lab, "origin", ifname)
            for mode in ("close", "keep"):
                self.add(mtu, tso, name, mode, lab.load(
                    "client", lab.env["ORIGIN_IP"], self.args.seconds, "--port", lab.env["ORIGIN_DIRECT_PORT"],
                    "--mode", mode, *self.load_options(name)))

    def round_accel(self, lab, mtu, name):
        self.add(mtu, None, name, "accel", lab.hits(lambda: lab.load(
            "client", lab.env["ORIGIN_IP"], self.args.seconds, "--mode", "keep", *self.load_options(name))))
        self.add(mtu, None, name, "keyed", lab.hits(lambda: lab.load(
            "booster", lab.env["ORIGIN_BOOSTER_IP"], self.args.seconds, "--mode", "keyed", "--key-file",
            lab.env["KEY_FILE"], "--batch", str(batch(SIZES[name], mtu)), *self.load_options(name, LINKS))))

    def load_options(self, name, connections=0):
        return ("--target", f"/{name}", "--docroot", self.directory, "--warm", str(WARM_S), "--connections",
                str(connections or self.args.connections))

    def rows(self):
        """One row per MTU, TSO setting and size; TSO concerns nginx only, so the other figures repeat."""
        for mtu in MTUS:
            for tso in ("off", "on"):
                for name, size in SIZES.items():
                    yield self.row(mtu, tso, name, size)

    def row(self, mtu, tso, name, size):
        row = {"mtu": mtu, "tso": tso, "bytes": size, "segments": segments(size, mtu), "batch": batch(size, mtu)}
        for config in CONFIGS:
            samples = self.samples[(mtu, tso if config in ("close", "keep") else None, name, config)]
            row[config] = origin.summary([sample["us_per_request"] for sample in samples])
            if "hit_ratio" in samples[0]:
                row[f"{config}_hit_ratio"] = min(sample["hit_ratio"] for sample in samples)
        us = {config: row[config]["median"] for config in CONFIGS}
        row["ratios"] = {"keep/accel": us["keep"] / us["accel"], "close/accel": us["close"] / us["accel"],
                         "keep/keyed": us["keep"] / us["keyed"], "close/keyed": us["close"] / us["keyed"],
                         "accel/floor": us["accel"] / us["floor"], "keyed/floor": us["keyed"] / us["floor_keyed"]}
        return row


def table(rows):
    lines = ["Origin CPU per request, us: median (spread: half of maximum - minimum)", "",
             "| MTU | TSO | bytes | nginx close | nginx keep | accelerator | keyed (to a packet) | floor | keep/accel "
             "| close/accel | keep/keyed | accel/floor | keyed/floor |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        def cell(config, row=row):
            value = row[config]
            return f"{value['median']:.2f} ({(value['max'] - value['min']) / 2:.2f})"
        ratios = row["ratios"]
        lines.append(f"| {row['mtu']} | {row['tso']} | {row['bytes']} | {cell('close')} | {cell('keep')} | "
                     f"{cell('accel')} | {cell('keyed')} ({row['batch']}) | {cell('floor')} | "
                     f"{ratios['keep/accel']:.1f} | {ratios['close/accel']:.1f} | {ratios['keep/keyed']:.1f} | "
                     f"{ratios['accel/floor']:.2f} | {ratios['keyed/floor']:.2f} |")
    return "\n".join(lines)


def main(args):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wb-bench-") as directory:
        os.chmod(directory, 0o755)
        origin.make_files(directory, SIZES)
        quick = Quick(args, directory)
        facts = origin.machine()
        for mtu in MTUS:
            quick.run_mtu(mtu)
    rows = list(quick.rows())
    print(table(rows))
    print(f"\nLoad average before: {facts['load_before']:.2f}; the machine must be idle for the figures to mean much.")
    total_s = time.monotonic() - begun
    report = {"what": "quick", "machine": {**facts, **quick.facts}, "seconds": args.seconds, "rounds": args.rounds,
              "total_seconds": total_s,
              "connections": args.connections, "links": LINKS, "rows": rows,
              "samples": [{"mtu": key[0], "tso": key[1], "file": key[2], "config": key[3], **sample}
                          for key, samples in quick.samples.items() for sample in samples]}
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    poor = sorted({(row["mtu"], row["bytes"], config, round(row[f"{config}_hit_ratio"], 3)) for row in rows
                   for config in ("accel", "keyed") if row[f"{config}_hit_ratio"] < MIN_HITS})
    for mtu, size, config, ratio in poor:
        print(f"WARNING: MTU {mtu}, {size} bytes, {config}: only {ratio:.1%} of the requests were hits")
    # A caller that asks for longer measurements means to wait for them.
    late = total_s >= LIMIT_S and not args.own_times
    if late:
        print(f"FAILED: took {total_s:.0f} s, which is not under {LIMIT_S} s")
    return 1 if poor or late else 0
