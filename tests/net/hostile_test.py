#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile traffic through the real interface: forged, malformed, blind, greedy. Whoever asks honestly
meanwhile gets every byte and keeps his connection, and nobody gets more than he may ask for.

WB_HOSTILE_FRAMES is how many frames the flood has (CI: 120,000), WB_HOSTILE_RATE how many a second;
WB_HOSTILE_SEED begins another flood than the one of every day.

How slow honest clients may become: two closed-loop loads of equal size run at once during the flood,
one on the accelerated port and one on the other. Machine, flood and nginx are the same for both, so
that what acceleration costs shows in their ratio however busy the machine is; 0.8 is asked for.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time

import netlab
from netlab import Lab, check, say, wbhttp
from rawtcp import ACK, FIN, PSH, RawTcp

FRAMES = int(os.environ.get("WB_HOSTILE_FRAMES", "120000"))
RATE = int(os.environ.get("WB_HOSTILE_RATE", "12000"))
SEED = int(os.environ.get("WB_HOSTILE_SEED", "1"))
SIZES = [1024, 5000, 11673, 20000]  # the last does not fit the cache: always a miss
TARGETS = [f"/s{size}.html" for size in SIZES]
HOT = TARGETS[:3]
STRANGER = "198.18.0.66"  # an address that no kernel answers for


def sender():
    """The program, built once."""
    folder = netlab.REPO / "build" / "wire"
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "hostile"
    made = folder / f"hostile.{os.getpid()}"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", made,
                    netlab.SUPPORT / "hostile.c"], check=True)
    made.rename(binary)
    return binary


def mac(lab, host, name):
    return json.loads(lab.must(host, "ip", "-j", "link", "show", name))[0]["address"]


def macs(lab):
    """(ours, the origin's), as text."""
    return (mac(lab, "client", lab.env["CLIENT_IF"]), mac(lab, "origin", lab.env["ORIGIN_IF"]))


def start_flood(lab, binary, count, *options, rate=RATE, seed=SEED):
    ours, theirs = macs(lab)
    return lab.start("client", binary, lab.env["CLIENT_IF"], ours, theirs, lab.address(4),
                     lab.address(4, "CLIENT"), lab.address(6), lab.address(6, "CLIENT"),
                     "--count", count, "--rate", rate, "--seed", seed, *options)


def finish_flood(process):
    out, err = process.communicate()
    check(process.returncode == 0, f"hostile exits {process.returncode}: {err}")
    return json.loads(out)


def device_bytes(lab):
    """Bytes that the origin's interface has sent."""
    shown = json.loads(lab.must("origin", "ip", "-j", "-s", "link", "show", lab.env["ORIGIN_IF"]))
    return shown[0]["stats64"]["tx"]["bytes"]


class Known:
    """Real connections, spliced by hits, that the flood pretends to be of; asked all the time."""

    def __init__(self, lab, wanted, each=6):
        self.lab, self.wanted = lab, wanted
        self.connections = [(family, lab.connect(80, family, timeout=20)) for family in (4, 6)
                            for _ in range(each)]
        self.asked = 0
        for turn in range(3):
            self.round(turn)

    def ports(self):
        return [word for family, connection in self.connections
                for word in ("--known", f"{family}:{connection.sock.getsockname()[1]}")]

    def round(self, turn):
        for number, (_, connection) in enumerate(self.connections):
            target = TARGETS[(turn + number) % len(TARGETS)]
            response = connection.request(self.lab.request(target))
            check(response.status == 200 and response.body == self.wanted[target],
                  f"{target}: {response.head!r}, {len(response.body)} bytes")
            self.asked += 1

    def close(self):
        for _, connection in self.connections:
            connection.close()


def vandal(lab, stop, seed):
    """Real connections that bring requests of no sense, cut off, endless; counts them."""
    made, chance = 0, random.Random(seed)
    host = b"Host: " + lab.domain.encode() + b"\r\n"
    while not stop.is_set():
        try:
            connection = lab.connect(timeout=0.3)
        except wbhttp.HttpError:
            continue
        made += 1
        texts = [chance.randbytes(chance.randrange(1, 3000)),
                 b"GET /" + b"a" * chance.randrange(1, 20000) + b" HTTP/1.1\r\n" + host + b"\r\n",
                 b"GET /s1024.html HTTP/1.1\r\n" + host + b"X: " + b"b" * 9000 + b"\r\n\r\n",
                 b"GET /s1024.html HTTP/1.1\r\n" + host + b"C: d\r\n" * chance.randrange(1, 400),
                 b"GET /s1024.html HTTP/1.1\r\nHost: other.test\r\n\r\n",
                 b"POST /s1024.html HTTP/1.1\r\n" + host + b"Content-Length: 99999999999\r\n\r\n",
                 lab.request("/s1024.html") * chance.randrange(2, 60)]
        try:
            connection.send(texts[made % len(texts)])
            connection.receive(0.02)
            connection.receive(0.02)
        except wbhttp.HttpError:
            pass
        connection.close()
    return made


EXPECTED = ["in/unknown_connection", "in/not_ip", "in/fragment", "in/not_tcp", "in/short",
            "in/ack_passed", "in/control", "in/out_of_order", "in/path_mtu_odd", "in/request_length",
            "in/request_line", "in/request_field", "in/request_host", "in/hit", "in/uncacheable",
            "in/translated"]


def strangers(lab, binary):
    """Nothing is made of what belongs to no connection."""
    before, sent = lab.reasons(), device_bytes(lab)
    flood = finish_flood(start_flood(lab, binary, FRAMES // 6, seed=SEED + 100))
    time.sleep(0.2)
    sent = device_bytes(lab) - sent
    grown = netlab.difference(lab.reasons(), before)
    made = {name: n for name, n in grown.items() if name.startswith("seg/") or "hit" in name}
    say(f"  of no connection: {sum(flood['kinds'].values())} frames, {flood['bytes']} bytes; the "
        f"kernel sent {sent} bytes ({sent / flood['bytes']:.2f} for one), XDP none")
    check(not made, f"replies for strangers: {made}")
    check(sent < flood["bytes"], f"{sent} bytes for {flood['bytes']}: amplification")
    check(grown.get("in/unknown_connection", 0) > 0, "the flood did not arrive")


def flood():
    binary = sender()
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        wanted = {f"/s{size}.html": netlab.pattern(f"s{size}", size) for size in SIZES}
        lab.warm(*HOT)
        strangers(lab, binary)
        known, stop = Known(lab, wanted), threading.Event()
        made = []
        before = lab.reasons()
        hostile = start_flood(lab, binary, FRAMES, *known.ports())
        seconds = max(3, FRAMES / RATE - 3)
        loads = [lab.start(*lab.load_command(TARGETS, seconds, "--connections", 4, "--port", port))
                 for port in (80, 8080)]
        vandals = netlab.Background(lambda: made.append(vandal(lab, stop, SEED)))
        turn = 0
        try:
            while hostile.poll() is None:
                known.round(turn)
                turn += 1
        finally:
            stop.set()
        vandals.join()
        sent = finish_flood(hostile)
        mine, theirs = (netlab.finish_load(load) for load in loads)
        grown = netlab.difference(lab.reasons(), before)
        rates = [report["completed"] / report["seconds"] for report in (mine, theirs)]
        say(f"  flood: {sum(sent['kinds'].values())} frames {sent['kinds']}, {made[0]} vandals")
        say(f"  flood: {known.asked} requests on connections that it pretends to be of; loads "
            f"{rates[0]:.0f} per second accelerated, {rates[1]:.0f} not")
        say(f"  flood: {grown}")
        known.close()
        for report in (mine, theirs):
            check(report["reasked"] == 0, f"connections were closed: {report}")
        check(rates[0] >= 0.8 * rates[1], f"{rates[0]:.0f} per second, {rates[1]:.0f} without")
        lacking = [name for name in EXPECTED if not grown.get(name)]
        check(not lacking, f"reasons that did not grow: {lacking}")
        odd = {name: n for name, n in grown.items()
               if name in ("seg/segment_failed", "seg/segment_unmarked", "in/repair_gone")}
        check(not odd, f"{odd}")


def syn_flood():
    """A flood of SYN from everywhere: the table of connections does not notice, and whoever comes
    anew meanwhile, by SYN cookies, is served, from the cache, too."""
    binary = sender()
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        lab.warm(*HOT)
        cookies = "/proc/sys/net/ipv4/tcp_syncookies"
        # On every connection, or a backlog of 4096 might be enough.
        lab.must("origin", "sh", "-c", f"echo 2 >{cookies}")
        followed = lab.status()["connections"]["followed"]
        before = lab.reasons()
        hostile = start_flood(lab, binary, FRAMES // 3, "--only", "syn")
        load = lab.start(*lab.load_command(TARGETS, max(3, FRAMES / 3 / RATE - 1), "--connections",
                                           8, "--renew-after", 15))
        highest = 0
        while hostile.poll() is None:
            highest = max(highest, lab.status()["connections"]["followed"])
            time.sleep(0.1)
        sent = finish_flood(hostile)
        report = netlab.finish_load(load)
        grown = netlab.difference(lab.reasons(), before)
        say(f"  SYN flood: {sent['kinds']}, at most {highest} followed, {report['completed']} "
            f"requests, 0 failed, {report['renewed']} connections renewed, "
            f"{grown.get('in/hit', 0)} hits")
        check(report["reasked"] == 0 and report["renewed"] > 10, str(report))
        check(highest <= followed + 40, f"{highest} connections are followed")
        check(grown.get("in/hit", 0) > 100, f"{grown}")
        check(grown.get("in/control", 0) >= sent["kinds"]["syn"] / 2, f"{grown}")


# A participant: a peer of a real connection that breaks the rules, number by number.

def stranger(lab, port, source, **options):
    ours, theirs = macs(lab)
    lab.must("origin", "ip", "neigh", "replace", STRANGER, "lladdr", ours, "dev",
             lab.env["ORIGIN_IF"], "nud", "permanent")
    with lab.inside("client"):
        return RawTcp(lab.env["CLIENT_IF"], STRANGER, lab.address(4),
                      [bytes.fromhex(text.replace(":", "")) for text in (ours, theirs)], port,
                      source, **options).open()


def grows(lab, before, name):
    return lab.reasons().get(name, 0) - before.get(name, 0)


def bad_sums(lab, wanted):
    peer = stranger(lab, 80, 41000)
    request = lab.request("/s1024.html")
    check(peer.ask(request).endswith(wanted["/s1024.html"]), "the first hit")
    for kind in ({"bad_tcp": 1}, {"bad_tcp": 0x8000}, {"bad_ip": 1}, {"bad_ip": 0x100}):
        before = lab.reasons()
        peer.send(request, flags=ACK | PSH, **kind)
        check(not peer.receive(0.05), f"{kind}: answered")
        check(grows(lab, before, "in/checksum") == 1, f"{kind} was not counted")
        # The kernel has dropped it, XDP cannot know: the same again is the kernel's to answer.
        for _ in range(2):
            check(peer.ask(request).endswith(wanted["/s1024.html"]), f"after {kind}: no answer")
        hits = lab.hits()
        peer.ask(request)
        check(lab.hits() == hits + 1, f"no hit again after {kind}")
    before = lab.reasons()
    for name, kind in {"ip_options": {"ip_options": b"\1" * 8},
                       "tcp_options": {"options": bytes([1, 1, 253, 6, 0, 0, 0, 0])}}.items():
        peer.send(request, flags=ACK | PSH, **kind)
        peer.seq += len(request)
        peer.take(peer.receive())
        check(peer.stream.endswith(wanted["/s1024.html"]), f"{name}: no answer")
        peer.send()
        check(grows(lab, before, f"in/{name}") == 1, f"{name} was not counted")
    peer.close()


def greedy(lab):
    """Never is more under way than the window says, whatever is acknowledged, asked or asked again.
    """
    request = lab.request("/s5000.html")
    peer = stranger(lab, 80, 41100)
    peer.ask(request)
    first = peer.rcv_nxt
    for window in (0, 10, 100, 160):  # in units of 128 bytes
        # All in order, none acknowledged: what fits is answered, the kernel has the rest to answer.
        peer.send(window=window)
        peer.receive(0.05)
        out, before = peer.bytes_out, peer.bytes_in
        for _ in range(6):
            peer.send(request, flags=ACK | PSH, window=window)
            peer.seq += len(request)
        segments = [s for s in peer.receive(0.02, 1.0) if s.payload]
        beyond = max(((s.seq + len(s.payload) - first) & 0xffffffff for s in segments), default=0)
        say(f"  greedy: window {128 * window}: {beyond} bytes beyond the acknowledgment, "
            f"{peer.bytes_in - before} received for {peer.bytes_out - out}")
        check(beyond <= max(128 * window, 1), f"{beyond} bytes for a window of {128 * window}")
        peer.send(flags=4, seq=peer.seq)  # RST, and a new one
        peer.close()
        peer = stranger(lab, 80, 41101 + window)
        peer.ask(request)
        first = peer.rcv_nxt
    peer.close()


def optimist(lab):
    """Acknowledges what he has not received, and what was never sent."""
    request = lab.request("/s11673.html")
    peer = stranger(lab, 80, 41300)
    length = len(peer.ask(request))
    before = lab.reasons()
    for ahead in (1, 1000, 1 << 20, 1 << 30):
        for _ in range(20):
            peer.send(ack=peer.rcv_nxt + ahead)
    peer.receive(0.05)
    out, got = peer.bytes_out, peer.bytes_in
    # Each reply acknowledged before it is here: bytes for bytes asked, no more.
    for _ in range(50):
        peer.send(request, flags=ACK | PSH, window=60000)
        peer.seq += len(request)
        peer.rcv_nxt = (peer.rcv_nxt + length) & 0xffffffff
        peer.send(window=60000)
    peer.receive(0.3)
    received, sent = peer.bytes_in - got, peer.bytes_out - out
    say(f"  optimist: {received} bytes for {sent}, of 50 replies of {length} bytes")
    check(received <= 50 * (length + 9 * 40) + 20000, f"{received} bytes for 50 replies")
    # What was never sent and is acknowledged in a request: the kernel's to judge, never a hit.
    hits = lab.hits()
    peer.send(request, flags=ACK | PSH, ack=peer.rcv_nxt + 100000)
    peer.receive(0.1)
    check(lab.hits() == hits, "a hit for a request that acknowledges what was never sent")
    check(grows(lab, before, "in/bad_ack") >= 1, f"{netlab.difference(lab.reasons(), before)}")
    peer.close()


def liar(lab):
    """Says by SACK, as fast as he can, that the middle of a reply was lost."""
    request = lab.request("/s11673.html")
    peer = stranger(lab, 80, 41400)
    length = len(peer.ask(request))
    peer.send(request, flags=ACK | PSH)
    peer.seq += len(request)
    segments = peer.receive(0.1)
    check(sum(len(s.payload) for s in segments) >= length, "no hit")
    una, last = peer.rcv_nxt, max(s.seq for s in segments)
    sack = b"\1\1\5\12" + last.to_bytes(4, "big") + (una + length).to_bytes(4, "big")
    out, got, began = peer.bytes_out, peer.bytes_in, time.monotonic()
    for _ in range(2000):
        peer.send(ack=una, options=sack)
    spent = time.monotonic() - began
    peer.receive(0.3)
    sent, received = peer.bytes_out - out, peer.bytes_in - got
    say(f"  liar: {received} bytes in {1000 * spent:.0f} ms for {sent} ({received / sent:.1f} for "
        f"one): {received / length:.1f} replies")
    # At most the reply once in a millisecond (repair__pause_ns), and the timer's.
    check(received <= (1000 * (spent + 0.3) + 10) * (length + 9 * 40), f"{received} bytes")
    peer.close()


def old_acknowledgments(lab):
    """A forger who does not see the connection has to guess the acknowledgment, too (RFC 5961, 5): a
    request that acknowledges what is older than any window is the kernel's to refuse, on a
    connection that was spliced as on any other. True: it was taken."""
    outcomes = {}
    for port in (80, 8080):
        peer = stranger(lab, port, 41500)
        for _ in range(3):
            check(peer.ask(lab.request("/s5000.html")), f"no answer on port {port}")
        outcomes[port] = []
        for back in (1 << 24, 1 << 28, 1 << 30, (1 << 31) - 100000):
            peer.send(lab.request(f"/dynamic/{back}"), flags=ACK | PSH, ack=peer.rcv_nxt - back)
            outcomes[port].append(any(s.ack != peer.seq or s.payload for s in peer.receive(0.1)))
        peer.send(flags=ACK | FIN, ack=peer.rcv_nxt - (1 << 29))
        outcomes[port].append(any(s.ack != peer.seq for s in peer.receive(0.1)))
        outcomes[port].append(len(peer.ask(lab.request("/s5000.html"))) > 5000)
        peer.close()
    say(f"  old acknowledgments, accelerated and not: {outcomes}")
    check(outcomes[80] == outcomes[8080] == [False] * 5 + [True], f"{outcomes}")


def participant():
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        wanted = {f"/s{size}.html": netlab.pattern(f"s{size}", size) for size in SIZES}
        lab.warm(*HOT)
        bad_sums(lab, wanted)
        greedy(lab)
        optimist(lab)
        liar(lab)
        old_acknowledgments(lab)


if __name__ == "__main__":
    sys.exit(netlab.main([participant, flood, syn_flood]))
