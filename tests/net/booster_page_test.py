#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a boosterd that serves: its control socket, its metrics, its access log
and its status page, which headless Chromium renders. All of it runs in a network namespace of its
own that ends with this process.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Debian's packages, where another Python comes first.
sys.path.append("/usr/lib/python3/dist-packages")

import yaml

from schema import Schemas

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WB_BUILD_DIR", REPO / "build"))
BOOSTERD = BUILD / "booster" / "boosterd" / "boosterd"
WBCTL = BUILD / "ctl" / "wbctl" / "wbctl"
ADMIN = 9465
CHROMIUM = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--no-proxy-server"]


def check(condition, text):
    if not condition:
        raise SystemExit(f"FAILED  {text}")


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 2000
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Booster:
    """shop.test's second origin is a port where nobody listens."""

    def __init__(self, place):
        self.place = place
        self.log = place / "access.log"
        self.config = place / "boosterd.yaml"
        self.write()
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Origin)
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.said = open(place / "stderr", "w")
        self.process = subprocess.Popen([BOOSTERD, "--config", self.config], stderr=self.said)
        self.await_socket()

    def write(self, extra="", shop="shop.test"):
        self.config.write_text(f"""
instance: page
runtime_dir: {self.place}/run
workers: 2
listeners: [{{ address: "127.0.0.1:8080" }}]
access_log: {{ file: {self.log}, format: json }}
{extra}
domains:
  - name: site.test
    aliases: [www.site.test]
    origins: [{{ address: "127.0.0.1:8081" }}]
  - name: {shop}
    origins: [{{ address: "127.0.0.1:8081" }}, {{ address: "127.0.0.1:8082", weight: 2 }}]
""")

    def await_socket(self):
        for _ in range(400):
            if (self.place / "run" / "boosterd.sock").exists():
                return
            check(self.process.poll() is None, (self.place / "stderr").read_text())
            time.sleep(0.05)
        check(False, "boosterd does not start")

    def api(self, method, path, body=None):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.place / "run" / "boosterd.sock"))
        connection = http.client.HTTPConnection("boosterd")
        connection.sock = sock
        fields = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def admin(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=60)
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read().decode()

    def wbctl(self, *words):
        env = {**os.environ, "WB_BOOSTER_SOCKET": str(self.place / "run" / "boosterd.sock")}
        return subprocess.run([WBCTL, "booster", *words], env=env, text=True, capture_output=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.origin.shutdown()
        check(code == 0, f"boosterd ended with {code}: {(self.place / 'stderr').read_text()}")


def request(connection, host, path="/a"):
    connection.request("GET", path, headers={"Host": host, "User-Agent": "page test"})
    response = connection.getresponse()
    response.read()
    return response.status


class Traffic(threading.Thread):
    """Some requests each 10 ms until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.sent = {"site.test": 0, "shop.test": 0}

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
        turn = 0
        while not self.ending.wait(0.01):
            turn += 1
            host = "shop.test" if turn % 4 == 0 else "site.test"
            check(request(connection, host, "/broken" if turn % 50 == 0 else "/a") in (200, 500),
                  f"a request to {host} failed")
            self.sent[host] += 1
        connection.close()

    def end(self):
        self.ending.set()
        self.join()
        return self.sent


def samples(text):
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def api_is_as_described(booster, sent):
    schemas = Schemas(yaml.safe_load((REPO / "docs" / "openapi-boosterd.yaml").read_text()))
    for method, path, name in (("GET", "/v1/status", "Status"), ("GET", "/v1/version", "Version"),
                               ("GET", "/v1/domains", "DomainList"),
                               ("POST", "/v1/reload", "Reload")):
        status, value = booster.api(method, path, {} if method == "POST" else None)
        check(status == 200, f"{path}: {value}")
        errors = schemas.errors(name, value)
        check(not errors, f"{path} is no {name}: {errors}")
    status, value = booster.api("GET", "/v1/none")
    check(status == 404, value)
    check(not schemas.errors("Error", value), f"no error: {value}")
    value = booster.api("GET", "/v1/status")[1]
    domains = {d["name"]: d for d in value["domains"]}
    check({name: sum(d["responses"].values()) for name, d in domains.items()} == sent, domains)
    check(domains["shop.test"]["response_bytes"] == 2000 * sent["shop.test"], domains)
    ups = [o["up"] for o in domains["shop.test"]["origins"]]
    check(ups == [True, False], f"origins of shop.test: {domains['shop.test']['origins']}")
    check(domains["shop.test"]["origins"][1]["retries"] > 0, "nothing was retried")
    check(domains["site.test"]["origins"][0]["misses"] >= sum(sent.values()), "misses are missing")
    check(domains["site.test"]["rates"]["requests_per_s"] > 1, "no rate")
    check(len(value["workers"]) == 2 and value["connections"]["accepted"] == 1, value)


def reload_works_or_says_why_not(booster):
    booster.write(extra="links: 0")
    status, value = booster.api("POST", "/v1/reload", {})
    check(status == 400 and "links" in value["error"]["message"], value)
    done = booster.wbctl("reload")
    check(done.returncode == 1 and "links" in done.stderr, f"{done}")
    booster.write(extra="links: 3", shop="other.test")
    done = booster.wbctl("reload")
    check(done.returncode == 0 and "reloaded: 2 domains" in done.stdout, f"{done}")
    check("other.test" in booster.wbctl("domains").stdout, "not in force")
    booster.config.write_text(booster.config.read_text().replace("workers: 2", "workers: 1"))
    done = booster.wbctl("reload")
    check("takes a restart: workers" in done.stdout, f"{done}")
    booster.write()
    booster.process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if "shop.test" in booster.wbctl("domains").stdout:
            return
        time.sleep(0.05)
    check(False, "SIGHUP reloads nothing")


def metrics_are_right(booster, sent):
    response, text = booster.admin("/metrics")
    check(response.getheader("Content-Type").startswith("text/plain; version=0.0.4"),
          response.getheader("Content-Type"))
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                          capture_output=True)
    check(lint.returncode == 0 and not lint.stderr, lint.stderr)
    found = samples(text)
    for name, count in sent.items():
        of_all = sum(value for key, value in found.items()
                     if key.startswith(f'webbooster_booster_requests_total{{domain="{name}"'))
        timed = found[f'webbooster_booster_request_duration_seconds_count{{domain="{name}"}}']
        check(of_all == timed == count, f"{name}: {of_all}, {timed}, {count}")
    check(found['webbooster_booster_origin_up{origin="127.0.0.1:8082"}'] == 0, "it is down")
    check(found["webbooster_booster_up"] == 1, "a worker does not answer")
    check(found["webbooster_booster_connections_accepted_total"] == 1, "one connection")
    check(found['webbooster_booster_worker_turns_total{worker="0"}'] > 0, "no turns")
    check(found['webbooster_booster_access_log_lines_total{result="written"}'] ==
          sum(sent.values()), "lines of the access log")


def log_has_every_request(booster, sent):
    lines = [json.loads(line) for line in booster.log.read_text().splitlines()]
    check(len(lines) == sum(sent.values()), f"{len(lines)} lines of {sent}")
    line = lines[-1]
    check(line["request"].startswith("GET /") and line["host"] in sent
          and line["body_bytes_sent"] == 2000 and line["http_user_agent"] == "page test"
          and line["remote_addr"] == line["server_addr"] == "127.0.0.1"
          and line["server_port"] == 8080 and line["remote_port"] > 0
          and 0 <= line["request_time"] < 5, f"{line}")
    booster.log.rename(booster.place / "old.log")
    booster.process.send_signal(signal.SIGUSR1)
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
    request(connection, "site.test", "/new")
    for _ in range(200):
        if booster.log.exists() and "GET /new" in booster.log.read_text():
            return
        time.sleep(0.05)
    check(False, "no line in the new file")


def chromium(*options):
    done = subprocess.run([*CHROMIUM, *options], text=True, capture_output=True, timeout=120)
    check(done.returncode == 0, done.stderr)
    return done


def page_shows_it(booster):
    response, text = booster.admin("/")
    policy = response.getheader("Content-Security-Policy")
    check("default-src 'none'" in policy and "unsafe" not in policy, policy)
    url = f"http://127.0.0.1:{ADMIN}/"
    # Long enough for the page to renew itself by its script.
    done = chromium("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", url)
    check("Refused to" not in done.stderr and "Content Security Policy" not in done.stderr,
          done.stderr)
    dom = done.stdout
    for word in ("boosterd page", "serving", "site.test", "shop.test", "127.0.0.1:8082 is down",
                 "boosted", "worker 1", "latency, 99 %"):
        check(word in dom, f"the page lacks {word}")
    check(len(re.findall(r"<polyline class=\"line\" points=\"\d", dom)) == 3, "sparklines")
    rates = [float(r.replace(",", "")) for r in re.findall(r"<dd>([\d,.]+)/s</dd>", dom)]
    check(len(rates) == 2 and all(rate > 0 for rate in rates), f"rates: {rates}")
    check(re.search(r"<dt>p50 / p99</dt><dd>[\d.]+ ms / [\d.]+ m?s</dd>", dom), "latencies")
    check(not re.search(r"(src|href)=", dom), "the page loads something")
    for path, method, status in (("/x", "GET", 404), ("/metrics", "POST", 405),
                                 ("/../etc/passwd", "GET", 404), ("/", "HEAD", 200)):
        response, text = booster.admin(path, method)
        check(response.status == status, f"{method} {path}: {response.status} {text}")


def page_fits(booster, pictures):
    """Of a copy, to which a script is added that measures it: the page itself lets none in."""
    url = f"http://127.0.0.1:{ADMIN}/"
    for name, width, height in (("wide", 1280, 900), ("phone", 375, 1400)):
        copy = booster.place / f"{name}.html"
        copy.write_text(booster.admin("/")[1] + """<script>
          const right = e => e.getBoundingClientRect().right;
          const wide = [...document.querySelectorAll('main *')].filter(e => !e.closest('svg') &&
            right(e) > right(e.closest('.card, .tile') || document.documentElement) + 0.5);
          document.title = `W ${document.documentElement.clientWidth} `
            + `${document.documentElement.scrollWidth} ${wide.length}`;</script>""")
        dom = chromium(f"--window-size={width},{height}", "--dump-dom", copy.as_uri()).stdout
        sizes = re.search(r"<title>W (\d+) (\d+) (\d+)</title>", dom)
        check(sizes, f"{name}: not measured")
        client, scroll, wide = map(int, sizes.groups())
        check(client == width, f"{name}: Chromium gave {client} px")
        check(scroll <= client and wide == 0, f"{name}: {scroll} px, {wide} elements stick out")
        for theme, option in (("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])):
            picture = pictures / f"{name}-{theme}.png"
            chromium(f"--window-size={width},{height}", *option, f"--screenshot={picture}", url)
            check(picture.stat().st_size > 10000, f"{picture} shows nothing")


def silent_clients_do_not_stay(booster):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            silent = socket.create_connection(("127.0.0.1", ADMIN))
            stack.callback(silent.close)
        check(booster.admin("/")[0].status == 200, "no page")
        status = pathlib.Path(f"/proc/{booster.process.pid}/status").read_text()
        threads = int(re.search(r"Threads:\s+(\d+)", status)[1])
        check(threads < 40, f"{threads} threads")


def run():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pictures = BUILD / "tests" / "booster_page"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wbpage") as place:
        booster = Booster(pathlib.Path(place))
        try:
            traffic = Traffic()
            traffic.start()
            time.sleep(8)  # seconds of history, for a sparkline
            page_shows_it(booster)
            page_fits(booster, pictures)
            sent = traffic.end()
            time.sleep(0.5)  # until the log's lines are written
            metrics_are_right(booster, sent)
            api_is_as_described(booster, sent)
            log_has_every_request(booster, sent)
            reload_works_or_says_why_not(booster)
            silent_clients_do_not_stay(booster)
            booster.stop()
        finally:
            if booster.process.poll() is None:
                booster.process.kill()
                booster.process.wait()
    print("1 passed, 0 failed")


def main():
    if os.geteuid() != 0:
        raise SystemExit("network tests need root")
    if "WB_PAGE_INSIDE" not in os.environ:
        check(shutil.which(CHROMIUM[0]), "no Chromium")
        os.environ["WB_PAGE_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__])
    run()


if __name__ == "__main__":
    sys.exit(main())
