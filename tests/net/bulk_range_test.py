#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Single ranges of objects above 16 KiB: a 206 of accelerd's bulk sender is nginx's own, byte by byte and field by field,
in any mixture with hits, misses and whole replies; what is odd about a range is nginx's; versions never mix.
"""

import contextlib
import os
import pathlib
import random
import re
import sys
import threading
import time

import netlab
from bulk_lab import BIG, ask, bulk_lab, content, target
from netlab import check, say

SMALL = [100, 11673]
BOUNDARY = re.compile(rb"\b\d{20}\b")
LARGE = [20000, 100_000, 1_000_000]
ODD = ["bytes=", "bytes=-", "bytes=0", "bytes=5-3", "bytes=-0", "bytes=0-0,2-3", "bytes=0-0,", "bytes=,0-0", "bytes= 0-9",
       "bytes=0 -9", "bytes=0- 9", "bytes=0-9 ", "bytes=1-2-3", "bytes=--1", "bytes=0000000000-1", "bytes=4294967296-",
       "bytes=18446744073709551616-", "bytes=99999999999999999999-", "bytes=-99999999999999999999", "bytes=0x1-2",
       "items=0-9", "Bytes=0-9", "byte=0-9", "bytes 0-9", "0-9", "none", "bytes=0-1,3-4,6-7", "bytes=0-9999,0-9999"]


def range_count(lab):
    return lab.reasons()["in/bulk_range"]


def drawn(rng, size):
    """A range that is to be had of so many bytes, in one of its forms."""
    first = rng.choice((0, rng.randrange(size), size - 1, rng.randrange(min(size, 3000))))
    last = rng.choice((first, rng.randrange(first, size), min(size - 1, first + rng.randrange(20000)), size - 1))
    return rng.choice((f"bytes={first}-{last}", f"bytes={first}-", f"bytes={first}-{size + rng.randrange(1000)}",
                       f"bytes=-{rng.randrange(1, 2 * size)}", f"bytes=-{rng.randrange(1, 100)}",
                       f"bytes={first:06}-{last:08}"))


def comparable(response):
    """nginx numbers the boundaries of several ranges."""
    return [BOUNDARY.sub(b"-", text) for text in netlab.comparable(response)]


def same(lab, size, value, mine, reference, more=()):
    """Both servers' answers to the range are alike; returns ours."""
    request = lab.request(target(size), [("Range", value), *more])
    response = mine.request(request)
    check(comparable(response) == comparable(reference.request(request)),
          f"{value} of {size} bytes: not what the web server answers: {response.head!r}")
    return response


def mixture(lab, mine, reference, seed, count):
    """Ranges among everything else on one connection; returns how many."""
    rng, ranges = random.Random(seed), 0
    for _ in range(count):
        size, kind = rng.choice(LARGE), rng.randrange(10)
        if kind == 0:
            check(mine.request(lab.request("/none.html")).status == 404, "a miss")
        elif kind == 1:
            ask(lab, rng.choice(SMALL), mine)
        elif kind == 2:
            ask(lab, size, mine)
        elif kind == 3:
            same(lab, size, rng.choice(ODD), mine, reference)
        else:
            value = drawn(rng, size)
            check(same(lab, size, value, mine, reference).status == 206, f"{value} is no 206")
            ranges += 1
    return ranges


def same_as_the_web_server():
    for path in ("packet", "xsk"):
        with bulk_lab(path=path) as lab:
            for family in (4, 6):
                before = range_count(lab)
                with contextlib.closing(lab.connect(family=family)) as mine, \
                        contextlib.closing(lab.connect(8080, family=family)) as reference:
                    for size in LARGE + [BIG]:
                        for value in ("bytes=0-0", "bytes=0-", "bytes=-1", f"bytes={size - 1}-", f"bytes=0-{size}",
                                      f"bytes=-{size}", f"bytes=-{size + 1}", "bytes=999-1000", "bytes=1-"):
                            check(same(lab, size, value, mine, reference).status == 206, f"{value} is no 206")
                    ranges = mixture(lab, mine, reference, family, 300)
                sent = range_count(lab) - before
                say(f"  {path}, IPv{family}: {sent} ranges sent in bulk, of {ranges + 36}")
                check(sent > (ranges + 36) * 0.7, "few ranges were sent in bulk")


def narrow_and_offloaded():
    """Other sizes of segments, and a device that cuts."""
    for options in ({"tso": "on"}, {"mtu": 3498}, {"mtu": 1300}):
        with bulk_lab(**options) as lab:
            with contextlib.closing(lab.connect()) as mine, contextlib.closing(lab.connect(8080)) as reference:
                mixture(lab, mine, reference, 7, 80)
            check(range_count(lab) > 20, f"{options}: few ranges were sent in bulk")


def odd_ranges_are_the_web_servers():
    with bulk_lab() as lab, contextlib.closing(lab.connect()) as mine, contextlib.closing(lab.connect(8080)) as reference:
        size = LARGE[1]
        first = same(lab, size, "bytes=0-0", mine, reference)
        tag, date = first.value(b"etag"), first.value(b"last-modified")
        check(shown(lab, size) == [True] and shown(lab, SMALL[0]) == [False], "wbctl cache show")
        before = range_count(lab)
        for value in ODD + [f"bytes={size}-", f"bytes={size + 1}-{size + 5}"]:
            same(lab, size, value, mine, reference)
        for more in ([("If-Range", tag)], [("If-Range", b'"other"')], [("If-Range", date)], [("If-None-Match", tag)],
                     [("If-Modified-Since", date)], [("If-Match", tag)], [("Range", "bytes=1-1")],
                     [("Range", "bytes=0-0,5-5")]):
            same(lab, size, "bytes=0-9", mine, reference, more)
        for request in (lab.request(target(size), [("Range", "bytes=0-9")], method="HEAD"),
                        lab.request(target(SMALL[0]), [("Range", "bytes=0-9")])):
            method = request.split(b" ")[0]
            check(netlab.comparable(mine.request(request, method)) ==
                  netlab.comparable(reference.request(request, method)), f"{request!r}")
        check(range_count(lab) == before, "an odd range was answered by the bulk sender")
        ask(lab, size, mine, bulk=True)  # it is still spliced


def many_at_once():
    with bulk_lab() as lab:
        def one(seed):
            with contextlib.closing(lab.connect(timeout=30)) as mine, contextlib.closing(lab.connect(8080)) as reference:
                mixture(lab, mine, reference, seed, 60)
        threads = [netlab.Background(lambda seed=seed: one(seed)) for seed in range(12)]
        for thread in threads:
            thread.join(120)
        check(range_count(lab) > 150, f"{range_count(lab)} ranges were sent in bulk")


def clients_of_ranges_alone_fill():
    """Players and download managers ask for nothing else."""
    with bulk_lab(warm=False) as lab, contextlib.closing(lab.connect()) as mine, \
            contextlib.closing(lab.connect(8080)) as reference:
        end = time.monotonic() + 10
        while not range_count(lab):
            check(time.monotonic() < end, "ranges that are misses fill nothing")
            same(lab, LARGE[1], "bytes=0-", mine, reference)
            time.sleep(0.05)


def shown(lab, size):
    """Whether `wbctl cache show` says that ranges are answered."""
    return [v["ranges"] for v in lab.wbctl("cache", "show", f"http://{lab.domain}{target(size)}")["variants"]]


def a_server_without_ranges():
    """Where nginx ignores Range, so does accelerd."""
    with bulk_lab(nginx_include="max_ranges 0;\n") as lab, contextlib.closing(lab.connect()) as mine, \
            contextlib.closing(lab.connect(8080)) as reference:
        ask(lab, LARGE[1], mine, bulk=True)
        check(same(lab, LARGE[1], "bytes=0-9", mine, reference).status == 200, "not ignored")
        check(range_count(lab) == 0, "sent in bulk")
        check(shown(lab, LARGE[1]) == [False], f"shown as {shown(lab, LARGE[1])}")


def version_of(number):
    """Its size tells which: (size, bytes)."""
    size = 200_000 + number
    return size, netlab.pattern(f"v{number}", size)


def a_file_that_changes():
    """Each reply is of one version, which its fields name, and that version was there meanwhile."""
    with bulk_lab([LARGE[1]]) as lab:
        path = pathlib.Path(lab.docroot) / "changing.html"
        newest, stop = [0], threading.Event()

        def put(number):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(version_of(number)[1])
            os.replace(fresh, path)
            newest[0] = number

        def change():
            while not stop.wait(0.4):
                put(newest[0] + 1)
                lab.wbctl_run("cache", "warm", f"http://{lab.domain}/changing.html")

        put(0)
        lab.warm("/changing.html")
        changer, rng, seen, before = netlab.Background(change), random.Random(1), set(), range_count(lab)
        try:
            with contextlib.closing(lab.connect()) as mine:
                end = time.monotonic() + 8
                while time.monotonic() < end:
                    least = newest[0]
                    response = mine.request(lab.request("/changing.html", [("Range", drawn(rng, 200_000))]))
                    check(response.status == 206, f"status {response.status}")
                    where, total = response.value(b"content-range")[6:].split(b"/")
                    first, last = map(int, where.split(b"-"))
                    number = int(total) - 200_000
                    check(response.body == version_of(number)[1][first:last + 1], f"{where} of version {number}: a mix")
                    check(response.value(b"etag").endswith(b"-%x\"" % int(total)), "the ETag of another version")
                    check(least - 1 <= number <= newest[0] + 1, f"version {number} while {least} was there")
                    seen.add(number)
        finally:
            stop.set()
            changer.join()
        sent = range_count(lab) - before
        say(f"  {len(seen)} versions, {sent} ranges in bulk")
        check(len(seen) > 5 and sent > 50, f"{len(seen)} versions, {sent} ranges in bulk")


def requests_behind_a_range():
    """They are the web server's, and its answers come behind the range."""
    with bulk_lab() as lab, contextlib.closing(lab.connect()) as connection:
        for _ in range(5):
            connection.send(lab.request(target(1_000_000), [("Range", "bytes=1000-900000")]))
            time.sleep(0.002)
            connection.send(lab.request(target(100)))
            check(connection.read_response().body == content(1_000_000)[1000:900001], "the range")
            check(connection.read_response().body == content(100), "what was asked for behind it")
        check(range_count(lab) > 0, "no range was sent in bulk")
        ask(lab, 100_000, connection, bulk=True)


TESTS = [same_as_the_web_server, narrow_and_offloaded, odd_ranges_are_the_web_servers, many_at_once,
         clients_of_ranges_alone_fill, a_server_without_ranges, a_file_that_changes, requests_behind_a_range]

if __name__ == "__main__":
    sys.exit(netlab.main(TESTS))
