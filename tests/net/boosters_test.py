#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two boosters behind one domain, whose modes a real etcd keeps: connections are shared out between them, what an operator
says to one holds at both, and neither a booster, nor a link, nor etcd that fails costs more than the connections that
were at what failed.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import netlab
import wbhttp
from boost_lab import BOOSTER, MOST_S, ORIGIN, Staying, boost, inside, state, watched, who
from booster_lab import booster
from boosters_lab import pair, until
from netlab import Background, check, say

CONNECTIONS = 200
KEPT = 40  # connections that stay
PART = (0.3, 0.7)  # of a booster
SHARED_S = 0.3  # until what one booster is told holds at the other
CALM_S = 0.3  # a gap in answers that is the test's own: others may use the machine
AGREED_S = 10


@contextlib.contextmanager
def boosters():
    with netlab.scratch() as path, pair(netlab.make_docroot(path, (1024, 11673))) as two:
        yield two


def accepted(two):
    return [booster(one)["connections"]["accepted"] for one in two.both]


def get(lab, target, family):
    """One request on a new connection to the VIP."""
    vip = lab.env["VIP_SITE6" if family == 6 else "VIP_SITE"]
    with lab.inside("client"):
        connection = wbhttp.Connection(vip, 80, 5)
    response = connection.request(lab.request(target))
    connection.close()
    return response


def new_ones(two, count, family=4):
    """So many new connections, bytes compared. How many each booster accepted."""
    body = netlab.pattern("s11673", 11673)
    before = accepted(two)
    for _ in range(count):
        response = get(two.lab, "/s11673.html", family)
        check(response.status == 200 and response.body == body, f"a new connection is answered {response.head[:200]!r}")
    return [now - then for now, then in zip(accepted(two), before)]


def fair(got, count, what):
    say(f"  {what}: of {count} new connections {got[0]} at the first booster, {got[1]} at the second one")
    check(sum(got) == count, f"{what}: {got} of {count} connections were accepted")
    check(all(PART[0] * count <= part <= PART[1] * count for part in got), f"{what}: shared out {got}")


def meets(two, side, what):
    met = inside(two.lab, lambda: who(two.lab, two.lab.env["VIP_SITE"]))
    check(met == side, f"{what}: a new connection meets the {met}, not the {side}")


def shares():
    """Connections are shared out while boosted, and nobody's while calm."""
    with boosters() as two:
        check(new_ones(two, 50) == [0, 0], "calm: a booster accepted connections")
        meets(two, ORIGIN, "calm")
        boost(two.lab, "on")
        for family in (4, 6):
            fair(new_ones(two, CONNECTIONS, family), CONNECTIONS, f"boosted, IPv{family}")
        boost(two.lab, "off")
        check(new_ones(two, 50) == [0, 0], "calm again: a booster accepted connections")


def one_word():
    """What either booster is told holds at both, and both say so."""
    with boosters() as two:
        longest = 0.0
        for turn in range(10):
            said, other = (two.second, two.lab) if turn % 2 == 0 else (two.lab, two.second)
            for mode, word, side in (("on", ("boosted",), BOOSTER), ("off", ("calm", "draining"), ORIGIN)):
                boost(said, mode)
                longest = max(longest, until(f"{mode} at the other booster", lambda: state(other)["state"] in word, 5))
                check(two.modes() == (mode, mode), f"modes after {mode}: {two.modes()}")
                meets(two, side, f"boost {mode} at the {'second' if said is two.second else 'first'} booster")
        say(f"  what one booster was told was in force at the other after {longest * 1000:.0f} ms at most")
        check(longest < SHARED_S, f"in force at the other booster only after {longest:.3f} s")
        boost(two.second, "on", for_s=2)
        until("on for two seconds at both", lambda: state(two.lab)["state"] == "boosted", 1)
        meets(two, BOOSTER, "on for two seconds")
        until("both are calm when that is over", lambda: two.modes() == ("off", "off") and "boosted" not in two.states(), 5)
        meets(two, ORIGIN, "after that")


def booster_killed():
    """The other one has all new connections, and keeps those that it had."""
    with boosters() as two:
        boost(two.lab, "on")
        with contextlib.closing(Staying(two.lab, KEPT)) as staying:
            here, there = two.ports("booster") & staying.ports(), two.ports("booster2") & staying.ports()
            check(here and there and here | there == staying.ports(), f"{len(here)} and {len(there)} of {KEPT} connections are open")
            load = Background(lambda: [staying.ask(here) for _ in range(100) if time.sleep(0.02) is None])
            watched(two.lab, "the second booster's boosterd killed", two.second.end, BOOSTER)
            load.join()
            check(new_ones_of_first(two) == 30, "a dead booster has new connections")
            say(f"  the {len(here)} connections of the first booster were kept, the {len(there)} of the second one lost")
            came = time.monotonic()
            two.second.start()
            until("the second booster is heard of", two.joined, 10)
            say(f"  the second booster is back {time.monotonic() - came:.2f} s after its start")
            fair(new_ones(two, 100), 100, "after its return")
            staying.ask(here)
        watched(two.lab, "the first booster's boosterd killed", lambda: two.lab.boosterd("kill"), ORIGIN)
        watched(two.lab, "and started again", lambda: two.lab.boosterd("start"), BOOSTER)


def new_ones_of_first(two):
    """Of 30 new connections, those that the first booster accepted; the second one is dead."""
    before = booster(two.lab)["connections"]["accepted"]
    for _ in range(30):
        check(get(two.lab, "/s1024.html", 4).status == 200, "a new connection is not answered")
    return booster(two.lab)["connections"]["accepted"] - before


def link_down():
    """The client comes by the second booster, which sends on to the first one what is its own, and to the origin what is
    the origin's. The first one's answers go by the second one, too.
    """
    with boosters() as two:
        with contextlib.closing(Staying(two.lab, KEPT)) as calm:
            boost(two.lab, "on")
            with contextlib.closing(Staying(two.lab, KEPT)) as staying:
                here, there = two.ports("booster") & staying.ports(), two.ports("booster2") & staying.ports()
                check(here and there, "all connections are at one booster")
                watched(two.lab, "the first booster's link down", lambda: two.link("booster", "b1", "down"), BOOSTER)
                for name, ports in (("at the first booster", here), ("at the second booster", there)):
                    staying.ask(ports)
                    say(f"  {len(ports)} connections {name} go on")
                calm.ask()
                say(f"  {KEPT} connections at the origin go on")
                fair(new_ones(two, 100), 100, "the first booster's link down")
                with contextlib.closing(Staying(two.lab, KEPT)) as meanwhile:
                    watched(two.lab, "the first booster's link up", lambda: two.link("booster", "b1", "up"), BOOSTER)
                    for one in (staying, meanwhile, calm):
                        one.ask()


def answered(lab, count):
    """Of so many new connections at once, those that are answered within a second."""
    socks = []
    with lab.inside("client"):
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((lab.env["VIP_SITE"], 80))
            socks.append(sock)
    time.sleep(0.5)
    good = 0
    for sock in socks:
        with contextlib.closing(sock), contextlib.suppress(OSError):
            sock.settimeout(0.5)
            sock.sendall(lab.request("/s1024.html"))
            good += sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    return good


def last_failure(lab, seconds):
    """When the last new connection failed, in seconds from now."""
    began, last = time.monotonic(), 0.0
    while time.monotonic() < began + seconds:
        try:
            who(lab, lab.env["VIP_SITE"], timeout=0.1)
        except OSError:
            last = time.monotonic() - began
    return last


def no_way_back():
    """A booster whose answers have no way to the clients is none: once it is stopped, as who watches its routes does, new
    connections are the other's.
    """
    with boosters() as two:
        boost(two.lab, "on")
        for destination in ("198.18.2.0/24", "198.18.7.0/24"):
            two.lab.must("booster", "ip", "route", "del", destination, "via", "198.18.9.2")
        two.link("booster", "b1", "down")
        good = answered(two.lab, KEPT)
        say(f"  {good} of {KEPT} new connections are answered while one of two boosters has no way to the clients")
        os.kill(int(two.lab.env["BOOSTERD_PID"]), signal.SIGKILL)
        took = inside(two.lab, lambda: last_failure(two.lab, 1.5))
        say(f"  all are answered {took * 1000:.0f} ms after it was stopped")
        check(took < MOST_S, f"new connections fail {took:.3f} s after that booster was stopped")
        check(answered(two.lab, KEPT) == KEPT, "new connections are not answered although the other booster lives")


def unnoticed(two, what, during, side):
    sides = watched(two.lab, what, during, side, most=CALM_S)
    check(sides == [side], f"{what}: answered by {sides}")


def agree(two, mode, side, what):
    """Both come to the mode that was said last, and the first booster, at which it holds, never leaves it."""
    began = time.monotonic()
    while not (two.modes() == (mode, mode) and two.joined()):
        check(two.modes()[0] == mode, f"{what}: the first booster leaves {mode}, which was said last")
        meets(two, side, what)
        check(time.monotonic() < began + AGREED_S, f"{what}: modes {two.modes()} after {AGREED_S} s")
        time.sleep(0.01)
    say(f"  {what}: both agree on {mode} after {time.monotonic() - began:.2f} s")
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        check(two.modes() == (mode, mode), f"{what}: {two.modes()} after both agreed on {mode}")
        meets(two, side, what)


def etcd_killed():
    with boosters() as two:
        for mode, side in (("off", ORIGIN), ("on", BOOSTER)):
            boost(two.lab, mode)
            until("both know it", lambda: two.modes() == (mode, mode), 5)
            unnoticed(two, f"etcd killed, mode {mode}", two.etcd.end, side)
            until("etcd's death is told", lambda: not two.joined(), 5)
            check(two.modes() == (mode, mode), f"modes without etcd: {two.modes()}")
            for word, met in (("off", ORIGIN), ("on", BOOSTER), ("off", ORIGIN)):
                boost(two.lab, word)
                meets(two, met, f"boost {word} without etcd")
            # The older word is the other one.
            boost(two.second, mode)
            last = "on" if mode == "off" else "off"
            boost(two.lab, last)
            check(two.modes() == (last, mode), f"modes without etcd: {two.modes()}")
            two.etcd.start()
            agree(two, last, BOOSTER if last == "on" else ORIGIN, "etcd is back")


def etcd_apart():
    """The second booster cannot reach etcd, and the first one can."""
    with boosters() as two:
        for mode, side in (("on", BOOSTER), ("off", ORIGIN)):
            two.link("booster2", "x3", "down")
            until("a booster without etcd says so", lambda: not state_healthy(two.second), 10)
            other = "off" if mode == "on" else "on"
            boost(two.second, mode)
            boost(two.second, other)
            boost(two.lab, mode)
            check(two.modes() == (mode, other), f"modes while apart: {two.modes()}")
            unnoticed(two, f"etcd within reach again, mode {mode}", lambda: reach_again(two, mode), side)
            agree(two, mode, side, "etcd is within reach again")


def reach_again(two, mode):
    two.link("booster2", "x3", "up")
    took = until(f"both know {mode}", lambda: two.modes() == (mode, mode), AGREED_S)
    say(f"  both know the mode that was said last {took:.2f} s after the link is up")


def state_healthy(one):
    done = subprocess.run([f"{one.env['BUILD_DIR']}/ctl/wbctl/wbctl", "boost", "status", "--socket", one.env["BOOSTERD_SOCK"]],
                          text=True, capture_output=True)
    check(done.returncode == 0, f"wbctl boost status: {done.stderr}")
    return "not well" not in done.stdout


if __name__ == "__main__":
    sys.exit(netlab.main([shares, one_word, booster_killed, link_down, no_way_back, etcd_killed, etcd_apart]))
