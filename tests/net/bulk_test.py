#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects above 16 KiB, sent by accelerd's bulk sender on the kernel's connections: the bytes of the web server in any
mixture with hits and misses, for any peer, and nothing but resets when accelerd dies.
"""

import contextlib
import os
import pathlib
import random
import signal
import sys
import time

import netlab
from bulk_lab import BIG, SIZES, Download, ask, bulk_count, bulk_lab, content, target
from netlab import check, say, wbhttp

DEATH_S = 2.0
HUGE = int(os.environ.get("WB_BULK_HUGE", "0"))  # 100000000 for the run by hand


def mixture(lab, connection, seed, count=60):
    """Hits, misses, bulk, HEAD and conditions in any order on one connection."""
    rng = random.Random(seed)
    small = [s for s in SIZES if s <= 1_000_000]
    for _ in range(count):
        size = rng.choice(small)
        kind = rng.randrange(8)
        if kind == 0:
            response = connection.request(lab.request("/none.html"))
            check(response.status == 404, f"a miss: {response.status}")
        elif kind == 1:
            response = connection.request(lab.request(target(size), method="HEAD"), b"HEAD")
            check(response.content_length() == size, "HEAD")
        elif kind == 2:
            tag = connection.request(lab.request(target(size), method="HEAD"), b"HEAD").value(b"etag")
            response = connection.request(lab.request(target(size), [("If-None-Match", tag)]))
            check(response.status == 304, f"a condition: {response.status}")
        else:
            ask(lab, size, connection)


def same_as_the_web_server():
    for path, tso, mtu in (("packet", "off", 1500), ("packet", "on", 1500), ("packet", "off", 3498), ("xsk", "off", 1500),
                           ("xsk", "on", 3498)):
        with bulk_lab(path=path, tso=tso, mtu=mtu) as lab:
            for family in (4, 6):
                before = bulk_count(lab)
                with contextlib.closing(lab.connect(family=family)) as mine, \
                        contextlib.closing(lab.connect(8080, family=family)) as reference:
                    for size in SIZES:
                        response = ask(lab, size, mine)
                        check(netlab.comparable(response) ==
                              netlab.comparable(reference.request(lab.request(target(size)))),
                              f"{size} bytes: not what the web server answers")
                    mixture(lab, mine, seed=family)
                    ask(lab, BIG, mine, bulk=True)
                check(bulk_count(lab) - before > 20, "few replies were sent in bulk")
            interfaces = lab.wbctl("status")["interfaces"]
            check({i["bulk"] for i in interfaces} == {path}, f"not by {path}: {interfaces}")
            say(f"  {path}, tso {tso}, mtu {mtu}: {bulk_count(lab)} bulk replies")


def many_at_once():
    with bulk_lab() as lab:
        targets = [target(size) for size in SIZES if size != BIG]
        for connections in (16, 256):
            before = bulk_count(lab)
            report = lab.load(targets, 4, "--connections", connections)
            sent = bulk_count(lab) - before
            say(f"  {connections} connections: {report['completed']} replies, {sent} in bulk")
            check(sent > report["completed"] / 4, f"{sent} of {report['completed']} in bulk")


def huge():
    if not HUGE:
        return
    with bulk_lab([HUGE], more=("max_object: 512MiB",)) as lab:
        with contextlib.closing(lab.connect(timeout=60)) as connection:
            for _ in range(3):
                ask(lab, HUGE, connection, bulk=True)


def requests_behind_a_bulk_reply():
    """They are the web server's, and its answers come behind the reply."""
    with bulk_lab() as lab, contextlib.closing(lab.connect()) as connection:
        for _ in range(5):
            for size in (1_000_000, 100, 20000):
                connection.send(lab.request(target(size)))
                time.sleep(0.002)
            for size in (1_000_000, 100, 20000):
                check(connection.read_response().body == content(size), f"{size} bytes, pipelined")
        ask(lab, 100, connection)
        ask(lab, 100_000, connection, bulk=True)


def slow_receivers():
    """Small windows, a reader that stops for longer than any timer, a slow one; others go on."""
    with bulk_lab() as lab:
        before = bulk_count(lab)
        slow = [Download(lab, 100_000, receive_buffer=2048), Download(lab, 1_000_000, receive_buffer=4096),
                Download(lab, 1_000_000)]
        with contextlib.closing(lab.connect()) as other:
            end = time.monotonic() + 11
            while time.monotonic() < end:
                slow[0].read(1000)  # 10 KB/s
                ask(lab, 1_000_000, other)
                time.sleep(0.1)
        for one in slow:
            one.finish()
            one.close()
        check(bulk_count(lab) - before > 3, "not sent in bulk")


def a_file_that_changes():
    """The reply under way is the old file's to its end, the next one is the new one's."""
    with bulk_lab() as lab:
        download = Download(lab, BIG, receive_buffer=65536)
        download.read()
        path = pathlib.Path(lab.docroot) / target(BIG)[1:]
        fresh = path.with_suffix(".new")
        fresh.write_bytes(b"x" * BIG)
        os.replace(fresh, path)
        time.sleep(0.3)
        download.finish()
        with contextlib.closing(lab.connect()) as connection:
            response = connection.request(lab.request(target(BIG)))
            check(response.body == b"x" * BIG, "the old file after it changed")
            lab.wbctl("cache", "purge", "--all")
            lab.warm(target(BIG))
            before = bulk_count(lab)
            check(connection.request(lab.request(target(BIG))).body == b"x" * BIG, "after a purge")
            check(bulk_count(lab) - before == 1, "not in bulk after a purge")


def the_web_server_closes():
    """nginx closes an idle connection in the middle of the reply: its FIN comes behind the last byte."""
    with bulk_lab(nginx_include="keepalive_timeout 1s;\n") as lab:
        # Its timer for idle connections runs after a first request only.
        download = Download(lab, BIG, receive_buffer=65536, miss_first=True)
        before = lab.reasons()
        for _ in range(20):
            download.read(65536)
            time.sleep(0.1)
        download.finish()
        download.sock.settimeout(5)
        check(download.sock.recv(100) == b"", "no end of the connection behind the reply")
        check(netlab.difference(lab.reasons(), before).get("in/bulk_heard"), "not sent in bulk")


def finishes(download):
    """Whether it is whole; else it was reset, and what came of it is right."""
    try:
        download.finish()
        return True
    except (ConnectionResetError, BrokenPipeError):
        download.compare()
        return False


def accelerd_dies():
    """Replies under way are reset within two seconds and are never wrong; other connections live on."""
    with bulk_lab() as lab:
        with contextlib.closing(lab.connect()) as idle, contextlib.closing(lab.connect()) as spliced:
            ask(lab, 100, spliced)
            ask(lab, 1_000_000, spliced, bulk=True)
            check(idle.request(lab.request("/none.html")).status == 404, "a miss")
            stalled = Download(lab, BIG, receive_buffer=65536)
            silent = Download(lab, BIG)
            for one in (stalled, silent):
                one.read(1000)
            running = [Download(lab, BIG, receive_buffer=65536) for _ in range(8)]
            died = time.monotonic()
            os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGKILL)
            for one in (silent, stalled):
                check(not finishes(one), "whole, although it was under way")
                check(time.monotonic() - died < DEATH_S, f"reset {time.monotonic() - died:.1f} s after the death")
            whole = sum(finishes(one) for one in running)  # those that the web server sends
            say(f"  {whole} of {len(running)} whole")
            for connection in (idle, spliced):
                response = connection.request(lab.request(target(100_000)))
                check(response.body == content(100_000), "after the death, from the web server")
        lab.accelerd("start")
        lab.warm(target(100_000))
        with contextlib.closing(lab.connect()) as connection:
            ask(lab, 100_000, connection, bulk=True)


def accelerd_stops_and_starts():
    """What is under way at a stop in good order is finished."""
    with bulk_lab() as lab:
        downloads = [Download(lab, BIG, receive_buffer=262144) for _ in range(4)]
        for one in downloads:
            one.read(1000)
        stopping = netlab.Background(lambda: lab.accelerd("stop"))
        for one in downloads:
            one.finish()
        stopping.join()
        lab.accelerd("start")


def a_device_that_goes_down():
    with bulk_lab() as lab:
        download = Download(lab, BIG, receive_buffer=65536)
        download.read(1000)
        device = f"{lab.prefix}o0"
        lab.must("origin", "ip", "link", "set", device, "down")
        time.sleep(0.5)
        lab.must("origin", "ip", "link", "set", device, "up")
        download.finish()
        with contextlib.closing(lab.connect()) as connection:
            ask(lab, 1_000_000, connection)


def memory_is_bounded():
    sizes = [400_000 + number for number in range(30)]
    with bulk_lab(sizes, more=("max_object: 1MiB",), warm=False) as lab:
        del lab  # 256M hold them all
    conf = netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in"
    text = conf.read_text() + "bulk: { memory: 4MiB, max_object: 1MiB }\n"
    with netlab.scratch() as path, netlab.Lab(netlab.make_docroot(path, sizes), conf=text, bulk=True) as lab:
        for size in sizes:
            lab.wbctl_run("cache", "warm", f"http://{lab.domain}{target(size)}")
            time.sleep(0.3)
        with contextlib.closing(lab.connect()) as connection:
            for size in sizes:
                ask(lab, size, connection)
        entries = lab.wbctl("cache", "list", "--limit", 1000)["entries"]
        check(3 <= len(entries) <= 10, f"{len(entries)} objects of 400 KB in 4 MB")


def resets_by_the_peer():
    """Clients that go away leave nothing behind."""
    with bulk_lab() as lab:
        for _ in range(20):
            download = Download(lab, BIG, receive_buffer=65536)
            download.read(1000)
            download.close()  # with unread bytes: a reset
        end = time.monotonic() + 10
        while lab.wbctl("status")["bulk"]["active"]:
            check(time.monotonic() < end, "replies to clients that are gone")
            time.sleep(0.1)
        with contextlib.closing(lab.connect()) as connection:
            ask(lab, BIG, connection, bulk=True)


TESTS = [same_as_the_web_server, many_at_once, huge, requests_behind_a_bulk_reply, slow_receivers, a_file_that_changes,
         the_web_server_closes, accelerd_dies, accelerd_stops_and_starts, a_device_that_goes_down, memory_is_bounded,
         resets_by_the_peer]
__all__ = ["wbhttp"]

if __name__ == "__main__":
    sys.exit(netlab.main(TESTS))
