#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An origin that reads HTTP/1.1 more strictly than any server has to, and writes down what it understood: one line of
JSON for each request (a "request"), for what was none (a "problem"), and for a request that was cut off (a "cut").

    recording_origin.py PORT FILE

It answers 200 with a few bytes, or with as many as a target ends in: /big/300000. What stands before it must send
nothing that two readers could understand differently, so whatever is unusual is a problem: obs-fold, bare CR or LF,
white space before a colon, two lengths, chunk extensions, bytes behind a request that no one had answered.
"""

import itertools
import json
import re
import socket
import sys
import threading

MAX_HEAD = 1 << 17
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x22\x24-\x7e]+) HTTP/1\.1\Z")
VALUE = rb"[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?"
FIELD = re.compile(rb"(" + TOKEN + rb"): ?(" + VALUE + rb")?\Z")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")


class Problem(Exception):
    """What came is no request."""


class Cut(Exception):
    """The connection ended within a request."""


class Log:
    def __init__(self, path):
        self._file = open(path, "a", encoding="ascii")  # pylint: disable=consider-using-with
        self._lock = threading.Lock()

    def write(self, **record):
        with self._lock:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()


class Reader:
    """Bytes of a connection, up to what is asked for."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.seen = b""  # of the present request

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError as error:
            raise Cut from error
        if not data:
            raise Cut
        self.buffer += data

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        self.seen += data[:4096]
        return data

    def line(self):
        """Without its CRLF."""
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > MAX_HEAD:
                raise Problem("endless line")
            self.fill()
        return self.take(self.buffer.index(b"\r\n") + 2)[:-2]

    def fields(self):
        found = []
        while line := self.line():
            match = FIELD.match(line)
            if not match:
                raise Problem(f"field line {line!r}")
            found.append((match[1].decode(), (match[2] or b"").decode("latin-1")))
        return found


def values(fields, name):
    return [value for field, value in fields if field.lower() == name]


def read_body(reader, fields):
    """The body, and the trailers of a chunked one."""
    lengths, codings = values(fields, "content-length"), values(fields, "transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Problem(f"framing {lengths} {codings}")
    if lengths:
        if not re.fullmatch("0|[1-9][0-9]{0,17}", lengths[0]):
            raise Problem(f"length {lengths[0]!r}")
        return reader.take(int(lengths[0])), []
    if not codings:
        return b"", []
    if codings != ["chunked"]:
        raise Problem(f"coding {codings}")
    body = b""
    while True:
        size = reader.line()
        if not CHUNK_SIZE.match(size):
            raise Problem(f"chunk size {size!r}")
        if not int(size, 16):
            return body, reader.fields()
        body += reader.take(int(size, 16))
        if reader.take(2) != b"\r\n":
            raise Problem("chunk longer than its size")


def read_request(reader):
    line = reader.line()
    match = REQUEST_LINE.match(line)
    if not match:
        raise Problem(f"request line {line!r}")
    fields = reader.fields()
    if len(values(fields, "host")) != 1:
        raise Problem(f"hosts {values(fields, 'host')}")
    body, trailers = read_body(reader, fields)
    return {"method": match[1].decode(), "target": match[2].decode(), "fields": fields, "body": body.decode("latin-1"),
            "trailers": trailers}


def answer(request):
    size = re.search(r"/big/([0-9]+)$", request["target"])
    body = b"b" * int(size[1]) if size else f"{request['method']} {request['target']}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head if request["method"] == "HEAD" else head + body


def serve(sock, number, log):
    reader = Reader(sock)
    try:
        while True:
            while not reader.buffer:  # an end between requests is none of our business
                reader.fill()
            reader.seen = b""
            try:
                request = read_request(reader)
            except Cut:
                log.write(kind="cut", connection=number, bytes=(reader.seen + reader.buffer[:4096]).decode("latin-1"))
                raise
            log.write(kind="request", connection=number, **request)
            sock.sendall(answer(request))
    except Problem as problem:
        log.write(kind="problem", connection=number, text=str(problem),
                  bytes=(reader.seen + reader.buffer[:4096]).decode("latin-1"))
    except (Cut, OSError):
        pass
    finally:
        sock.close()


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    log = Log(path)
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    for number in itertools.count(1):
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock, number, log), daemon=True).start()


if __name__ == "__main__":
    main()
