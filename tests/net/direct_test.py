#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of many kinds, and what an operator does: options of TCP, of the configuration, commands.
"""

import contextlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time

import netlab
from netlab import Lab, check, comparable, say, wbhttp

SIZES = [1, 500, 1024, 2500, 5000, 8000, 11673]
TARGETS = [f"/s{size}.html" for size in SIZES]
# linux/if_ether.h, linux/if_packet.h
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 3, 263, 8, 1 << 4


def configuration(*domain_lines, top=""):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return top + text.rstrip("\n") + "\n" + "".join(f"    {line}\n" for line in domain_lines)


@contextlib.contextmanager
def lab_of(**options):
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES)
        with Lab(path, **options) as lab:
            yield lab


def compared(lab, connection, requests, reference=None):
    """Asks both ports; returns what grew in the reasons."""
    before = lab.reasons()
    reference = reference or lab.connect(8080)
    for request in requests:
        mine = comparable(connection.request(request))
        connection.quickack()
        wanted = comparable(reference.request(request))
        check(mine == wanted, f"{request!r}: {mine[0]!r}, reference {wanted[0]!r}")
    return netlab.difference(lab.reasons(), before)


def hits_of(grown):
    return grown.get("in/hit", 0) + grown.get("in/hit_late", 0)


def expect_hits(lab, what, fields=(), family=4, rounds=3):
    connection = lab.connect(80, family)
    requests = [lab.request(target, fields) for target in TARGETS] * rounds
    grown = compared(lab, connection, requests)
    connection.close()
    say(f"  {what}: {len(requests)} requests, {hits_of(grown)} hits")
    check(hits_of(grown) >= 0.9 * len(requests), f"{what}: {grown}")
    return grown


# The commands.

def config_check():
    program = str(netlab.pathlib.Path(netlab.os.environ.get("WB_BUILD_DIR", netlab.REPO / "build"))
                  / "ctl" / "accelerd" / "accelerd")
    good = "domains:\n  - name: a.test\n"
    bad = "lease: 1ms\nlimits:\n  conections: 5\ndomains:\n  - name: A_B\n    ports: [0]\n"
    for text, code, lines in ((good, 0, ()), (bad, 1, (":1:", ":3:", ":5:", ":6:")),
                              ("domains: [", 1, (":1:",)), ("", 1, (":",))):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([program, "--check", "--config", file.name], text=True,
                                  capture_output=True)
            said = done.stdout + done.stderr
            check(done.returncode == code, f"--check exits {done.returncode}, not {code}: {said}")
            for line in lines:
                check(f"{file.name}{line}" in said, f"no error at {line}: {said}")
    done = subprocess.run([program, "--check", "--config", "/nonexistent.yaml"],
                          capture_output=True)
    check(done.returncode == 1, f"a missing file: {done.returncode}")


def commands():
    with lab_of() as lab:
        lab.warm(*TARGETS)
        url = f"http://{lab.domain}{TARGETS[0]}"
        for words, code in ((("status",), 0), (("version",), 0), (("reasons",), 0),
                            (("domain", "list"), 0), (("cache", "list"), 0),
                            (("cache", "warm", url), 0),
                            (("cache", "warm", f"http://{lab.domain}/none"), 1),
                            (("cache", "warm", "http://unknown.test/"), 1),
                            (("domain", "enable", "unknown.test"), 1),
                            (("attach", "nosuchif0"), 1), (("detach", "nosuchif0"), 1),
                            (("cache", "purge"), 2), (("cache", "purge", url, "--all"), 2),
                            (("nonsense",), 2), (("detach",), 2)):
            done = lab.wbctl_run(*words)
            check(done.returncode == code, f"wbctl {words} exits {done.returncode}, not {code}: "
                  f"{done.stdout}{done.stderr}")
        done = subprocess.run([lab.env["WBCTL"], "--socket", "/nonexistent", "status"],
                              capture_output=True)
        check(done.returncode == 3, f"without a daemon: {done.returncode}")
        expect_hits(lab, "enabled")
        lab.wbctl("domain", "disable", lab.domain)
        connection = lab.connect()
        grown = compared(lab, connection, [lab.request(target) for target in TARGETS])
        check(not hits_of(grown), f"hits of a disabled domain: {grown}")
        lab.wbctl("domain", "enable", lab.domain)
        lab.warm(*TARGETS)
        expect_hits(lab, "enabled again")
        doctor(lab)
        metrics(lab)


def doctor(lab):
    done = lab.run("origin", lab.env["WBCTL"], "--json", "doctor", lab.env["ORIGIN_IF"],
                   "--pin-dir", lab.env["PIN_DIR"], "--cgroup", lab.env["CGROUP"], "--port", 80)
    findings = json.loads(done.stdout)
    errors = [finding for finding in findings if finding["severity"] == "error"]
    say(f"  doctor: {len(findings)} findings, {len(errors)} errors")
    check(done.returncode == 0 and not errors and findings, f"exit {done.returncode}: {errors}")


def metrics(lab):
    text = lab.must("origin", "curl", "-sf", lab.env["ACCELERD_METRICS"])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                          capture_output=True)
    problems = [line for line in (done.stdout + done.stderr).splitlines()
                if line.startswith("webbooster_")]
    check(not problems, f"promtool: {problems}")
    hits = [line for line in text.splitlines() if line.startswith("webbooster_requests_total{")
            and 'result="hit"' in line]
    check(len(hits) == 1 and float(hits[0].split()[-1]) == lab.hits(), f"{hits}, {lab.hits()}")
    say(f"  metrics: {len(text.splitlines())} lines, promtool content")


# The configuration.

def keepalive_refresh():
    with lab_of(conf=configuration(top="keepalive_refresh: 2s\n")) as lab:
        lab.warm(*TARGETS)
        connection = lab.connect()
        request = lab.request(TARGETS[2])
        before = lab.reasons()
        begun = time.monotonic()
        asked = 0
        while time.monotonic() < begun + 7:
            connection.request(request)
            connection.quickack()
            asked += 1
            time.sleep(0.02)
        grown = netlab.difference(lab.reasons(), before)
        through = grown.get("in/keepalive_refresh", 0)
        say(f"  keepalive_refresh 2 s: {asked} requests in 7 s, {through} let through")
        check(2 <= through <= 4 and hits_of(grown) >= asked - 2 * through - 3, str(grown))


def passes(lab, what, request, reason):
    """The request goes to the web server for the reason named, and is answered right."""
    connection = lab.connect()
    compared(lab, connection, [request])
    grown = compared(lab, connection, [request] * 5)
    connection.close()
    check(grown.get(f"in/{reason}") == 5 and not hits_of(grown), f"{what}: {grown}")
    say(f"  {what}: passed, {reason}")


def wait_for_hit(lab, request):
    """The object is filled on its misses."""
    connection = lab.connect()
    end = time.monotonic() + 5
    while not hits_of(compared(lab, connection, [request])):
        check(time.monotonic() < end, f"{request!r} never becomes a hit: {lab.reasons()}")
        time.sleep(0.02)
    connection.close()


def domain_options():
    cookie = [("Cookie", "a=b")]
    with lab_of(conf=configuration("query: pass")) as lab:
        lab.warm(*TARGETS)
        passes(lab, "cookies: pass", lab.request(TARGETS[2], cookie), "request_cookie")
        passes(lab, "query: pass", lab.request(TARGETS[2] + "?a=b"), "request_query")
        expect_hits(lab, "neither")
    with lab_of(conf=configuration("cookies: ignore", "query: key",
                                   f'exclude: ["{TARGETS[1]}"]')) as lab:
        lab.warm(*[target for target in TARGETS if target != TARGETS[1]])
        wait_for_hit(lab, lab.request(TARGETS[2], cookie))
        for query in ("?a=b", "?a=c", "?"):
            wait_for_hit(lab, lab.request(TARGETS[2] + query))
        say("  cookies: ignore, query: key: hits")
        connection = lab.connect()
        grown = compared(lab, connection, [lab.request(TARGETS[1])] * 20)
        check(not hits_of(grown), f"an excluded path was a hit: {grown}")
        say("  exclude: never a hit")


# TCP of the client.

def setting(lab, name, value):
    lab.must("client", "sh", "-c", f"echo {value} >/proc/sys/net/ipv4/{name}")


def tcp_options():
    with lab_of() as lab:
        lab.warm(*TARGETS)
        for names in (("tcp_timestamps",), ("tcp_sack",), ("tcp_window_scaling",),
                      ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")):
            for name in names:
                setting(lab, name, 0)
            for family in (4, 6):
                expect_hits(lab, f"without {', '.join(names)}, IPv{family}", family=family)
            for name in names:
                setting(lab, name, 1)


def announced(sock):
    """The MSS that we announced, less timestamps: tcpi_advmss of linux/tcp.h."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("20I", info, 8)[19]


def least_segments(lab, targets, payload):
    """How many segments the reference's answers need at least."""
    reference = lab.connect(8080)
    answers = [reference.request(lab.request(target)) for target in targets]
    return sum(-(-(len(answer.head) + len(answer.body)) // payload) for answer in answers)


def small_mss():
    """Sizes so close that a segment over the MSS would make fewer segments for one of them."""
    sizes = list(range(2200, 2900, 40))
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, sizes)) as lab:
        targets = [f"/s{size}.html" for size in sizes]
        lab.warm(*targets)
        for family, mss in ((4, 1400), (4, 1200), (4, 536), (6, 1380), (6, 1200), (6, 536)):
            subprocess.run(["ip", "-n", lab.env["NS_CLIENT"], f"-{family}", "route", "replace",
                            f"{lab.address(family)}/{32 if family == 4 else 128}", "dev",
                            lab.env["CLIENT_IF"], "advmss", str(mss)], check=True)
            connection = lab.connect(80, family)
            check(announced(connection.sock) == mss - 12, "the route's MSS was not announced")
            grown = compared(lab, connection, [lab.request(target) for target in targets])
            connection.close()
            hits, refused = hits_of(grown), grown.get("in/mss", 0)
            least = least_segments(lab, targets, mss - 12)
            say(f"  IPv{family} MSS {mss}: {hits} hits, {refused} passed for it, "
                f"{grown.get('seg/segment_sent', 0)} segments, at least {least} needed")
            check(hits == len(targets) or refused == len(targets), f"MSS {mss}: {grown}")
            check(refused or grown["seg/segment_sent"] >= least, "segments above the MSS")


def large_mtu():
    """Replies of one segment up to all that a reply may have, as large as the device takes."""
    mtu = 3498
    with lab_of(mtu=mtu) as lab:
        lab.warm(*TARGETS)
        for family in (4, 6):
            grown = expect_hits(lab, f"MTU {mtu}, IPv{family}", family=family, rounds=1)
            payload = mtu - (40 if family == 6 else 20) - 20 - 12
            sent, least = grown["seg/segment_sent"], least_segments(lab, TARGETS, payload)
            of_ethernet = least_segments(lab, TARGETS, 1448)
            say(f"    {sent} segments; {least} needed, {of_ethernet} with an MTU of 1500")
            repaired = grown.get("timer/timer_resent", 0)  # of one segment at least, on a busy CPU
            check(least <= sent < of_ethernet and (repaired or sent == least),
                  f"{sent} segments, {least} needed, {repaired} repairs: {grown}")


def small_window():
    with lab_of() as lab:
        lab.warm(*TARGETS)
        with lab.inside("client"):
            sock = socket.socket(socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect((lab.address(), 80))
        connection = wbhttp.Connection.on(sock, 10.0)
        grown = compared(lab, connection, [lab.request(target) for target in TARGETS] * 5)
        say(f"  receive buffer of 4 KB: {hits_of(grown)} hits, {grown.get('in/window', 0)} passed")
        check(hits_of(grown) > 0 and grown.get("in/window", 0) > 0, str(grown))


def address_of(space, name):
    text = subprocess.run(["ip", "-n", space, "-o", "link", "show", name], check=True, text=True,
                          capture_output=True).stdout
    return bytes.fromhex(text.split("link/ether ")[1].split()[0].replace(":", ""))


@contextlib.contextmanager
def packet_socket(lab, host, interface):
    with lab.inside(host):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock:
        sock.bind((lab.env[interface], ETH_P_ALL))
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.settimeout(5)
        yield sock


def tagged_frame(sock):
    """The next frame as it was on the wire: the kernel hands over its outer tag beside it."""
    data, control, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(20))
    status, _, _, _, _, tag, protocol = struct.unpack("IIIHHHH", control[0][2][:20])
    if not status & TP_STATUS_VLAN_VALID:
        return data
    return data[:12] + struct.pack("!HH", protocol, tag) + data[12:]


def vlan():
    """Tagged frames with what would be a hit inside arrive at the origin's stack as they were sent,
    under any number of tags.
    """
    with lab_of() as lab:
        lab.warm(*TARGETS)
        ends = (address_of(lab.env["NS_ORIGIN"], lab.env["ORIGIN_IF"])
                + address_of(lab.env["NS_CLIENT"], lab.env["CLIENT_IF"]))
        payload = lab.request(TARGETS[0])
        packet = (struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0,
                              socket.inet_aton(lab.address(host="CLIENT")),
                              socket.inet_aton(lab.address()))
                  + struct.pack("!HHIIBBHHH", 1234, 80, 1, 1, 0x50, 0x18, 100, 0, 0) + payload)
        sent, arrived = [], []
        before = lab.reasons()
        with packet_socket(lab, "client", "CLIENT_IF") as client, \
                packet_socket(lab, "origin", "ORIGIN_IF") as origin:
            for tags in (b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"):
                sent += [ends + tags + b"\x08\x00" + packet + b"%d" % number
                         for number in range(10)]
            for frame in sent:
                client.send(frame)
            while len(arrived) < len(sent):
                frame = tagged_frame(origin)
                if frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
                    arrived.append(frame)
        check(arrived == sent, f"{arrived[:1]}, sent {sent[:1]}")
        expect_hits(lab, "untagged beside VLANs")
        grown = netlab.difference(lab.reasons(), before)
        say(f"  VLAN: {grown.get('in/not_ip', 0)} of {len(sent)} tagged frames passed untouched")
        check(grown.get("in/not_ip", 0) >= len(sent), str(grown))


if __name__ == "__main__":
    sys.exit(netlab.main([config_check, commands, keepalive_refresh, domain_options, tcp_options,
                          small_mss, large_mtu, small_window, vlan]))
