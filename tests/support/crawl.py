#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Crawls a site as a client would and compares every answer with the reference server.

First the reference (--ref) is crawled from --base on; then, --passes times, each server under test
(--connect), each time following its own links. Head (Date aside) and body must be those of the
reference. --hook CMD is run as "CMD begin|end ref|1|2|..." around each pass, to measure in
between. Exit 1 on any mismatch.
"""

import argparse
import collections
import gzip
import hashlib
import html.parser
import json
import re
import subprocess
import sys
import time
import urllib.parse

import wbhttp
from exchange import canonical

FIELDS = [("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept", "text/html,*/*;q=0.8"),
          ("Accept-Language", "en"), ("Accept-Encoding", "gzip, deflate"), ("Connection",
                                                                            "keep-alive")]
RENEW_AFTER = 900  # below nginx's keepalive_requests, which it counts differently when XDP answers
_CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")


class Links(html.parser.HTMLParser):
    """href and src of every element, and url() in style elements and attributes."""

    def __init__(self):
        super().__init__()
        self.found = []
        self._in_style = False

    def handle_starttag(self, tag, attrs):
        self._in_style = tag == "style"
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.found.append(value)
            elif value and name == "style":
                self.found += css_links(value)

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if self._in_style:
            self.found += css_links(data)


def css_links(text):
    return [first or second for first, second in _CSS_URL.findall(text)]


def decoded(response):
    """Content as text, undoing gzip so that its links can be read."""
    body = response.body
    if (response.value(b"content-encoding") or b"") == b"gzip":
        body = gzip.decompress(body)
    return body.decode("utf-8", "replace")


def links_of(response, known={}):  # pylint: disable=dangerous-default-value
    """Links in the order of the content; equal responses are read once."""
    key = hashlib.sha256(response.head.split(b"\r\n")[0] + repr([
        response.value(name) for name in (b"content-type", b"content-encoding", b"location")
    ]).encode() + response.body).digest()
    if key not in known:
        known[key] = _links_of(response)
    return known[key]


def _links_of(response):
    kind = (response.value(b"content-type") or b"").split(b";")[0].strip()
    if response.status in (301, 302):
        return [(response.value(b"location") or b"").decode("latin-1")]
    if response.status != 200:
        return []
    if kind == b"text/html":
        parser = Links()
        parser.feed(decoded(response))
        return parser.found
    return css_links(decoded(response)) if kind == b"text/css" else []


class Crawler:
    """One pass over the site through one keep-alive connection."""

    def __init__(self, base, address, max_pages):
        self.base = urllib.parse.urlsplit(base)
        self.host = self.base.netloc
        self.address = address
        self.max_pages = max_pages
        self.connection = None
        self.reconnects = 0

    def _fetch(self, target):
        request = wbhttp.request_bytes("GET", target, self.host, FIELDS)
        if self.connection is None or self.connection.requests >= RENEW_AFTER:
            self._connect()
        elif self.connection.idle_state() == "closed":
            self.reconnects += 1
            self._connect()
        response = self.connection.request(request)
        if not response.keeps_alive():
            self._connect()
        return response

    def _connect(self):
        if self.connection:
            self.connection.close()
        self.connection = wbhttp.Connection(*self.address)

    def _target(self, link, page):
        """The request target of a link on a page; None when it leads away."""
        try:
            url = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{self.host}{page}",
                                                             link.strip()))
        except ValueError:
            return None
        # The reference may name its own port in a redirect.
        if url.scheme != "http" or url.hostname != self.base.hostname:
            return None
        path = urllib.parse.quote(url.path or "/", safe="/%:@!$&'()*+,;=~-._")
        return path + ("?" + urllib.parse.quote(url.query, safe="%=&+/:;,") if url.query else "")

    def run(self, judge):
        """Calls judge(target, response or HttpError) for each resource, breadth first; returns the
        totals.
        """
        start = self.base.path or "/"
        queue, seen = collections.deque([start]), {start}
        requests = total = 0
        begun = time.monotonic()
        while queue and (not self.max_pages or requests < self.max_pages):
            target = queue.popleft()
            requests += 1
            try:
                response = self._fetch(target)
            except wbhttp.HttpError as error:
                self.connection = None
                judge(target, error)
                continue
            total += len(response.head) + len(response.body)
            judge(target, response)
            for link in links_of(response):
                found = self._target(link, target)
                if found and found not in seen:
                    seen.add(found)
                    queue.append(found)
        return {"requests": requests, "bytes": total, "seconds": round(time.monotonic() - begun, 3),
                "reconnects": self.reconnects}


class Comparison:
    """Keeps the reference's answers (heads and digests) and judges the passes by them."""

    def __init__(self):
        self.known = {}
        self.problems = []

    @staticmethod
    def _print_of(response):
        head, body = canonical(response.head, response.body)
        return head, hashlib.sha256(body).digest(), len(body)

    def learn(self, target, response):
        if isinstance(response, wbhttp.HttpError):
            self.problems.append({"target": target, "what": f"reference: {response}"})
        else:
            self.known[target] = self._print_of(response)

    def judge(self, target, response):
        if isinstance(response, wbhttp.HttpError):
            self.problems.append({"target": target, "what": str(response)})
            return
        head, digest, length = self._print_of(response)
        wanted = self.known.get(target)
        if wanted is None:
            self.problems.append({"target": target, "what": "not found by crawling the reference"})
        elif head != wanted[0]:
            self.problems.append({"target": target, "what": "head differs",
                                  "got": head.decode("latin-1"),
                                  "wanted": wanted[0].decode("latin-1")})
        elif digest != wanted[1]:
            self.problems.append({"target": target,
                                  "what": f"body differs ({length} bytes, reference {wanted[2]})"})


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def run_passes(args):
    comparison = Comparison()
    rows = []
    wanted = [("ref", args.ref)]
    for server in args.connect:
        wanted += [(str(len(wanted) + number), server) for number in range(args.passes)]
    for name, server in wanted:
        before = len(comparison.problems)
        crawler = Crawler(args.base, server, args.max_pages)
        if args.hook:
            subprocess.run(f"{args.hook} begin {name}", shell=True, check=True)
        row = crawler.run(comparison.learn if name == "ref" else comparison.judge)
        if args.hook:
            subprocess.run(f"{args.hook} end {name}", shell=True, check=True)
        rows.append({"pass": name, **row, "mismatches": len(comparison.problems) - before})
        if not args.json:
            print("pass {pass:>4}: {requests} requests, {bytes} bytes, {seconds} s, "
                  "{mismatches} mismatches"
                  .format(**rows[-1]), flush=True)
    return rows, comparison.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--base", required=True,
                        help="http://NAME/ to start at; NAME is not looked up")
    parser.add_argument("--connect", type=address, required=True, action="append",
                        metavar="ADDR:PORT", help="server under test; repeatable")
    parser.add_argument("--ref", type=address, required=True, metavar="ADDR:PORT",
                        help="reference server")
    parser.add_argument("--max-pages", type=int, default=0,
                        help="stop a pass after so many requests (0: never)")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--hook", help="shell command, run with: begin|end PASS")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows, problems = run_passes(args)
    if args.json:
        print(json.dumps({"passes": rows, "problems": problems[:20]}))
    else:
        for problem in problems[:20]:
            print("MISMATCH " + "\n  ".join(f"{name}: {value}" for name, value in problem.items()))
    return 1 if problems or any(row["requests"] < 1 for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
