#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is filled, with what, and what filling costs the web server.

Fills are asked for by `cache warm` unless a test is about misses; whether an object is in the cache
is told by the counter of hits.
"""

import contextlib
import gzip
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import netlab
from netlab import Lab, check, say

ORIGIN_IP = "198.18.0.1"
MAX_AGE = 'add_header Cache-Control "max-age=3600";'


def configuration(*domain_lines, top=""):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return top + text.rstrip("\n") + "\n" + "".join(f"    {line}\n" for line in domain_lines)


def warm(lab, *targets):
    """The results, by target."""
    urls = [f"http://{lab.domain}{target}" for target in targets]
    done = lab.wbctl_run("--json", "cache", "warm", *urls)
    check(done.returncode in (0, 1) and done.stdout, f"cache warm: {done.stderr}")
    rows = json.loads(done.stdout)["results"]
    return dict(zip(targets, rows))


def expect_refused(lab, reason, *targets):
    for target, row in warm(lab, *targets).items():
        check(not row["ok"] and row["reason"] == reason, f"{target}: {row}, not {reason}")


def ask(lab, port, target, fields=(), method="GET"):
    connection = lab.connect(port)
    try:
        return connection.request(lab.request(target, fields, method), method.encode())
    finally:
        connection.close()


def expect_hits(lab, requests):
    """Each (target, fields, method) hits and is answered as port 8080 does. The first request of a
    connection may pass: it may be there before the connection is known.
    """
    for request in requests:
        wanted = ask(lab, 8080, *request)
        for _ in range(5):
            before = lab.hits()
            mine = ask(lab, 80, *request)
            check(mine.status == wanted.status and mine.body == wanted.body
                  and netlab.wbhttp.normalise(mine.head) == netlab.wbhttp.normalise(wanted.head),
                  f"{request}: {mine.head!r}, reference {wanted.head!r}")
            if lab.hits() == before + 1:
                break
        else:
            check(False, f"{request} is no hit: {lab.reasons()}")


def used_up_connections():
    """The web server closes each connection after a few requests: all parts are there."""
    with netlab.scratch() as path:
        sizes = [100 + size for size in range(10)]
        netlab.make_docroot(path, sizes)
        with Lab(path, nginx_include="keepalive_requests 3;") as lab:
            targets = [f"/s{size}.html" for size in sizes]
            lab.warm(*targets)
            for target in targets:
                tag = ask(lab, 80, target).value(b"etag").decode()
                expect_hits(lab, [(target,), (target, (), "HEAD"),
                                  (target, [("If-None-Match", tag)])])


def only_the_file():
    """Where a target has a file, nothing else is published under it, whatever its max-age."""
    with netlab.scratch() as path:
        netlab.make_docroot(path, [500, 600])
        other = path / "s600.html"
        include = (f"location = /s500.html {{ alias {other}; {MAX_AGE} }}"
                   f"location = /virtual.html {{ alias {other}; {MAX_AGE} }}"
                   "location = /s600.html { expires 0; }")
        with Lab(path, nginx_include=include) as lab:
            expect_refused(lab, "not_the_file", "/s500.html")
            expect_refused(lab, "freshness_too_short", "/s600.html")
            lab.warm("/virtual.html")
            expect_hits(lab, [("/virtual.html",)])
            # Its web server makes the file while it is asked for it, without telling more than that
            # the answer is fresh for an hour.
        with Lab(path, conf=configuration().replace('"127.0.0.1:80"', '"127.0.0.1:9009"')) as lab:
            with late_file(lab, path / "late.html"):
                expect_refused(lab, "not_the_file", "/late.html")


@contextlib.contextmanager
def late_file(lab, file):
    with lab.inside("origin"):
        listener = socket.create_server(("127.0.0.1", 9009))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while client.recv(65536):
                    if not file.exists():
                        file.write_bytes(b"a file")
                    client.sendall(b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                   b"Cache-Control: max-age=3600\r\nContent-Length: 6\r\n\r\n"
                                   b"a file")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def all_classes():
    """A warm object is so for every configured Accept-Encoding, and kept once per answer."""
    values = ["gzip", "gzip, deflate, br", "br", "identity"]
    with netlab.scratch() as path:
        netlab.make_docroot(path, [5000, 6000], compressed=[6000])
        with Lab(path) as lab:
            lab.warm("/s5000.html", "/s6000.html")
            requests = [(target, [("Accept-Encoding", value)])
                        for target in ("/s5000.html", "/s6000.html") for value in values]
            expect_hits(lab, requests + [("/s5000.html",), ("/s6000.html",)])
            entries = lab.wbctl("cache", "list")["entries"]
            kept = sorted((entry["url"][-10:-5], entry["encoding"].count(";") + 1)
                          for entry in entries)
            check([name for name, _ in kept] == ["s5000", "s6000", "s6000"],
                  f"not kept once for each answer: {entries}")
            check(sum(classes for _, classes in kept) == 2 * 9, f"classes are missing: {kept}")
            # Only one class can be cached: it is, and the others are named.
            (path / "big.html").write_bytes(os.urandom(10) * 3000)
            data = gzip.compress((path / "big.html").read_bytes(), mtime=0)
            (path / "big.html.gz").write_bytes(data)
            stamp = (path / "big.html").stat().st_mtime
            os.utime(path / "big.html.gz", (stamp, stamp))
            row = warm(lab, "/big.html")["/big.html"]
            check(row["ok"] and row["reason"].startswith('too_large for (none), "br"'), f"{row}")
            expect_hits(lab, [("/big.html", [("Accept-Encoding", "gzip")])])


def from_an_address():
    """Fills come from the configured address, so that the web server's rules see a stranger."""
    with netlab.scratch() as path:
        netlab.make_docroot(path, [500])
        (path / "inside").mkdir()
        (path / "inside" / "o.html").write_bytes(b"not for everybody")
        include = ("location /inside/ { allow 127.0.0.1; deny all; }"
                   f"location = /whoami {{ {MAX_AGE} return 200 $remote_addr; }}")
        with Lab(path, conf=configuration(f"fill_from: {ORIGIN_IP}"), nginx_include=include) as lab:
            expect_refused(lab, "status", "/inside/o.html")
            lab.warm("/s500.html", "/whoami")
            check(ask(lab, 80, "/whoami").body == ORIGIN_IP.encode(), "filled from elsewhere")


WRITER = """
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
while True:
    os.pwrite(file, b"%09d" % (time.monotonic_ns() % 10**9), 0)
    time.sleep(0.0002)
"""


@contextlib.contextmanager
def written(file):
    """The file is written to without end, many times in the time that a fill takes."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, file])
    try:
        wait_until(file.exists, "the writer does not start")
        yield
    finally:
        writer.kill()
        writer.wait()


def busy_directories():
    """A file is cacheable beside one that is written to; the latter costs few fetches."""
    with netlab.scratch() as path:
        netlab.make_docroot(path, [500])
        with Lab(path) as lab, written(path / "busy.log"):
            for _ in range(20):
                lab.warm("/s500.html")
                lab.wbctl("cache", "purge", f"http://{lab.domain}/s500.html")
            before = lab.status()["cache"]["fills_total"]
            end = time.monotonic() + 4
            with contextlib.closing(lab.connect()) as connection:
                while time.monotonic() < end:
                    connection.request(lab.request("/busy.log"))
            fills = lab.status()["cache"]["fills_total"] - before
            say(f"  a file written to without end: {fills} fills in 4 s")
            check(fills <= 20, f"{fills} fills of a file that keeps changing")


def small_memory():
    """More is warmed than there is memory for: all that was asked for, within the bound."""
    with netlab.scratch() as path:
        names = [f"f{number}" for number in range(300)]
        for name in names:
            (path / f"{name}.html").write_bytes(netlab.pattern(name, 11000))
        with Lab(path, conf=configuration(top="limits: { memory: 1MiB }\n")) as lab:
            lab.warm(*(f"/{name}.html" for name in names))
            first = expect_within_bound(lab, len(names))
            connection = lab.connect()
            end = time.monotonic() + 30
            # Misses fill too, and evict what is not asked for as much.
            while expect_within_bound(lab, len(names)) < first + 20:
                check(time.monotonic() < end, "misses do not evict anything")
                for name in names:
                    body = connection.request(lab.request(f"/{name}.html")).body
                    check(body == netlab.pattern(name, 11000), f"{name} is wrong")
            connection.close()
            check(lab.hits() > 0, "no hit at all")


def expect_within_bound(lab, files):
    """The number of evictions."""
    cache = lab.status()["cache"]
    check(cache["arena_bytes"] <= cache["bytes_budget"] == 2 * 2**20 - 4096, f"{cache}")
    check(cache["evictions"] >= files - cache["bytes_budget"] // 11000, f"{cache}")
    check(cache["objects"] >= 100, f"hardly anything is kept: {cache}")
    return cache["evictions"]


def unacknowledged_replies():
    """Replies that nobody acknowledges pin their memory, but do not stop the eviction of the rest.
    """
    with netlab.scratch() as path:
        pinned = [f"p{number}" for number in range(16)]
        names = [f"f{number}" for number in range(200)]
        for name in pinned + names:
            (path / f"{name}.html").write_bytes(netlab.pattern(name, 11000))
        with Lab(path, conf=configuration(top="limits: { memory: 1MiB }\n")) as lab:
            lab.warm(*(f"/{name}.html" for name in pinned))
            with contextlib.ExitStack() as stack:
                connections = [stack.enter_context(contextlib.closing(lab.connect()))
                               for _ in pinned]
                lab.must("client", "nft", "add table inet deaf")
                lab.must("client", "nft", "add chain inet deaf input "
                         "{ type filter hook input priority 0; }")
                lab.must("client", "nft", "add rule inet deaf input tcp sport 80 drop")
                before = lab.hits()
                for connection, name in zip(connections, pinned):
                    connection.send(lab.request(f"/{name}.html"))
                wait_until(lambda: lab.hits() >= before + len(pinned), "the replies are not sent")
                lab.wbctl("cache", "purge", "--all")
                time.sleep(1.2)  # what is not pinned has rested
                used = lab.status()["cache"]["arena_bytes"]
                check(used > 11000 * len(pinned), f"nothing is pinned: {used} bytes")
                lab.warm(*(f"/{name}.html" for name in names))


def wait_until(condition, text):
    end = time.monotonic() + 10
    while not condition():
        check(time.monotonic() < end, text)
        time.sleep(0.01)


def records_of_another_configuration():
    """Misses that were reported under a configuration with more domains and encodings."""
    with netlab.scratch() as path:
        netlab.make_docroot(path, [500, 600])
        domain = "domains:\n"
        text = configuration(top="lease: 60s\n")
        conf = text.replace(domain, domain + "  - name: first.test\n")
        with Lab(path, conf=conf) as lab:
            lab.accelerd("kill")
            for value in ("gzip", "identity"):
                ask(lab, 80, "/s500.html", [("Accept-Encoding", value)])
            file = pathlib.Path(lab.env["CONF"])
            kept = file.read_text().replace("  - name: first.test\n", "")
            file.write_text(kept.replace(domain, "accept_encodings: []\n" + domain))
            lab.accelerd("start")
            before = lab.status()["pid"]
            lab.warm("/s600.html")
            expect_hits(lab, [("/s600.html",)])
            status = lab.status()
            check(status["pid"] == before, "accelerd has been started anew")
            check(status["cache"]["fills_total"] == 1, f"a stranger's miss was filled: {status}")


if __name__ == "__main__":
    sys.exit(netlab.main([used_up_connections, only_the_file, all_classes, from_an_address,
                          busy_directories, small_memory, unacknowledged_replies,
                          records_of_another_configuration]))
