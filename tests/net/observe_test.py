#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What XDP answers can be seen: access log, tap, shadow mode.

The access log is compared with nginx's own of the unaccelerated port; the tap with what tcpdump sees
at the client, less what it sees leave the origin's kernel; the shadow's count with the hits that the
same requests make once it has ended.
"""

import collections
import contextlib
import json
import math
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

import netlab
from netlab import Lab, check, say

SIZES = [100, 1024, 5000, 11673]
TARGETS = [f"/s{size}.html" for size in SIZES]
ETAG = re.compile(rb"\r\nETag: ([^\r]*)\r\n", re.I)
LINE = re.compile(r'^(\S+) - - \[([^\]]+)\] (.*)$')
TEMPLATE = pathlib.Path(netlab.REPO / "deploy/lab/accelerd.yaml.in").read_text()


def site(path):
    return netlab.make_docroot(path, SIZES, compressed=[5000])


def config(**access_log):
    return TEMPLATE + f"access_log: {json.dumps(access_log)}\n"


def wait_for(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.05)


def log_of(lab):
    return lab.status()["access_log"]


def settled(lab, hits):
    """All hits have gone through the log, one way or another."""
    def arrived():
        log = log_of(lab)
        return log["written"] + log["failed"] + log["lost"] == hits
    wait_for(f"{hits} records: {log_of(lab)}", arrived)
    return log_of(lab)


# Access log.

def asked(etag):
    """Requests: method, target, fields. The hostile ones hold what XDP lets through."""
    agent = ("User-Agent", b"Mozilla/5.0 (X11) \"quoted\" back\\slash \xc3\xa9\xff %41 'x' $t`")
    return [("GET", target, fields) for target in TARGETS for fields in (
        [], [("Referer", "http://a.test/b?c=d"), ("User-Agent", "curl/8")],
        [("Referer", ""), agent], [("referer", "  spaced  "), ("USER-AGENT", "x" * 600)],
        [("If-None-Match", etag[target]), agent])
    ] + [("HEAD", target, [agent]) for target in TARGETS] + [
        ("GET", "/s1024.html?" + query, []) for query in ("a=%22b", "q=\"\\'<>")]


def raw(lab, method, target, fields):
    head = f"{method} {target} HTTP/1.1\r\nHost: {lab.domain}\r\n".encode()
    for name, value in fields:
        head += name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        head += b"\r\n"
    return head + b"\r\n"


def fields_of(line):
    match = LINE.match(line)
    check(match, f"no line of the combined format: {line!r}")
    return match.group(1), match.group(3)


def etags(lab):
    connection = lab.connect(8080)
    found = {target: ETAG.search(connection.request(lab.request(target)).head).group(1)
             for target in TARGETS}
    connection.close()
    return found


def same_as_nginx():
    with netlab.scratch() as path, netlab.scratch() as logs:
        ours, theirs = logs / "hits.log", logs / "nginx.log"
        with Lab(site(path), conf=config(file=str(ours)),
                 nginx_include=f"access_log {theirs} combined;\n") as lab:
            requests = asked(etags(lab))
            lab.warm(*TARGETS, "/s1024.html?a=%22b", "/s1024.html?q=\"\\'<>")
            for family in (4, 6):
                compare_logs(lab, family, requests, ours, theirs)
            check(oct(ours.stat().st_mode & 0o777) == "0o640", "mode of the log")


def compare_logs(lab, family, requests, ours, theirs):
    """Each request on the reference port, then until it is a hit on the accelerated one."""
    reference, connection = lab.connect(8080, family), lab.connect(80, family)
    expected, skip, written = [], len(theirs.read_text().splitlines()), log_of(lab)["written"]
    for method, target, fields in requests:
        data = raw(lab, method, target, fields)
        answer = reference.request(data, method.encode())
        for _ in range(6):
            before = lab.hits()
            again = connection.request(data, method.encode())
            check(netlab.comparable(again) == netlab.comparable(answer), f"{data!r} differs")
            connection.quickack()
            if lab.hits() > before:
                expected.append(data)
                break
        else:
            raise netlab.TestFailure(f"no hit: {data!r}: {lab.reasons()}")
    reference.close()
    connection.close()
    wait_for("log", lambda: log_of(lab)["written"] == written + len(expected))
    # nginx has logged the reference's and our misses; the first of each request is the reference's.
    wanted = []
    lines = [fields_of(line) for line in theirs.read_text().splitlines()[skip:]]
    for _, rest in lines:
        if not wanted or wanted[-1] != rest:
            wanted.append(rest)
    got = [fields_of(line) for line in ours.read_text().splitlines()[written:]]
    check([rest for _, rest in got] == wanted,
          "\n".join(f"{a!r}\n{b!r}" for a, (_, b) in zip(wanted, got) if a != b)[:2000])
    check({who for who, _ in got} == {who for who, _ in lines}, "addresses")
    when = LINE.match(ours.read_text().splitlines()[-1]).group(2)
    age = time.time() - time.mktime(time.strptime(when[:20], "%d/%b/%Y:%H:%M:%S"))
    check(-2 < age < 60, f"time of the last line: {when}")
    say(f"  IPv{family}: {len(got)} lines as nginx's, for example {got[2][1][:110]}")


def json_and_sampling():
    with netlab.scratch() as path, netlab.scratch() as logs:
        ours = logs / "hits.json"
        with Lab(site(path), conf=config(file=str(ours), format="json", sample=4)) as lab:
            lab.warm(*TARGETS)
            lab.load(TARGETS[:2], 3)
            hits = lab.hits()
            time.sleep(0.5)
            rows = [json.loads(line) for line in ours.read_text().splitlines()]
            mean, sigma = hits / 4, math.sqrt(hits * 3 / 16)
            say(f"  one in four of {hits} hits: {len(rows)} lines, {mean:.0f} expected")
            check(hits > 400 and abs(len(rows) - mean) < 6 * sigma, f"{len(rows)} of {hits}")
            row = rows[-1]
            check(row["status"] == 200 and row["host"] == lab.domain and
                  row["remote_addr"] == lab.env["CLIENT_IP"] and row["server_port"] == 80 and
                  row["body_bytes_sent"] in SIZES and row["http_referer"] is None, str(row))


def rotated_under_load():
    """mv with SIGUSR1 and without: no line is lost."""
    with netlab.scratch() as path, netlab.scratch() as logs:
        ours = logs / "hits.log"
        with Lab(site(path), conf=config(file=str(ours))) as lab:
            lab.warm(*TARGETS)
            load = lab.start(*lab.load_command(TARGETS[:2], 5, "--connections", 8))
            for turn in range(8):
                time.sleep(0.3)
                wait_for("a log of that name", ours.exists)
                ours.rename(logs / f"hits.log.{turn}")
                if turn % 2 == 0:
                    os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGUSR1)
            report = netlab.finish_load(load)
            hits = lab.hits()
            log = settled(lab, hits)
            lines = sum(len(file.read_text().splitlines()) for file in logs.iterdir())
            full = sum(1 for file in logs.iterdir() if file.stat().st_size)
            say(f"  {report['completed']} requests, {hits} hits, {lines} lines in {full} files: {log}")
            check(lines == hits and not log["failed"] and not log["lost"] and full >= 5, str(log))


def full_disk():
    with netlab.scratch() as path, Lab(site(path), conf=config(file="/dev/full")) as lab:
        lab.warm(*TARGETS)
        report = lab.load(TARGETS[:2], 2)
        hits = lab.hits()
        log = settled(lab, hits)
        check(log["failed"] == hits > 100 and report["failed"] == 0, f"{log} {hits} {report}")
        text = pathlib.Path(lab.env["ACCELERD_LOG"]).read_text()
        check(1 <= text.count("No space left on device") <= 3, "complaints are limited")
        check(f'webbooster_access_log_lines_total{{result="failed"}} {hits}' in lab.must(
            "origin", "curl", "-s", lab.env['ACCELERD_METRICS']), "metric")


# Tap.

def frames(file):
    """(direction-less) frames of a pcap file as tcpdump or wbctl wrote it."""
    data = pathlib.Path(file).read_bytes()
    magic = struct.unpack_from("<I", data)[0]
    check(magic in (0xa1b2c3d4, 0xa1b23c4d), f"magic {magic:x}")
    at, found = 24, []
    while at < len(data):
        _, _, captured, length = struct.unpack_from("<IIII", data, at)
        check(captured == length, "a frame was cut")
        found.append(data[at + 16:at + 16 + captured])
        at += 16 + captured
    return found


@contextlib.contextmanager
def capturing(lab, host, interface, file, *expression):
    dump = subprocess.Popen(lab.command(host, "tcpdump", "-i", interface, "-w", file, "-U", "-Z",
                                        "root", "-B", "16384", "-Q", "in" if host != "origin" else
                                        "out", *expression), stderr=subprocess.PIPE, text=True)
    while "listening" not in dump.stderr.readline():
        check(dump.poll() is None, "tcpdump has ended")
    try:
        yield
        time.sleep(0.5)
    finally:
        dump.send_signal(signal.SIGINT)
        _, said = dump.communicate(timeout=20)
    check("\n0 packets dropped by kernel" in said, said)


@contextlib.contextmanager
def tapping(lab, *options):
    tap = subprocess.Popen([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], "tap", *options],
                           stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    check(tap.poll() is None, "wbctl tap has ended")
    said = {}
    try:
        yield said
        time.sleep(1)
    finally:
        tap.send_signal(signal.SIGINT)
        said["out"], said["err"] = tap.communicate(timeout=20)
    check(tap.returncode == 0, said["err"])


def traffic(lab):
    """Hits, HEAD, 304 over both families, then losses at the receiver."""
    etag = etags(lab)
    for family in (4, 6):
        connection = lab.connect(80, family)
        for _ in range(3):
            for target in TARGETS:
                connection.request(lab.request(target))
                connection.request(lab.request(target, method="HEAD"), b"HEAD")
                connection.request(lab.request(target, [("If-None-Match", etag[target].decode())]))
        connection.close()
    lab.must("client", "nft", "add table inet loss; add chain inet loss i { type filter hook input "
             "priority 0; }; add rule inet loss i tcp sport 80 numgen random mod 12 == 0 drop")
    lab.load(TARGETS, 3, "--connections", 4, "--rate", 150)
    lab.must("client", "nft", "delete table inet loss")


def one_tap(lab, logs, mode):
    files = {name: str(logs / f"{mode}-{name}.pcap") for name in ("client", "origin", "tap")}
    before = lab.reasons()
    with capturing(lab, "client", lab.env["CLIENT_IF"], files["client"], "tcp", "src", "port", "80"), \
            capturing(lab, "origin", lab.env["ORIGIN_IF"], files["origin"], "tcp", "src", "port", "80"), \
            tapping(lab, "-w", files["tap"]) as said:
        traffic(lab)
    grown = netlab.difference(lab.reasons(), before)
    check(", 0 of them lost" in said["err"], said["err"])
    client, kernel, tap = (collections.Counter(frames(files[name]))
                           for name in ("client", "origin", "tap"))
    link = json.loads(lab.must("origin", "ip", "-j", "link", "show", "dev", lab.env["ORIGIN_IF"]))[0]
    ours = bytes.fromhex(link["address"].replace(":", ""))
    sent = collections.Counter({frame: n for frame, n in tap.items() if frame[6:12] == ours})
    asked_for = sum(tap.values()) - sum(sent.values())
    # What TC sends (late hits, generic mode) leaves by the kernel's way, where tcpdump sees it, too.
    check(client == kernel | sent,
          f"of {sum(client.values())} frames: {sum((client - (kernel | sent)).values())} not seen, "
          f"{sum(((kernel | sent) - client).values())} too many")
    check(not sent - client, f"{sum((sent - client).values())} copies of what was not sent")
    segments = grown["seg/segment_sent"]
    check(sum(sent.values()) >= segments, f"{sum(sent.values())} copies, {segments} segments")
    for reason in ("in/repair_sack", "timer/timer_resent"):
        check(grown.get(reason), f"no {reason}: {grown}")
    read = subprocess.run(["tcpdump", "-nn", "-vv", "-r", files["tap"]], capture_output=True, text=True)
    check(read.returncode == 0, read.stderr)
    check(read.stdout.count("(correct)") >= sum(tap.values()) and "incorrect" not in read.stdout,
          "checksums by tcpdump")
    say(f"  {mode}: {sum(client.values())} frames at the client, {sum(sent.values())} of them XDP's, "
        f"{asked_for} packets that it consumed; repairs {grown.get('in/repair_sack')} by SACK, "
        f"{grown.get('timer/timer_resent')} by timer")


def every_frame_is_tapped():
    # Behind a wire the client's interface has no GRO, which would merge what tcpdump is to see.
    with netlab.scratch() as path, netlab.scratch() as logs, Lab(site(path), wire=[]) as lab:
        lab.warm(*TARGETS)
        one_tap(lab, logs, "native")
        for name in (lab.env["ORIGIN_BOOSTER_IF"], lab.env["ORIGIN_IF"]):
            lab.wbctl("detach", name, "--force")
            lab.wbctl("attach", name, "--mode", "generic")
        one_tap(lab, logs, "generic")


def tap_filters_and_ends():
    import keyed_test
    with netlab.scratch() as path, Lab(keyed_test.site(path)) as lab:
        lab.warm(*keyed_test.TARGETS)
        link = keyed_test.Link(lab)
        requests = [link.request(target) for target in keyed_test.TARGETS[:4]]
        with tapping(lab, "--peer", lab.env["BOOSTER_IP"], "--snaplen", "200") as said:
            for _ in range(4):
                link.ask(requests)
        lines = said["out"].splitlines()
        check(any(" in  " in line and f"{lab.env['BOOSTER_IP']}." in line and "GET /a HTTP/1.1" in line
                  for line in lines), said["out"][:2000])
        check(sum("HTTP/1.1 200 OK" in line and " out " in line for line in lines) >= 3, said["out"][:2000])
        say(f"  keyed: {len(lines)} lines, for example {lines[0]}")
        with tapping(lab, "--peer", lab.env["CLIENT_IP"]) as said:
            link.ask(requests)
        check(not said["out"], said["out"][:500])
        # One at a time; a reader that is killed is noticed, and one that has enough ends by itself.
        captured = path / "captured"
        with captured.open("w") as out:
            first = subprocess.Popen([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], "tap"], stdout=out)
        wait_for("the first's packets", lambda: link.ask(requests) and captured.stat().st_size > 0)
        refused = lab.wbctl_run("tap", "--duration", "1")
        check("one at a time" in refused.stderr, refused.stderr)
        first.kill()
        first.wait()
        wait_for("the first's end", lambda: lab.wbctl_run("tap", "--duration", "1").returncode == 0)
        counted = subprocess.Popen([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], "tap",
                                    "--count", "3"], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        link.ask(requests)
        out, _ = counted.communicate(timeout=10)
        check(len(out.splitlines()) == 3, out)
        for bad in (["--domain", "none.test"], ["--peer", "x"], ["--port", "0"], ["--snaplen", "0"]):
            check(lab.wbctl_run("tap", *bad).returncode in (1, 2), f"{bad} is taken")


# Shadow.

def in_shadow(lab):
    return {row["name"]: row["shadow"] for row in lab.status()["interfaces"]}[lab.env["ORIGIN_IF"]]


def shadow():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        name = lab.env["ORIGIN_IF"]
        lab.warm(*TARGETS)
        check(not in_shadow(lab), "live at first")
        for turn in range(2):
            check(lab.wbctl("attach", name, "--shadow")["shadow"], "not in shadow mode")
            before = lab.status()
            report = lab.mixed(count=400, seed=turn)
            row = lab.status()
            would = row["shadow"]["requests_total"] - before["shadow"]["requests_total"]
            check(row["hits_total"] == before["hits_total"], "a hit in shadow mode")
            check(in_shadow(lab) and would > 15, f"{would} would have been hits: {lab.reasons()}")
            check(row["shadow"]["bytes_total"] > before["shadow"]["bytes_total"], str(row["shadow"]))
            check(0 < row["shadow"]["ratio"] <= 1, str(row["shadow"]))
            domain = lab.wbctl("domain", "list")["domains"][0]
            check(domain["shadow_hits_total"] == row["shadow"]["requests_total"], str(domain))
            connections = row["connections"]["opened_total"]
            lab.wbctl("attach", name)
            lab.mixed(count=400, seed=turn)
            hits = lab.hits() - row["hits_total"]
            say(f"  {report['requests']} requests: {would} hits in shadow mode, {hits} live")
            check(not in_shadow(lab) and hits > 15 and would > 0.5 * hits, f"{would} to {hits}")
            check(lab.status()["connections"]["opened_total"] > connections, "another attachment")
        # Live and back under load, and a killed accelerd does not go live by itself.
        load = lab.start(*lab.load_command(TARGETS, 6, "--connections", 8, "--rate", 400))
        for _ in range(6):
            lab.wbctl("attach", name, "--shadow")
            time.sleep(0.3)
            lab.wbctl("attach", name)
            time.sleep(0.3)
        lab.wbctl("attach", name, "--shadow")
        lab.accelerd("kill")
        lab.accelerd("start")
        lab.warm(*TARGETS)
        hits = lab.hits()
        netlab.finish_load(load)
        check(in_shadow(lab) and lab.hits() == hits, "live after a crash")
        text = lab.must("origin", "curl", "-s", lab.env['ACCELERD_METRICS'])
        check(f'webbooster_interface_shadow{{interface="{name}"}} 1' in text, "metric")


if __name__ == "__main__":
    sys.exit(netlab.main([same_as_nginx, json_and_sampling, rotated_under_load, full_disk,
                          every_frame_is_tapped, tap_filters_and_ends, shadow]))
