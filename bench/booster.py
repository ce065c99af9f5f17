# SPDX-License-Identifier: Apache-2.0
"""HAProxy, nginx and boosterd side by side as the booster, before nginx alone (lab bqn) and before the accelerated
origin (lab bqa). h2load asks from the clients' side over HTTP/1.1 with keep-alive.

Load generator and booster share a CPU, so what a core of the booster can do is judged by its CPU time: run time
(schedstat) of the program and of the NAPI threads of the booster's interfaces, per request. Times and packets are read
at both ends of a window; its requests are those that h2load's log says ended in it.
"""

import json
import os
import signal
import statistics
import subprocess
import tempfile
import time

import booster_peers
import origin

SIZES = {"1k.bin": 1024, "11k.bin": 11673, "1m.bin": 1_000_000}
# Of these every client must have had some in a window: it lasts longer, and there are not too many clients.
LARGE_BYTES, LARGE_TIMES, LARGE_CLIENTS = 1_000_000, 3, 64
WARM_S = 0.5   # after the first reply: handshakes are over, and windows are open
SPARE_S = 0.7  # that the load goes on after the window, less what it took to the first reply, and for each client:
SPARE_CLIENT_S = {"http": 0.001, "https": 0.008}
KEYS = ("rate", "p50_us", "p99_us", "booster_us", "origin_us", "packets", "hit_ratio")


def run_time_ns(pids):
    """Of all threads; a process that ended meanwhile makes the difference negative."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        except OSError:
            return -1 << 62
    return total


def packets_received(pid, interface):
    """By an interface, as seen in the network namespace of a process."""
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
        for line in file:
            name, _, counts = line.partition(":")
            if name.strip() == interface:
                return int(counts.split()[1])
    raise origin.BenchError(f"no interface {interface}")


def read_log(lines, begin_us, end_us):
    """h2load's log (start in us since 1970, status, duration in us): sorted durations of the requests that ended
    between the two times, and how many there were in all. Any that failed makes the figures worthless.
    """
    durations, answered = [], 0
    for line in lines:
        answered += 1
        start, status, duration = (int(word) for word in line.split("\t")[:3])
        if status != 200:
            raise origin.BenchError(f"a request ended with status {status}")
        if begin_us <= start + duration < end_us:
            durations.append(duration)
    return sorted(durations), answered


def percentile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def ask_each(lab):
    """Identical misses are not coalesced: all clients ask for the same object, which no site's clients do."""
    with open(lab.env["BOOSTERD_CONF"], "r+", encoding="utf-8") as file:
        text = file.read().replace("    origins:", "    coalesce: false\n    origins:")
        file.seek(0)
        file.write(text)
    os.kill(int(lab.env["BOOSTERD_PID"]), signal.SIGHUP)
    time.sleep(0.5)


class Bench:
    def __init__(self, args, directory, scratch):
        """scratch: for all but the docroot, of whose every change accelerd would be told."""
        self.args = args
        self.directory = directory
        self.log = os.path.join(scratch, "h2load.log")
        self.programs = {}  # (lab's prefix, name) -> program
        self.samples = {}   # (origin, scheme, object, clients) -> program -> [result]
        self.direct = {}    # (object, clients, mode) -> [origin CPU a request, us]
        self.labs = {"nginx": origin.Lab("bqn"), "accelerated": origin.Lab("bqa")}
        options = ("--docroot", directory, "--open-file-cache")
        with_booster = "boosterd" in args.programs
        self.labs["nginx"].up("--without", "accel", *options, booster=with_booster)
        self.labs["accelerated"].up(*options, booster=with_booster)
        if with_booster:
            ask_each(self.labs["nginx"])
        self.labs["accelerated"].warm([f"/{name}" for name in SIZES])
        pem = booster_peers.make_certificate(scratch, self.labs["nginx"].env["DOMAIN"])
        for lab in self.labs.values():
            for name in args.programs:
                self.programs[lab.prefix, name] = booster_peers.start(name, lab, scratch, pem)

    def close(self):
        for program in self.programs.values():
            program.close()
        for lab in self.labs.values():
            lab.down()

    def measure(self, lab, program, scheme, name, clients):
        log = self.log
        if os.path.exists(log):
            os.unlink(log)
        seconds = self.args.seconds * (LARGE_TIMES if SIZES[name] >= LARGE_BYTES else 1)
        lasts = WARM_S + seconds + SPARE_S + clients * SPARE_CLIENT_S[scheme]
        command = lab.exec_command(
            "client", "h2load", "--h1", "-t1", f"-c{clients}", "-D", f"{int(lasts * 1000)}ms",
            f"--log-file={log}",
            f"--connect-to={program.address}:{program.port(scheme)}", f"{scheme}://{lab.env['DOMAIN']}/{name}")
        booster = program.pids() + lab.env["BOOSTER_NAPI_PIDS"].split()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            begun = time.monotonic()
            while not (os.path.exists(log) and os.path.getsize(log)) and time.monotonic() < begun + 5:
                time.sleep(0.01)
            time.sleep(WARM_S)
            before = self.read(lab, booster)
            time.sleep(seconds)
            after = self.read(lab, booster)
            over = process.poll() is not None
            text = process.communicate(timeout=30)[0]
        if over or process.returncode or " 0 failed, 0 errored, 0 timeout" not in text:
            raise origin.BenchError(f"{program.name}: h2load: {text[-1000:]}")
        with open(log, encoding="ascii") as file:
            durations, answered = read_log(file, before[0] * 1e6, after[0] * 1e6)
        grown = [new - old for old, new in zip(before, after)]
        if grown[1] < 0 or grown[2] < 0:
            raise origin.BenchError(f"a process of {program.name}'s or of lab {lab.prefix} ended while it was measured")
        if not durations:
            raise origin.BenchError(f"{program.name}: no {name} was answered to {clients} clients, {scheme}, in the window")
        count = len(durations)
        return {"requests": count, "answered": answered, "rate": count / grown[0], "p50_us": percentile(durations, 0.5),
                "p99_us": percentile(durations, 0.99), "booster_us": grown[1] / count / 1000,
                "origin_us": grown[2] / count / 1000, "packets": grown[3] / count}

    @staticmethod
    def read(lab, booster):
        return (time.time(), run_time_ns(booster), run_time_ns(lab.pids),
                packets_received(lab.env["NGINX_PID"], lab.env["ORIGIN_BOOSTER_IF"]))

    def run(self):
        cases = [(where, scheme, name, clients) for where in self.labs for scheme in self.args.schemes for name in SIZES
                 for clients in self.args.clients if SIZES[name] < LARGE_BYTES or clients <= LARGE_CLIENTS]
        for case in cases:
            where, scheme, name, clients = case
            lab = self.labs[where]
            rows = self.samples[case] = {program: [] for program in self.args.programs}
            for _ in range(self.args.rounds):
                for program, results in rows.items():
                    def measure(program=self.programs[lab.prefix, program]):
                        return self.measure(lab, program, scheme, name, clients)
                    results.append(lab.hits(measure) if where == "accelerated" else {**measure(), "hit_ratio": 0.0})
            if where == "nginx" and scheme == "http":
                for mode in ("close", "keep"):
                    self.direct[name, clients, mode] = [self.ask_directly(lab, name, clients, mode)
                                                        for _ in range(self.args.rounds)]

    def ask_directly(self, lab, name, clients, mode):
        return lab.load("client", lab.env["ORIGIN_IP"], self.args.seconds, "--port", lab.env["ORIGIN_DIRECT_PORT"],
                        "--mode", mode, "--target", f"/{name}", "--docroot", self.directory, "--warm", str(WARM_S),
                        "--connections", str(clients))["us_per_request"]

    def origin_rows(self):
        """Origin CPU a request by configuration (docs/BENCHMARKS.md), and over that with boosterd and the accelerator."""
        found = []
        for name in SIZES:
            for clients in self.args.clients:
                def of(where, program, name=name, clients=clients):
                    samples = self.samples.get((where, "http", name, clients), {}).get(program)
                    return samples and statistics.median(sample["origin_us"] for sample in samples)
                row = {"A": self.direct.get((name, clients, "close")), "B": self.direct.get((name, clients, "keep"))}
                row = {key: values and statistics.median(values) for key, values in row.items()}
                row.update(C=of("nginx", "haproxy"), F=of("accelerated", "boosterd"))
                if all(row.values()):
                    found.append({"object": name, "clients": clients, **row})
        return found

    def rows(self):
        """Medians, and ratios to the first program's: medians of pairs, because what disturbs the machine lasts longer
        than one.
        """
        found = []
        for (where, scheme, name, clients), samples in self.samples.items():
            first = samples[self.args.programs[0]]
            for program, results in samples.items():
                row = {"origin": where, "scheme": scheme, "object": name, "clients": clients, "program": program}
                row.update({key: origin.summary([result[key] for result in results]) for key in KEYS})
                row["ratio"] = statistics.median(a["booster_us"] / b["booster_us"] for a, b in zip(first, results))
                row["p99_ratio"] = statistics.median(b["p99_us"] / a["p99_us"] for a, b in zip(first, results))
                found.append(row)
        return found


def show(rows, first):
    print("Medians (booster CPU: minimum to maximum). Requests per second are those of a CPU that the booster shares with "
          f"the load generator.\nRatios are {first}'s booster CPU per request over the program's, and the program's p99 "
          f"over {first}'s: medians of pairs.\n\n"
          "| origin | scheme | object | clients | program | booster CPU, us | ratio | origin CPU, us | hits "
          "| packets to the origin | requests/s | p50, ms | p99, ms | p99 ratio |\n" + "|---" * 14 + "|")
    for row in rows:
        median = {key: row[key]["median"] for key in KEYS}
        print(f"| {row['origin']} | {row['scheme']} | {row['object']} | {row['clients']} | {row['program']} "
              f"| {median['booster_us']:.1f} ({row['booster_us']['min']:.1f} to {row['booster_us']['max']:.1f}) "
              f"| {row['ratio']:.2f} | {median['origin_us']:.1f} | {median['hit_ratio']:.0%} | {median['packets']:.2f} "
              f"| {median['rate']:.0f} | {median['p50_us'] / 1000:.2f} | {median['p99_us'] / 1000:.2f} "
              f"| {row['p99_ratio']:.2f} |")


def show_origin(rows):
    print("\nOrigin CPU, us a request, over HTTP/1.1: A nginx, a connection a request; B nginx, keep-alive; C nginx behind "
          "HAProxy; F the accelerator behind boosterd.\n\n| object | clients | A | B | C | F | A/F | B/F | C/F |\n" + "|---" * 9 + "|")
    for row in rows:
        print(f"| {row['object']} | {row['clients']} |" + "".join(f" {row[key]:.2f} |" for key in "ABCF")
              + "".join(f" {row[key] / row['F']:.1f} |" for key in "ABC"))


def main(args):
    with (tempfile.TemporaryDirectory(prefix="wb-bench-") as directory,
          tempfile.TemporaryDirectory(prefix="wb-bench-scratch-") as scratch):
        os.chmod(directory, 0o755)
        origin.make_files(directory, SIZES)
        facts = origin.machine()
        bench = Bench(args, directory, scratch)
        try:
            bench.run()
            facts["offloads"] = {name: origin.offloads(bench.labs["nginx"], "booster", bench.labs["nginx"].env[name])
                                 for name in ("BOOSTER_IF", "BOOSTER_CLIENT_IF")}
        finally:
            bench.close()
    rows = bench.rows()
    show(rows, args.programs[0])
    show_origin(bench.origin_rows())
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"what": "booster", "machine": facts, "seconds": args.seconds, "rounds": args.rounds,
                       "rows": rows, "origin": bench.origin_rows()}, file, indent=1)
    return 0
