#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bounce of an origin: new connections of a boosted domain go to the booster, and no connection notices.

The VIP is on lo of origin and booster; clients reach it by the origin. The web server is nginx at the origin, and one of
this file's at the booster, whose accelerd's ear bounce_booster has.
"""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import netlab
from netlab import Lab, check, say

VIP = "198.18.5.1"
PORT = 9466
LEASE_S = 0.3
REDIRECT = f"""redirect:
  bounce:
    booster: @BOOSTER_IP@
    services: [{{ domain: @DOMAIN@, vips: [{VIP}], ports: [80] }}]
"""
TEMPLATE = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
BIG = netlab.pattern("big", 6 << 20)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = BIG if self.path == "/big" else b"booster"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET
    daemon_threads = True


class Booster:
    """bounce_booster and the booster's web server."""

    def __init__(self, lab):
        with lab.inside("booster"):
            self.server = Server((VIP, 80), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        tool = pathlib.Path(lab.env["BUILD_DIR"]) / "tests" / "net" / "bounce_booster"
        origin = lab.address(4, "ORIGIN_BOOSTER")
        # Its standard input is ours to write to; the shell says which process it will be.
        self.process = subprocess.Popen(
            lab.command("booster", "sh", "-c", 'echo $$; exec "$@"', "-", tool, origin, PORT,
                        lab.env["KEY_FILE"], lab.env["BOOSTER_IF"], origin,
                        f"/sys/fs/bpf/{lab.prefix}-booster"),
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = int(self.process.stdout.readline())
        answer = json.loads(self.process.stdout.readline())
        check(answer["ok"], str(answer))

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def set(self, lab, mode):
        answer = self.ask(f"set {lab.domain} {mode}")
        check(answer["ok"], f"{mode}: {answer}")
        return answer["ms"]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait(10)
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def bouncing():
    with netlab.scratch() as path:
        (path / "who").write_bytes(b"origin")
        (path / "big").write_bytes(BIG)
        with Lab(path, conf=REDIRECT + TEMPLATE) as lab:
            for host in ("origin", "booster"):
                lab.must(host, "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
            lab.must("client", "ip", "route", "add", f"{VIP}/32", "via", lab.address())
            lab.must("booster", "ip", "route", "add", lab.env["CLIENT_IP"], "via",
                     lab.env["CLIENT_BOOSTER_IP"])
            for host in ("client", "booster"):
                lab.must(host, "sh", "-c",
                         "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")
            booster = Booster(lab)
            try:
                yield lab, booster
            finally:
                booster.close()


def connect(lab, timeout=5.0):
    with lab.inside("client"):
        return socket.create_connection((VIP, 80), timeout)


def ask(lab, sock, target, body=None):
    """The response's body, read to its end."""
    method = "GET" if body is None else "POST"
    fields = "" if body is None else f"Content-Length: {len(body)}\r\n"
    sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {lab.domain}\r\n{fields}"
                 "Connection: close\r\n\r\n".encode() + (body or b""))
    data = b""
    while chunk := sock.recv(1 << 16):
        data += chunk
    head, _, answer = data.partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1.") and b" 200 " in head.split(b"\r\n")[0] + b" ",
          f"{target}: {head[:200]}")
    return answer


def who(lab):
    with connect(lab) as sock:
        return ask(lab, sock, "/who").decode()


def redirect(lab):
    """What accelerd says of the redirection."""
    connection = netlab.UnixConnection(lab.env["ACCELERD_SOCK"])
    connection.request("GET", "/v1/status")
    return json.loads(connection.getresponse().read())["redirect"]


class Download(threading.Thread):
    """A slow one, on a connection that exists already; `digest` is None until it is whole."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.sock = connect(lab, 30)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.sock.sendall(f"GET /big HTTP/1.1\r\nHost: {lab.domain}\r\nConnection: close\r\n\r\n".encode())
        self.digest = self.error = None
        self.hold = threading.Event()
        self.start()

    def run(self):
        try:
            data = b""
            while chunk := self.sock.recv(65536):
                data += chunk
                if not self.hold.is_set():
                    time.sleep(0.02)
            self.digest = hashlib.sha256(data.partition(b"\r\n\r\n")[2]).digest()
        except OSError as error:
            self.error = error
        finally:
            self.sock.close()

    def finish(self):
        self.hold.set()
        self.join(60)
        check(self.error is None and self.digest == hashlib.sha256(BIG).digest(),
              f"a download that was under way: {self.error or 'other bytes'}")


def toggles():
    """New connections go where they should at once, and those that exist stay where they are."""
    with bouncing() as (lab, booster):
        check(who(lab) == "origin", "calm at first")
        here = Download(lab)
        times = []
        there = None
        for _ in range(10):
            times.append(booster.set(lab, "boosted"))
            check(who(lab) == "booster", "boosted")
            there = there or Download(lab)
            times.append(booster.set(lab, "calm"))
            check(who(lab) == "origin", "calm again")
        say(f"  20 toggles in force after {max(times):.1f} ms at most, {sum(times) / 20:.1f} ms on average")
        check(here.is_alive() and there.is_alive(), "the downloads did not last")
        here.finish()
        there.finish()
        packets = redirect(lab)["packets"]
        check(packets["syn_bounced"] >= 11 and packets["followed"] > 0 and packets["here"] > 0,
              str(packets))
        booster.set(lab, "drained")
        check(redirect(lab)["lingering"] == {lab.domain: 0}, "drained")
        check(who(lab) == "origin", "drained")


def uploads():
    """Packets that do not fit the tunnel are told to the client, which then sends smaller ones."""
    with bouncing() as (lab, booster), tempfile.NamedTemporaryFile(suffix=".o") as program:
        # What XDP sends back waits in a veth until its other end has an XDP program, too.
        subprocess.run(["clang-16", "-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"
                        if os.uname().machine == "x86_64" else "-I/usr/include/aarch64-linux-gnu",
                        "-c", netlab.SUPPORT / "xdp_pass.bpf.c", "-o", program.name], check=True)
        lab.must("client", "ip", "link", "set", "dev", lab.env["CLIENT_IF"], "xdpdrv", "obj",
                 program.name, "sec", "xdp.frags")
        booster.set(lab, "boosted")
        with connect(lab, 20) as sock:
            check(ask(lab, sock, "/who", BIG[:1 << 20]) == b"booster", "the upload's answer")
        packets = redirect(lab)["packets"]
        check(packets["too_big"] > 0, str(packets))


def silence():
    """A booster that is not heard gets no new connections; one that is heard again does."""
    with bouncing() as (lab, booster):
        booster.set(lab, "boosted")
        check(who(lab) == "booster", "boosted")
        there = Download(lab)
        os.kill(booster.pid, signal.SIGSTOP)
        begun = time.monotonic()
        while who(lab) != "origin":
            check(time.monotonic() < begun + 5, "new connections still go to a silent booster")
            time.sleep(0.01)
        took = time.monotonic() - begun
        say(f"  the origin has new connections {1000 * took:.0f} ms after the booster fell silent")
        check(took < 0.5, f"only after {took:.2f} s")
        there.finish()
        os.kill(booster.pid, signal.SIGCONT)
        deadline = time.monotonic() + 10
        while who(lab) != "booster":
            check(time.monotonic() < deadline, "a booster that is heard again has no connections")


def restarts():
    """Connections at the booster outlive the origin's accelerd, killed or stopped."""
    with bouncing() as (lab, booster):
        booster.set(lab, "boosted")
        there = Download(lab)
        lab.accelerd("kill")
        begun = time.monotonic()
        while who(lab) != "origin":
            check(time.monotonic() < begun + 5, "new connections still go to the booster")
        lab.accelerd("start")
        deadline = time.monotonic() + 10
        while who(lab) != "booster":
            check(time.monotonic() < deadline, "boosted again by the booster's word")
        there.finish()


def loads():
    """The booster hears of the origin's load all the time."""
    with bouncing() as (lab, booster):
        deadline = time.monotonic() + 30  # a handshake may have to be begun again on a busy machine
        while not (load := booster.ask("load"))["ok"]:
            check(time.monotonic() < deadline, "no load is told")
            time.sleep(0.05)
        before = load["domains"][lab.domain]["requests"]
        with contextlib.ExitStack() as open_ones:
            socks = [open_ones.enter_context(connect(lab)) for _ in range(5)]

            def told():
                # Not of each connection the first is counted: with its handshake's end in one batch it is not known yet.
                for sock in socks:
                    sock.sendall(f"GET /who HTTP/1.1\r\nHost: {lab.domain}\r\n\r\n".encode())
                    check(sock.recv(4096).startswith(b"HTTP/1.1 200"), "an answer")
                now = booster.ask("load")
                check(now["age_ms"] < 1000 and 0 <= now["softirq"] <= now["cpu"] <= 1000, str(now))
                domain = now["domains"][lab.domain]
                return domain["requests"] >= before + 5 and domain["connections"] >= 5

            deadline = time.monotonic() + 10
            while not told():
                check(time.monotonic() < deadline, f"not told: {booster.ask('load')}")
                time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(netlab.main([toggles, uploads, silence, restarts, loads]))
