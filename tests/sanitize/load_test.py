#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sanitized accelerd (WB_BUILD_DIR) with everything at once: hits, misses, files that change,
purges, warming, attaching and detaching, switches, status, metrics. The sanitizers report nothing,
and it ends as it should, idle and in the midst of it. WB_SANITIZE_SECONDS: of load (15).
"""

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "net"))
import netlab  # noqa: E402  (found by the path above)
from netlab import Background, Lab, UnixConnection, check, say, wbhttp  # noqa: E402

SECONDS = float(os.environ.get("WB_SANITIZE_SECONDS", "15"))
SIZES = [1, 500, 2500, 8000, 11673]
REPORT = re.compile(r"Sanitizer|runtime error:|broken invariant|terminate called")


def call(lab, method, path, body=None):
    """Status and JSON of an answer."""
    connection = UnixConnection(lab.env["ACCELERD_SOCK"])
    with contextlib.closing(connection):
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def must(lab, method, path, body=None, codes=(200,)):
    status, answer = call(lab, method, path, body)
    check(status in codes, f"{method} {path} answers {status}: {answer}")
    return answer


def ask(lab):
    for path in ("status", "version", "domains", "reasons", "cache?limit=100&sort=url"):
        must(lab, "GET", f"/v1/{path}")


def scrape(lab):
    with lab.inside("origin"):
        connection = http.client.HTTPConnection("127.0.0.1", 9464, timeout=30)
        connection.connect()
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
    check(b"webbooster_" in text, f"metrics: {text[:200]}")


def warm(lab):
    urls = [f"http://{lab.domain}/s{size}.html" for size in SIZES]
    must(lab, "POST", "/v1/cache/warm", {"urls": urls + [f"http://{lab.domain}/none"]})


def purge(lab):
    site = f"http://{lab.domain}"
    for kind, value in (("url", f"{site}/s500.html"), ("prefix", f"{site}/c"), ("domain", lab.domain)):
        must(lab, "POST", "/v1/cache/purge", {"kind": kind, "value": value})
        time.sleep(0.1)
    must(lab, "POST", "/v1/cache/purge", {"kind": "all"})
    time.sleep(0.5)


def switch(lab):
    for verb in ("disable", "enable"):
        must(lab, "POST", f"/v1/domains/{lab.domain}/{verb}")
    time.sleep(1)


def attach(lab):
    """The interface of the booster, by which nothing else goes; and one that is not there."""
    path = f"/v1/interfaces/{lab.env['ORIGIN_BOOSTER_IF']}"
    must(lab, "POST", f"{path}/detach", {"deadline_seconds": 5})
    must(lab, "POST", f"{path}/attach", {"mode": "native"})
    status, _ = call(lab, "POST", "/v1/interfaces/none0/attach", {})
    check(status >= 400, "attached to an interface that is not there")


def change(lab):
    """Files come, change, and go, and are asked for until the change is seen."""
    for i in itertools.count():
        name = f"c{i % 5}.html"
        file = pathlib.Path(lab.docroot, name)
        file.write_bytes(netlab.pattern(f"{i}", 400))
        until = time.monotonic() + 20
        with contextlib.closing(lab.connect(80)) as connection:
            while connection.request(lab.request(f"/{name}")).body != netlab.pattern(f"{i}", 400):
                check(time.monotonic() < until, f"{name} of an earlier time")
            if i % 4 == 0:
                time.sleep(0.3)  # it is filled meanwhile, so that the next change withdraws something
        if i % 3 == 0:
            file.unlink()
        yield


def ask_as_client(lab):
    """Hits and misses on IPv4 and IPv6."""
    for family in (4, 6):
        with contextlib.closing(lab.connect(80, family)) as connection:
            for size in SIZES * 4:
                response = connection.request(lab.request(f"/s{size}.html"))
                check(response.body == netlab.pattern(f"s{size}", size), f"s{size}.html differs")
            connection.request(lab.request("/none"))


def repeat(work, lab, stop):
    def run():
        changing = work(lab) if work is change else None
        while not stop.is_set():
            if changing is not None:
                next(changing)
            else:
                work(lab)
    return Background(run)


WORKS = [ask, ask, scrape, warm, purge, switch, attach, change, ask_as_client, ask_as_client]


def check_log(lab, beginning=0):
    text = pathlib.Path(lab.env["ACCELERD_LOG"]).read_text(errors="replace")[beginning:]
    found = REPORT.search(text)
    if found:
        say(text[max(0, found.start() - 300):][:12000])
    check(not found, "a sanitizer has reported")
    check("stopping" in text, "accelerd has not ended as it should")
    return beginning + len(text)


def under_load(lab, seconds):
    stop = threading.Event()
    works = [repeat(work, lab, stop) for work in WORKS]
    end = time.monotonic() + seconds
    while time.monotonic() < end and lab.env["ACCELERD_PID"]:
        time.sleep(0.5)
        check(pathlib.Path("/proc", lab.env["ACCELERD_PID"]).exists(), "accelerd has ended")
    return stop, works


def everything_at_once_and_a_clean_end():
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES, [2500])
        with Lab(path) as lab:
            stop, works = under_load(lab, SECONDS)
            stop.set()
            for work in works:
                work.join()
            status = lab.status()
            lab.accelerd("stop")
            size = check_log(lab)
            say(f"  {status['hits_total']} hits, {status['misses_total']} misses, "
                f"{status['cache']['fills_total']} fills, "
                f"{status['cache']['invalidations']} invalidations")
            check(status["hits_total"] > 0 and status["cache"]["invalidations"] > 0, "no load")
            lab.accelerd("start")
            stop, works = under_load(lab, min(3, SECONDS))
            lab.accelerd("stop")
            stop.set()
            for work in works:
                # What was under way when accelerd ended fails.
                with contextlib.suppress(netlab.TestFailure, wbhttp.HttpError, OSError, ValueError,
                                         http.client.HTTPException):
                    work.join()
            check_log(lab, size)


if __name__ == "__main__":
    sys.exit(netlab.main([everything_at_once_and_a_clean_end]))
