#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fails while a domain is calm, and while it is boosted: boosterd killed, the booster's link down, the origin's
accelerd killed. New connections are answered again within half a second, without an operator. And who may not move a
domain does not: users without permission, floods of SYNs, fragments, forged ICMP.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import netlab
from boost_lab import BOOSTER, ORIGIN, Staying, api, boost, inside, state, watched, who
from netlab import Lab, check, say

FLOOD = 1_000_000
KEPT = 50  # connections that stay


def lab_of(path, **options):
    return Lab(docroot=netlab.make_docroot(path, (1024,)), booster=True, **options)


def meets(lab, side, what):
    met = inside(lab, lambda: who(lab, lab.env["VIP_SITE"]))
    check(met == side, f"{what}: a new connection meets the {met}, not the {side}")


def boosterd_killed():
    with netlab.scratch() as path, lab_of(path) as lab:
        meets(lab, ORIGIN, "calm")
        watched(lab, "boosterd killed while calm", lambda: lab.boosterd("kill"), ORIGIN)
        lab.boosterd("start")
        boost(lab, "on")
        meets(lab, BOOSTER, "boosted")
        watched(lab, "boosterd killed while boosted", lambda: lab.boosterd("kill"), ORIGIN)
        watched(lab, "boosterd started again, boosted as before", lambda: lab.boosterd("start"), BOOSTER)
        check(state(lab)["mode"] == "on", f"{state(lab)}")
        watched(lab, "boosterd stopped", lambda: lab.boosterd("stop"), ORIGIN)
        lab.boosterd("start")
        boost(lab, "off")
        meets(lab, ORIGIN, "calm again")


def boosterd_hangs():
    """New connections are the origin's meanwhile, and boosterd knows of it afterwards, by its own heartbeat."""
    with netlab.scratch() as path, lab_of(path) as lab:
        boost(lab, "on")
        meets(lab, BOOSTER, "boosted")
        pid = int(lab.env["BOOSTERD_PID"])
        try:
            watched(lab, "boosterd stands still while boosted", lambda: os.kill(pid, signal.SIGSTOP), ORIGIN)
        finally:
            os.kill(pid, signal.SIGCONT)
        watched(lab, "it goes on", lambda: None, BOOSTER)
        reasons = [one["reason"] for one in api(lab, "GET", f"/v1/boost/{lab.domain}/explain")[1]["decisions"]]
        check(reasons[:2] == ["lease_lost", "manual"], f"{reasons}")


def link_down():
    with netlab.scratch() as path, lab_of(path) as lab:
        def link(to):
            lab.must("booster", "ip", "link", "set", lab.env["BOOSTER_CLIENT_IF"], to)

        for mode, side in (("off", ORIGIN), ("on", BOOSTER)):
            boost(lab, mode)
            watched(lab, f"the booster's link down, mode {mode}", lambda: link("down"), ORIGIN)
            watched(lab, f"the booster's link up again, mode {mode}", lambda: link("up"), side)


def accelerd_killed():
    with netlab.scratch() as path, lab_of(path) as lab:
        for mode, side in (("off", ORIGIN), ("on", BOOSTER), ("auto", BOOSTER)):
            boost(lab, mode)
            watched(lab, f"accelerd killed, mode {mode}", lambda: lab.accelerd("kill"), side)
            if mode == "auto":  # it stays as it is: nobody says that the peak is over
                check(state(lab)["load"] is None, f"a load without a report: {state(lab)}")
                why = api(lab, "GET", f"/v1/boost/{lab.domain}/explain")[1]["text"]
                check("no load report" in why, f"{why}")
            lab.accelerd("start")


def flood():
    """A million SYNs of other sources: who is connected notices nothing, whichever the side."""
    with netlab.scratch() as path, lab_of(path) as lab, tempfile.TemporaryDirectory() as directory:
        program = pathlib.Path(directory) / "syn_flood"
        subprocess.run(["gcc", "-O2", "-o", program, netlab.SUPPORT / "syn_flood.c"], check=True)
        # Answers to spoofed sources need a way out, else SYN cookies never start.
        lab.must("booster", "ip", "route", "add", "default", "via", lab.env["CLIENT_BOOSTER_IP"])
        mac = json.loads(lab.must("booster", "ip", "-j", "link", "show", lab.env["BOOSTER_CLIENT_IF"]))[0]["address"]
        for mode, side, count in (("off", ORIGIN, FLOOD // 2), ("on", BOOSTER, FLOOD // 2)):
            boost(lab, "off" if mode == "on" else "on")
            with contextlib.closing(Staying(lab, KEPT)) as others:  # on the other side
                boost(lab, mode)
                with contextlib.closing(Staying(lab, KEPT)) as mine:
                    process = lab.start("client", program, lab.env["CLIENT_BOOSTER_IF"], mac, lab.env["VIP_SITE"], 80, count)
                    asked = 0
                    while process.poll() is None:
                        others.ask()
                        mine.ask()
                        asked += 2 * KEPT
                    out, err = process.communicate()
                    check(process.returncode == 0, f"syn_flood: {out}{err}")
                    others.ask()
                    mine.ask()
                sent, seconds = out.split()
                say(f"  mode {mode}: {sent} SYNs in {seconds} s; {asked} requests meanwhile on {2 * KEPT} connections")
            meets(lab, side, "after the flood")


def ipv4(lab, protocol, payload, *, source, ident=1, flags_offset=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, flags_offset, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(lab.env["VIP_SITE"]))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def odd_packets():
    """Fragments and forged ICMP move nothing and break nothing; an echo is answered whatever the mode."""
    with netlab.scratch() as path, lab_of(path) as lab:
        vip, source = lab.env["VIP_SITE"], lab.env["CLIENT_BOOSTER_IP"]
        for mode in ("off", "on"):
            boost(lab, mode)
            side = {"off": ORIGIN, "on": BOOSTER}[mode]
            with contextlib.closing(Staying(lab, 5)) as staying, lab.inside("client"), \
                    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                port = staying.socks[0].getsockname()[1]
                inner = struct.pack("!HHI", 80, port, 12345)  # as if it were the VIP's packet to that client
                inner_head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 7, 0x4000, 64, 6, 0, socket.inet_aton(vip), socket.inet_aton(source))
                for kind, code, rest in ((3, 4, 0x5a0), (3, 4, 68), (3, 1, 0), (3, 3, 0), (11, 0, 0), (5, 1, 0xC6120001)):
                    message = struct.pack("!BBHI", kind, code, 0, rest) + inner_head + inner
                    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
                    raw.sendto(ipv4(lab, 1, message, source=source), (vip, 0))
                syn = struct.pack("!HHIIBBHHH", 4321, 80, 1, 0, 0x50, 2, 1000, 0, 0)
                for ident in range(200):
                    raw.sendto(ipv4(lab, 6, syn[:8], source=source, ident=ident, flags_offset=0x2000), (vip, 0))  # more follow
                    raw.sendto(ipv4(lab, 6, syn[8:] + b"1234", source=source, ident=ident + 100, flags_offset=1), (vip, 0))
                staying.ask()
            lab.must("client", "ping", "-c", 2, "-i", 0.2, "-W", 1, vip)
            meets(lab, side, f"odd packets, mode {mode}")
            check(state(lab)["mode"] == mode, f"{state(lab)}")


def without_authority():
    with netlab.scratch() as path, lab_of(path) as lab:
        command = [lab.env["WBCTL"], "boost", "on", lab.domain, "--socket", lab.env["BOOSTERD_SOCK"]]
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command], text=True,
                              capture_output=True)
        check(done.returncode != 0, f"nobody may boost: {done}")
        check(state(lab)["state"] == "calm", f"{state(lab)}")
        meets(lab, ORIGIN, "after toggles without authority")


if __name__ == "__main__":
    sys.exit(netlab.main([boosterd_killed, boosterd_hangs, link_down, accelerd_killed, flood, odd_packets, without_authority]))
