#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd upgraded under load: no request fails, whoever asks and however the new program is.

The program that boosterd runs is a copy, so that another can be put in its place.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

import netlab
from booster_lab import TO
from lifecycle import finish, forever
from netlab import Lab, check, say

SIZES = (700, 3000, 9000, 300000)
SMALL = ["/s700.html", "/s3000.html", "/s9000.html"]
VERSIONS = ("0.1.0", "9.9.9")
SUCCESSOR = b"""#!/usr/bin/env python3
import socket, struct, sys, time
pair = socket.socket(fileno=int(sys.argv[-1]))
def say(kind, text=b""):
    pair.sendall(b"WBH1" + struct.pack("=I", kind) + text)
"""


class Program:
    """A build directory whose boosterd is ours to change."""

    def __init__(self, path):
        build = pathlib.Path(os.environ.get("WB_BUILD_DIR", netlab.REPO / "build"))
        self.path = path / "booster/boosterd/boosterd"
        self.path.parent.mkdir(parents=True)
        (path / "ctl").symlink_to(build / "ctl")
        self._whole = (build / "booster/boosterd/boosterd").read_bytes()
        check(b"\x000.1.0\x00" in self._whole, "boosterd does not hold its version")
        self.version(0)

    def put(self, content):
        """As a package manager does: a process that runs keeps its file."""
        new = self.path.with_name("new")
        new.write_bytes(content)
        new.chmod(0o755)
        new.rename(self.path)

    def version(self, which):
        self.put(self._whole.replace(b"\x000.1.0\x00", b"\x00%s\x00" % VERSIONS[which].encode()))


class Booster:
    """The lab's boosterd, whichever process that is."""

    def __init__(self, lab, program):
        self.lab = lab
        self.program = program
        self.conf = pathlib.Path(lab.env["BOOSTERD_CONF"])
        self.text = self.conf.read_text()
        self.pid = int(lab.env["BOOSTERD_PID"])

    def configure(self, text):
        self.conf.write_text(self.text + text)

    def command(self, verb):
        return [self.lab.env["WBCTL"], "--json", "booster", verb, "--socket", self.lab.env["BOOSTERD_SOCK"]]

    def status(self):
        return json.loads(subprocess.run(self.command("status"), check=True, capture_output=True).stdout)

    def listeners(self):
        """Inodes of its sockets that listen for clients."""
        own = set()
        for fd in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                own.add(re.sub(r"\D", "", os.readlink(fd)))
        rows = [row.split() for name in ("tcp", "tcp6")
                for row in pathlib.Path(f"/proc/{self.pid}/net/{name}").read_text().splitlines()]
        return own & {row[9] for row in rows if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) in (80, 443)}

    def upgrade(self):
        before = self.listeners()
        done = subprocess.run(self.command("upgrade"), text=True, capture_output=True)
        check(done.returncode == 0, f"wbctl booster upgrade: {done.stderr}{self.log()}")
        said = json.loads(done.stdout)
        check(said["old_pid"] == self.pid and said["new_pid"] != self.pid, f"{said}, {self.pid} before")
        self.pid = said["new_pid"]
        # Where lab.sh looks.
        (pathlib.Path(self.lab.env["RUN_DIR"]) / "boosterd.pid").write_text(f"{self.pid}\n")
        self.lab.refresh()
        # What waits in their queues, or is half open, is not lost for a moment.
        check(len(before) >= 4 and before <= self.listeners(),
              f"it has not got {before - self.listeners()} of {before}")
        status = self.status()
        check((status["pid"], status["version"]) == (self.pid, said["new_version"]), f"{status['pid']}, {said}")
        return said

    def refused(self, why):
        done = subprocess.run(self.command("upgrade"), text=True, capture_output=True)
        check(done.returncode == 1 and why in done.stderr, f"exit {done.returncode}: {done.stderr}")
        self.same()

    def same(self):
        status = self.status()
        check(status["pid"] == self.pid and not status["draining"], f"{status['pid']} {status['draining']}")

    def log(self):
        return pathlib.Path(self.lab.env["BOOSTERD_LOG"]).read_text()[-3000:]


@contextlib.contextmanager
def environment(**values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def started(**values):
    with netlab.scratch() as path, netlab.scratch() as root:
        program = Program(path)
        with environment(WB_BUILD_DIR=str(path), **values), Lab(netlab.make_docroot(root, SIZES), booster=True) as lab:
            yield lab, Booster(lab, program)


def wait_for_end(pid, seconds):
    """Nobody may have collected it."""
    end = time.monotonic() + seconds
    while True:
        try:
            if re.search(r"^State:\s+Z", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M):
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        check(time.monotonic() < end, f"process {pid} is still there")
        time.sleep(0.05)


def wrk(lab, *options):
    """Until no_wrk_error() ends it."""
    return lab.start("client", "wrk", "-t", 1, "-c", 16, "-d", "300s", "--timeout", "5s", "-H", f"Host: {lab.domain}",
                     *options, f"http://{lab.address(host=TO)}/s3000.html")


def curl_h2(lab, count):
    """So many requests on few connections; a line for each."""
    return lab.start("client", "curl", "-s", "--http2", "-Z", "--parallel-max", 8, "--cacert", lab.env["CA_CERT"],
                     "--resolve", f"{lab.domain}:443:{lab.address(host=TO)}", "-o", "/dev/null",
                     "-w", "%{http_code} %{size_download}\\n",
                     f"https://{lab.domain}/s3000.html?[1-{count}]")


def no_wrk_error(process):
    check(process.poll() is None, "wrk has ended before its time")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    check(process.returncode == 0, f"wrk: {err}")
    check("Socket errors" not in out and "Non-2xx" not in out, out)
    requests = int(re.search(r"(\d+) requests in", out)[1])
    check(requests > 100, out)
    return requests


def tls_context(lab):
    context = ssl.create_default_context(cafile=lab.env["CA_CERT"])
    context.set_alpn_protocols(["http/1.1"])
    return context


def https(lab, context, session=None):
    """A request by a new TLS connection: its session, and whether it was resumed."""
    raw = lab.connect(443, to=TO).sock
    raw.settimeout(10)
    with context.wrap_socket(raw, server_hostname=lab.domain, session=session) as sock:
        sock.sendall(lab.request("/s700.html", [("Connection", "close")]))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        check(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(netlab.pattern("s700", 700)), f"{answer[:200]}")
        return sock.session, sock.session_reused


def upgrades_lose_nothing():
    """Of any number of workers to any other: wrk with and without keep-alive, checked bytes, HTTP/2."""
    with started() as (lab, booster):
        lab.warm(*SMALL)
        context = tls_context(lab)
        session, resumed = https(lab, context)
        check(not resumed, "a first connection was resumed")
        loads = [wrk(lab), wrk(lab, "-H", "Connection: close")]
        checked = forever(lab, SMALL, "--connections", 16, to=TO)
        h2 = 0
        for number, workers in enumerate((1, 3, 2, 2)):
            time.sleep(0.8)
            many = curl_h2(lab, 400)
            time.sleep(0.3)
            booster.program.version((number + 1) % 2)
            booster.configure(f"workers: {workers}\n")
            said = booster.upgrade()
            check(said["new_version"] == VERSIONS[(number + 1) % 2] != said["old_version"], f"{said}")
            check(len(booster.status()["workers"]) == workers, f"not {workers} workers")
            session, resumed = https(lab, context, session)
            check(resumed, "the TLS session was not resumed by the new boosterd")
            out, err = many.communicate()
            lines = out.split("\n")[:-1]
            check(many.returncode == 0 and lines == ["200 3000"] * 400,
                  f"curl: {many.returncode} {len(lines)} {err[-500:]}"
                  f"{[line for line in lines if line != '200 3000'][:5]}")
            h2 += len(lines)
            origin = booster.status()["domains"][0]["origins"][0]
            check(origin["hits"] > 10, f"the new one asks for nothing by key: {origin}")
        report = finish(checked)
        plain = [no_wrk_error(load) for load in loads]
        wait_for_end(int(said["old_pid"]), 20)
        say(f"  4 upgrades: {plain[0]} requests by keep-alive, {plain[1]} with a connection each, "
            f"{report['completed']} checked, {h2} by HTTP/2; the longest of them took {report['max_ms']} ms")


def downloads_and_idle_clients_end_in_the_old_one():
    with started() as (lab, booster):
        booster.configure("timeouts: { drain: 6s }\n")
        booster.upgrade()
        old = booster.pid
        download, idle, silent, fresh = (lab.connect(80, to=TO) for _ in range(4))
        download.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        download.send(lab.request("/s300000.html"))
        for connection in (idle, silent):
            check(connection.request(lab.request("/s700.html")).keeps_alive(), "it does not keep alive")
        begun = time.monotonic()
        booster.upgrade()
        # Both were idle: a next request is answered, by the old one, and is the last.
        for connection in (idle, fresh):
            answer = connection.request(lab.request("/s700.html"))
            check(answer.status == 200 and not answer.keeps_alive(), f"{answer.head}")
        check(lab.connect(80, to=TO).request(lab.request("/s700.html")).keeps_alive(), "the new one drains")
        time.sleep(1)
        check(download.read_response().body == netlab.pattern("s300000", 300000), "the download was cut")
        silent.sock.settimeout(10)
        check(silent.sock.recv(1) == b"", "bytes out of nothing")
        waited = time.monotonic() - begun
        check(2.5 < waited < 5, f"an idle connection was ended after {waited} s, not half of timeouts.drain")
        wait_for_end(old, 6)
        booster.same()


def successors(booster):
    """Pids of those that were started and do not serve."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().split(b"\0")
            if b"--takeover" in words and str(booster.conf).encode() in words and int(file.parent.name) != booster.pid:
                found.append(int(file.parent.name))
    return found


def failures_change_nothing():
    """Programs and files that are wrong, and those that take what they are given and die: the old one serves on."""
    with started() as (lab, booster):
        lab.warm(*SMALL)
        load = wrk(lab, "-H", "Connection: close")
        for number, (program, why) in enumerate([
                (b"no program", "cannot be executed"),
                (b"#!/bin/sh\nexit 1\n", "ended without a word"),
                (b"#!/bin/sh\nexec sleep 0.2\n", "ended without a word"),
                (SUCCESSOR + b"say(1, b'1.0'); time.sleep(.2); pair.recvmsg(9999, 999)\n", "ended without a word"),
                (SUCCESSOR + b"say(6); time.sleep(5)\n", "out of turn"),
                (SUCCESSOR + b"pair.sendall(b'WBH2' + bytes(4)); time.sleep(60)\n", "no handover of this version"),
                (SUCCESSOR + b"say(7, b'I will not'); time.sleep(60)\n", "I will not")]):
            booster.program.put(program)
            booster.refused(why)
        check(number == 6, "not all were tried")
        booster.program.version(1)
        booster.configure("nonsense: 1\n")
        booster.refused("nonsense")
        booster.conf.write_text(booster.text.replace("127.0.0.1:9465", "192.0.2.1:9465"))
        booster.refused("192.0.2.1")
        # Another program's control socket is not taken.
        other = socket.socket(socket.AF_UNIX)
        other.bind(f"{lab.env['RUN_DIR']}/other.sock")
        other.listen()
        booster.conf.write_text(booster.text.replace(lab.env["BOOSTERD_SOCK"], f"{lab.env['RUN_DIR']}/other.sock"))
        booster.refused("another process answers")
        other.close()
        booster.configure("")
        # One at a time; a reload has to wait, too. That one hangs until it is ended.
        booster.program.put(b"#!/bin/sh\necho $$ >%s.pid\nexec sleep 60\n" % str(booster.program.path).encode())
        first = subprocess.Popen(booster.command("upgrade"), text=True, stderr=subprocess.PIPE)
        file = pathlib.Path(f"{booster.program.path}.pid")
        while not (file.exists() and file.read_text().endswith("\n")):
            time.sleep(0.02)
        booster.refused("an upgrade is under way")
        reload = subprocess.run(booster.command("reload"), text=True, capture_output=True)
        check(reload.returncode == 1 and "an upgrade is under way" in reload.stderr, f"{reload}")
        os.kill(int(file.read_text()), signal.SIGKILL)
        _, err = first.communicate()
        check(first.returncode == 1 and "ended without a word" in err, err)
        booster.same()
        check(successors(booster) == [], f"left: {successors(booster)}")
        # And then it can be, by the signal as well.
        booster.program.version(1)
        os.kill(booster.pid, signal.SIGUSR2)
        end = time.monotonic() + 10
        while (status := booster.status())["pid"] == booster.pid:
            check(time.monotonic() < end, f"SIGUSR2 did nothing: {booster.log()}")
            time.sleep(0.05)
        check(status["version"] == VERSIONS[1], f"{status['version']}")
        check(lab.must("booster", "curl", "-s", "http://127.0.0.1:9465/metrics").count('version="9.9.9"') == 1,
              "the metrics are not the new one's")
        say(f"  eleven refused upgrades: {no_wrk_error(load)} requests")
        os.kill(status["pid"], signal.SIGTERM)
        wait_for_end(status["pid"], 10)


def drain(receiver):
    """All that has come."""
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(receiver.recv(4096, socket.MSG_DONTWAIT).decode())
    return messages


def the_service_manager_is_told():
    """sd_notify(3): the old one names the new one before it ends, and is silent about its end."""
    with netlab.scratch() as path, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path / "notify"))
        with started(NOTIFY_SOCKET=str(path / "notify")) as (_, booster):
            drain(manager)  # the starts of all daemons of the lab
            said = booster.upgrade()
            wait_for_end(said["old_pid"], 10)
            heard = drain(manager)
            check(heard == [f"MAINPID={said['new_pid']}", "READY=1"], f"{heard}")
            # Of whoever takes orphans, as a manager would.
            parent = re.search(r"^PPid:\s+(\d+)", pathlib.Path(f"/proc/{said['new_pid']}/status").read_text(), re.M)[1]
            check(int(parent) not in (said["old_pid"], 0), f"its parent is {parent}")


def a_stop_ends_an_upgrade():
    with started() as (lab, booster):
        booster.program.put(b"#!/bin/sh\nexec sleep 60\n")
        first = subprocess.Popen(booster.command("upgrade"), text=True, stderr=subprocess.PIPE)
        time.sleep(0.5)
        os.kill(booster.pid, signal.SIGTERM)
        wait_for_end(booster.pid, 5)
        _, err = first.communicate()
        check(first.returncode == 1 and "given up" in err, f"{first.returncode} {err}")
        booster.program.version(0)
        lab.boosterd("start")
        # Its lock is held still: no second one by accident.
        done = lab.run("booster", str(booster.program.path), "--config", lab.env["BOOSTERD_CONF"], timeout=20)
        check(done.returncode == 3, f"a second boosterd: exit {done.returncode}: {done.stderr}")


if __name__ == "__main__":
    sys.exit(netlab.main([upgrades_lose_nothing, downloads_and_idle_clients_end_in_the_old_one, failures_change_nothing,
                          the_service_manager_is_told, a_stop_ends_an_upgrade]))
