#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of accelerd under load: reload, upgrade, attach and detach, again and again.

Load is load.py: keep-alive connections with hits and misses, every body verified; no request may
fail. An upgrade is a stop (on_stop: keep) and the start of another build; what was cached is kept
where it is proved, and what changed while nobody watched is not answered. WB_LIFE_ROUNDS (attach
and detach), WB_LIFE_UPGRADES and WB_LIFE_RELOADS make it last.
"""

import contextlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

import netlab
from netlab import Lab, check, say

ROUNDS = int(os.environ.get("WB_LIFE_ROUNDS", "10"))
UPGRADES = int(os.environ.get("WB_LIFE_UPGRADES", "4"))
RELOADS = int(os.environ.get("WB_LIFE_RELOADS", "6"))
HITS = ["/s1024.html", "/s5000.html", "/s11673.html"]
MISSES = ["/s40000.html"]  # more than XDP answers
SIZES = [1024, 5000, 11673, 40000]
DOMAIN = "site.test"
CAPABILITIES = "+bpf,+net_admin,+net_raw,+perfmon"


def wait_until(what, holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def hits_grow(lab, least=50):
    before = lab.hits()
    wait_until("hits", lambda: lab.hits() >= before + least)


def configuration(stop="keep", extra="", top=""):
    """Of a lab, before its placeholders are filled."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    check("on_stop: detach\n" in text, "the lab's configuration has no on_stop")
    return top + text.replace("on_stop: detach\n", f"on_stop: {stop}\n").rstrip("\n") + extra + "\n"


class Conf:
    """The configuration file of a running lab, and changes of it."""

    def __init__(self, lab):
        self.path = pathlib.Path(lab.env["CONF"])
        self.text = self.path.read_text()

    def write(self, *replaced, top="", domains=""):
        text = self.text
        for old, new in replaced:
            check(old in text, f"the configuration has no {old!r}")
            text = text.replace(old, new)
        self.path.write_text(top + text + domains)


def forever(lab, targets, *options, **where):
    """Load until finish() ends it: load.py is given more time than any test lasts."""
    return lab.start(*lab.load_command(targets, 36000, *options, **where))


def finish(process, *, reasked=True):
    """Ends the load: SIGTERM to load.py, which then reports."""
    check(process.poll() is None, "the load has ended before its time")
    process.send_signal(signal.SIGTERM)
    report = netlab.finish_load(process)
    check(report["completed"] > 100, f"hardly any load: {report}")
    check(not reasked or report["reasked"] == 0, f"connections were closed: {report}")
    return report


def programs_of(lab):
    """Names of the loaded programs that use this lab's pinned maps, whoever holds them."""
    maps = set()
    for pin in pathlib.Path(lab.env["PIN_DIR"]).glob("v*/wb_*"):
        shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", str(pin)], check=True,
                               capture_output=True, text=True).stdout
        maps.add(json.loads(shown)["id"])
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True,
                           text=True).stdout
    return sorted(prog.get("name", "?") for prog in json.loads(shown)
                  if maps.intersection(prog.get("map_ids", [])))


def pins_of(lab):
    root = pathlib.Path(lab.env["PIN_DIR"])
    return sorted(str(file.relative_to(root)) for file in root.rglob("*")) if root.exists() else []


def on_interfaces(lab):
    """What bpftool net shows, without the ids of programs and links."""
    shown = json.loads(lab.must("origin", "bpftool", "-j", "net", "show"))[0]
    return sorted((kind, row.get("devname"), row.get("kind"), row.get("name"))
                  for kind in ("xdp", "tc") for row in shown.get(kind, []))


def in_cgroup(lab):
    shown = subprocess.run(["bpftool", "-j", "cgroup", "show", lab.env["CGROUP"]],
                           capture_output=True, text=True).stdout
    return [row.get("attach_type") for row in json.loads(shown.strip() or "[]")]


def footprint(lab):
    """All that must be the same after any number of rounds."""
    pid = lab.env["ACCELERD_PID"]
    return {"programs": programs_of(lab), "pins": pins_of(lab), "net": on_interfaces(lab),
            "cgroup": in_cgroup(lab), "fds": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task"))}


def rss_kib(lab):
    status = pathlib.Path(f"/proc/{lab.env['ACCELERD_PID']}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))


def same_footprint(lab, before):
    """What programs and sockets of before still hold goes in its own time."""
    def differs():
        after = footprint(lab)
        return {name: (before[name], after[name]) for name in before if after[name] != before[name]}
    end = time.monotonic() + 20
    while differs():
        check(time.monotonic() < end, f"left behind: {differs()}")
        time.sleep(0.2)


def metric(lab, name):
    text = lab.must("origin", "curl", "-sS", lab.env["ACCELERD_METRICS"])
    found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name + " ")]
    check(found, f"no metric {name}")
    return float(found[0])


def get(lab, target, domain=None, port=80):
    connection = lab.connect(port)
    try:
        return connection.request(lab.request(target, domain=domain))
    finally:
        connection.close()


def is_hit(lab, target, domain=None, port=80):
    """Asked some times on a connection (the first may pass): is one answered by XDP?"""
    before = lab.hits()
    connection = lab.connect(port)
    try:
        for _ in range(4):
            connection.request(lab.request(target, domain=domain))
    finally:
        connection.close()
    return lab.hits() > before


def grow_old(path):
    """Until the files are older than what may hide a change (kProofAgeS)."""
    youngest = max(file.lstat().st_ctime for file in path.rglob("*"))
    time.sleep(max(0, youngest + 4 - time.time()))


def fills(lab):
    """Fetches so far of what can be cached. MISSES are tried from time to time."""
    cache = lab.status()["cache"]
    check(set(cache["fills_refused"]) <= {"too_large"}, str(cache["fills_refused"]))
    return cache["fills_total"] - cache["fills_refused"].get("too_large", 0)


# Reload.


def reloads():
    """One file after the other under load; what does not change stays cached."""
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        conf = Conf(lab)
        root = lab.env["DOCROOT"]
        lab.warm(*HITS)
        key = pathlib.Path(lab.env["KEY_FILE"])
        second = (f'  - name: second.test\n    document_root: "{root}"\n    origin: "127.0.0.1:80"\n')
        steps = [
            lambda: conf.write(("    ports: [80]", "    aliases: [www.site.test]\n    ports: [80, 81]"),
                               top="lease: 300ms\nkeepalive_refresh: 20s\n", domains=second),
            lambda: conf.write(("  - name: site.test", second + "  - name: site.test"),
                               top="log: { level: debug }\nlimits: { fill_rate: 50, "
                                   "fill_concurrency: 9 }\naccept_encodings: [\"gzip\", \"br\"]\n"),
            lambda: (key.write_text("5a" * 32), conf.write(top="limits: { fill_concurrency: 1 }\n")),
            lambda: conf.write(("    origin:", "    cookies: ignore\n    query: pass\n    origin:"),
                               top="accept_encodings: [\"zstd\", \"br\", \"gzip\"]\n"
                                   "drain_deadline: 30s\n"),
            conf.write,
        ]
        loads = [forever(lab, HITS + MISSES, "--connections", 6, "--rate", 300),
                 forever(lab, HITS, "--connections", 4, "--rate", 100, "--renew-after", 20,
                         family=6)]
        hits_grow(lab)
        steps[-1]()
        lab.wbctl("reload")
        before, memory = footprint(lab), []
        filled = fills(lab)
        for i in range(RELOADS):
            steps[i % len(steps)]()
            lab.wbctl("reload")
            hits_grow(lab, 30)
            memory.append(rss_kib(lab))
        conf.write()
        lab.wbctl("reload")
        check(fills(lab) == filled, f"{fills(lab) - filled} objects were fetched anew")
        check(lab.status()["cache"]["invalidations"] == 0, "objects were dropped")
        reports = [finish(load) for load in loads]
        same_footprint(lab, before)
        # Each worker that is made touches memory of its own at first: half of the way is for that.
        grown = memory[-1] - memory[RELOADS // 2]
        check(grown < 4096, f"accelerd grew in the second half of {RELOADS} reloads: {memory} KiB")
        check(lab.status()["config"]["reloads"] == RELOADS + 2, str(lab.status()["config"]))
        say(f"  {RELOADS} reloads: {sum(r['completed'] for r in reports)} requests, 0 failed, max "
            f"{max(r['max_ms'] for r in reports)} ms, memory {grown:+} KiB")


def refused():
    """A wrong file, and one that needs a restart: everything is told, nothing changes."""
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        conf = Conf(lab)
        lab.warm(*HITS)
        before = lab.status()["config"]
        shown = lab.wbctl("domain", "list")["domains"][0]["listeners"]
        conf.write(("    ports: [80]", "    ports: [80, 99999]\n    colour: red"),
                   top="lease: soon\n")
        done = lab.wbctl_run("reload")
        check(done.returncode == 1, f"exit code {done.returncode}")
        for place in (":1:8: lease:", "domains[0].ports[1]:", "domains[0].colour:"):
            check(place in done.stderr, f"{place} is not told: {done.stderr}")
        os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGHUP)
        log = pathlib.Path(lab.env["ACCELERD_LOG"])
        wait_until("the second failure", lambda: lab.status()["config"]["reloads_failed"] == 2)
        check(log.read_text().count(":1:8: lease:") == 2, "the errors are not in the log")
        conf.write(("instance:", "instance: other #"), ("cgroup:", "cgroup: /sys/fs/cgroup #"),
                   ("    ports: [80]", "    ports: [81]"),
                   ("pin_dir:", "pin_dir: /sys/fs/bpf/other #"),
                   top="limits: { connections: 2048, objects: 100, memory: 2MiB }\n")
        done = lab.wbctl_run("reload")
        for place in ("instance", "cgroup", "pin_dir", "limits.connections", "limits.objects",
                      "limits.memory"):
            check(f"{conf.path}: {place}: cannot change" in done.stderr, f"{place}: {done.stderr}")
        check("restart" in done.stderr and "wbctl detach" in done.stderr, "no remedy is named")
        after = lab.status()["config"]
        check(after["hash"] == before["hash"] and after["loaded_at"] == before["loaded_at"] and
              not after["last_reload_successful"] and after["reloads_failed"] == 3, str(after))
        check(lab.wbctl("domain", "list")["domains"][0]["listeners"] == shown, "ports have changed")
        check(is_hit(lab, HITS[0]), "no hits after a reload that was refused")
        check(metric(lab, "webbooster_config_last_reload_successful") == 0, "not in the metrics")
        conf.write(top="# good\n")
        os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGHUP)
        wait_until("the reload by SIGHUP", lambda: lab.status()["config"]["reloads"] == 1)
        after = lab.status()["config"]
        check(after["hash"] != before["hash"] and after["last_reload_successful"], str(after))
        check(metric(lab, "webbooster_config_hash") == int(after["hash"], 16), "another hash")


def takes_effect():
    """Each key that a reload can change does what it says."""
    with netlab.scratch() as path, netlab.scratch() as other, \
            Lab(netlab.make_docroot(path, SIZES)) as lab:
        conf = Conf(lab)
        lab.warm(*HITS)
        check(not is_hit(lab, HITS[0], domain="www.site.test"), "an alias before its time")
        conf.write(("    ports: [80]", "    aliases: [www.site.test]\n    ports: [80, 8080]"))
        done = lab.wbctl("reload")
        check(done["changes"] == ["domains[site.test]"], str(done))
        check(is_hit(lab, HITS[0], domain="www.site.test"), "no hit by the alias")
        check(is_hit(lab, HITS[0], port=8080), "no hit on the new port")
        conf.write(("    ports: [80]", '    exclude: ["/s5"]\n    ports: [80]'))
        lab.wbctl("reload")
        check(not is_hit(lab, HITS[0], port=8080), "a hit on the removed port")
        check(not is_hit(lab, HITS[0], domain="www.site.test"), "a hit by the removed alias")
        check(not is_hit(lab, HITS[1]), "a hit of what is excluded")
        check(is_hit(lab, HITS[0]), "what is not excluded went, too")
        conf.write()
        lab.wbctl("reload")
        lab.warm(HITS[1])
        check(is_hit(lab, HITS[1]), "no hit of what is excluded no more")
        # The operator's switch stands until the file says another word.
        lab.wbctl("domain", "disable", DOMAIN)
        conf.write(top="lease: 400ms\n")
        lab.wbctl("reload")
        check(not is_hit(lab, HITS[0]), "a reload enabled what the operator disabled")
        conf.write(("    ports:", "    enabled: false\n    ports:"))
        lab.wbctl("reload")
        conf.write()
        lab.wbctl("reload")
        check(is_hit(lab, HITS[0]), "the file did not enable it")
        # Another document root: nothing of the old one is answered.
        conf.write((f'document_root: "{lab.env["DOCROOT"]}"', f'document_root: "{other}"'))
        lab.wbctl("reload")
        check(not is_hit(lab, HITS[0]), "a hit of the old document root")
        conf.write(("  - name: site.test", "  - name: third.test"))
        lab.wbctl("reload")
        check(lab.wbctl_run("cache", "purge", f"http://{DOMAIN}/").returncode == 1,
              "a removed domain is known")
        check([d["name"] for d in lab.wbctl("domain", "list")["domains"]] == ["third.test"],
              "the domains are others")
        conf.write()
        lab.wbctl("reload")
        lab.warm(*HITS)
        check(is_hit(lab, HITS[0]), "no hits after the way back")
        # Where and how accelerd is asked.
        port = int(lab.env["ACCELERD_METRICS"].rsplit(":", 1)[1].split("/")[0])
        conf.write((f":{port}\"", f":{port + 1}\""), ("api: {", 'api: { mode: "0600",'),
                   top="lease: 2s\nlog: { level: warn }\nkeepalive_refresh: 1s\n")
        lab.wbctl("reload")
        check(stat.S_IMODE(os.stat(lab.env["ACCELERD_SOCK"]).st_mode) == 0o600, "api.mode")
        check(lab.status()["lease_ms"] == 2000, "lease")
        lab.must("origin", "curl", "-sS", f"http://127.0.0.1:{port + 1}/metrics", "-o", "/dev/null")
        check(lab.run("origin", "curl", "-sS", lab.env["ACCELERD_METRICS"]).returncode != 0,
              "the exporter still listens where it did")
        connection = lab.connect()
        for _ in range(3):
            connection.request(lab.request(HITS[0]))
        refreshed = lab.reasons().get("in/keepalive_refresh", 0)
        time.sleep(1.2)
        connection.request(lab.request(HITS[0]))
        check(lab.reasons()["in/keepalive_refresh"] == refreshed + 1, "keepalive_refresh")
        # The data path has the new lease: frozen for longer than the old one, hits go on.
        os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGSTOP)
        try:
            time.sleep(0.8)
            connection.request(lab.request(HITS[0]))
        finally:
            os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGCONT)
        check(lab.reasons().get("in/lease", 0) == 0, "the lease is the old one")
        connection.close()
        # Interfaces.
        conf.write((f"interfaces: [{{ name: {lab.env['ORIGIN_IF']}, mode: native }}, ",
                    "interfaces: [{ name: none0 }, "))
        warnings = "\n".join(lab.wbctl("reload")["warnings"])
        check("interface none0 is not attached" in warnings and
              f"wbctl detach {lab.env['ORIGIN_IF']}" in warnings, warnings)
        check(is_hit(lab, HITS[0]), "the interface went with its line")
        lab.wbctl("detach", lab.env["ORIGIN_IF"], "--force")
        conf.write()
        check(lab.wbctl("reload")["warnings"] == [], "the way back is not clean")
        check(is_hit(lab, HITS[0]), "the interface is not attached again")


# Upgrade.


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
    sys.exit(netlab.main([reloads, refused, takes_effect, upgrades, unwatched, rounds, layouts,
                          capabilities]))
