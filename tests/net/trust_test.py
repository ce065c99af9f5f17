#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents that nobody watches: purges by tag and directory, stale-while-revalidate, volatile
answers, and sampled verification.
"""

import mmap
import os
import re
import sys
import threading
import time

import netlab
from netlab import Lab, check, say

# Outside of the document root, so that accelerd knows of no file. $tag: the first directory.
SERVER = """
location ~ ^/(?<tag>[a-z]+)/t/ {{
  root "{0}";
  add_header Cache-Control "max-age=600";
  add_header Cache-Tag "all, $tag";
}}
location /swr/ {{
  root "{0}";
  if (-f "{0}/down") {{ return 503; }}
  access_log "{0}/swr.log";
  add_header Cache-Control "max-age=2, stale-while-revalidate=6";
}}
location /strict/ {{
  root "{0}";
  add_header Cache-Control "max-age=2, stale-while-revalidate=60, must-revalidate";
}}
location /volatile/ {{
  root "{0}";
  add_header Cache-Control "max-age=600";
  add_header X-Request-Id $request_id;
}}
location /vary/ {{
  root "{0}";
  add_header Cache-Control "max-age=600";
  add_header Vary "Accept-Encoding, Origin";
}}
"""


def configuration(more=""):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return text + "    tag_field: Cache-Tag\n" + more


class Site:
    """A lab, and files that nginx answers from outside of its document root."""

    def __init__(self, more=""):
        self._scratch = netlab.scratch()
        self._more = more

    def __enter__(self):
        self.path = self._scratch.__enter__()
        self.hidden = self.path / "hidden"
        (self.path / "root").mkdir()
        for folder in ("x/t/u", "y/t", "swr", "strict", "volatile", "vary"):
            (self.hidden / folder).mkdir(parents=True)
        self.lab = Lab(self.path / "root", conf=configuration(self._more),
                       nginx_include=SERVER.format(self.hidden))
        try:
            self.lab.__enter__()
        except BaseException:
            self._scratch.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error):
        try:
            self.lab.__exit__(*error)
        finally:
            self._scratch.__exit__(*error)

    def write(self, target, text):
        path = self.hidden / target.lstrip("/")
        temporary = path.with_suffix(".making")
        temporary.write_bytes(text.encode())
        os.rename(temporary, path)

    def url(self, target):
        return f"http://{self.lab.domain}{target}"


class Client:
    """One connection; whether an answer was a hit is told by the counter."""

    def __init__(self, site):
        self._lab = site.lab
        self._connection = site.lab.connect()

    def get(self, target):
        response = self._connection.request(self._lab.request(target))
        return response.status, response.body.decode(errors="replace")

    def hit(self, target):
        """Asks twice: the first answer may have to make the kernel quiescent."""
        self.get(target)
        before = self._lab.hits()
        answer = self.get(target)
        return answer, self._lab.hits() > before


def purges():
    targets = ["/x/t/1", "/x/t/2", "/x/t/u/3", "/y/t/4"]
    # what: targets that it concerns
    ways = {("--tag", "x"): targets[:3], ("--tag", "all"): targets, ("--tag", "y"): targets[3:],
            ("--tag", "nothing"): [], ("--tag", "all", "--domain", "site.test"): targets,
            ("--prefix", "http://site.test/x/"): targets[:3],
            ("--prefix", "http://site.test/x/t/u/"): targets[2:3],
            ("--prefix", "http://site.test/x/t/"): targets[:3],
            ("--prefix", "http://site.test/"): targets, ("--domain", "site.test"): targets,
            ("--prefix", "http://site.test/x/t/1"): targets[:1]}
    with Site() as site:
        client = Client(site)
        for number, (words, concerned) in enumerate(ways.items()):
            for target in targets:
                site.write(target, f"old{number}")
            # What is filled already, or at this moment, may be of before.
            site.lab.wbctl("cache", "purge", "--all")
            site.lab.warm(*targets)
            for target in targets:
                answer, hit = client.hit(target)
                check(hit and answer == (200, f"old{number}"), f"{target}: {answer}, hit: {hit}")
                site.write(target, f"new{number}")
            purged = site.lab.wbctl("cache", "purge", *words)["purged"]
            after = {target: client.get(target)[1] for target in targets}
            wanted = {target: f"{'new' if target in concerned else 'old'}{number}"
                      for target in targets}
            check(after == wanted, f"after purge {words}: {after}")
            check(purged == len(concerned), f"purge {words} says {purged}")
        # No fill may be on its way, for the rest.
        site.lab.wbctl("domain", "disable", site.lab.domain)
        site.lab.wbctl("cache", "purge", "--all")
        listed = site.lab.wbctl("cache", "list")["total"]
        check(listed == 0, f"{listed} entries after purging everything")
        end = time.monotonic() + 5
        while site.lab.status()["cache"]["objects"]:
            check(time.monotonic() < end, f"not tidied: {site.lab.status()['cache']}")
            time.sleep(0.05)
        refused = site.lab.wbctl_run("cache", "purge", "--tag", "a,b")
        check(refused.returncode != 0 and "comma" in refused.stderr, f"{refused}")
        say(f"  {len(ways)} ways to purge")


def tags_against_fills():
    """A document changed and purged by its tag without end, filled all the time."""
    stop = threading.Event()
    with Site() as site:
        client = Client(site)
        site.write("/x/t/r", "0")

        def fill():
            while not stop.is_set():
                site.lab.wbctl_run("cache", "warm", site.url("/x/t/r"))

        fillers = [netlab.Background(fill) for _ in range(2)]
        hits, number, end = site.lab.hits(), 0, time.monotonic() + 8
        while time.monotonic() < end:
            number += 1
            site.write("/x/t/r", str(number))
            site.lab.wbctl("cache", "purge", "--tag", "x")
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                status, body = client.get("/x/t/r")
                check(status == 200 and body == str(number), f"{body} after purge {number}")
        stop.set()
        for filler in fillers:
            filler.join()
        hits = site.lab.hits() - hits
        say(f"  {number} purges by tag against fills, {hits} hits, none old")
        check(number > 30 and hits > 30, "too few to show anything")


def wait_for(client, target, wanted, seconds):
    """Asks all the time until the answer comes; answers before it, each once."""
    end, seen = time.monotonic() + seconds, []
    while True:
        answer = client.get(target)
        if answer == wanted:
            return seen
        if answer not in seen:
            seen.append(answer)
        check(time.monotonic() < end, f"{target}: {seen} and not {wanted}")
        time.sleep(0.01)


def stale_while_revalidate():
    with Site("verification: { one_in: 0 }\n") as site:  # it drops what has changed, whatever its freshness
        client = Client(site)
        site.write("/swr/a", "one")
        site.lab.warm("/swr/a")
        check(client.hit("/swr/a") == ((200, "one"), True), "not a hit")
        site.write("/swr/a", "two")
        before, reasons, begun = site.lab.status(), site.lab.reasons(), time.monotonic()
        seen = wait_for(client, "/swr/a", (200, "two"), 6)
        took = time.monotonic() - begun
        misses = site.lab.status()["misses_total"] - before["misses_total"]
        check(seen == [(200, "one")], f"before the new document: {seen}")
        grown = {name: n - reasons[name] for name, n in site.lab.reasons().items() if n != reasons[name]}
        check(misses == 0, f"{misses} requests waited for the web server: {grown}")
        say(f"  a new document after {took:.1f} s (fresh for 2, stale for 6), without a miss")

        (site.hidden / "down").write_text("")
        fetched = len((site.hidden / "swr.log").read_text().splitlines())
        seen = wait_for(client, "/swr/a", (503, client_error(site)), 14)
        check(seen == [(200, "two")], f"while the web server fails: {seen}")
        fetched = len((site.hidden / "swr.log").read_text().splitlines()) - fetched
        say(f"  the web server failed {fetched} times before its clients saw it")
        check(2 <= fetched < 60, f"{fetched} requests to a web server that fails")
        (site.hidden / "down").unlink()

        site.write("/swr/b", "one")
        site.lab.warm("/swr/b")
        (site.hidden / "swr" / "b").unlink()
        begun = time.monotonic()
        while client.get("/swr/b")[0] != 404:
            check(time.monotonic() - begun < 6, "a document that is gone is answered on and on")
            time.sleep(0.01)

        site.write("/strict/a", "one")
        site.lab.warm("/strict/a")
        check(client.hit("/strict/a")[1], "not a hit")
        site.write("/strict/a", "two")
        time.sleep(2.1)
        check(client.get("/strict/a") == (200, "two"), "must-revalidate, and stale all the same")


def client_error(site):
    """What nginx says with a 503."""
    reference = site.lab.connect(8080)
    body = reference.request(site.lab.request("/swr/a")).body.decode()
    reference.close()
    return body


def volatile():
    with Site() as site:
        for target, reason in (("/volatile/a", "volatile: X-Request-Id"), ("/vary/a", "vary")):
            site.write(target, "text")
            answer = site.lab.wbctl_run("--json", "cache", "warm", site.url(target))
            check(f'"reason":"{reason}"' in answer.stdout.replace('": "', '":"'), answer.stdout)


def verification():
    with Site("verification: { one_in: 20, rate: 100, quarantine: 1h }\n") as site:
        client = Client(site)
        root = site.path / "root"
        (root / "w.html").write_bytes(netlab.pattern("old", 5000))
        (root / "good.html").write_bytes(netlab.pattern("good", 5000))
        site.write("/x/t/d", "old")
        site.lab.warm("/w.html", "/good.html", "/x/t/d")

        def verified():
            return site.lab.status()["cache"]["verifications"]

        def ask(target, until, seconds=10):
            end = time.monotonic() + seconds
            while not until():
                check(time.monotonic() < end, f"{verified()}")
                for _ in range(10):
                    client.get(target)

        ask("/w.html", lambda: verified()["same"] >= 3)
        ask("/x/t/d", lambda: verified()["same"] >= 6)
        check(verified()["mismatch"] == 0, f"{verified()}")

        # As no watcher can see it, until the file is closed.
        with open(root / "w.html", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
            mapping[100:103] = b"NEW"
            wanted = (root / "w.html").read_bytes().decode()
            (_, text), hit = client.hit("/w.html")
            check(hit and text != wanted, "somebody has seen it: this shows nothing")
            ask("/w.html", lambda: verified()["mismatch"] == 1)
            for _ in range(50):
                check(client.get("/w.html") == (200, wanted), "wrong, and answered on and on")
            refused = site.lab.wbctl_run("cache", "warm", site.url("/w.html")).stdout
            check("quarantined" in refused, f"warm takes it out of quarantine: {refused}")
        log = open(site.lab.env["ACCELERD_LOG"]).read()
        check(re.search(r"site.test/w.html is not what the web server answers \(.*body", log), log)
        check(client.hit("/good.html")[1], "an object that is right is not answered any more")
        site.lab.wbctl("cache", "purge", site.url("/w.html"))
        site.lab.warm("/w.html")
        check(client.hit("/w.html") == ((200, wanted), True), "not even after a purge")

        site.write("/x/t/d", "new")
        ask("/x/t/d", lambda: verified()["renewed"] == 1)
        check(client.get("/x/t/d") == (200, "new"), "a document that changed is answered as it was")
        say(f"  verified: {verified()}")


if __name__ == "__main__":
    sys.exit(netlab.main([purges, tags_against_fills, stale_while_revalidate, volatile,
                          verification]))
