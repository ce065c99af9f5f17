#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Upgrades under load, attach and detach again and again.

An upgrade is a stop (on_stop: keep) and the start of another build; what was cached is kept where it
is proved, and what changed while nobody watched is not answered. WB_LIFE_ROUNDS (attach and detach)
and WB_LIFE_UPGRADES make it last.
"""

import contextlib
import os
import pathlib
import subprocess
import sys

import netlab
from netlab import Lab, check, say
from lifecycle import (wait_until, hits_grow, configuration, Conf, forever, finish, programs_of,
                       pins_of, on_interfaces, in_cgroup, footprint, rss_kib, same_footprint,
                       is_hit, grow_old, fills, HITS, MISSES, SIZES, CAPABILITIES)

ROUNDS = int(os.environ.get("WB_LIFE_ROUNDS", "10"))
UPGRADES = int(os.environ.get("WB_LIFE_UPGRADES", "4"))


def build_copy(directory):
    """A build of another version: the same programs with another text in accelerd."""
    build = pathlib.Path(os.environ.get("WB_BUILD_DIR", netlab.REPO / "build"))
    binary = (build / "ctl/accelerd/accelerd").read_bytes()
    check(b"\x000.1.0\x00" in binary, "accelerd does not hold its version")
    for name in ("accelerd", "wbctl"):
        (directory / "ctl" / name).mkdir(parents=True)
    copy = directory / "ctl/accelerd/accelerd"
    copy.write_bytes(binary.replace(b"\x000.1.0\x00", b"\x009.9.9\x00"))
    copy.chmod(0o755)
    (directory / "ctl/wbctl/wbctl").symlink_to(build / "ctl/wbctl/wbctl")
    return [directory, build]


@contextlib.contextmanager
def built_in(directory):
    before = os.environ.get("WB_BUILD_DIR")
    os.environ["WB_BUILD_DIR"] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WB_BUILD_DIR"]
        else:
            os.environ["WB_BUILD_DIR"] = before


def upgrades():
    """Stop and start of another build under load: connections, counters and cache are kept."""
    with netlab.scratch() as path, netlab.scratch() as other, \
            Lab(netlab.make_docroot(path, SIZES), conf=configuration()) as lab:
        builds = build_copy(other)
        grow_old(path)
        lab.warm(*HITS)
        loads = [forever(lab, HITS + MISSES, "--connections", 6, "--rate", 300),
                 forever(lab, HITS, "--connections", 4, "--rate", 100, "--renew-after", 20,
                         family=6)]
        hits_grow(lab)
        before, cached = footprint(lab), lab.status()["cache"]["variants"]
        memory = []
        for i in range(UPGRADES):
            hits = lab.hits()
            lab.accelerd("stop")
            check(on_interfaces(lab) == before["net"], "a stop took the programs off")
            with built_in(builds[i % 2]):
                lab.accelerd("start")
            status = lab.status()
            check(status["adopted"] and status["version"] == ["9.9.9", "0.1.0"][i % 2], str(status))
            check(status["hits_total"] >= hits, "counters were lost")
            check(status["cache"]["variants"] == cached and fills(lab) == 0,
                  f"the cache was not kept: {status['cache']}, {cached} variants before")
            hits_grow(lab, 100)
            memory.append(rss_kib(lab))
        reports = [finish(load) for load in loads]
        same_footprint(lab, before)
        check(max(memory[1:]) - memory[1] < 2048, f"memory of accelerd: {memory} KiB")
        wait_until("no connections", lambda: lab.status()["connections"]["followed"] == 0)
        say(f"  {UPGRADES} upgrades: {sum(r['completed'] for r in reports)} requests, 0 failed, max "
            f"{max(r['max_ms'] for r in reports)} ms")
        # Leaving for good.
        for name in (lab.env["ORIGIN_IF"], lab.env["ORIGIN_BOOSTER_IF"]):
            lab.wbctl("detach", name, "--force")
        lab.accelerd("stop")
        check(not pins_of(lab) and not in_cgroup(lab), f"left: {pins_of(lab)} {in_cgroup(lab)}")


def unwatched():
    """Files change while no accelerd runs: none of them is answered stale, the others are kept."""
    names = ["same", "bytes", "replaced", "mode", "removed", "sibling", "link", "young", "above/in"]
    with netlab.scratch() as path:
        root = path / "www"
        (root / "above").mkdir(parents=True)
        for name in names:
            (root / f"{name}.html").write_bytes(netlab.pattern(name, 3000))
        (root / "link.html").rename(root / "one.html")
        (root / "two.html").write_bytes(netlab.pattern("two", 3000))
        (root / "link.html").symlink_to("one.html")
        for file in root.rglob("*.html"):
            os.utime(file, (1700000000, 1700000000))
        for directory in (path, root, root / "above"):
            directory.chmod(0o755)
        with Lab(root, conf=configuration(), nginx_include="gzip_static on;\n") as lab:
            grow_old(root)
            targets = [f"/{name}.html" for name in names]
            lab.warm(*targets[:-2], targets[-1])
            (root / "young.html").write_bytes(netlab.pattern("young", 3000))
            lab.warm("/young.html")
            with_gzip = [("Accept-Encoding", "gzip")]
            check(is_hit(lab, "/sibling.html"), "not cached")
            lab.accelerd("stop")
            keep = os.stat(root / "bytes.html")
            with open(root / "bytes.html", "r+b") as file:
                file.write(b"other")
            os.utime(root / "bytes.html", ns=(keep.st_atime_ns, keep.st_mtime_ns))
            (path / "new").write_bytes(netlab.pattern("REPLACED", 3000))
            os.utime(path / "new", (1700000000, 1700000000))
            (path / "new").chmod(0o644)
            (path / "new").rename(root / "replaced.html")
            (root / "mode.html").chmod(0)
            (root / "removed.html").unlink()
            (root / "sibling.html.gz").write_bytes(
                subprocess.run(["gzip", "-nc"], input=netlab.pattern("SIBLING", 3000),
                               capture_output=True, check=True).stdout)
            os.utime(root / "sibling.html.gz", (1700000000, 1700000000))
            (root / "link.html").unlink()
            (root / "link.html").symlink_to("two.html")
            (root / "above").chmod(0)
            lab.accelerd("start")
            cache = {row["url"].rsplit("site.test", 1)[1]
                     for row in lab.wbctl("cache", "list")["entries"]}
            check(cache == {"/same.html"}, f"kept: {cache}")
            check(is_hit(lab, "/same.html"), "what has not changed is not answered")
            for target in targets:
                for fields in ([], with_gzip):
                    answers = []
                    for port in (80, 8080):
                        connection = lab.connect(port)
                        for _ in range(3):
                            answer = connection.request(lab.request(target, fields))
                        answers.append(netlab.comparable(answer))
                        connection.close()
                    check(answers[0] == answers[1], f"stale: {target} {fields}")


# Attach and detach.


def rounds():
    """Detached and attached again under load; connections that are renewed let a drain end."""
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        name = lab.env["ORIGIN_IF"]
        lab.warm(*HITS)
        load = forever(lab, HITS + MISSES, "--connections", 6, "--rate", 500, "--renew-after", 10)
        hits_grow(lab)
        lab.wbctl("detach", name, "--deadline", 60)
        lab.wbctl("attach", name)
        hits_grow(lab, 5)
        before, memory = footprint(lab), rss_kib(lab)
        for i in range(ROUNDS):
            done = lab.wbctl("detach", name, "--deadline", 60)
            check(done["reset_connections"] == 0, str(done))
            lab.wbctl("attach", name)
            hits_grow(lab, 5)
            if i == min(9, ROUNDS // 2):
                memory = rss_kib(lab)
        report = finish(load)
        same_footprint(lab, before)
        grown = rss_kib(lab) - memory
        check(grown < 2048, f"accelerd grew by {grown} KiB in {ROUNDS} rounds")
        wait_until("no connections", lambda: lab.status()["connections"]["followed"] == 0)
        say(f"  {ROUNDS} rounds: {report['completed']} requests, 0 failed, max {report['max_ms']} "
            f"ms, memory {grown:+} KiB")


# Layouts and rights.


def layouts():
    """Pins of another layout or other sizes: refused with a remedy, untouched, traffic goes on."""
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES),
                                       conf=configuration()) as lab:
        grow_old(path)
        lab.warm(*HITS)
        load = forever(lab, HITS + MISSES, "--connections", 4, "--rate", 300)
        hits_grow(lab)
        lab.accelerd("stop")
        binary = f"{lab.env['BUILD_DIR']}/ctl/accelerd/accelerd"
        pins = pathlib.Path(lab.env["PIN_DIR"])
        mine = next(pins.iterdir())
        number = int(mine.name[1:])
        programs, net = programs_of(lab), on_interfaces(lab)
        for other in (number - 1, number + 1):  # an older one's, a newer one's
            mine.rename(pins / f"v{other}")
            before = pins_of(lab)
            done = lab.run("origin", binary, "--config", lab.env["CONF"], timeout=60)
            check(done.returncode == 1 and f"v{other} is pinned by another version" in done.stderr and
                  "detach" in done.stderr, f"exit {done.returncode}: {done.stderr[-500:]}")
            check(pins_of(lab) == before and on_interfaces(lab) == net, "something was changed")
            (pins / f"v{other}").rename(mine)
        conf = Conf(lab)
        before = pins_of(lab)
        for limits in ("connections: 2048", "objects: 100", "memory: 2MiB"):
            conf.write(top=f"limits: {{ {limits} }}\n")
            done = lab.run("origin", binary, "--config", lab.env["CONF"], timeout=60)
            check(done.returncode == 1 and "other sizes" in done.stderr and "detach" in done.stderr,
                  f"{limits}: exit {done.returncode}: {done.stderr[-500:]}")
            check(pins_of(lab) == before and on_interfaces(lab) == net, f"{limits} changed something")
        conf.write()
        wait_until("no programs of refused starts", lambda: programs_of(lab) == programs)
        lab.accelerd("start")
        check(lab.status()["adopted"] and fills(lab) == 0, "not adopted")
        hits_grow(lab)
        report = finish(load)
        say(f"  five refused starts: {report['completed']} requests, 0 failed")


def capabilities():
    """accelerd runs with what deploy/systemd/accelerd.service leaves it."""
    unit = (netlab.REPO / "deploy" / "systemd" / "accelerd.service").read_text()
    line = next(row for row in unit.splitlines() if row.startswith("CapabilityBoundingSet="))
    named = {word.lower().replace("cap_", "+") for word in line.split("=", 1)[1].split()}
    check(named == set(CAPABILITIES.split(",")), f"the unit leaves {named}")
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES),
                                       conf=configuration()) as lab:
        lab.warm(*HITS)
        lab.accelerd("stop")
        with netlab.scratch() as other:
            wrapper = build_copy(other)[0] / "ctl/accelerd/accelerd"
            wrapper.rename(wrapper.with_name("real"))
            bounded = "-all," + CAPABILITIES
            wrapper.write_text(f"#!/bin/sh\nexec setpriv --no-new-privs --inh-caps={bounded} "
                               f"--bounding-set={bounded} {wrapper.with_name('real')} \"$@\"\n")
            wrapper.chmod(0o755)
            with built_in(other):
                lab.accelerd("start")
            status = pathlib.Path(f"/proc/{lab.env['ACCELERD_PID']}/status").read_text()
            effective = next(int(row.split()[1], 16) for row in status.splitlines()
                             if row.startswith("CapEff:"))
            wanted = sum(1 << bit for bit in (12, 13, 38, 39))  # of linux/capability.h
            check(effective == wanted, f"CapEff is {effective:x}, not {wanted:x}")
            lab.warm(*HITS)  # files too young when they were cached were not taken over
            check(lab.status()["adopted"] and is_hit(lab, HITS[0]), "no hits")
            held = lab.connect()
            for _ in range(3):
                held.request(lab.request(HITS[0]))
            done = lab.wbctl("detach", lab.env["ORIGIN_IF"], "--force")
            check(done["reset_connections"] >= 1, f"no connection was reset: {done}")
            held.close()
            lab.wbctl("attach", lab.env["ORIGIN_IF"])
            lab.wbctl("reload")
            lab.warm(*HITS)
            check(is_hit(lab, HITS[0]), "no hits after attaching again")
            lab.accelerd("stop")


if __name__ == "__main__":
    sys.exit(netlab.main([upgrades, unwatched, rounds, layouts, capabilities]))
