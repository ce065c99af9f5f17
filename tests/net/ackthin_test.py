#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Acknowledgments of a booster link, thinned by TC egress (booster/link/ack_thinning.h).

ackthin_client is the booster's side of one link, with and without. Counted are the packets that the
origin's interface receives; the client compares every byte with what port 8080 answers.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import netlab
from keyed_test import Link
from netlab import Lab, check, say

BUILD = pathlib.Path(os.environ.get("WB_BUILD_DIR", netlab.REPO / "build"))
CLIENT = BUILD / "tests" / "net" / "ackthin_client"
SMALL, LARGE = "/small", "/large"  # 1 KB and 11.4 KB with their heads
WARM_TURNS, TURNS = 200, 600
ACKS_AFTER_LOSS = 12  # of one segment each, in the 16 KiB that are acknowledged one by one
HIT_TARGETS = [(SMALL, 1), (SMALL, 4), (SMALL, 16), (LARGE, 1), (LARGE, 3)]


def site(path):
    (path / SMALL[1:]).write_bytes(netlab.pattern("small", 794))
    (path / LARGE[1:]).write_bytes(netlab.pattern("large", 11170))
    return path


class Client:
    """An ackthin_client in the lab; targets: (target, key or None)."""

    def __init__(self, lab, targets, thin, family=4, host="booster", to="ORIGIN_BOOSTER"):
        self.lab, self.files = lab, contextlib.ExitStack()
        folder = self.files.enter_context(netlab.scratch())
        link, paths = Link(lab, family, host=host, to=to), []
        plain = lab.connect(8080, family, host=host, to=to)
        for target, key in targets:
            answer = plain.request(lab.request(target))
            for data in (link.request(target, key), answer.head + answer.body):
                paths.append(folder / str(len(paths)))
                paths[-1].write_bytes(data)
        link.close()
        plain.close()
        interface = lab.env["BOOSTER_IF" if host == "booster" else "CLIENT_IF"]
        self.counted = lab.env["ORIGIN_BOOSTER_IF" if host == "booster" else "ORIGIN_IF"]
        # By nsenter the process is the client itself, for signals. At once when there is something
        # to read, as a booster is that has its CPUs to itself.
        command = ["nsenter", f"--net=/run/netns/{lab.prefix}-{host}", "chrt", "--rr", "1", CLIENT,
                   lab.address(family, to), 80, interface if thin else "-", *paths]
        self.process = subprocess.Popen([str(word) for word in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.files.close()

    def received(self):
        """Packets of the origin's interface."""
        for line in self.lab.must("origin", "cat", "/proc/net/dev").splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == self.counted:
                return int(numbers.split()[1])
        raise netlab.TestFailure(f"no interface {self.counted}")

    def run(self, turns, batch, think_us=0, release=True):
        """Batches one after the other; what the client says, and `packets` of the origin's."""
        before = self.received()
        print(turns, batch, think_us, int(release), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        check(line, f"the client has ended with {self.process.poll()}")
        return json.loads(line) | {"packets": self.received() - before}

    def acks(self, report, earlier):
        return netlab.difference(report["acks"], earlier["acks"])


def measure(lab, target, batch, thin, family=4):
    with Client(lab, [(target, None)], thin, family) as client:
        warm = client.run(WARM_TURNS, batch)
        before = lab.reasons()
        report = client.run(TURNS, batch)
        grown = netlab.difference(lab.reasons(), before)
    report["per_request"] = report["packets"] / (TURNS * batch)
    report["repairs"] = grown.get("timer/timer_resent", 0) + grown.get("in/repair_sack", 0)
    hits = grown.get("in/hit", 0) + grown.get("in/hit_keyed", 0)
    check(hits >= 0.9 * TURNS, f"{hits} packets of hits in {TURNS} turns: {grown}")
    if thin:
        report["acks"] = client.acks(report, warm)
    say(f"  IPv{family} {target} x {batch}, {'thinned' if thin else 'plain'}: "
        f"{report['per_request']:.3f} packets a request, p50 {report['p50_us']} us, "
        f"p99 {report['p99_us']} us, {report['repairs']} repairs, {report['acks']}")
    return report


def thinned_only(lab, target, batch, family):
    """One packet for a batch, its request, and what a loss has pass. (A booster that is kept from
    its CPU for 5 ms has the origin send a reply's end again, which looks like one.)
    """
    report = measure(lab, target, batch, True, family)
    acks = report["acks"]
    check(report["retransmissions"] == 0 and report["congestion_state"] == 0,
          f"the booster's TCP took the missing ACKs for a congestion: {report}")
    check(acks.get("data") == TURNS, f"not seen: {report}")
    losses, one_by_one = acks.get("options", 0), acks.get("slow_start", 0)
    check(one_by_one <= ACKS_AFTER_LOSS * (losses + 1), f"slow start lasts too long: {report}")
    check(report["packets"] <= 1.05 * TURNS + losses + one_by_one,
          f"{target} x {batch}: packets that nothing explains: {report}")
    return report


def fewer_packets():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(SMALL, LARGE)
        for target, batch in HIT_TARGETS:
            plain = measure(lab, target, batch, False)
            for family in (4, 6):
                thinned = thinned_only(lab, target, batch, family)
                if (target, batch) != (SMALL, 1):  # whose ACK the kernel delays by itself
                    check(thinned["per_request"] <= 0.8 * plain["per_request"],
                          f"{thinned['per_request']} for {plain['per_request']}")
            if (target, batch) != (SMALL, 1):
                check(plain["per_request"] >= 1.9 / batch, f"plain: {plain['per_request']}")


def link_of(lab):
    """What accelerd knows of the booster's links, the one with the most hits first."""
    rows = lab.wbctl("conns")["connections"]
    return sorted(rows, key=lambda row: -row["hits"])


def last_of_many():
    """What no request carries is acknowledged all the same: released by the booster, or, when that
    hangs, at the origin's own repair."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(LARGE)
        with Client(lab, [(LARGE, None)], thin=True) as client:
            client.run(WARM_TURNS, 1)
            released, unacked = 0, []
            for _ in range(20):
                busy = client.run(20, 1)  # ends with a pause
                released = busy["acks"]["released"]
                # A last segment alone is left to the kernel's delayed ACK (40 ms).
                end = time.monotonic() + 0.1
                while link_of(lab)[0]["unacked_bytes"] and time.monotonic() < end:
                    time.sleep(0.005)
                unacked.append(link_of(lab)[0]["unacked_bytes"])
            say(f"  released {released} of 20, unacknowledged afterwards {set(unacked)}")
            check(released >= 10 and set(unacked) == {0}, f"{released} {unacked}")
            # A pause that follows each reply: ACKs go out as they come, none waits.
            before = client.run(1, 1)
            after = client.run(20, 1, think_us=10000)
            grown = client.acks(after, before)
            say(f"  with pauses of 10 ms: {grown}")
            check(grown.get("withheld", 0) <= 2 and grown.get("quiet", 0) >= 15, str(grown))
            repairs = 0
            for _ in range(10):
                client.run(20, 1)
                before = lab.reasons()
                hung = client.run(20, 1, release=False)
                deadline = time.monotonic() + 1
                while link_of(lab)[0]["unacked_bytes"]:
                    check(time.monotonic() < deadline, "a booster that hangs never acknowledges")
                repairs += netlab.difference(lab.reasons(), before).get("timer/timer_resent", 0)
            check(hung["acks"]["released"] <= after["acks"]["released"] + 10, str(hung))
            say(f"  hung: acknowledged after {repairs} repairs")
            check(repairs >= 5, f"{repairs} repairs: nothing was withheld")


def on_a_bad_wire():
    """The wire is between client and origin, so here the client is the booster."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    text = text.replace("@BOOSTER_IP@", "198.18.0.2").replace("@BOOSTER_IP6@", "fd00:198:18::2")
    with netlab.scratch() as path, \
            Lab(site(path), conf=text, wire=["--seed", "5", "--loss", "0.01"]) as lab:
        lab.warm(SMALL, LARGE)
        for family in (4, 6):
            for thin in (False, True):
                # The wire may lose the end of a handshake: as its first packet holds several
                # requests, that connection stays the web server's (docs/DESIGN.md, "What is not
                # there"); but not two of two.
                if not lossy_run(lab, family, thin):
                    check(lossy_run(lab, family, thin), "two connections without hits")


def lossy_run(lab, family, thin):
    """Returns whether XDP has answered."""
    with Client(lab, [(SMALL, None), (LARGE, None), (SMALL, None)], thin, family,
                host="client", to="ORIGIN") as client:
        before = lab.reasons()
        report = client.run(800, 3)
        grown = netlab.difference(lab.reasons(), before)
    say(f"  1 % loss, IPv{family}, {'thinned' if thin else 'plain'}: "
        f"{report['packets'] / 2400:.3f} packets a request, p50 {report['p50_us']} us, "
        f"p99 {report['p99_us']} us, repairs {grown.get('timer/timer_resent', 0)} "
        f"{grown.get('in/repair_sack', 0)}, {report['acks']}")
    if grown.get("in/unsynced", 0) >= 600:
        say(f"  the web server's: {grown}")
        return False
    check(grown.get("in/hit_keyed", 0) >= 600, f"few hits: {grown}")
    check(not thin or report["acks"]["withheld"] >= 100, str(report))
    return True


def misses():
    """A key that the origin does not hold: the web server answers on the link, and its kernel gets
    the ACK before it sends anything again."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(SMALL, LARGE)
        targets = [(LARGE, None)] * 7 + [(LARGE, "0" * 32)]
        with Client(lab, targets, thin=True) as client:
            before, sent = lab.reasons(), retransmitted(lab)
            report = client.run(400, 1)
            grown, again = netlab.difference(lab.reasons(), before), retransmitted(lab) - sent
        say(f"  misses: {grown.get('in/key_unknown')}, hits {grown.get('in/hit')} and "
            f"{grown.get('in/hit_late')}, {again} retransmissions of the origin's kernel, "
            f"{report['acks']}")
        check(grown.get("in/key_unknown", 0) >= 40 and again <= 10, f"{grown} {again}")
        check(report["acks"]["withheld"] >= 200, str(report))


def retransmitted(lab):
    names, numbers = [line.split()[1:] for line in
                      lab.must("origin", "cat", "/proc/net/snmp").splitlines()
                      if line.startswith("Tcp:")]
    return int(numbers[names.index("RetransSegs")])


def programs():
    """Ids of all loaded programs of that name."""
    done = subprocess.run(["bpftool", "--json", "prog", "show", "name", "wb_tc_ackthin"],
                          capture_output=True, text=True,
                          env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    found = json.loads(done.stdout.strip() or "[]")
    return {row["id"] for row in (found if isinstance(found, list) else [found]) if "id" in row}


def killed():
    """The program goes with the process, and ACKs are as before."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(LARGE)
        others = programs()
        client = Client(lab, [(LARGE, None)], thin=True)
        client.run(WARM_TURNS, 1)
        mine = programs() - others
        check(mine, "not loaded")
        client.process.send_signal(signal.SIGKILL)
        client.process.wait(10)
        client.files.close()
        deadline = time.monotonic() + 5  # the kernel frees programs after a grace period
        while programs() & mine:
            check(time.monotonic() < deadline, "the program has outlived its process")
        report = measure(lab, LARGE, 1, False)
        check(report["per_request"] >= 1.9, f"still thinned: {report}")
        say("  killed: the program is gone")


if __name__ == "__main__":
    sys.exit(netlab.main([fewer_packets, last_of_many, on_a_bad_wire, misses, killed]))
