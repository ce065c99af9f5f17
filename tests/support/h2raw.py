# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by frames (RFC 9113): what is sent is the caller's to say, right or wrong. Field sections are written as
literals without Huffman coding, so that any byte can be in them; of responses only :status is read, from a peer that
was told to use no dynamic table. Not thread-safe.
"""

import dataclasses
import socket
import ssl
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
MOST_PAYLOAD = 16384
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541, appendix A
# RFC 7541, appendix B: the digits' codes, as bits.
HUFFMAN_DIGITS = {"00000": 0, "00001": 1, "00010": 2, "011001": 3, "011010": 4, "011011": 5, "011100": 6, "011101": 7,
                  "011110": 8, "011111": 9}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def _string(text):
    """RFC 7541, 5.2, without Huffman coding."""
    size, head = len(text), b""
    if size < 127:
        return bytes([size]) + text
    head, size = b"\x7f", size - 127
    while size >= 128:
        head += bytes([size % 128 + 128])
        size //= 128
    return head + bytes([size]) + text


def fields_block(fields):
    """Literals without indexing, new names (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def headers(stream, fields, end=True, block=None):
    """HEADERS, and CONTINUATION where the block needs it."""
    block = fields_block(fields) if block is None else block
    parts = [block[at:at + MOST_PAYLOAD] for at in range(0, len(block), MOST_PAYLOAD)] or [b""]
    out = b""
    for at, part in enumerate(parts):
        flags = (END_STREAM if end and at == 0 else 0) | (END_HEADERS if at == len(parts) - 1 else 0)
        out += frame(CONTINUATION if at else HEADERS, flags, stream, part)
    return out


def data(stream, payload, end=True):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def status_of(block):
    """The first field of a response, which is :status (RFC 9113, 8.3)."""
    while block and block[0] & 0xe0 == 0x20:  # size update of the table
        block = block[1:]
    if block[0] & 0x80:
        return STATIC_STATUS[block[0] & 0x7f]
    if block[0] & 0x0f not in STATIC_STATUS and block[0] & 0x3f not in STATIC_STATUS:
        raise ValueError(f"not :status: {block[:8].hex()}")
    size = block[1] & 0x7f
    text = block[2:2 + size]
    if not block[1] & 0x80:
        return int(text)
    bits, number, word = "".join(f"{byte:08b}" for byte in text), 0, ""
    for bit in bits:
        word += bit
        if word in HUFFMAN_DIGITS:
            number, word = number * 10 + HUFFMAN_DIGITS[word], ""
    return number


@dataclasses.dataclass
class Stream:
    status: int = 0       # of the final response
    size: int = 0         # of its body
    body: bytes = b""     # the first bytes of it
    ended: bool = False
    reset: int = -1       # error code, or -1


class Http2:
    """A connection over TLS; `sock` is connected. options: settings of ours, besides that we have no dynamic table."""

    def __init__(self, sock, context, name, options=()):
        self._patience = sock.gettimeout()
        self.sock = context.wrap_socket(sock, server_hostname=name)
        if self.sock.selected_alpn_protocol() != "h2":
            raise ssl.SSLError(f"ALPN gives {self.sock.selected_alpn_protocol()}")
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.streams = {}
        self.goaway = -1  # error code, or -1
        self.closed = self.stalled = False
        self.pongs = self.acks = 0
        self._buffer = b""
        self._total = 0
        self._block = b""
        self.send(PREFACE + settings((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), *options))

    def send(self, wire):
        """The peer may have gone meanwhile: what it said is still read. Or it does not read."""
        try:
            self.sock.sendall(wire)
        except TimeoutError:
            self.stalled = True
        except (OSError, ssl.SSLError):
            self.closed = True

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def over(self, number):
        found = self.stream(number)
        return found.ended or found.reset >= 0

    def read_until(self, done, seconds=10):
        """Reads frames until done() holds or the peer has ended the connection; False when time is over."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            if not self._read_some(left):
                self.closed = True
                return True
        return True

    def drain(self):
        """Reads what has come."""
        while not self.closed:
            before = self._total
            if not self._read_some(0):
                self.closed = True
            if self._total == before:
                return

    def wait(self, number, seconds=10):
        """For the end of a stream or of the connection."""
        return self.read_until(lambda: self.over(number) or self.goaway > 0, seconds)

    def _read_some(self, seconds):
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        except (OSError, ssl.SSLError):
            return False
        finally:
            self.sock.settimeout(self._patience)
        self._total += len(got)
        self._buffer += got
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + size:
                break
            kind, flags, number = self._buffer[3], self._buffer[4], int.from_bytes(self._buffer[5:9], "big")
            payload, self._buffer = self._buffer[9:9 + size], self._buffer[9 + size:]
            self._take(kind, flags, number, payload)
        return bool(got)

    def _take(self, kind, flags, number, payload):
        if kind == SETTINGS:
            if flags & ACK:
                self.acks += 1
            else:
                self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING:
            if flags & ACK:
                self.pongs += 1
            else:
                self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            self.stream(number).reset = int.from_bytes(payload, "big")
        elif kind in (HEADERS, CONTINUATION):
            self._block += payload
            found = self.stream(number)
            if flags & END_HEADERS:
                if found.status < 200:  # else trailers
                    found.status = status_of(self._block)
                self._block = b""
            # Of CONTINUATION the bit means nothing.
            found.ended = found.ended or bool(kind == HEADERS and flags & END_STREAM)
        elif kind == DATA:
            found = self.stream(number)
            found.size += len(payload)
            found.body = (found.body + payload)[:4096]
            found.ended = found.ended or bool(flags & END_STREAM)
            if payload:
                both = (0,) if found.ended else (0, number)
                self.send(b"".join(window_update(where, len(payload)) for where in both))

    def close(self):
        self.sock.close()
