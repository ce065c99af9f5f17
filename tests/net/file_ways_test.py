#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ways to a wrong byte by files: odd names, odd changes, siblings, mounts (docs/SECURITY.md; the usual
changes are in coherence_test.py).
"""

import ctypes
import gzip
import json
import mmap
import os
import struct
import subprocess
import sys
import time

import netlab
from netlab import check, say
from ways_lab import FRESH_S, ask, lab_of, make_hot, same


def odd_names():
    """A file asked for by another spelling of its path is not cached where its changes and purges
    would not be seen."""
    with lab_of() as (lab, path):
        odd = ["//exp/o.html", "/exp//o.html", "/exp/./o.html", "/a/../exp/o.html", "/%2e/exp/o.html",
               "/exp/%2e%2e/exp/o.html", "/exp%2f%2e%2fo.html", "/exp/o%2ehtml", "/%65xp/o.html",
               "/exp/o.html?", "/exp/o.html?x", "/exp%2fo.html"]
        results = lab.wbctl_run("--json", "cache", "warm",
                                *(f"http://{lab.domain}{target}" for target in odd))
        hot = [target for target, row in zip(odd, json.loads(results.stdout)["results"])
               if row["ok"]]
        (path / "exp" / "o.html").write_bytes(netlab.pattern("changed", 3000))
        time.sleep(FRESH_S)
        wrong = [target for target in odd
                 if ask(lab, target).body != netlab.pattern("changed", 3000)]
        say(f"  odd names: {len(hot)} of {len(odd)} are cached, {len(wrong)} stale after a change")
        check(not wrong, f"stale: {wrong}")
        check("/exp/o.html?x" in hot and "/%65xp/o.html" in hot, f"only {hot} hit: nothing tested")


def index_files():
    """A directory is answered by the index file that nginx would choose now."""
    with lab_of() as (lab, path):
        (path / "dir" / "index.html").write_bytes(netlab.pattern("second choice", 2000))
        check(make_hot(lab, "/dir/"), "/dir/ does not hit")
        same(lab, "/dir/")
        (path / "dir" / "index.htm").write_bytes(netlab.pattern("first choice", 2000))
        time.sleep(FRESH_S)
        answer = same(lab, "/dir/")
        check(answer.body == netlab.pattern("first choice", 2000), f"{answer.body[:40]!r}")
        (path / "dir" / "index.htm").unlink()
        time.sleep(FRESH_S)
        same(lab, "/dir/")
        say("  index: a file that nginx prefers replaces the cached one")


LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    """Two names swapped in one step."""
    if LIBC.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def aio_write(path, data):
    """By io_submit, which tells inotify nothing until the file is closed."""
    context = ctypes.c_ulong(0)
    check(LIBC.syscall(206, 1, ctypes.byref(context)) == 0, "io_setup")
    file = os.open(path, os.O_WRONLY)
    buffer = ctypes.create_string_buffer(data, len(data))
    block = ctypes.create_string_buffer(struct.pack(
        "<QIIHhIQQqQII", 0, 0, 0, 1, 0, file, ctypes.addressof(buffer), len(data), 0, 0, 0, 0))
    pointer = ctypes.c_void_p(ctypes.addressof(block))
    check(LIBC.syscall(209, context, 1, ctypes.byref(pointer)) == 1, "io_submit")
    events = ctypes.create_string_buffer(64)
    check(LIBC.syscall(208, context, 1, 1, events, None) == 1, "io_getevents")
    os.close(file)
    LIBC.syscall(207, context)


def change_exchange(folder, new):
    (folder / "x.html").write_bytes(new)
    exchange(folder / "x.html", folder / "o.html")


def change_exchange_folders(folder, new):
    other = folder.parent / f"{folder.name}-other"
    other.mkdir()
    (other / "o.html").write_bytes(new)
    exchange(other, folder)


def change_aio(folder, new):
    aio_write(folder / "o.html", new)


def change_tmpfile(folder, new):
    file = os.open(folder, os.O_TMPFILE | os.O_WRONLY)
    os.write(file, new)
    (folder / "o.html").unlink()
    check(LIBC.linkat(-100, f"/proc/self/fd/{file}".encode(), -100, os.fsencode(folder / "o.html"),
                      0x400) == 0, "linkat")
    os.close(file)


def change_copy_range(folder, new):
    (folder / "x.html").write_bytes(new)
    with open(folder / "x.html", "rb") as source, open(folder / "o.html", "r+b") as target:
        os.copy_file_range(source.fileno(), target.fileno(), len(new))


def change_by_hard_link(folder, new):
    with open(folder / "other-name", "r+b") as file:
        file.write(new)


def change_same_time(folder, new):
    """As rsync --times does: size and modification time are those of before."""
    before = os.stat(folder / "o.html")
    (folder / "x.html").write_bytes(new)
    os.utime(folder / "x.html", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.rename(folder / "x.html", folder / "o.html")


def change_mapped(folder, new):
    """Through a mapping, with the file open: it is seen when that is closed."""
    with open(folder / "o.html", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = new


CHANGES = [change_exchange, change_exchange_folders, change_aio, change_tmpfile, change_copy_range,
           change_by_hard_link, change_same_time, change_mapped]


def odd_changes():
    """Ways to change a file that coherence_test.py does not know."""
    with lab_of() as (lab, path):
        for change in CHANGES:
            folder = path / change.__name__
            folder.mkdir()
            (folder / "o.html").write_bytes(netlab.pattern("old", 3000))
            os.utime(folder / "o.html", (1700000000, 1700000000))
            os.link(folder / "o.html", folder / "other-name")
            target = f"/{folder.name}/o.html"
            check(make_hot(lab, target), f"{target} does not hit")
            new = netlab.pattern(change.__name__, 3000)
            change(folder, new)
            time.sleep(FRESH_S)
            check(ask(lab, target).body == new, f"{change.__name__}: stale")
        say(f"  odd changes: {[change.__name__ for change in CHANGES]}: none stale after 10 ms")
        # Limit: a mapping whose file descriptor is closed leaves no trace.
        file = path / "a" / "o.html"
        check(make_hot(lab, "/a/o.html"), "no hit")
        with open(file, "r+b") as opened:
            mapped = mmap.mmap(opened.fileno(), 0)
        time.sleep(0.05)
        check(make_hot(lab, "/a/o.html"), "no hit after the file was closed")
        mapped[:] = netlab.pattern("mapped", 3000)
        mapped.flush()
        time.sleep(2 * FRESH_S)
        stale = ask(lab, "/a/o.html").body != netlab.pattern("mapped", 3000)
        lab.wbctl("cache", "purge", f"http://{lab.domain}/a/o.html")
        check(ask(lab, "/a/o.html").body == netlab.pattern("mapped", 3000), "stale after a purge")
        mapped.close()
        hot = make_hot(lab, "/a/o.html")
        say(f"  limits: a write through a mapping alone is seen: {not stale}; purged: right "
            f"(hit again: {hot})")


def siblings():
    """Compressed siblings that come, change and go."""
    packed = (("Accept-Encoding", "gzip"),)
    with lab_of() as (lab, path):
        file, sibling = path / "a" / "o.html", path / "a" / "o.html.gz"

        def step(what):
            time.sleep(FRESH_S)
            for fields in ((), packed):
                same(lab, "/a/o.html", fields)
                make_hot(lab, "/a/o.html", fields)
                same(lab, "/a/o.html", fields)
            say(f"  siblings: {what}: as nginx")

        def put(place, data):
            place.with_suffix(".new").write_bytes(data)
            os.rename(place.with_suffix(".new"), place)

        step("none")
        put(sibling, gzip.compress(b"first" * 100))
        step(".gz made")
        put(sibling, gzip.compress(b"second" * 200))
        step(".gz replaced alone")
        put(file, netlab.pattern("new", 3000))
        step("plain file replaced alone")
        sibling.unlink()
        step(".gz removed")
        put(sibling, gzip.compress(b"third" * 300))
        file.unlink()
        step("plain file removed, .gz left")


def mounted_over():
    """A limit: a mount over a directory is a change that inotify does not tell."""
    with lab_of() as (lab, path), netlab.scratch() as other:
        (other / "o.html").write_bytes(netlab.pattern("mounted", 3000))
        check(make_hot(lab, "/a/o.html"), "no hit")
        subprocess.run(["mount", "--bind", other, path / "a"], check=True)
        try:
            time.sleep(0.05)
            stale = ask(lab, "/a/o.html").body == netlab.pattern("a", 3000)
            lab.wbctl("cache", "purge", "--all")
            for _ in range(5):
                check(ask(lab, "/a/o.html").body == netlab.pattern("mounted", 3000), "after a purge")
        finally:
            subprocess.run(["umount", path / "a"], check=True)
        lab.wbctl("cache", "purge", "--all")
        for _ in range(5):
            check(ask(lab, "/a/o.html").body == netlab.pattern("a", 3000), "after the unmount")
        say(f"  a mount over a directory is seen: {not stale}; after a purge it and its unmount are")


if __name__ == "__main__":
    sys.exit(netlab.main([odd_names, index_files, odd_changes, siblings, mounted_over]))
