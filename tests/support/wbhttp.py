#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Raw-socket HTTP/1.1 client: what is sent, and in which segment, is the caller's to say.

Used by mixed.py, crawl.py, load.py and the network tests. A response that bends RFC 9112 in any
way raises HttpError rather than being guessed at, because the tests look for exactly such damage.
Not thread-safe. As a program it sends one GET and prints the head: wbhttp.py ADDR PORT HOST TARGET
"""

import math
import re
import socket
import sys
import time

MAX_HEAD = 65536
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t \x21-\x7e\x80-\xff]*)\Z")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
                    rb"([\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
                    rb"[ \t]*\Z")
_DATE = re.compile(rb"(\r\n[Dd][Aa][Tt][Ee]:[ \t]*)([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} "
                   rb"[0-9]{2}:[0-9]{2}:[0-9]{2} GMT)(?=\r\n)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?\Z")


class HttpError(Exception):
    """kind is one of: connect, timeout, closed, reset, syntax, extra."""

    def __init__(self, kind, detail=""):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail


class Response:
    """One final response. head is the raw head with its blank line; interim holds the raw heads of
    1xx before it.
    """

    __slots__ = ("head", "minor", "status", "reason", "fields", "body", "interim", "chunked",
                 "elapsed_s")

    def __init__(self, head):
        self.head = head
        self.body = b""
        self.interim = []
        self.chunked = False
        self.elapsed_s = 0.0
        lines = head[:-4].split(b"\r\n")
        match = _STATUS_LINE.match(lines[0])
        if not match:
            raise HttpError("syntax", f"status line {lines[0][:80]!r}")
        self.minor, self.status, self.reason = int(match[1]), int(match[2]), match[3]
        self.fields = []
        for line in lines[1:]:
            match = _FIELD.match(line)
            if not match:
                raise HttpError("syntax", f"header field {line[:80]!r}")
            self.fields.append((match[1], match[2] or b""))

    def values(self, name):
        """All values of a field, in order; name in lower case, as bytes."""
        return [value for field, value in self.fields if field.lower() == name]

    def value(self, name):
        found = self.values(name)
        return found[0] if found else None

    def keeps_alive(self):
        tokens = {token.strip().lower() for value in self.values(b"connection")
                  for token in value.split(b",")}
        return b"close" not in tokens if self.minor == 1 else b"keep-alive" in tokens

    def content_length(self):
        """None when absent. Repeated or malformed lengths are a framing error (RFC 9112, 6.3)."""
        lengths = self.values(b"content-length")
        if not lengths:
            return None
        if len(lengths) > 1 or not lengths[0].isdigit():
            raise HttpError("syntax", f"Content-Length {lengths!r}")
        return int(lengths[0])


class ResponseParser:
    """Incremental: feed() bytes, ask next(method) until it returns None; finish(method) at the end
    of the stream.
    """

    def __init__(self):
        self.buffer = bytearray()
        self._response = None
        self._interim = []
        self._need = 0  # body length; -1: until close; -2: chunked
        self._chunks = []

    def feed(self, data):
        self.buffer += data

    def in_response(self):
        """True when part of a response has arrived."""
        return bool(self.buffer or self._response or self._interim)

    def interim_seen(self):
        return bool(self._interim)

    def next(self, method):
        """The next complete response to a request of this method (bytes), or None when more bytes
        are needed.
        """
        while self._response is None:
            if not self._take_head(method):
                return None
        if self._need == -1:
            return None
        if self._need == -2:
            return self._done() if self._take_chunks() else None
        if len(self.buffer) < self._need:
            return None
        self._response.body = bytes(self.buffer[:self._need])
        del self.buffer[:self._need]
        return self._done()

    def finish(self, method):
        """At end of stream: the response that the close delimits, or None between responses."""
        response = self.next(method)
        if response is not None:
            return response
        if self._response is not None and self._need == -1:
            self._response.body = bytes(self.buffer)
            self.buffer.clear()
            return self._done()
        if self.in_response():
            raise HttpError("closed", f"in mid-response, {len(self.buffer)} bytes pending")
        return None

    def _done(self):
        response, self._response = self._response, None
        response.interim, self._interim = self._interim, []
        return response

    def _take_head(self, method):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > MAX_HEAD:
                raise HttpError("syntax", "head too long")
            if self.buffer and not b"HTTP/1.".startswith(bytes(self.buffer[:7])):
                raise HttpError("syntax", f"no status line: {bytes(self.buffer[:40])!r}")
            return False
        head = bytes(self.buffer[:end + 4])
        del self.buffer[:end + 4]
        response = Response(head)
        if 100 <= response.status < 200 and response.status != 101:
            self._interim.append(head)
            return True
        self._frame(response, method)
        self._response = response
        return True

    def _frame(self, response, method):
        length = response.content_length()
        coding = response.values(b"transfer-encoding")
        if coding and (length is not None or [c.lower() for c in coding] != [b"chunked"]):
            raise HttpError("syntax", f"Transfer-Encoding {coding!r}, Content-Length {length}")
        if method == b"HEAD" or response.status in (204, 304):
            self._need = 0
        elif coding:
            response.chunked = True
            self._need = -2
        else:
            self._need = -1 if length is None else length

    def _take_chunks(self):
        while True:
            end = self.buffer.find(b"\r\n")
            if end < 0:
                return False
            match = _CHUNK_SIZE.match(bytes(self.buffer[:end]))
            if not match:
                raise HttpError("syntax", f"chunk size {bytes(self.buffer[:end])[:40]!r}")
            size = int(match[1], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return False
            if self.buffer[end + 2 + size:end + 4
                           + size] != b"\r\n":  # trailer fields are refused here as well
                raise HttpError("syntax", "chunk without its line end")
            self._chunks.append(bytes(self.buffer[end + 2:end + 2 + size]))
            del self.buffer[:end + 4 + size]
            if size == 0:
                self._response.body = b"".join(self._chunks)
                self._chunks = []
                return True


class Connection:
    """A persistent connection. Each send() leaves as a segment of its own (TCP_NODELAY), if the
    window allows.
    """

    def __init__(self, host, port, timeout_s=30.0, source=None):
        try:
            sock = socket.create_connection((host, port), timeout_s, source)
        except OSError as error:
            raise HttpError("connect", f"{host} port {port}: {error}") from error
        self._take(sock, timeout_s)

    def _take(self, sock, timeout_s):
        self.timeout_s = timeout_s
        self.requests = 0
        self.parser = ResponseParser()
        self.sent_at = time.monotonic()
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def on(cls, sock, timeout_s=30.0):
        """On a socket that is connected already."""
        connection = cls.__new__(cls)
        connection._take(sock, timeout_s)
        return connection

    def send(self, data):
        self.sent_at = time.monotonic()
        self.sock.settimeout(self.timeout_s)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise HttpError("reset", str(error)) from error

    def read_response(self, method=b"GET"):
        """Blocks for one final response. HttpError on timeout, reset, early close or bad syntax."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            response = self.parser.next(method)
            if response is None:
                data = self.receive(deadline - time.monotonic())
                if data:
                    self.parser.feed(data)
                    continue
                response = self.parser.finish(method)
                if response is None:
                    raise HttpError("closed", "before the response")
            response.elapsed_s = time.monotonic() - self.sent_at
            self.requests += 1
            return response

    def receive(self, timeout_s):
        """Some bytes, or b"" at end of stream."""
        if timeout_s <= 0:
            raise HttpError("timeout", f"after {self.timeout_s} s")
        self.sock.settimeout(timeout_s)
        try:
            return self.sock.recv(1 << 20)
        except socket.timeout as error:
            raise HttpError("timeout", f"after {self.timeout_s} s") from error
        except OSError as error:
            raise HttpError("reset", str(error)) from error

    def read_until_close(self):
        """All bytes until the peer closes, those already buffered included; for answers without
        framing.
        """
        deadline = time.monotonic() + self.timeout_s
        data = bytes(self.parser.buffer)
        self.parser.buffer.clear()
        while True:
            more = self.receive(deadline - time.monotonic())
            if not more:
                return data
            data += more

    def idle_state(self):
        """Between responses: "open", "closed" (FIN), "reset" or "extra" (bytes nobody asked
        for).
        """
        if self.parser.in_response():
            return "extra"
        self.sock.setblocking(False)
        try:
            return "extra" if self.sock.recv(1, socket.MSG_PEEK) else "closed"
        except (BlockingIOError, InterruptedError):
            return "open"
        except OSError:
            return "reset"

    def quickack(self):
        """Sends a delayed ACK now, so that the next request does not carry it."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def request(self, data, method=b"GET"):
        self.send(data)
        return self.read_response(method)

    def close(self):
        self.sock.close()


def normalise(raw_header):
    """Blanks the value of a well-formed Date and nothing else; a malformed Date stays and so is
    seen as a difference.
    """
    return _DATE.sub(rb"\1-", raw_header)


def date_of(raw_header):
    """The Date value as bytes, or None."""
    match = _DATE.search(raw_header)
    return match[2] if match else None


def as_bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def request_bytes(method, target, host, fields=(), version=b"HTTP/1.1", body=b""):
    """A request as it goes on the wire. fields: (name, value) pairs, kept as given; host None
    leaves Host out.
    """
    lines = [b" ".join((as_bytes(method), as_bytes(target), as_bytes(version)))]
    if host is not None:
        lines.append(b"Host: " + as_bytes(host))
    lines += [as_bytes(name) + b": " + as_bytes(value) for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + as_bytes(body)


def percentiles(samples_s):
    """{n, p50_ms, p99_ms, max_ms} of a list of seconds, nearest rank; None without samples."""
    ordered = sorted(samples_s)
    if not ordered:
        return {"n": 0, "p50_ms": None, "p99_ms": None, "max_ms": None}

    def rank(share):
        return round(1000 * ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

    return {"n": len(ordered), "p50_ms": rank(0.50), "p99_ms": rank(0.99),
            "max_ms": round(1000 * ordered[-1], 3)}


def main():
    host, port, domain, target = sys.argv[1:5]
    response = Connection(host, int(port)).request(request_bytes("GET", target, domain))
    sys.stdout.buffer.write(response.head)
    print(f"body: {len(response.body)} bytes, {1000 * response.elapsed_s:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
