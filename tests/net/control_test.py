#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The control socket of a real accelerd: what it answers is what docs/openapi.yaml says, to the
last field; objects, domains and connections are told as they are; strangers are turned away.

A schema of the file allows further fields (clients must ignore them); here none is allowed, so that
a new field of a reply must be written into the file.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

# Debian's packages, where another Python comes first.
sys.path.append("/usr/lib/python3/dist-packages")

import yaml

import netlab
from netlab import Lab, UnixConnection, check
from schema import Schemas

SIZES = [1024, 5000, 11673, 14000]
LOCATIONS = """
location = /cookie.html { add_header Set-Cookie a=b; add_header Cache-Control max-age=60; }
location = /s14000.html { limit_rate 8k; }
"""
STRANGER = 54321
STRANGERS_GROUP = 54322


def site(path):
    netlab.make_docroot(path, SIZES, compressed=[5000])
    (path / "cookie.html").write_text("cookie")
    return path


# The file.

class Api:
    def __init__(self, lab):
        self.lab = lab
        self.file = yaml.safe_load((netlab.REPO / "docs" / "openapi.yaml").read_text())
        self.schemas = Schemas(self.file)
        self.validated = set()

    def validate(self, name, value, where):
        errors = self.schemas.errors(name, value)
        check(not errors, f"{where} is no {name}: {errors}")

    def exchange(self, method, path, body=None):
        connection = UnixConnection(self.lab.env["ACCELERD_SOCK"])
        fields = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        response = connection.getresponse()
        value = json.loads(response.read())
        connection.close()
        return response, value

    def call(self, method, pattern, status=200, body=None, query=None, name=""):
        """The reply, which is what the file says of this operation."""
        operation = self.file["paths"][pattern][method.lower()]
        path = pattern.replace("{name}", urllib.parse.quote(name, safe=""))
        if query:
            path += "?" + urllib.parse.urlencode(query)
        response, value = self.exchange(method, path, body)
        where = f"{method} {path}"
        check(response.status == status, f"{where}: {response.status} {value}, not {status}")
        check(response.getheader("Content-Type") == "application/json", f"{where}: no JSON")
        if status == 200:
            content = operation["responses"]["200"]["content"]["application/json"]
            self.validate(content["schema"]["$ref"].rsplit("/", 1)[1], value, where)
            self.validated.add((method, pattern))
        else:
            self.validate("Error", value, where)
        return value


def until(what, reading, good, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        value = reading()
        if good(value):
            return value
        check(time.monotonic() < deadline, f"{what}: still {value}")
        time.sleep(0.05)


def url_of(lab, target):
    return f"http://{lab.domain}{target}"


def ask(lab, target, fields=(), family=4, keep=False):
    connection = lab.connect(80, family)
    response = connection.request(lab.request(target, fields), b"GET")
    if keep:
        return connection, response
    connection.close()
    return response


def hit(lab, connection, target, fields=()):
    """Asks on this connection until it is answered by XDP."""
    before = lab.hits()
    for _ in range(10):
        response = connection.request(lab.request(target, fields), b"GET")
        if lab.hits() > before:
            return response
    raise netlab.TestFailure(f"{target} never hits")


# The tests.

def replies_are_documented():
    with netlab.scratch() as path, Lab(site(path), nginx_include=LOCATIONS) as lab:
        api = Api(lab)
        lab.warm("/s1024.html", "/s5000.html")
        api.call("POST", "/v1/cache/warm",
                 body={"urls": [url_of(lab, "/cookie.html"), url_of(lab, "/none.html")]})
        connection, _ = ask(lab, "/s1024.html", keep=True)
        hit(lab, connection, "/s1024.html")
        api.call("GET", "/v1/status")
        api.call("GET", "/v1/version")
        api.call("GET", "/v1/reasons")
        check(api.call("GET", "/v1/connections")["connections"], "no connection")
        api.call("GET", "/v1/connections",
                 query={"sort": "age", "limit": 1, "remote": "::1", "spliced": "true"})
        api.call("GET", "/v1/domains")
        report = api.call("GET", "/v1/domains/{name}", name=lab.domain)
        check(report["refused_objects"] == {"set_cookie": 1, "status": 1}, str(report))
        check(api.call("GET", "/v1/cache")["entries"], "no entry")
        for target in ("/s1024.html", "/cookie.html"):
            api.call("GET", "/v1/cache/object", query={"url": url_of(lab, target)})
        api.call("POST", "/v1/domains/{name}/disable", name=lab.domain, body={})
        api.call("POST", "/v1/domains/{name}/enable", name=lab.domain)
        api.call("POST", "/v1/cache/purge", body={"kind": "prefix", "value": url_of(lab, "/s1")})
        interface = lab.env["ORIGIN_BOOSTER_IF"]
        api.call("POST", "/v1/interfaces/{name}/detach", name=interface,
                 body={"force": True, "deadline_seconds": None})
        check(api.call("GET", "/v1/status")["interfaces"], "detached from all")
        api.call("POST", "/v1/interfaces/{name}/attach", name=interface, body={"mode": "auto"})
        api.call("POST", "/v1/reload")
        # The tap is no JSON: observe_test.py.
        operations = {(method.upper(), pattern) for pattern, item in api.file["paths"].items()
                      for method in item if method != "parameters" and pattern != "/v1/tap"}
        check(api.validated == operations, f"not tried: {operations - api.validated}")
        errors_are_documented(api, lab)
        connection.close()


def errors_are_documented(api, lab):
    api.call("GET", "/v1/domains/{name}", 404, name="other.test")
    api.call("GET", "/v1/domains/{name}", 400, name="..")
    api.call("GET", "/v1/cache/object", 404, query={"url": url_of(lab, "/never.html")})
    api.call("GET", "/v1/cache/object", 404, query={"url": "http://other.test/"})
    api.call("GET", "/v1/cache/object", 400)
    api.call("GET", "/v1/connections", 400, query={"sort": "size"})
    api.call("GET", "/v1/cache", 404, query={"domain": "other.test"})
    api.call("POST", "/v1/cache/warm", 400, body={"urls": []})
    api.call("POST", "/v1/cache/purge", 404, body={"kind": "domain", "value": "other.test"})
    api.call("POST", "/v1/interfaces/{name}/detach", 404, name="wbnone0")
    api.call("POST", "/v1/domains/{name}/enable", 404, name="other.test")
    # The server really has each path of the file: else this would be 404.
    for pattern, item in api.file["paths"].items():
        known = {method.upper() for method in item if method != "parameters"}
        wrong = "GET" if "POST" in known else "POST"
        body = None if wrong == "GET" else {}
        response, value = api.exchange(wrong, pattern.replace("{name}", "x"), body)
        check(response.status == 405, f"{wrong} {pattern}: {response.status}")
        check({response.getheader("Allow")} == known, f"{pattern}: {response.getheader('Allow')}")
        api.validate("Error", value, f"{wrong} {pattern}")
    response, value = api.exchange("GET", "/v1/nothing")
    check(response.status == 404, str(response.status))
    api.validate("Error", value, "/v1/nothing")


def an_object_is_told_whole():
    with netlab.scratch() as path, Lab(site(path), nginx_include=LOCATIONS) as lab:
        lab.warm("/s5000.html")
        report = lab.wbctl("cache", "show", url_of(lab, "/s5000.html"))
        check(report["state"] == "live" and report["watched"], str(report))
        check(str(path / "s5000.html") in report["depends_on"], str(report["depends_on"]))
        by_encoding = {value: v for v in report["variants"] for value in v["encodings"]}
        check({"", "gzip", "br"} <= set(by_encoding), f"encodings {set(by_encoding)}")
        for value, fields in (("", []), ("gzip", [("Accept-Encoding", "gzip")])):
            variant = by_encoding[value]
            file = path / ("s5000.html.gz" if value else "s5000.html")
            check(variant["bytes"] == file.stat().st_size, f"{value}: {variant}")
            check(variant["freshness"] == "file" and variant["expires_in_s"] is None, str(variant))
            connection, _ = ask(lab, "/s5000.html", fields, keep=True)
            got = hit(lab, connection, "/s5000.html", fields)
            connection.close()
            # What is said to be sent is what is sent.
            sent = re.sub(rb"(\r\nDate: )[^\r]*", rb"\1(the second it is sent)", bytes(got.head))
            check(sent.rstrip() == variant["header"].encode().rstrip(),
                  f"{sent} is not {variant['header']}")
            check(f'\r\nETag: {variant["etag"]}' in variant["header"], variant["etag"])
            check(f'\r\nLast-Modified: {variant["last_modified"]}\r\n' in variant["header"],
                  variant["last_modified"])
        after = lab.wbctl("cache", "show", url_of(lab, "/s5000.html"))
        counted = {value: v["hits"] for v in after["variants"] for value in v["encodings"]}
        check(counted[""] >= 1 and counted["gzip"] >= 1, f"hits {counted}")
        shown = lab.wbctl_run("cache", "show", url_of(lab, "/s5000.html")).stdout
        check("Date: (the second it is sent)" in shown and "\r" not in shown, shown)
        # Refused, and why.
        lab.wbctl_run("cache", "warm", url_of(lab, "/cookie.html"))
        refused = lab.wbctl("cache", "show", url_of(lab, "/cookie.html"))
        check(refused["state"] == "refused" and refused["reason"] == "set_cookie"
              and 0 < refused["retry_in_s"] <= 30 and not refused["variants"], str(refused))
        # Being fetched, which takes seconds.
        connection, _ = ask(lab, "/none.html", keep=True)  # The first request may be unseen.
        connection.request(lab.request("/s14000.html"), b"GET")
        connection.close()
        filling = until("a fill", lambda: lab.wbctl_run("--json", "cache", "show",
                                                        url_of(lab, "/s14000.html")),
                        lambda done: done.returncode == 0)
        filling = json.loads(filling.stdout)
        check(filling["state"] == "filling" and filling["filling"] == [""]
              and not filling["variants"], str(filling))
        # Dropped by a change: nothing is known.
        (path / "s5000.html").write_text("new")
        until("a dropped object",
              lambda: lab.wbctl_run("cache", "show", url_of(lab, "/s5000.html")),
              lambda done: done.returncode == 1 and "nothing is known" in done.stderr)


def connections_are_told():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm("/s1024.html")
        idle = [lab.connect(80), lab.connect(80, 6)]
        for connection in idle:  # Followed; answered by the web server only.
            connection.request(lab.request("/none.html"), b"GET")
        busy = lab.connect(80)
        busy.request(lab.request("/none.html"), b"GET")
        for _ in range(3):
            hit(lab, busy, "/s1024.html")
        port = busy.sock.getsockname()[1]
        rows = until("connections", lambda: lab.wbctl("conns")["connections"],
                     lambda rows: len(rows) == 3)
        first = rows[0]
        check(first["hits"] >= 3 and "spliced" in first["flags"], str(first))
        check(first["remote"] == f"{lab.address(4, 'CLIENT')}:{port}", f"{first['remote']}, {port}")
        check(first["local"] == lab.address() + ":80", first["local"])
        check(first["interface"] == lab.env["ORIGIN_IF"], first["interface"])
        check(first["d_out"] > 3 * 1024 and first["d_in"] > 0, str(first))
        check(first["bytes"] >= 3 * 1024 and first["cwnd_bytes"] > 0, str(first))
        until("unacknowledged bytes", lambda: lab.wbctl("conns")["connections"][0],
              lambda row: row["unacked_bytes"] == 0 and row["replies_in_flight"] == 0)
        for row in rows[1:]:
            check(row["hits"] == row["d_out"] == 0 and "spliced" not in row["flags"], str(row))
        spliced = lab.wbctl("conns", "--spliced")
        check(spliced["total"] == 1 and len(spliced["connections"]) == 1, str(spliced))
        v6 = lab.wbctl("conns", "--remote", lab.address(6, "CLIENT"))
        check(v6["total"] == 1 and v6["connections"][0]["remote"].startswith("["), str(v6))
        few = lab.wbctl("conns", "--limit", 1, "--sort", "age")
        check(few["total"] == 3 and len(few["connections"]) == 1, str(few))
        busy.close()
        until("a closed connection", lambda: lab.wbctl("conns", "--spliced"),
              lambda found: found["total"] == 0)
        for connection in idle:
            connection.close()


def top_shows_rates():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm("/s1024.html")
        load = lab.start(*lab.load_command(["/s1024.html"], 6, "--connections", 4, "--rate", 200))
        before = lab.hits()
        rounds = lab.wbctl_run("--json", "top", "--interval", 1, "--count", 3)
        grown = lab.hits() - before
        netlab.finish_load(load)
        check(rounds.returncode == 0, rounds.stderr)
        rows = [json.loads(line) for line in rounds.stdout.splitlines()]
        check(len(rows) == 3, rounds.stdout)
        # The rates times their intervals are the hits, or less: some came around the readings.
        told = sum(row["hits_per_s"] * row["seconds"] for row in rows)
        check(0 < told <= grown + 1, f"{told} hits told, {grown} counted")
        url = url_of(lab, "/s1024.html")
        by_url = sum(row["urls_per_s"].get(url, 0) * row["seconds"] for row in rows)
        check(0 < by_url <= grown + 1, f"{by_url} hits of the URL, {grown} counted")
        check(any(row["domains"][0]["hits_per_s"] > 0 for row in rows), str(rows))
        # accelerd goes and comes back; its counters begin anew, and rates stay rates.
        top = subprocess.Popen([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], "--json",
                                "top", "--interval", "0.5"], stdout=subprocess.PIPE, text=True)
        try:
            check(top.stdout.readline(), "top ends")
            lab.accelerd("kill")
            lab.accelerd("start")
            for _ in range(3):
                row = json.loads(top.stdout.readline())
                rates = [row[name] for name in ("hits_per_s", "fills_per_s", "bytes_per_s")]
                check(all(0 <= rate < 1e6 for rate in rates), str(row))
            top.send_signal(signal.SIGINT)
            top.communicate(timeout=60)
            check(top.returncode == 0, f"top exits {top.returncode}")
        finally:
            top.kill()
            top.wait()


def metric(lab, name):
    with lab.inside("origin"):
        with urllib.request.urlopen(lab.env["ACCELERD_METRICS"], timeout=10) as answer:
            text = answer.read().decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


def as_stranger(lab, *argv, groups=()):
    def become():
        os.setgroups(list(groups))
        os.setgid(STRANGERS_GROUP)
        os.setuid(STRANGER)
    return subprocess.run([lab.env["WBCTL"], "--socket", lab.env["ACCELERD_SOCK"], *argv],
                          text=True, capture_output=True, preexec_fn=become)


def open_way(lab):
    """Directories of the lab are root's alone; the socket is what is tested."""
    place = pathlib.Path(lab.env["ACCELERD_SOCK"]).parent
    while place != pathlib.Path("/"):
        place.chmod(place.stat().st_mode | 0o055)
        place = place.parent


def conf(allow):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return text.replace("socket: @SOCK@", f'socket: @SOCK@, mode: "0666"{allow}')


def strangers_are_turned_away():
    with netlab.scratch() as path, Lab(site(path), conf=conf("")) as lab, \
            netlab.scratch() as copy_of:
        readable_wbctl(lab, copy_of)
        open_way(lab)
        before = metric(lab, "webbooster_api_denied_total")
        for argv in (["status"], ["cache", "purge", "--all"], ["conns", "--json"]):
            done = as_stranger(lab, *argv)
            told = f"user {STRANGER} may not control accelerd" in done.stderr
            check(done.returncode == 1 and told and not done.stdout, str(done))
        check(metric(lab, "webbooster_api_denied_total") - before == 3, "not counted")
        check(lab.status()["api_denied_total"] == before + 3, "not in the status")
        log = pathlib.Path(lab.env["ACCELERD_LOG"]).read_text()
        said = [line for line in log.splitlines() if f"denied to user {STRANGER} " in line]
        check(len(said) == 1, f"logged {len(said)} times, not once in ten seconds")
        # The group of the socket's file may, also as a further group.
        os.chown(lab.env["ACCELERD_SOCK"], -1, STRANGERS_GROUP + 1)
        check(as_stranger(lab, "status", groups=[STRANGERS_GROUP + 1]).returncode == 0, "the group")
        check(as_stranger(lab, "status").returncode == 1, "another group")
    allow = f', allow: ["user:{STRANGER}"]'
    with netlab.scratch() as path, Lab(site(path), conf=conf(allow)) as lab, \
            netlab.scratch() as copy_of:
        readable_wbctl(lab, copy_of)
        open_way(lab)
        check(as_stranger(lab, "status").returncode == 0, "the named user is turned away")
        check(lab.status()["api_denied_total"] == 0, "root is turned away")


def readable_wbctl(lab, place):
    """The build may lie where only root can read."""
    target = place / "wbctl"
    target.write_bytes(pathlib.Path(lab.env["WBCTL"]).read_bytes())
    target.chmod(0o755)
    lab.env["WBCTL"] = str(target)


if __name__ == "__main__":
    sys.exit(netlab.main([replies_are_documented, an_object_is_told_whole, connections_are_told,
                          top_shows_rates, strangers_are_turned_away]))
