#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A domain, or a client's address, at 20 times its limit does not move the p99 of others by more than 20 %.

The others' load is of a constant rate, far below what boosterd can do, and is measured without the aggressor and beside
it, in turn. Both generators have a CPU that is not boosterd's, and the one that measures goes first there; all that is
measured has real-time priority, so that it is not the rest of the machine that is measured. Lower quartiles of rounds
are compared, for what else disturbs only adds. Where they differ too much more rounds follow: chance fades then and a
fault does not. The aggressor asks again as soon as it is refused.
"""

import os
import pathlib
import re
import statistics
import sys
import time

import netlab
from booster_lab import TO
from netlab import Lab, check, say

TIMES = 20
LIMIT = 100  # requests a second, of the aggressor
# A refusal takes 0.2 s on the average: 10 % more than 20 times the limit.
CONNECTIONS = int(LIMIT * TIMES * 0.2 * 1.1)
RATE = 900  # of the others, in all: within the limit of each of ten clients
VICTIMS = 10  # connections, and in one of the tests addresses
ROUND_S, SETTLE_S = 1.5, 1.0
LOOKS = (5, 9, 13)  # rounds
MOST, SLACK_MS = 1.2, 0.1
GENERATORS_CPU = 0  # boosterd's is 1
REAL_TIME = {"aggressor": 2, "victims": 5, "boosterd": 10, "interfaces": 20}


def go_first(lab):
    """boosterd and the threads of all interfaces."""
    def raise_it(pid, name):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(REAL_TIME[name]))

    for thread in os.listdir(f"/proc/{lab.env['BOOSTERD_PID']}/task"):
        raise_it(int(thread), "boosterd")
    threads = [file.parent for file in pathlib.Path("/proc").glob("[0-9]*/comm")
               if netlab.comm_of(file).startswith(f"napi/{lab.prefix}")]
    check(threads, "interfaces have no threads")
    for thread in threads:
        raise_it(int(thread.name), "interfaces")


def generator(name, *argv):
    return ["taskset", "-c", GENERATORS_CPU, "chrt", "--fifo", REAL_TIME[name], *argv]


class Aggressor:
    """wrk from one address of the client's, as long as the block lasts."""

    def __init__(self, lab, family, domain, target):
        at = lab.address(family, TO)
        shown = f"[{at}]" if family == 6 else at
        self.command = generator("aggressor", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{round(SETTLE_S + ROUND_S + 1.5)}s",
                                 f"-HHost: {domain}", f"http://{shown}{target}")
        self.lab = lab
        self.asked, self.passed, self.seconds = 0, 0, 0.0

    def __enter__(self):
        self.wrk = self.lab.start("client", *self.command)
        time.sleep(SETTLE_S)

    def __exit__(self, *_):
        out, err = self.wrk.communicate(timeout=60)
        found = re.search(r"(\d+) requests in ([\d.]+)s", out)
        check(found and "Socket errors" not in out, f"wrk: {out}{err}")
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        self.asked += int(found[1])
        self.passed += int(found[1]) - (int(refused[1]) if refused else 0)
        self.seconds += float(found[2])


def p99(lab, options):
    host, *command = lab.load_command(["/s700.html"], ROUND_S, "--rate", RATE, "--connections", VICTIMS, *options,
                                      to=TO)
    report = netlab.finish_load(lab.start(host, *generator("victims", *command)))
    check(report["completed"] > 0.95 * RATE * ROUND_S, f"the others' load is not steady: {report}")
    return report["p99_ms"]


def others_are_not_moved(lab, aggressor, options=()):
    alone, beside = [], []
    for rounds in LOOKS:
        while len(alone) < rounds:
            alone.append(p99(lab, options))
            with aggressor:
                beside.append(p99(lab, options))
        before, after = (statistics.quantiles(times, n=4)[0] for times in (alone, beside))
        fine = after <= MOST * before + SLACK_MS
        asked, passed, seconds = aggressor.asked, aggressor.passed, aggressor.seconds
        say(f"  p99 of {rounds} rounds: {before:.2f} ms alone, {after:.2f} ms beside {asked / seconds:.0f} requests/s "
            f"of which {passed / seconds:.0f} passed")
        if fine:
            break
    check(asked >= TIMES * LIMIT * seconds, f"only {asked} requests in {seconds} s")
    # Each round begins with a full bucket.
    check(passed <= LIMIT * (seconds + 1.1 * len(alone)), f"{passed} passed in {seconds} s")
    check(passed >= 0.8 * LIMIT * seconds, f"only {passed} passed in {seconds} s")
    check(fine, f"p99 {before} ms alone, {after} ms beside the aggressor: {alone}, {beside}")


def refused_with(lab, family, domain, target):
    """Status and Retry-After of the first refusal."""
    connection = lab.connect(80, family=family, to=TO)
    for _ in range(3 * LIMIT):
        answer = connection.request(lab.request(target, domain=domain))
        if answer.status != 200:
            connection.close()
            return answer.status, answer.value(b"retry-after")
    check(False, "nothing was refused")


def limited_lab(path, site="", shop=""):
    """More configuration of the two domains."""
    text = (netlab.REPO / "deploy/lab/boosterd.yaml.in").read_text()
    text = text.replace("    origins: [@ORIGIN@]\n", f"    origins: [@ORIGIN@]\n    {site}\n")
    text = text.replace("    origins: [@ORIGIN2@]\n", f"    origins: [@ORIGIN2@]\n    {shop}\n")
    return Lab(netlab.make_docroot(path, (700,)), booster=True, booster_conf=text)


def a_domain_beyond_its_limit():
    quota = f"quota: {{ rate: {LIMIT} }}"
    with netlab.scratch() as path, limited_lab(path, shop=quota) as lab:
        lab.warm("/s700.html")
        go_first(lab)
        others_are_not_moved(lab, Aggressor(lab, 4, lab.env["DOMAIN2"], "/1k.bin"))
        answer = refused_with(lab, 4, lab.env["DOMAIN2"], "/1k.bin")
        check(answer == (503, b"1"), f"refused with {answer}")


def a_client_beyond_its_limit():
    """Other addresses in the same domain: the aggressor's is of IPv6, the others' are ten of IPv4."""
    quota = f"client_quota: {{ rate: {LIMIT} }}"
    sources = [f"198.18.2.{100 + number}" for number in range(VICTIMS)]
    with netlab.scratch() as path, limited_lab(path, site=quota) as lab:
        for source in sources:
            lab.must("client", "ip", "address", "add", f"{source}/24", "dev", lab.env["CLIENT_BOOSTER_IF"])
        lab.warm("/s700.html")
        go_first(lab)
        others_are_not_moved(lab, Aggressor(lab, 6, lab.domain, "/s700.html"),
                             [word for source in sources for word in ("--source", source)])
        answer = refused_with(lab, 6, lab.domain, "/s700.html")
        check(answer == (429, b"1"), f"refused with {answer}")


if __name__ == "__main__":
    sys.exit(netlab.main([a_domain_beyond_its_limit, a_client_beyond_its_limit]))
