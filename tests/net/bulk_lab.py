# SPDX-License-Identifier: Apache-2.0
"""What the tests of bulk replies have in common: labs, objects, downloads on sockets of one's own."""

import contextlib
import socket
import time

import netlab
from netlab import Lab, check, wbhttp

BIG = 10_000_000
SIZES = [100, 11673, 16100, 20000, 100_000, 1_000_000, BIG]


def target(size):
    return f"/s{size}.html"


def configuration(path="packet", *more):
    """`more`: lines of the bulk section."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    names = ("@PREFIX@o0", "@PREFIX@o1")
    listed = "".join(f"  - {{ name: {name}, bulk: {path} }}\n" for name in names)
    text = text.replace("interfaces: @IFS@\n", "interfaces:\n" + listed)
    return text + "bulk:\n" + "".join(f"  {line}\n" for line in ("memory: 256MiB", *more))


@contextlib.contextmanager
def bulk_lab(sizes=SIZES, path="packet", more=(), warm=True, **options):
    with netlab.scratch() as directory, Lab(netlab.make_docroot(directory, sizes),
                                            conf=configuration(path, *more), bulk=True, **options) as lab:
        if warm:
            lab.warm(*map(target, sizes))
        yield lab


def content(size):
    return netlab.pattern(f"s{size}", size)


def bulk_count(lab):
    return lab.reasons()["in/bulk"]


def ask(lab, size, connection, bulk=None):
    """The reply must be the file; `bulk`: whether the bulk sender has to have sent it."""
    before = bulk_count(lab) if bulk is not None else 0
    response = connection.request(lab.request(target(size)))
    check(response.status == 200 and response.body == content(size),
          f"{size} bytes: {len(response.body)} bytes of status {response.status}")
    if bulk is not None:
        sent = bulk_count(lab) - before
        check(sent == bulk, f"{size} bytes: {sent} replies of the bulk sender, not {int(bulk)}")
    return response


class Download:
    """One reply read by hand: at what rate and with what buffer is the test's matter."""

    def __init__(self, lab, size, receive_buffer=0, port=80, family=4, miss_first=False):
        self.size = size
        with lab.inside("client"):
            self.sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(20)
        self.sock.connect((lab.address(family), port))
        time.sleep(0.005)  # a request that comes with the handshake's last packet is the web server's
        if miss_first:
            wbhttp.Connection.on(self.sock, 20).request(lab.request("/none.html"))
        self.data = bytearray()
        self.started = time.monotonic()
        self.sock.sendall(lab.request(target(size)))

    def read(self, most=1 << 18):
        """Some of it. False: nothing more comes."""
        piece = self.sock.recv(most)
        self.data += piece
        return bool(piece)

    def length(self):
        end = self.data.find(b"\r\n\r\n")
        return None if end < 0 else end + 4 + self.size

    def finish(self):
        """Reads the rest, compares, and returns the seconds since the request."""
        while self.length() is None or len(self.data) < self.length():
            check(self.read(), f"closed after {len(self.data)} bytes")
        took = time.monotonic() - self.started
        self.compare()
        return took

    def compare(self):
        body = bytes(self.data[self.data.find(b"\r\n\r\n") + 4:])
        wanted = content(self.size)
        check(body == wanted[:len(body)], f"{self.size} bytes: other bytes than those of the file")

    def close(self):
        self.sock.close()


__all__ = ["BIG", "SIZES", "Download", "ask", "bulk_count", "bulk_lab", "configuration", "content", "target",
           "wbhttp"]
