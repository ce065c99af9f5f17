#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A changed file is not served stale 10 ms later, nor a purged object after the purge returned.

A client asks for the object as fast as it is answered. Whatever it began to ask for later than
FRESH_S after the changing system call returned must be what port 8080 answers now: status, head
(Date aside) and body.
"""

import collections
import contextlib
import dataclasses
import os
import sys
import threading
import time

import netlab
from netlab import Lab, check, say, wbhttp

FRESH_S = 0.010
REPETITIONS = 20
BYTES = 6000


@dataclasses.dataclass
class Seen:
    begun: float
    answer: tuple


def answer_of(response):
    return response.status, wbhttp.normalise(response.head), response.body


class HotClient:
    """Asks for one target for ever; every answer with the time its request was begun."""

    def __init__(self, lab, request):
        self.seen = collections.deque(maxlen=200000)
        self._stop = False
        self._connection = lab.connect()
        self._request = request
        self._thread = netlab.Background(self._run)

    def _run(self):
        while not self._stop:
            begun = time.monotonic()
            response = self._connection.request(self._request)
            self.seen.append(Seen(begun, answer_of(response)))

    def after(self, moment):
        return [entry for entry in list(self.seen) if entry.begun > moment]

    def wait_for(self, moment, count):
        """Until so many requests begun after the moment were answered."""
        end = time.monotonic() + 10
        while len(self.after(moment)) < count:
            check(time.monotonic() < end, "the hot client is not answered")
            time.sleep(0.002)

    @contextlib.contextmanager
    def running(self):
        try:
            yield self
        finally:
            self._stop = True
            self._thread.join()
            self._connection.close()


# Kinds of change. Each: prepare(folder, turn) makes the object as it is served at first;
# change(folder, turn) is the change, whose last system call is the one that counts.

def write_file(path, text, size=BYTES):
    temporary = f"{path}.making"
    with open(temporary, "wb") as file:
        file.write(netlab.pattern(text, size))
    os.rename(temporary, path)


def fresh(folder, turn):
    write_file(folder / "o.html", f"old{turn}")


@contextlib.contextmanager
def opened(path, flags):
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_in_place(folder, turn):
    with opened(folder / "o.html", os.O_WRONLY) as descriptor:
        os.pwrite(descriptor, netlab.pattern(f"new{turn}", BYTES), 0)


def append(folder, turn):
    with opened(folder / "o.html", os.O_WRONLY | os.O_APPEND) as descriptor:
        os.write(descriptor, b"more" * (turn + 1))


def truncate(folder, turn):
    os.truncate(folder / "o.html", 100 + turn)


def rename_over(folder, turn):
    write_file(folder / "o.html", f"new{turn}", BYTES + turn)


def delete(folder, _):
    os.unlink(folder / "o.html")


def lock_out(folder, _):
    os.chmod(folder / "o.html", 0)


def touch(folder, turn):
    os.utime(folder / "o.html", (1600000000 + turn, 1600000000 + turn))


def with_parent(folder, turn):
    (folder / "here").mkdir()
    write_file(folder / "here" / "o.html", f"old{turn}")


def rename_parent(folder, _):
    os.rename(folder / "here", folder / "gone")


def with_link(folder, turn):
    for name in ("one", "two"):
        (folder / name).mkdir()
        write_file(folder / name / "o.html", f"{name}{turn}")
    point(folder, "one")


def point(folder, name):
    (folder / "link.making").symlink_to(name)
    os.rename(folder / "link.making", folder / "link")


def switch_link(folder, _):
    point(folder, "two")


def add_gzip(folder, turn):
    write_file(folder / "o.html.gz", f"gzip{turn}", 500)


KINDS = {  # prepare, change, target below the folder, fields
    "write in place": (fresh, write_in_place, "o.html", ()),
    "append": (fresh, append, "o.html", ()),
    "truncate": (fresh, truncate, "o.html", ()),
    "rename over": (fresh, rename_over, "o.html", ()),
    "delete": (fresh, delete, "o.html", ()),
    "chmod 000": (fresh, lock_out, "o.html", ()),
    "touch": (fresh, touch, "o.html", ()),
    "rename parent": (with_parent, rename_parent, "here/o.html", ()),
    "switch symlink": (with_link, switch_link, "link/o.html", ()),
    "new .gz": (fresh, add_gzip, "o.html", (("Accept-Encoding", "gzip"),)),
}


def make_hot(lab, client, target):
    """Until the object is answered from the cache; then the web server's part is over."""
    end = time.monotonic() + 10
    while True:
        # May be refused: a moment ago the object may not have been there.
        lab.wbctl_run("cache", "warm", f"http://{lab.domain}{target}")
        before, moment = lab.hits(), time.monotonic()
        client.wait_for(moment, 20)
        if lab.hits() >= before + 15:
            return
        check(time.monotonic() < end, f"{target} does not become a hit: {lab.reasons()}")


def staleness(lab, client, request, change, folder, turn):
    """Seconds after the change at which the last wrong answer was asked for; 0 if there was none.
    """
    change(folder, turn)
    changed = time.monotonic()
    client.wait_for(changed + FRESH_S, 20)
    reference = lab.connect(8080)
    wanted = answer_of(reference.request(request))
    reference.close()
    late = [entry.begun - changed for entry in client.after(changed) if entry.answer != wanted]
    return max(late, default=0.0)


def changes():
    bad = []
    with netlab.scratch() as path, Lab(path, bulk=True) as lab:
        for number, (name, (prepare, change, below, fields)) in enumerate(KINDS.items()):
            late, asked = [], 0
            for turn in range(REPETITIONS):
                # A folder each: accelerd remembers for a while that an object was not cacheable.
                folder = path / f"k{number}-{turn}"
                folder.mkdir()
                prepare(folder, turn)
                target = f"/{folder.name}/{below}"
                request = lab.request(target, fields)
                with HotClient(lab, request).running() as client:
                    make_hot(lab, client, target)
                    late.append(staleness(lab, client, request, change, folder, turn))
                asked += len(client.seen)
            worst = max(late)
            say(f"  {name:15} {REPETITIONS} times, {asked} requests, stale for at most "
                f"{1000 * worst:.2f} ms, median {1000 * sorted(late)[len(late) // 2]:.2f} ms")
            if worst > FRESH_S:
                bad.append(f"{name}: {1000 * worst:.1f} ms "
                           f"({sum(value > FRESH_S for value in late)} of {len(late)})")
        measured = lab.status()["cache"]["staleness"]
        say(f"  accelerd's own measure, in ms: p99 at most {1000 * measured['p99_s']:.0f}, maximum "
            f"{1000 * measured['max_s']:.1f}, of {measured['count']} changes")
        # Its clock may be a tick early, and it lasts until the object is gone, not the last hit.
        check(measured["count"] >= len(KINDS) * REPETITIONS and measured["p99_s"] <= 0.05,
              f"accelerd measures {measured}")
    check(not bad, f"stale later than {1000 * FRESH_S:.0f} ms: {bad}")


def configuration():
    """The lab's, but nobody watches the files, and nobody happens to verify one."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    text = "".join(line for line in text.splitlines(True) if "document_root" not in line)
    return text + "verification: { one_in: 0 }\n"


def purges():
    with netlab.scratch() as path:
        (path / "a").mkdir()
        file = path / "a" / "o.html"
        write_file(file, "first")
        with Lab(path, conf=configuration(),
                 nginx_include='add_header Cache-Control "public, max-age=3600";') as lab:
            url = f"http://{lab.domain}/a/"
            ways = [("purge", f"{url}o.html"), ("purge", "--prefix", url),
                    ("purge", "--domain", lab.domain), ("purge", "--all")]
            with HotClient(lab, lab.request("/a/o.html")).running() as client:
                for number, words in enumerate(ways):
                    last = min(one_purge(lab, client, file, ("cache", *words),
                                         f"p{number}.{turn}.")
                               for turn in range(REPETITIONS))
                    say(f"  {' '.join(words):40} {REPETITIONS} times, old bytes last asked for "
                        f"{1000 * last:.2f} ms before it returned")


def one_purge(lab, client, file, words, text):
    """Seconds before the purge returned at which old bytes were last asked for."""
    make_hot(lab, client, "/a/o.html")
    old = client.after(0)[-1].answer
    write_file(file, text)
    changed = time.monotonic()
    client.wait_for(changed + 2 * FRESH_S, 20)
    check(all(entry.answer == old for entry in client.after(changed)),
          "somebody watches the files: this test shows nothing")
    lab.wbctl(*words)
    purged = time.monotonic()
    client.wait_for(purged, 50)
    wrong = [entry for entry in client.after(purged) if entry.answer[2] == old[2]]
    check(not wrong, f"{words}: {len(wrong)} old answers afterwards")
    return min(purged - entry.begun for entry in client.after(changed) if entry.answer == old)


def racing_fills():
    """A file replaced without end, asked for meanwhile, now and then warm."""
    versions = []  # (moment its rename had returned, number), ascending
    stop = threading.Event()
    with netlab.scratch() as path:
        write_file(path / "r.html", "v0")
        with Lab(path, bulk=True) as lab:
            versions.append((time.monotonic(), 0))

            def change():
                number = 0
                while not stop.is_set():
                    number += 1
                    write_file(path / "r.html", f"v{number}")
                    versions.append((time.monotonic(), number))
                    time.sleep(0.001 * (1 + number % 40))

            before = lab.hits()
            with HotClient(lab, lab.request("/r.html")).running() as client:
                writer = netlab.Background(change)
                end = time.monotonic() + 12
                while time.monotonic() < end:
                    lab.wbctl_run("cache", "warm", f"http://{lab.domain}/r.html")
                    time.sleep(0.01)
                stop.set()
                writer.join()
            hits = lab.hits() - before
            judge_versions(list(client.seen), versions)
            say(f"  racing fills: {len(versions)} versions, {len(client.seen)} answers, "
                f"{hits} hits, none mixed or old")
            check(hits > 100, f"only {hits} hits while the file changed")


def judge_versions(seen, versions):
    known = {netlab.pattern(f"v{number}", BYTES): number for _, number in versions}
    at = 0
    for entry in seen:
        status, _, body = entry.answer
        check(status == 200 and body in known, f"status {status}, a mixture of {len(body)} bytes: "
              f"{body[:20]!r} {body[-20:]!r}")
        while at + 1 < len(versions) and versions[at + 1][0] <= entry.begun - FRESH_S:
            at += 1
        check(known[body] >= versions[at][1],
              f"version {known[body]} for a request begun "
              f"{1000 * (entry.begun - versions[at][0]):.1f} ms after version {versions[at][1]}")


if __name__ == "__main__":
    sys.exit(netlab.main([changes, purges, racing_fills]))
