#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that two HTTP parsers may read differently (request smuggling): whatever XDP makes of one,
the client receives what nginx alone would have sent, byte for byte, and the connection ends, or goes
on, as it would have.

Each message goes to both ports on a connection of its own that a hit has spliced before: once by
itself with a plain request after it, once with that request glued to it in the same segment. All
connections of a port are treated at once, so that each phase is over before the next begins.
"""

import re
import select
import sys
import time

import netlab
from netlab import Lab, check, say

SIZES = [500, 2500, 5000]
HOT, CANARY = "/s2500.html", "/s500.html"
QUIET_S = 0.4
DATE = re.compile(rb"(\r\nDate: )[^\r\n]{29}")


def messages(domain):
    """name -> bytes."""
    host = b"Host: " + domain.encode() + b"\r\n"
    path = b"/s5000.html"
    line = b"GET " + path + b" HTTP/1.1\r\n"
    post = b"POST " + path + b" HTTP/1.1\r\n" + host
    inner = b"GET /s500.html HTTP/1.1\r\n" + host + b"\r\n"
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    size = b"Content-Length: %d\r\n" % len(inner)
    chunked = b"Transfer-Encoding: chunked\r\n"
    found = {}

    def get(name, fields, body=b""):
        found[name] = line + host + fields + b"\r\n" + body

    # Lengths.
    get("GET with a body that is a request", size, inner)
    get("GET with a chunked body that is a request", chunked, chunk)
    get("CL.TE", b"Content-Length: %d\r\n" % len(chunk) + chunked, chunk)
    get("TE.CL", chunked + b"Content-Length: 5\r\n", chunk)
    get("CL.0", b"Content-Length: 0\r\n", inner)
    for name, value in {"sign": b"+5", "minus": b"-5", "list": b"5, 5", "hex": b"0x5", "space": b"5 5",
                        "empty": b"", "huge": b"9" * 25, "zeros": b"0005", "exponent": b"5e0"}.items():
        get(f"Content-Length {name}", b"Content-Length: " + value + b"\r\n", b"hello")
    get("Content-Length twice, equal", b"Content-Length: 5\r\n" * 2, b"hello")
    get("Content-Length twice, different", b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello")
    get("Content-Length before a colon and a space", b"Content-Length : 5\r\n", b"hello")
    get("Content_Length", b"Content_Length: 5\r\n")
    for name, field in {
            "x": b"Transfer-Encoding: xchunked", "tab": b"Transfer-Encoding:\tchunked",
            "space before the colon": b"Transfer-Encoding : chunked",
            "identity": b"Transfer-Encoding: identity", "twice": chunked + b"Transfer-Encoding: x",
            "list": b"Transfer-Encoding: gzip, chunked", "vertical tab": b"Transfer-Encoding: \x0bchunked",
            "folded": b"Transfer-Encoding:\r\n chunked", "case": b"tRANSFER-eNCODING: cHUNKED",
            "quoted": b"Transfer-Encoding: \"chunked\"", "leading": b" Transfer-Encoding: chunked",
            "hidden": b"X: y\nTransfer-Encoding: chunked", "after CR": b"X: y\rTransfer-Encoding: chunked",
    }.items():
        get(f"Transfer-Encoding {name}", field + b"\r\n", chunk)
    found["chunk size with an extension"] = post + chunked + b"\r\n5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"
    found["chunk size too large"] = post + chunked + b"\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n"
    found["bare LF in chunks"] = post + chunked + b"\r\n5\nhello\n0\n\n"
    found["trailer"] = post + chunked + b"\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    # Ends of lines, and control characters.
    plain = line + host + b"\r\n"
    found["bare LF"] = plain.replace(b"\r\n", b"\n")
    found["bare CR"] = plain.replace(b"\r\n", b"\r")
    found["LF at the end"] = line + host + b"\n"
    found["CR CR LF"] = line + host + b"\r\r\n"
    found["lines before"] = b"\r\n\r\n" + plain
    found["LF before"] = b"\n" + plain
    found["space before"] = b" " + plain
    found["NUL before"] = b"\0" + plain
    for name, text in {"NUL": b"\0", "CR": b"\r", "DEL": b"\x7f", "BEL": b"\x07", "8 bits": b"\xff",
                       "tab": b"\t", "form feed": b"\x0c", "ESC": b"\x1b"}.items():
        get(f"{name} in a value", b"X: a" + text + b"b\r\n")
        get(f"{name} in a name", b"X" + text + b"Y: a\r\n")
        found[f"{name} in the target"] = b"GET /s5000.html" + text + b" HTTP/1.1\r\n" + host + b"\r\n"
    get("folded line", b"X: a\r\n b\r\n")
    get("folded with a tab", b"X: a\r\n\tb\r\n")
    get("line that begins with a space", b" X: a\r\n")
    get("no colon", b"Nonsense\r\n")
    get("no name", b": a\r\n")
    get("space in a name", b"X Y: a\r\n")
    # Targets.
    for name, target in {
            "absolute": b"http://" + domain.encode() + path, "absolute, other host": b"http://other.test" + path,
            "authority": domain.encode() + b":80", "asterisk": b"*", "double slash": b"/" + path,
            "dot": b"/." + path, "dots": b"/x/.." + path, "above the root": b"/.." + path,
            "escaped": b"/%735000.html", "escaped slash": b"/x%2f..%2fs5000.html", "escaped NUL": path + b"%00",
            "bad escape": path + b"%zz", "fragment": path + b"#a", "query": path + b"?a=b",
            "empty query": path + b"?", "parameters": path + b";a", "backslash": b"\\s5000.html",
            "case": b"/S5000.html", "no slash": b"s5000.html", "empty": b""}.items():
        found[f"target {name}"] = b"GET " + target + b" HTTP/1.1\r\n" + host + b"\r\n"
    found["two spaces"] = b"GET  " + path + b" HTTP/1.1\r\n" + host + b"\r\n"
    found["tab in the line"] = b"GET\t" + path + b" HTTP/1.1\r\n" + host + b"\r\n"
    found["space at the line's end"] = b"GET " + path + b" HTTP/1.1 \r\n" + host + b"\r\n"
    found["space in the target"] = b"GET " + path + b" x HTTP/1.1\r\n" + host + b"\r\n"
    for version in (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/01.1", b"HTTP/1.10", b"http/1.1", b"HTTP/1."):
        found[f"version {version.decode()}"] = b"GET " + path + b" " + version + b"\r\n" + host + b"\r\n"
    found["HTTP/1.0 kept"] = b"GET " + path + b" HTTP/1.0\r\n" + host + b"Connection: keep-alive\r\n\r\n"
    found["no version"] = b"GET " + path + b"\r\n"
    for method in (b"get", b"Get", b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT", b"PRI", b"G"):
        found[f"method {method.decode()}"] = method + b" " + path + b" HTTP/1.1\r\n" + host + b"\r\n"
    # Whose it is, and how it goes on.
    for name, fields in {
            "none": b"", "empty": b"Host:\r\n", "twice": host * 2, "twice, other": host + b"Host: other.test\r\n",
            "other": b"Host: other.test\r\n", "port": b"Host: " + domain.encode() + b":80\r\n",
            "other port": b"Host: " + domain.encode() + b":8080\r\n", "dot": b"Host: " + domain.encode() + b".\r\n",
            "case": b"Host: " + domain.encode().upper() + b"\r\n", "user": b"Host: a@" + domain.encode() + b"\r\n",
            "comma": b"Host: " + domain.encode() + b", other.test\r\n", "slash": b"Host: " + domain.encode() + b"/x\r\n",
            "spaces": b"Host:   " + domain.encode() + b"  \r\n", "no space": b"Host:" + domain.encode() + b"\r\n",
            "before a colon": b"Host : " + domain.encode() + b"\r\n", "folded": b"Host:\r\n " + domain.encode() + b"\r\n",
            "forwarded": host + b"X-Forwarded-Host: other.test\r\n"}.items():
        found[f"Host {name}"] = line + fields + b"\r\n"
    for name, field in {
            "close": b"Connection: close", "list": b"Connection: keep-alive, close", "TE": b"Connection: TE",
            "names Host": b"Connection: Host", "twice": b"Connection: close\r\nConnection: keep-alive",
            "case": b"cOnNeCtIoN: cLoSe", "none": b"Connection:", "upgrade": b"Connection: Upgrade\r\nUpgrade: h2c",
    }.items():
        get(f"Connection {name}", field + b"\r\n")
    get("Expect", b"Expect: 100-continue\r\n")
    get("Expect with a body", b"Expect: 100-continue\r\n" + size, inner)
    get("Range", b"Range: bytes=1-3\r\n")
    get("Range, smuggled by name", b"X: y\r\nRANGE: bytes=1-3\r\n")
    get("Authorization", b"Authorization: Basic YTpi\r\n")
    get("override", b"X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /s500.html\r\n")
    get("forged key", b"WB-Key: 0055" + b"0" * 32 + b"\r\n")
    get("long value", b"X: " + b"v" * 3000 + b"\r\n")
    get("many fields", b"X: y\r\n" * 60)
    return found


class Stream:
    """What one connection brought, and whether it ended."""

    def __init__(self, lab, port, family):
        self.connection = lab.connect(port, family)
        self.sock = self.connection.sock
        self.received, self.ended = b"", False

    def send(self, data):
        if self.ended:
            return
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = True

    def read(self):
        try:
            data = self.sock.recv(1 << 20)
        except OSError:
            data = b""
        self.received += data
        self.ended |= not data

    def outcome(self):
        return DATE.sub(rb"\1", self.received), self.ended


def drain(streams):
    """Until nothing has come for a while."""
    left = {stream.sock.fileno(): stream for stream in streams if not stream.ended}
    poll = select.epoll()
    for number in left:
        poll.register(number, select.EPOLLIN)
    last = time.monotonic()
    while left and time.monotonic() - last < QUIET_S:
        for number, _ in poll.poll(QUIET_S):
            left[number].read()
            last = time.monotonic()
            if left[number].ended:
                poll.unregister(number)
                del left[number]
    poll.close()


def converse(lab, port, family, texts, glued):
    """The streams that the messages bring at a port; each is preceded by two hits."""
    streams = [Stream(lab, port, family) for _ in texts]
    canary = lab.request(CANARY)
    for _ in range(2):
        for stream in streams:
            stream.send(lab.request(HOT))
        drain(streams)
    for stream, text in zip(streams, texts):
        stream.send(text + canary if glued else text)
    drain(streams)
    for _ in range(1 if glued else 2):
        for stream in streams:
            stream.send(canary)
        drain(streams)
    for stream in streams:
        stream.connection.close()
    return [stream.outcome() for stream in streams]


def both_ports_say_the_same():
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        lab.warm(*[f"/s{size}.html" for size in SIZES])
        forms = messages(lab.domain)
        differences = []
        for family in (4, 6):
            for glued in (False, True):
                wanted = converse(lab, 8080, family, forms.values(), glued)
                before = lab.hits()
                got = converse(lab, 80, family, forms.values(), glued)
                hits = lab.hits() - before
                manner = "glued" if glued else "alone"
                refused = sum(1 for stream, _ in wanted if b"HTTP/1.1 400 " in stream)
                say(f"  IPv{family}, {manner}: {len(forms)} messages, nginx refuses {refused}, "
                    f"{sum(ended for _, ended in wanted)} connections ended, {hits} hits")
                for name, mine, theirs in zip(forms, got, wanted):
                    if mine != theirs:
                        differences.append(f"{name}, IPv{family}, {manner}: {tail(mine, theirs)}")
                check(hits >= 2 * len(forms), f"only {hits} hits: the messages met no XDP")
        check(not differences, f"{len(differences)} differ:\n" + "\n".join(differences[:10]))


def tail(mine, theirs):
    """Where two streams part."""
    at = next((i for i, (a, b) in enumerate(zip(mine[0], theirs[0])) if a != b),
              min(len(mine[0]), len(theirs[0])))
    return (f"{len(mine[0])} bytes, ended {mine[1]}; nginx {len(theirs[0])}, ended {theirs[1]}; "
            f"from {at}: {mine[0][at:at + 60]!r} / {theirs[0][at:at + 60]!r}")


if __name__ == "__main__":
    sys.exit(netlab.main([both_ports_say_the_same]))
