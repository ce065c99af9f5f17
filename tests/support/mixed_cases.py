#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The requests of mixed.py: what a seeded generator asks of a document root, good and bad.

A Case is a list of pieces (each one send()) and the methods of the responses it must bring. Case i
of a seed is always the same for the same document root, whatever the timing. Validators of the
files are learned from the reference server.

Longer than the guide: it is a list of requests, and reads better in one place.
"""

import dataclasses
import os
import random
import urllib.parse

import wbhttp

WAIT = None  # as a piece: send nothing until the server has answered something (100-continue)
SMALL_BYTES = 65536
LARGE_BYTES = 262144
NEVER_HIT_BYTES = 32768  # more than the accelerator holds of one object
MAX_FILES = 200
HOT_FILES = 24


@dataclasses.dataclass
class Case:
    kind: str
    pieces: list
    methods: list
    paths: tuple = ()  # files whose change makes a cached reference answer worthless
    raw: bool = False  # the answer has no framing (HTTP/0.9): everything until close
    pause: bool = True  # between pieces, so that they leave as separate segments
    quickack: bool = False  # acknowledge the answer at once, so that the next request may be a hit

    def key(self):
        return (b"".join(piece for piece in self.pieces if piece is not WAIT), WAIT in self.pieces)


@dataclasses.dataclass
class Document:
    target: bytes
    path: str
    size: int
    etag: bytes = b'"0-0"'
    modified: bytes = b"Thu, 01 Jan 1970 00:00:00 GMT"


class Site:
    """Files of many sizes below a document root: one or more per size class, evenly, at most
    MAX_FILES.
    """

    def __init__(self, docroot, domain, seed, max_bytes):
        self.docroot = docroot
        self.domain = domain.encode()
        self.dirs = []
        classes = {}
        for folder, names, files in os.walk(docroot):
            names.sort()
            relative = os.path.relpath(folder, docroot)
            if relative != ".":
                self.dirs.append(self._target(relative))
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.path.getsize(path) <= max_bytes:
                    document = Document(self._target(os.path.relpath(path, docroot)), path,
                                        os.path.getsize(path))
                    classes.setdefault(document.size.bit_length(), []).append(document)
        rng = random.Random(f"{seed}/site")
        for members in classes.values():
            rng.shuffle(members)
        self.files = []
        while len(self.files) < MAX_FILES and any(classes.values()):
            self.files += [members.pop() for members in classes.values() if members]
        self.small = [document for document in self.files if document.size <= SMALL_BYTES]
        self.large = [document for document in self.files if document.size > LARGE_BYTES]
        self.middle = [document for document in self.files if document.size <= LARGE_BYTES]
        if not self.small:
            raise SystemExit(f"no files of at most {SMALL_BYTES} bytes below {docroot}")
        self.hot = self.small[:HOT_FILES]
        self.misses = [document for document in self.files if document.size > NEVER_HIT_BYTES]

    @staticmethod
    def _target(relative):
        return ("/" + urllib.parse.quote(relative)).encode()

    def learn(self, connection):
        """Fills in validators from the reference server."""
        for document in self.files:
            response = connection.request(wbhttp.request_bytes("HEAD", document.target,
                                                               self.domain), b"HEAD")
            document.etag = response.value(b"etag") or document.etag
            document.modified = response.value(b"last-modified") or document.modified


class Generator:
    """next_case() gives the cases of a seed in order; profile is a key of PROFILES."""

    def __init__(self, site, seed, profile):
        self.site = site
        self.seed = seed
        self.index = 0
        self.rng = random.Random()
        table = PROFILES[profile]
        self.kinds = [kind for kind, weight in table.items() if weight]
        self.weights = [table[kind] for kind in self.kinds]

    def next_case(self):
        self.rng = random.Random(f"{self.seed}/{self.index}")
        self.index += 1
        kind = self.rng.choices(self.kinds, self.weights)[0]
        case = getattr(self, "make_" + kind)()
        case.kind = kind
        case.quickack = self.rng.random() < 0.5
        return case

    def pick(self):
        draw = self.rng.random()
        if draw < 0.75:
            return self.rng.choice(self.site.hot)
        return self.rng.choice(self.site.large if draw > 0.985
                               and self.site.large else self.site.middle or self.site.small)

    def ask(self, document, fields=(), method="GET", target=None, host=None, **more):
        data = wbhttp.request_bytes(method, target or document.target, host or self.site.domain,
                                    fields, **more)
        return Case("", [data], [wbhttp.as_bytes(method)], (document.path,) if document else ())

    # Well-formed single requests.

    def make_get(self):
        return self.ask(self.pick())

    def make_hit(self):
        return self.ask(self.rng.choice(self.site.hot))

    def make_large(self):
        return self.ask(self.rng.choice(self.site.misses or self.site.files))

    def make_head(self):
        return self.ask(self.pick(), method="HEAD")

    def make_if_none_match(self):
        document = self.pick()
        tag = document.etag
        value = self.rng.choice([
            tag, tag, tag, b"W/" + tag, b"*", b'"wrong", ' + tag, tag + b',"x"', b'W/"a" , W/'
            + tag, b'"wrong"', b'W/"wrong"',
            tag[:-1], tag.strip(b'"'), tag.upper(), b'"', b'""', b'"a,b"', b"," + tag, tag + tag,
            b'"' + tag + b'"'])
        return self.ask(document, [(self.rng.choice(["If-None-Match", "if-none-match",
                                                     "IF-NONE-MATCH"]), value)],
                        method=self.rng.choice(["GET", "GET", "HEAD"]))

    def make_if_modified_since(self):
        document = self.pick()
        return self.ask(document, [("If-Modified-Since", self.date(document))],
                        method=self.rng.choice(["GET", "GET", "HEAD"]))

    def date(self, document):
        return self.rng.choice([
            document.modified, document.modified, document.modified,
            b"Sat, 01 Jan 2000 00:00:00 GMT",
            b"Fri, 01 Jan 2100 00:00:00 GMT", b"yesterday", b"0", b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            document.modified.lower(), document.modified[:-4], document.modified + b"; length=1"])

    def make_both_conditions(self):
        document = self.pick()
        tag = self.rng.choice([document.etag, b'"wrong"', b"*"])
        fields = [("If-None-Match", tag), ("If-Modified-Since", self.date(document))]
        self.rng.shuffle(fields)
        return self.ask(document, fields)

    def make_other_conditions(self):
        document = self.pick()
        return self.ask(document, [self.rng.choice([
            ("If-Match", document.etag), ("If-Match", '"wrong"'), ("If-Match", "*"),
            ("If-Unmodified-Since", document.modified),
            ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")])])

    def make_accept_encoding(self):
        value = self.rng.choice([
            "gzip", "gzip", "gzip, deflate, br", "gzip, deflate, br", "gzip, deflate", "identity",
            "br", "*", "gzip;q=0", "gzip;q=1.0",
            "identity;q=0", "x-gzip", "GZIP", "gzip;q=0.001, *;q=0", "deflate,gzip", " gzip",
            "gzipped", "gzip;q=2", "", ","])
        return self.ask(self.pick(), [(self.rng.choice(["Accept-Encoding", "accept-encoding"]),
                                       value)])

    def make_range(self):
        document = self.pick()
        size = document.size
        first = self.rng.randrange(max(size, 1))
        last = first + self.rng.randrange(5000)
        value = self.rng.choice([
            f"bytes={first}-{last}", f"bytes={first}-{last}", f"bytes=0-{size}", f"bytes={first}-",
            f"bytes=-{last - first}", "bytes=0-0",
            f"bytes=0-1,{first}-{last}", "bytes=0-0,-1", "bytes=0-9,20-29,40-49", f"bytes={size}-",
            "bytes=5-2", "bytes=", "bytes=a-b",
            "lines=1-2", f"bytes=0-{10 ** 25}", "bytes= 0-4", "bytes=0-4,", "Bytes=0-4"])
        fields = [("Range", value)]
        if self.rng.random() < 0.3:
            fields.append(("If-Range", self.rng.choice([document.etag, b'"wrong"',
                                                        b"W/" + document.etag, document.modified])))
        return self.ask(document, fields)

    def make_not_found(self):
        return self.ask(None, target=f"/none-{self.rng.randrange(50)}.html",
                        method=self.rng.choice(["GET", "GET", "HEAD"]))

    def make_target(self):
        """Other spellings of a path: the accelerator must not know better than the server what they
        mean.
        """
        document = self.pick()
        path = document.target
        at = self.rng.randrange(1, len(path))
        while path[at - 1:at] == b"%" or path[max(0, at - 2):at - 1] == b"%" or path[at:at
                                                                                     + 1] in (b"%",
                                                                                              b"/"):
            at -= 1
            if at < 1:
                return self.ask(document)
        escape = b"%%%02x" % path[at]
        targets = [
            path[:at] + escape + path[at + 1:], path[:at] + escape.upper() + path[at + 1:],
            path[:at] + b"%" + path[at:],
            path[:at] + b"%00" + path[at:], path + b"?", path + b"?a=b", path + b"?%", b"/" + path,
            b"/." + path, b"/x/.." + path,
            b"/%2e%2e" + path, b"/.." + path, path + b"/", path + b"%20", path + b"#top", path[1:],
            path + b" x", path + b"\\",
            path.upper(), b"/%2F" + path, path + b"\xc3\xa9", path + b"?"
            + b"q" * self.rng.randrange(300), b"*", b"//" + path]
        return self.ask(document, target=self.rng.choice(targets))

    def make_directory(self):
        slashed = [target + b"/" for target in self.site.dirs[:20]]
        target = self.rng.choice([b"/", b"/?x"] + self.site.dirs + slashed)
        relative = urllib.parse.unquote(target.decode()).split("?")[0].strip("/")
        path = os.path.join(self.site.docroot, relative, "index.html")
        case = self.ask(None, target=target)
        case.paths = (path,)
        return case

    def make_absolute_form(self):
        document = self.pick()
        authority = self.rng.choice([self.site.domain, self.site.domain + b":80", b"other.test",
                                     self.site.domain.upper()])
        return self.ask(document, target=self.rng.choice([b"http://", b"HTTP://", b"https://"])
                        + authority + document.target)

    def make_fields(self):
        """Fields that should change nothing, and some that may."""
        rng = self.rng
        token = f"{rng.randrange(10 ** 6)}"
        fields = rng.choice([
            [("Cookie", f"session={token}")], [("Authorization", "Basic dXNlcjpwYXNz")],
            [("X-Unknown", token)], [("X-Empty", "")],
            [("hOsT-Like", "x"), ("aCCept", "*/*")],
            [(f"X-Field-{i}", token) for i in range(rng.randrange(20, 70))],
            [("X-Long", "v" * rng.randrange(1000, 9500))],
            [("User-Agent", "Mozilla/5.0 (X11)"), ("Accept", "text/html"),
             ("Accept-Language", "en"), ("Accept-Encoding", "gzip, deflate")],
            [("Cache-Control", "no-cache"), ("Pragma", "no-cache")], [("Connection", "keep-alive")],
            [("Connection", "Keep-Alive, TE")],
            [("Upgrade", "h2c"), ("Connection", "Upgrade")], [("under_score", "1")],
            [("X-Tab", "a\tb")], [("X-8bit", "\xe9")],
            [("Content-Length", "0")], [("Via", "1.1 x"), ("X-Forwarded-For", "192.0.2.1")],
            [("TE", "trailers")],
            [("Accept", "*/*"), ("Accept", "text/css")], [("Referer", "http://other.test/")],
            [("Sec-Fetch-Mode", "no-cors")]])
        return self.ask(self.pick(), fields)

    def make_host(self):
        domain = self.site.domain
        host = self.rng.choice([domain + b":80", domain + b":8080", b"other.test", domain.upper(),
                                domain + b".", b"127.0.0.1", b"[::1]",
                                b"a b", domain + b":", b"%41", b"."])
        return self.ask(self.pick(), host=host)

    def make_body(self):
        """Methods that a file does not take, with bodies of every framing."""
        document = self.pick()
        body = b"x" * self.rng.choice([0, 1, 10, 3000])
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])
                           if part) + b"0\r\n\r\n"
        form = self.rng.randrange(6)
        if form == 0:
            case = self.ask(document, [("Transfer-Encoding", "chunked")], method="POST",
                            body=chunked)
        elif form == 1:
            case = self.ask(document, [("Content-Length", str(len(body)))], method="POST",
                            body=body)
        elif form == 2:
            case = self.ask(document, [("Content-Length", str(len(body)))], method="POST")
            case.pieces.append(body)
        elif form == 3:
            case = self.ask(document, [("Content-Length", str(len(body))),
                                       ("Expect", "100-continue")], method="POST")
            case.pieces += [WAIT, body]
        elif form == 4:
            case = self.ask(document, [("Content-Length", str(len(body)))], method="GET", body=body)
        else:
            case = self.ask(document, method=self.rng.choice(["OPTIONS", "DELETE", "PROPFIND",
                                                              "PATCH"]))
        case.pieces = [piece for piece in case.pieces if piece != b""]
        return case

    # Ends of connections and old versions.

    def make_close(self):
        return self.ask(self.pick(), [("Connection", self.rng.choice(["close", "Close",
                                                                      "x, close"]))])

    def make_http10(self):
        document = self.pick()
        fields = self.rng.choice([[], [], [("Connection", "keep-alive")]])
        case = self.ask(document, fields, version="HTTP/1.0")
        if self.rng.random() < 0.3:
            case.pieces = [case.pieces[0].replace(b"Host: " + self.site.domain + b"\r\n", b"")]
        return case

    def make_http09(self):
        document = self.rng.choice(self.site.hot)
        return Case("", [b"GET " + document.target + b"\r\n"], [b"GET"], (document.path,), raw=True)

    # Requests that are wrong or written oddly.

    def make_malformed(self):
        document = self.rng.choice(self.site.hot)
        path, host = document.target, b"Host: " + self.site.domain + b"\r\n"
        line = b"GET " + path + b" HTTP/1.1\r\n"
        data = self.rng.choice([
            b"get " + path + b" HTTP/1.1\r\n" + host + b"\r\n",
            (line + host + b"\r\n").replace(b"\r\n", b"\n"),
            line + host + b"X-Fold: a\r\n b\r\n\r\n", line + host + b" X: leading\r\n\r\n",
            line + b"\r\n", line + host + host + b"\r\n",
            line + b"Host:\r\n\r\n", line + host + b"X : 1\r\n\r\n", line + host
            + b"NoColon\r\n\r\n", line + host + b": none\r\n\r\n",
            b"GET  " + path + b" HTTP/1.1\r\n" + host + b"\r\n", b"GET " + path + b"  HTTP/1.1\r\n"
            + host + b"\r\n",
            b"GET " + path + b" HTTP/1.2\r\n" + host + b"\r\n", b"GET " + path + b" HTTP/2.0\r\n"
            + host + b"\r\n",
            b"GET " + path + b" HTTP/11\r\n" + host + b"\r\n", b"GET " + path + b" http/1.1\r\n"
            + host + b"\r\n",
            b"\r\n" + line + host + b"\r\n", b"\r\n\r\n" + line + host + b"\r\n", b"GETT " + path
            + b" HTTP/1.1\r\n" + host + b"\r\n",
            b"G\x00T " + path + b" HTTP/1.1\r\n" + host + b"\r\n", line + host
            + b"X: a\x00b\r\n\r\n", line + host + b"X: a\rb\r\n\r\n",
            line + host + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            line + host + b"Content-Length: x\r\n\r\n",
            line + host + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", line + host
            + b"Transfer-Encoding: gzip\r\n\r\n",
            line + b"X: " + b"v" * 40000 + b"\r\n" + host + b"\r\n", b"GET /" + b"a" * 9000
            + b" HTTP/1.1\r\n" + host + b"\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"TRACE " + path + b" HTTP/1.1\r\n"
            + host + b"\r\n",
            line + b"host: " + self.site.domain + b"\r\n\r\n", line + b"HOST:" + self.site.domain
            + b"   \r\n\r\n",
            line + b"Accept: */*\r\n" + host + b"\r\n", line + b"Host:\t" + self.site.domain
            + b"\r\n\r\n"])
        return Case("", [data], [b"GET"], (document.path,))

    # Requests that do not coincide with packets.

    def make_split(self):
        """Two sends, the boundary anywhere; net/split_test.py visits every one."""
        document = self.site.hot[self.rng.randrange(min(3, len(self.site.hot)))]
        forms = [[], [("If-None-Match", document.etag)], [("Accept-Encoding", "gzip, deflate"),
                                                          ("User-Agent", "x/1.0")],
                 [("Connection", "keep-alive"), ("Accept", "*/*")]]
        case = self.ask(document, self.rng.choice(forms))
        data = case.pieces[0]
        at = self.rng.randrange(1, len(data))
        case.pieces = [data[:at], data[at:]]
        return case

    def make_dribble(self):
        case = self.ask(self.rng.choice(self.site.hot))
        data = case.pieces[0]
        cuts = sorted(self.rng.sample(range(1, len(data)), self.rng.randrange(2, 6)))
        case.pieces = [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]
        return case

    def part(self, miss_share):
        if self.rng.random() < miss_share:
            return self.rng.choice([self.make_not_found, self.make_range, self.make_directory])()
        return self.rng.choice([self.make_hit, self.make_hit, self.make_hit, self.make_head,
                                self.make_if_none_match])()

    @staticmethod
    def join(cases):
        return Case("", [b"".join(case.pieces[0] for case in cases)], [case.methods[0]
                                                                       for case in cases],
                    tuple(path for case in cases for path in case.paths))

    def make_pipelined(self):
        miss_share = self.rng.choice([0, 0, 0.3])
        return self.join([self.part(miss_share) for _ in range(self.rng.randrange(2, 9))])

    def make_pipelined_split(self):
        """Several requests whose packet ends in the middle of one."""
        case = self.join([self.part(0.1) for _ in range(self.rng.randrange(2, 6))])
        data = case.pieces[0]
        at = self.rng.randrange(1, len(data))
        case.pieces = [data[:at], data[at:]]
        return case

    def make_behind_miss(self):
        """A hit right behind a request that goes to the server: in its packet, or in the next one
        with no pause.
        """
        miss, behind = self.part(1), self.make_hit()
        case = self.join([miss, behind])
        if self.rng.random() < 0.5:
            case.pieces = [miss.pieces[0], behind.pieces[0]]
            case.pause = False
        return case


PROFILES = {
    "all": {"get": 14, "hit": 22, "head": 4, "if_none_match": 6, "if_modified_since": 4,
            "both_conditions": 2, "other_conditions": 1,
            "accept_encoding": 4, "range": 4, "not_found": 3, "target": 4, "directory": 1,
            "absolute_form": 1, "fields": 5, "host": 2,
            "body": 3, "close": 1, "http10": 1, "http09": 0.2, "malformed": 2, "split": 7,
            "dribble": 1, "pipelined": 4,
            "pipelined_split": 2, "behind_miss": 3},
    "hits": {"hit": 80, "head": 6, "if_none_match": 8, "if_modified_since": 6},
    "large": {"hit": 65, "large": 35},
    "split": {"split": 85, "dribble": 5, "pipelined_split": 10},
    "pipelined": {"pipelined": 50, "pipelined_split": 20, "behind_miss": 30},
}
