# SPDX-License-Identifier: Apache-2.0
"""Labs, and the CPU time that their origin takes for a load. Used by quick.py, miss.py and site.py.

Origin CPU is the run time (schedstat) of nginx, accelerd, the NAPI threads of the origin's interfaces and
ksoftirqd of CPU 0, read by the load generator at both ends of its window.
"""

import json
import os
import platform
import shlex
import statistics
import subprocess

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("WB_BUILD_DIR", os.path.join(REPO, "build"))
LAB_SH = os.path.join(REPO, "deploy", "lab.sh")
LOAD = os.path.join(BUILD, "bench", "wb_load")
FLOOR = os.path.join(BUILD, "bench", "wb_floor")


class BenchError(Exception):
    """Something that makes the figures worthless; the text is for the user."""


def run(command, timeout, check=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                          check=False, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise BenchError(f"{shlex.join(command)} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


class Lab:
    """A lab by its prefix; up() makes it, else it must be there."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.env = {}
        self.pids = []

    def up(self, *options, booster=False):
        without = () if booster else ("--without", "booster")
        run([LAB_SH, "up", "--prefix", self.prefix, *without, *options], 60)
        self.read()
        return self

    def down(self):
        run([LAB_SH, "down", "--prefix", self.prefix], 60)

    def read(self):
        """Pins everything and learns what is to be measured; needed again after XDP came or went."""
        run([LAB_SH, "pin", "--prefix", self.prefix], 30)
        lines = run([LAB_SH, "env", "--prefix", self.prefix], 30).splitlines()
        self.env = {name: " ".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}
        wanted = ("NGINX_WORKER_PIDS", "ACCELERD_PID", "ORIGIN_NAPI_PIDS")
        self.pids = [pid for name in wanted for pid in self.env[name].split()]
        if len(self.env["ORIGIN_NAPI_PIDS"].split()) < 2 or not self.env["NGINX_WORKER_PIDS"]:
            raise BenchError(f"lab {self.prefix}: no NAPI threads or no nginx to measure")
        # 0 exits when the kernel has no such thread (one CPU).
        self.pids += run(["pgrep", "-x", "ksoftirqd/0"], 10, check=False).split()

    def exec_command(self, host, *command):
        return [LAB_SH, "exec", "--prefix", self.prefix, host, *command]

    def wbctl(self, *args, timeout=60):
        return run([self.env["WBCTL"], "--socket", self.env["ACCELERD_SOCK"], *args], timeout)

    def status(self):
        return json.loads(self.wbctl("status", "--json"))

    def reasons(self):
        rows = json.loads(self.wbctl("reasons", "--all", "--json"))["reasons"]
        return {f"{row['hook']}.{row['label']}": row["count"] for row in rows}

    def warm(self, targets):
        self.wbctl("cache", "warm", *[f"http://{self.env['DOMAIN']}{target}" for target in targets])

    def load(self, host, address, seconds, *options):
        """Runs wb_load on a host of the lab; returns its JSON with us_per_request added."""
        command = self.exec_command(host, LOAD, "--host", address, "--domain", self.env["DOMAIN"],
                                    "--seconds", str(seconds), *options)
        return self.judged(command, seconds)

    def judged(self, command, seconds):
        pids = [word for pid in self.pids for word in ("--cpu-pid", pid)]
        text = run(command + pids, seconds + 30, check=False)
        try:
            result = json.loads(text)
        except ValueError as error:
            raise BenchError(f"{shlex.join(command)}: no result: {text[-500:]!r}") from error
        if "error" in result:
            raise BenchError(f"{shlex.join(command)}: {result['error']}")
        if any(grown < 0 for grown in result["cpu_ns"].values()):
            raise BenchError(f"a process of lab {self.prefix} ended while it was measured")
        result["us_per_request"] = sum(result["cpu_ns"].values()) / result["requests"] / 1000
        return result

    def hits(self, measure):
        """measure() and the part of its requests that XDP answered, with the reasons counted meanwhile. Of all that
        the client made, since what accelerd counts as a miss does not include requests that no program looked at.
        """
        before_status, before = self.status(), self.reasons()
        result = measure()
        after_status, after = self.status(), self.reasons()
        hits = after_status["hits_total"] - before_status["hits_total"]
        result["hit_ratio"] = ratio_of(hits, result["answered"])
        result["reasons"] = {name: count - before.get(name, 0) for name, count in after.items()
                             if count != before.get(name, 0)}
        return result


def configuration(directory, name, bulk=None, exclude=None):
    """The lab's configuration of accelerd with another way for large objects, or with a target that is never cached."""
    with open(os.path.join(REPO, "deploy", "lab", "accelerd.yaml.in"), encoding="utf-8") as file:
        text = file.read().rstrip("\n") + "\n"
    if bulk:
        ways = "".join(f"  - {{ name: @PREFIX@{interface}, bulk: {bulk} }}\n" for interface in ("o0", "o1"))
        text = text.replace("interfaces: @IFS@\n", "interfaces:\n" + ways)
    if exclude:
        text += f'    exclude: ["{exclude}"]\n'
    path = os.path.join(directory, f"{name}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def ratio_of(hits, requests):
    """Replies that were under way when the client stopped counting are hits without a request."""
    return min(1.0, hits / requests) if requests else 0.0


def make_files(directory, sizes):
    """Files of given sizes whose bytes depend on their position and name: NAME -> size."""
    for name, size in sizes.items():
        text = "".join(f"{name} {number:08d}\n" for number in range(size // 10 + 1))
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(text[:size])


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "all": values}


def first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def machine():
    """What the figures hold for."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"kernel": platform.release(), "arch": platform.machine(), "cpu": model, "cpus": os.cpu_count(),
            "load_before": os.getloadavg()[0], "nginx": nginx_version(),
            "bpf_jit": first_line("/proc/sys/net/core/bpf_jit_enable"),
            "bpf_stats": first_line("/proc/sys/kernel/bpf_stats_enabled")}


def nginx_version():
    done = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True, check=False, timeout=10,
                          env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    return done.stderr.strip().rpartition("/")[2]


def offloads(lab, namespace, interface):
    text = run(["nsenter", f"--net=/run/netns/{lab.prefix}-{namespace}", "ethtool", "-k", interface], 10)
    wanted = ("tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload",
              "generic-receive-offload", "rx-gro-list")
    return {line.partition(":")[0].strip(): line.partition(":")[2].split()[0] for line in text.splitlines()
            if line.partition(":")[0].strip() in wanted}


def congestion_control(lab):
    return run(["nsenter", f"--net=/run/netns/{lab.prefix}-origin", "cat",
                "/proc/sys/net/ipv4/tcp_congestion_control"], 10).strip()
