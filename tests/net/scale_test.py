#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many objects: what they cost, whether a hit among many costs more than among few, and that nothing
makes accelerd miss its heartbeat. WB_SCALE_OBJECTS: how many instead of 10,000; with 100,000 the
figures of docs/BENCHMARKS.md.
"""

import concurrent.futures
import contextlib
import ctypes
import mmap
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import netlab
from netlab import Lab, check, say

OBJECTS = int(os.environ.get("WB_SCALE_OBJECTS", "10000"))
FEW = 1000
DIRECTORIES = 100
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
LEASE_MS = 5000  # of a machine that builds and tests at the same time; figures are printed
BPF_OBJ_GET, SYS_BPF = 7, {"x86_64": 321, "aarch64": 280}[os.uname().machine]


def configuration():
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    memory = max(32, min(448, OBJECTS * 3600 >> 20))
    return (f"accept_encodings: []\nlease: {LEASE_MS}ms\nlimits: {{ memory: {memory}MiB, "
            f"objects: {min(262144, OBJECTS * 5 // 4)}, fill_rate: 100000 }}\n" + text)


def make_site(path):
    """The targets: files of 200 to 4000 bytes, in an order that tells nothing."""
    chance = random.Random(7)
    targets = []
    for number in range(OBJECTS):
        place = path / "all" / f"d{number % DIRECTORIES:02}"
        if number < DIRECTORIES:
            place.mkdir(parents=True)
        (place / f"{number}.html").write_bytes(
            (b"%d\n" % number) + b"." * chance.randrange(200, 4000))
        targets.append(f"/all/d{number % DIRECTORIES:02}/{number}.html")
    chance.shuffle(targets)
    return targets


class Heartbeat:
    """The greatest age of the heartbeat, as the BPF programs see it: read from the map itself."""

    def __init__(self, lab):
        pin = next(pathlib.Path(lab.env["PIN_DIR"]).glob("*/wb_control"))
        name = ctypes.create_string_buffer(str(pin).encode())
        attributes = struct.pack("=QII", ctypes.addressof(name), 0, 0)
        fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_OBJ_GET, attributes,
                                                       len(attributes))
        check(fd >= 0, f"{pin}: {os.strerror(ctypes.get_errno())}")
        self._map = mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)
        self._from = time.monotonic_ns()
        self._worst = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.wait(0.003):
            beat = struct.unpack_from("=Q", self._map)[0]
            self._worst = max(self._worst, time.monotonic_ns() - max(beat, self._from))

    def restart(self):
        self._from = time.monotonic_ns()
        self._worst = 0

    def worst_ms(self):
        return self._worst / 1e6

    def expect_alive(self, what):
        say(f"    heartbeat at most {self.worst_ms():.0f} ms old")
        check(0 < self.worst_ms() < LEASE_MS, f"{what}: {self.worst_ms():.0f} ms without heartbeat")
        self.restart()

    def stop(self):
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def step(heartbeat, what):
    started = time.monotonic()
    yield
    say(f"  {what}: {time.monotonic() - started:.2f} s")
    heartbeat.expect_alive(what)


def warm(lab, targets):
    """By four `cache warm` at once."""
    def one(part):
        urls = "".join(f"http://{lab.domain}{target}\n" for target in part)
        done = subprocess.run([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], "--json",
                               "cache", "warm", "-"], input=urls, text=True, capture_output=True)
        check(done.returncode == 0, f"cache warm: {done.stdout[-300:]}{done.stderr[-300:]}")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [targets[at::4] for at in range(4)]))


def fill_by_misses(lab, targets):
    """Asked for until all are there. The connection is kept: its first request may be missed."""
    end = time.monotonic() + 60
    while lab.status()["cache"]["objects"] < len(targets):
        check(time.monotonic() < end, f"not filled: {lab.status()['cache']}")
        ask(lab, targets)


def ask(lab, targets):
    with contextlib.closing(lab.connect()) as connection:
        for target in targets:
            response = connection.request(lab.request(target))
            number = target.rsplit("/", 1)[1].split(".")[0].encode()
            check(response.status == 200 and response.body.startswith(number + b"\n"),
                  f"{target}: {response.head!r}")


def program_times(lab):
    """Run time and runs of the XDP program that judges requests."""
    links = netlab.json.loads(lab.must("origin", "ip", "-j", "link", "show"))
    ids = {link["xdp"]["prog"]["id"] for link in links if "xdp" in link}
    total = [0, 0]
    for number in ids:
        text = subprocess.run(["bpftool", "-j", "prog", "show", "id", str(number)], check=True,
                              capture_output=True, text=True).stdout
        info = netlab.json.loads(text)
        total = [total[0] + info.get("run_time_ns", 0), total[1] + info.get("run_cnt", 0)]
    return total


def hit_cost(lab, targets):
    """Nanoseconds of that program for each packet while hits are answered, all different."""
    kept = STATS.read_text()
    STATS.write_text("1")
    try:
        hits, (time_before, runs_before) = lab.hits(), program_times(lab)
        ask(lab, targets)
        time_after, runs_after = program_times(lab)
        hits = lab.hits() - hits
    finally:
        STATS.write_text(kept)
    check(hits >= 0.97 * len(targets), f"{hits} hits of {len(targets)}: {lab.reasons()}")
    return (time_after - time_before) / (runs_after - runs_before)


def memory_kib(lab):
    text = pathlib.Path(f"/proc/{lab.env['ACCELERD_PID']}/status").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return int(lines["VmRSS"].split()[0]), int(lines["RssAnon"].split()[0])


def watches(lab):
    count = 0
    for file in pathlib.Path(f"/proc/{lab.env['ACCELERD_PID']}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            count += file.read_text().count("inotify wd:")
    return count


def report_cost(lab, anonymous_before):
    info = lab.wbctl("domain", "list")["domains"][0]
    count = info["objects"]
    resident, anonymous = memory_kib(lab)
    say(f"  {count} objects: bodies {info['body_bytes'] >> 10} KiB, arena "
        f"{info['arena_bytes'] >> 10} KiB, overhead {info['overhead_bytes'] // count} bytes for "
        f"each; accelerd {resident >> 10} MiB resident, "
        f"{(anonymous - anonymous_before) * 1024 // count} bytes of its own for each; "
        f"{watches(lab)} inotify watches")
    check(info["overhead_bytes"] // count < 1500, f"{info}")
    check((anonymous - anonymous_before) * 1024 // count < 4096, "accelerd needs too much for each")
    check(watches(lab) < DIRECTORIES + 20, "a watch for each object")


def measure_reports(lab, heartbeat):
    with step(heartbeat, "cache list, 10,000 entries"):
        entries = lab.wbctl("cache", "list", "--limit", 10000)
        check(entries["total"] == OBJECTS, f"{entries['total']} listed")
    with step(heartbeat, "status, 10 times"):
        for _ in range(10):
            lab.status()
    with step(heartbeat, "metrics, 10 times"):
        for _ in range(10):
            lab.must("origin", "curl", "-sf", "-o", "/dev/null", lab.env["ACCELERD_METRICS"])


def objects(lab):
    return lab.status()["cache"]["objects"]


def lose_events(lab, path, heartbeat):
    """More events than inotify keeps, while accelerd does not read."""
    limit = int(pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    pid = int(lab.env["ACCELERD_PID"])
    probes = [path / "all" / f"d{number:02}" / "probe" for number in range(DIRECTORIES)]
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(limit // 2 + 100):
            probe = probes[number % DIRECTORIES]
            probe.write_bytes(b"")  # made or opened to write, and closed: two events at least
    finally:
        heartbeat.restart()
        os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + 60
    while objects(lab) != 0:
        check(time.monotonic() < end, "objects outlive the loss of events")
        time.sleep(0.05)


def many_objects():
    with netlab.scratch() as path:
        targets = make_site(path)
        with Lab(path, conf=configuration()) as lab:
            heartbeat = Heartbeat(lab)
            before = memory_kib(lab)[1]
            with step(heartbeat, f"{FEW} objects by misses"):
                fill_by_misses(lab, targets[:FEW])
            few = hit_cost(lab, targets[:FEW])
            with step(heartbeat, f"{OBJECTS - FEW} more by cache warm"):
                warm(lab, targets[FEW:])
            check(objects(lab) == OBJECTS, f"{objects(lab)} objects")
            report_cost(lab, before)
            many = hit_cost(lab, random.Random(3).sample(targets, min(OBJECTS, 5000)))
            say(f"  a packet: {few:.0f} ns among {FEW} objects, {many:.0f} among {OBJECTS}")
            check(many < 4 * few, "hits among many cost much more")
            heartbeat.restart()
            measure_reports(lab, heartbeat)
            with step(heartbeat, f"purge of a prefix, {OBJECTS // DIRECTORIES} objects"):
                lab.wbctl("cache", "purge", "--prefix", f"http://{lab.domain}/all/d07/")
            while objects(lab) != OBJECTS - OBJECTS // DIRECTORIES:
                time.sleep(0.05)
            with step(heartbeat, "loss of events: all dropped"):
                lose_events(lab, path, heartbeat)
            with step(heartbeat, "all filled again"):
                warm(lab, targets)
            before = objects(lab)
            with step(heartbeat, f"purge of a prefix that is no directory, {OBJECTS // 10} objects"):
                lab.wbctl("cache", "purge", "--prefix", f"http://{lab.domain}/all/d1")
            check(objects(lab) == before - OBJECTS // 10, f"{objects(lab)} objects left")
            with step(heartbeat, "the directory of all renamed"):
                (path / "all").rename(path / "none")
                ask_gone(lab, targets[0])
            (path / "none").rename(path / "all")
            while objects(lab) != 0:
                time.sleep(0.05)
            with step(heartbeat, "and again"):
                warm(lab, targets)
            check(objects(lab) == OBJECTS, f"{objects(lab)} objects")
            with step(heartbeat, "purge of the domain"):
                lab.wbctl("cache", "purge", "--domain", lab.domain)
            while objects(lab) != 0:
                time.sleep(0.05)
            heartbeat.stop()


def ask_gone(lab, target):
    """Its file is gone: it must not be answered from the cache for longer than a lease."""
    end = time.monotonic() + LEASE_MS / 1000
    with contextlib.closing(lab.connect()) as connection:
        while connection.request(lab.request(target)).status != 404:
            check(time.monotonic() < end, "an object whose file is gone is still answered")
            time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(netlab.main([many_objects]))
