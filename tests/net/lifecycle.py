# SPDX-License-Identifier: Apache-2.0
"""What the tests of accelerd's life share: its load, what it leaves in the kernel, changes of its configuration."""

import json
import os
import pathlib
import signal
import subprocess
import time

import netlab
from netlab import check

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
