#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reloads of the configuration under load.

Load is load.py: keep-alive connections with hits and misses, every body verified; no request may
fail. WB_LIFE_RELOADS makes it last.
"""

import os
import pathlib
import signal
import stat
import sys
import time

import netlab
from netlab import Lab, check, say
from lifecycle import (wait_until, hits_grow, Conf, forever, finish, footprint, rss_kib,
                       same_footprint, metric, is_hit, fills, HITS, MISSES, SIZES, DOMAIN)

RELOADS = int(os.environ.get("WB_LIFE_RELOADS", "6"))


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


if __name__ == "__main__":
    sys.exit(netlab.main([reloads, refused, takes_effect]))
