# SPDX-License-Identifier: Apache-2.0
"""For orchestration_test.py with WB_BOOST_FAKE=1: a boosterd that answers /v1/boost and moves no packet, to try the
examples without a lab.
"""

import contextlib
import http.server
import json
import os
import signal
import socketserver
import subprocess
import threading
import time

import netlab
from netlab import REPO

NAMES = ("site.test", "shop.test")


class Domains:
    """Modes with limits; what has run out is again what it was."""

    def __init__(self):
        self._rows = {name: {"mode": "off", "before": "off", "ends": None, "at": 80} for name in NAMES}

    def get(self, name):
        row = self._rows[name]
        if row["ends"] is not None and time.monotonic() >= row["ends"]:
            row.update(mode=row["before"], ends=None)
        left = None if row["ends"] is None else int(row["ends"] - time.monotonic()) + 1
        return {"name": name, "mode": row["mode"], "state": "boosted" if row["mode"] == "on" else "calm", "by": "director",
                "reason": "manual", "since": "2026-01-02T03:04:05Z", "raise_percent": row["at"], "lower_percent": 50, "until_s": left,
                "hold_left_ms": 0, "switches_left": 4, "switches_left_hour": 20, "priority": "normal", "relief_percent": None,
                "load": None, "counters": {}}

    def set(self, name, mode, for_s=None, at_percent=None):
        self.get(name)
        row = self._rows[name]
        if row["ends"] is None:
            row["before"] = row["mode"]
        row.update(mode=mode, ends=for_s and time.monotonic() + for_s, at=at_percent or row["at"])
        return {"name": name, "mode": mode, "state": self.get(name)["state"], "took_ms": 0.1, "connections_kept": 0, "resets_seen": 0}

    def status(self):
        return {"domains": [self.get(name) for name in NAMES], "peers": [], "booster_cpu_percent": 1.5, "capacity_percent": 90,
                "store": "file", "store_healthy": True, "store_error": "", "interfaces": ["eth0"]}


def serve(path):
    domains = Domains()
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self, code, value):
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            with lock:
                self._answer(200, domains.status())

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = self.path.rpartition("/")[2]
            with lock:
                if name in NAMES:
                    self._answer(200, domains.set(name, **asked))
                else:
                    self._answer(404, {"error": {"code": "not_found", "message": f"no domain {name}"}})

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(path, Handler) as server:
        os.chmod(path, 0o666)
        server.serve_forever()


class FakeLab:
    def __init__(self, path, prefix, pid):
        self.namespace = f"{prefix}-booster"
        self.prefix = prefix
        wbctl = os.environ.get("WB_BOOST_WBCTL") or f"{os.environ.get('WB_BUILD_DIR', REPO / 'build')}/ctl/wbctl/wbctl"
        self.env = {"WBCTL": wbctl, "BOOSTERD_SOCK": str(path / "sock"), "DOMAIN": NAMES[0], "DOMAIN2": NAMES[1], "VIP_SITE": "",
                    "VIP_SHOP": "", "BOOSTERD_PID": str(pid)}

    inside = netlab.Lab.inside

    def command(self, _host, *argv):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, argv)]


@contextlib.contextmanager
def fake_lab():
    with netlab.scratch() as path:
        pid = os.fork()
        if pid == 0:
            try:
                serve(str(path / "sock"))
            finally:
                os._exit(1)
        lab = FakeLab(path, netlab.Lab("/").prefix, pid)
        try:
            subprocess.run(["ip", "netns", "add", lab.namespace], check=True)
            subprocess.run(["ip", "-n", lab.namespace, "link", "set", "lo", "up"], check=True)
            while not (path / "sock").exists():
                time.sleep(0.02)
            time.sleep(0.2)
            yield lab
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            subprocess.run(["ip", "netns", "del", lab.namespace], check=False)
