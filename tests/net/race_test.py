#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Races by brute force: clients ask without pause while files, cache, domain, interface and accelerd
itself are changed at random. Every body must be, whole, a version of its file that was valid at
some time between the request and its answer, give or take what is promised: the lease at most, and
nothing at all after a purge has returned.

WB_RACE_SECONDS is how long each test lasts (CI: 8), WB_RACE_SEED repeats the choices of a run; it
is printed. Threads are not repeated with it.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import netlab
from netlab import Lab, check, say, wbhttp

SECONDS = float(os.environ.get("WB_RACE_SECONDS", "8"))
SEED = int(os.environ.get("WB_RACE_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
LEASE_S, MARGIN_S = 0.5, 0.3  # a busy machine delays the thread of the test, too
FILES = 6
BYTES = 6000


class Site:
    """Files whose versions and times are known."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        # Per file: (change begun, change done) of each version.
        self.log = [[] for _ in range(FILES)]
        # Per file: versions below are gone for good since then (a purge has returned).
        self.purged = [[(0.0, 0)] for _ in range(FILES)]
        for number in range(FILES):
            self.change(number)

    def text(self, number, version):
        return netlab.pattern(f"f{number}.v{version}", BYTES + 100 * (version % 7))

    def change(self, number):
        with self.lock:  # one writer at a time
            version = len(self.log[number])
            place = self.path / f"f{number}.html"
            data = self.text(number, version)
            begun = time.monotonic()
            new = place.with_suffix(".new")
            new.write_bytes(data)
            if version % 3 == 2:  # two versions of one size and one time
                os.utime(new, (1700000000, 1700000000))
            os.rename(new, place)
            self.log[number].append((begun, time.monotonic()))
            return version

    def purge(self, lab, number):
        """Change and purge; afterwards none may see what was before."""
        version = self.change(number)
        done = lab.wbctl_run("cache", "purge", f"http://{lab.domain}/f{number}.html")
        if done.returncode == 0:
            self.purged[number].append((time.monotonic(), version))
        return done.returncode

    def judge(self, number, begun, ended, body):
        """Seconds by which the body is too old; a failure when it is none of the file's."""
        name = body[:body.find(b" ")].decode("latin-1")
        check(name.startswith(f"f{number}.v") and name[4:].isdigit(), f"f{number}: {body[:40]!r}")
        version = int(name[4:])
        check(body == self.text(number, version), f"{name}: mixed or cut, {len(body)} bytes")
        log = self.log[number]
        # A version is logged when it is done; one that is being made may be seen already.
        check(version <= len(log), f"{name} was never made")
        for moment, least in reversed(self.purged[number]):
            if moment <= begun:
                check(version >= least, f"{name} {begun - moment:.3f} s after the purge of it")
                break
        return max(0.0, begun - log[version + 1][1]) if version + 1 < len(log) else 0.0


class Client:
    """Asks for all files in turn; connects anew when it may lose its connection."""

    def __init__(self, lab, site, family, seed, *, may_lose=False, cpus=None):
        self.lab, self.site, self.family = lab, site, family
        self.random = random.Random(seed)
        self.may_lose, self.cpus = may_lose, cpus
        self.stop = threading.Event()
        self.asked = self.lost = 0
        self.worst = 0.0
        self.thread = netlab.Background(self.run)

    def once(self, connection):
        number = self.random.randrange(FILES)
        if self.cpus:
            os.sched_setaffinity(0, {self.random.choice(self.cpus)})
        begun = time.monotonic()
        response = connection.request(self.lab.request(f"/f{number}.html"))
        ended = time.monotonic()
        check(response.status == 200, f"status {response.status}")
        self.worst = max(self.worst, self.site.judge(number, begun, ended, response.body))
        self.asked += 1

    def run(self):
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = self.lab.connect(80, self.family, timeout=20)
                self.once(connection)
                if self.random.randrange(500) == 0:
                    connection.close()
                    connection = None
            except wbhttp.HttpError as error:
                if not self.may_lose or error.kind not in ("reset", "closed", "connect"):
                    raise
                self.lost += 1
                connection = None

    def join(self):
        self.stop.set()
        self.thread.join()


def race(lab, site, actions, *, may_lose=False, cpus=None, clients=3):
    """Runs the actions, each (least pause, most pause, what), while clients ask."""
    chance, stop = random.Random(SEED), threading.Event()
    asking = [Client(lab, site, 4 + 2 * (n % 2), SEED + n, may_lose=may_lose, cpus=cpus)
              for n in range(clients)]
    done = [0] * len(actions)

    def act(at, seed):
        mine = random.Random(seed)
        low, high, what = actions[at]
        while not stop.is_set():
            what(mine)
            done[at] += 1
            stop.wait(mine.uniform(low, high))

    before = lab.hits()
    acting = [netlab.Background(lambda at=at, seed=chance.random(): act(at, seed))
              for at in range(len(actions))]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    for one in acting + asking:
        one.join()
    hits = lab.hits() - before
    asked, worst = sum(one.asked for one in asking), max(one.worst for one in asking)
    lost = sum(one.lost for one in asking)
    say(f"    seed {SEED}: {asked} answers, {hits} hits, actions {done}, {lost} connections lost, "
        f"old bytes at most {1000 * worst:.0f} ms after a change")
    # Connections from before an attach have none, and most are.
    check(hits > 50, f"only {hits} hits: {lab.reasons()}")
    check(worst <= LEASE_S + MARGIN_S, f"old bytes {worst:.3f} s after the change")
    check(may_lose or not lost, f"{lost} connections lost")


def warm(lab):
    return lambda chance: lab.wbctl_run(
        "cache", "warm", f"http://{lab.domain}/f{chance.randrange(FILES)}.html")


def changes(site):
    return lambda chance: site.change(chance.randrange(FILES))


def fills():
    with netlab.scratch() as path:
        site = Site(path)
        with Lab(path) as lab:
            # Seldom enough that what is published too late is seen to stay.
            race(lab, site, [(0.2, 0.6, changes(site)), (0.0, 0.05, warm(lab)),
                             (1.0, 3.0, lambda chance: lab.wbctl_run("cache", "purge", "--all"))])


def purges():
    """Nobody watches the files: without the purge every change would stay unseen."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    text = "".join(line for line in text.splitlines(True) if "document_root" not in line)
    with netlab.scratch() as path:
        site = Site(path)
        with Lab(path, conf=text,
                 nginx_include='add_header Cache-Control "public, max-age=3600";') as lab:
            # Age is the purge's alone to judge here, so each change is purged at once.
            race(lab, site, [(0.05, 0.2, lambda chance: site.purge(lab, chance.randrange(FILES))),
                             (0.0, 0.05, warm(lab))])


def switches():
    """The domain is switched off and on, accelerd stopped and continued."""
    with netlab.scratch() as path:
        site = Site(path)
        with Lab(path) as lab:
            pid = int(lab.env["ACCELERD_PID"])

            def freeze(chance):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(chance.uniform(0.0, 1.2))
                os.kill(pid, signal.SIGCONT)

            def switch(chance):
                lab.wbctl_run("domain", "disable", lab.domain)
                time.sleep(chance.uniform(0.0, 0.1))
                lab.wbctl_run("domain", "enable", lab.domain)

            try:
                race(lab, site, [(0.0, 0.05, changes(site)), (0.2, 0.8, freeze), (0.1, 0.6, switch),
                                 (0.0, 0.1, warm(lab))])
            finally:
                os.kill(pid, signal.SIGCONT)


def attachments():
    """Detached, by force or not, and attached again, all the time. By force connections are lost."""
    with netlab.scratch() as path:
        site = Site(path)
        with Lab(path) as lab:
            name = lab.env["ORIGIN_IF"]

            def cycle(chance):
                force = ["--force"] if chance.randrange(3) else []
                lab.wbctl_run("detach", name, "--deadline", 1, *force)
                time.sleep(chance.uniform(0.0, 0.1))
                done = lab.wbctl_run("attach", name)
                check(done.returncode == 0, f"attach: {done.stderr}")

            race(lab, site, [(0.0, 0.05, changes(site)), (0.1, 0.5, cycle), (0.0, 0.1, warm(lab))],
                 may_lose=True)


def jobs_by_cpu(lab):
    """Hits that each CPU has begun to answer."""
    pins = pathlib.Path(lab.env["PIN_DIR"])
    found = next(pins.rglob("wb_cpu"))
    text = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", found], check=True, text=True,
                          capture_output=True).stdout
    return [int.from_bytes(bytes(int(x, 16) for x in value["value"][:8]), "little")
            for value in json.loads(text)[0]["values"]]


def two_cpus():
    """Packets of one connection on two CPUs at once: two queues a side, each with its CPU; clients
    hop between CPUs, and so between queues; TC runs on the other one (RPS)."""
    with netlab.scratch() as path:
        site = Site(path)
        with Lab(path, queues=2) as lab:
            for host in ("client", "origin"):
                subprocess.run(
                    ["ip", "netns", "exec", f"{lab.prefix}-{host}", "sh", "-c",
                     "for q in /sys/class/net/nt*/queues/; do echo 1 >$q/tx-0/xps_cpus; "
                     "echo 2 >$q/tx-1/xps_cpus; echo 2 >$q/rx-0/rps_cpus; "
                     "echo 1 >$q/rx-1/rps_cpus; done"], check=True, capture_output=True)
            name = lab.env["ORIGIN_IF"]
            pids = subprocess.run(["pgrep", f"napi/{name}"], text=True,
                                  capture_output=True).stdout.split()
            check(len(pids) == 2, f"NAPI threads of {name}: {pids}")
            for cpu, pid in enumerate(pids):
                subprocess.run(["taskset", "-p", "-c", str(cpu), pid], check=True,
                               stdout=subprocess.DEVNULL)
            before = jobs_by_cpu(lab)
            race(lab, site, [(0.05, 0.2, changes(site)), (0.0, 0.1, warm(lab))], cpus=[0, 1],
                 clients=4)
            jobs = [now - then for now, then in zip(jobs_by_cpu(lab), before)]
            say(f"    hits by CPU: {jobs}")
            check(sum(n > 20 for n in jobs) >= 2, f"only one CPU answered: {jobs}")


if __name__ == "__main__":
    sys.exit(netlab.main([fills, purges, switches, attachments, two_cpus]))
