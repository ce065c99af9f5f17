# SPDX-License-Identifier: Apache-2.0
"""What attackers send over HTTP/2, and what must become of it: above all what must not become an HTTP/1.1 request that
says something else (RFC 9113, 8.1 to 8.3 and 10.3). ##### becomes the case's number, which is as long, since
lengths are encoded here; its stream is 1.
"""

import dataclasses
import struct

import h2raw
from booster_hostile_cases import FORGED, FORWARDED, HOSTED, Relay, posted
from h2raw import (COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
                   FLOW_CONTROL_ERROR,
                   FRAME_SIZE_ERROR, HEADERS, PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM,
                   SETTINGS,
                   STREAM_CLOSED, WINDOW_UPDATE, data, frame, window_update)


@dataclasses.dataclass
class Malformed:
    """Refused by one of these, and no request at the origin. Only what ends the connection may spare the rest of it."""
    statuses: tuple = (400,)
    resets: tuple = (PROTOCOL_ERROR,)
    goaways: tuple = (PROTOCOL_ERROR,)
    closes: bool = False  # without a word that arrives, for much is left unread
    may: tuple = ()       # what was a request before it went wrong


@dataclasses.dataclass
class Ended:
    """The connection is ended by GOAWAY with one of these, or a stream's reset where that is said too; no request."""
    goaways: tuple
    resets: tuple = ()


@dataclasses.dataclass
class Case:
    name: str
    wire: bytes
    outcomes: tuple  # any one of them


PSEUDO = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"site.test"), (b":path", b"/h/#####"))
POSTED = ((b":method", b"POST"), *PSEUDO[1:])
SMUGGLED = b"GET /smuggled/99999 HTTP/1.1\r\nHost: site.test\r\n\r\n"


def request(*fields, pseudo=PSEUDO, **options):
    return h2raw.headers(1, (*pseudo, *fields), **options)


def post(*fields):
    return request(*fields, pseudo=POSTED, end=False)


def changed(name, value):
    return tuple((field, value if field == name else old) for field, old in PSEUDO)


def without(name):
    return tuple(pair for pair in PSEUDO if pair[0] != name)


def names_and_values():
    """What would be other lines in HTTP/1.1 (RFC 9113, 8.2.1)."""
    inject = b"b\r\nTransfer-Encoding: chunked\r\nX: "
    for name, field in (("CRLF in a value", (b"a", inject)), ("LF in a value", (b"a", b"b\nc: d")),
                        ("CR in a value", (b"a", b"b\rc: d")),
                        ("NUL in a value", (b"a", b"b\0c")), ("CRLF at a value's end", (b"a", b"b\r\n")),
                        ("a request in a value", (b"a", b"b\r\n\r\n" + SMUGGLED)),
                        ("CRLF in a name", (b"a: b\r\nx", b"c")), ("LF in a name", (b"a\nb", b"c")),
                        ("NUL in a name", (b"a\0b", b"c")),
                        ("colon in a name", (b"a:b", b"c")), ("colon at a name's end",
                                                              (b"transfer-encoding:", b"chunked")),
                        ("space in a name", (b"a b", b"c")), ("space at a name's end",
                                                              (b"transfer-encoding ", b"chunked")),
                        ("tab in a name", (b"a\tb", b"c")),
                        ("upper case", (b"Transfer-Encoding", b"chunked")), ("one capital", (b"x-A", b"b")),
                        ("empty name", (b"", b"b")),
                        ("name that is not ASCII", (b"\xe4", b"b")), ("DEL in a name", (b"a\x7f", b"b"))):
        yield name, request(field), Malformed()
    for name, field in (("connection", (b"connection", b"close")), ("keep-alive", (b"keep-alive", b"timeout=5")),
                        ("upgrade", (b"upgrade", b"websocket")),
                        ("proxy-connection", (b"proxy-connection", b"keep-alive")),
                        ("transfer-encoding", (b"transfer-encoding", b"chunked")),
                        ("te", (b"te", b"gzip"))):
        yield f"field of a connection: {name}", request(field), Malformed()
    yield "te: trailers", request((b"te", b"trailers")), Relay()
    for name, value in (("space before a value", b" b"), ("space behind a value", b"b "),
                        ("tab before a value", b"\tb")):
        yield name, request((b"a", value)), Malformed(), Relay(has=(("a", "b"),))
    yield "value that is not ASCII", request((b"a", b"\xe4")), Relay(has=(("a", "\xe4"),))
    yield "DEL in a value", request((b"a", b"b\x7f")), Malformed()
    yield "cookie in crumbs", request((b"cookie", b"a=1"), (b"cookie", b"b=2")), Relay(has=(("cookie", "a=1; b=2"),))
    yield "key of a booster", request((b"wb-key", b"0070" + b"0" * 32)), Relay(lacks=("wb-key",))
    for name in (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x_forwarded_for", b"x-forwarded-host"):
        yield f"forged {name.decode()}", request((name, b"for=" + FORGED.encode())), FORWARDED


def pseudo_fields():
    """RFC 9113, 8.3."""
    for name in (b":method", b":scheme", b":path"):
        yield f"no {name.decode()}", request(pseudo=without(name)), Malformed()
    for name, value in PSEUDO:
        yield f"two {name.decode()}", request(pseudo=(*PSEUDO, (name, value))), Malformed()
        yield (f"{name.decode()} behind a field", request(pseudo=(*without(name), (b"a", b"b"), (name, value))),
               Malformed())
        yield f"{name.decode()} empty", request(pseudo=changed(name, b"")), Malformed()
    for name, field in (("unknown pseudo field", (b":x", b"b")), (":status of a request", (b":status", b"200")),
                        (":protocol", (b":protocol", b"websocket")),
                        ("only a colon", (b":", b"b"))):
        yield name, request(pseudo=(*PSEUDO, field)), Malformed()
    yield "no :authority and no host", request(pseudo=without(b":authority")), Malformed()
    yield "host for :authority", request((b"host", b"site.test"), pseudo=without(b":authority")), HOSTED
    yield "host like :authority", request((b"host", b"site.test")), HOSTED
    yield "host against :authority", request((b"host", b"evil.test")), Malformed((400, 421)), HOSTED
    yield "two hosts", request((b"host", b"site.test"), (b"host", b"evil.test")), Malformed((400, 421)), HOSTED
    yield "unknown :authority", request(pseudo=changed(b":authority", b"evil.test")), Malformed((400, 403, 404, 421))
    for name, value in (("space", b"/h/##### x"), ("request line", b"/h/##### HTTP/1.1\r\nHost: evil.test\r\nX: "),
                        ("CRLF", b"/h/#####\r\n"), ("LF", b"/h/#####\n"), ("NUL", b"/h/#####\0"),
                        ("tab", b"/h/#####\tx"), ("fragment", b"/h/######x"), ("no slash", b"x/h/#####"),
                        ("asterisk", b"*"), ("absolute", b"http://evil.test/h/#####"),
                        ("quote", b'/h/#####"'), ("not ASCII", b"/h/#####\xe4")):
        yield f":path with {name}", request(pseudo=changed(b":path", value)), Malformed()
    for name, value in (("space", b"GET /smuggled/99999"), ("CRLF", b"GET\r\nX: y"),
                        ("request", b"GET /smuggled/99999 HTTP/1.1\r\nHost: site.test\r\n\r\nGET"), ("NUL", b"GET\0"),
                        ("slash", b"GET/x"), ("colon", b"GET:")):
        yield f":method with {name}", request(pseudo=changed(b":method", value)), Malformed((400, 405, 501))
    for name, value in (("userinfo", b"x@site.test"), ("CRLF", b"site.test\r\nX: y"), ("space", b"site.test x"),
                        ("path", b"site.test/x"), ("list", b"site.test, evil.test"), ("NUL", b"site.test\0"),
                        ("bad port", b"site.test:x"), ("percent", b"%73ite.test")):
        yield f":authority with {name}", request(pseudo=changed(b":authority", value)), Malformed()
    for name, value in (("CRLF", b"https\r\nX: y"), ("a URI", b"https://evil.test/x?"), ("space", b"https x")):
        yield f":scheme with {name}", request(pseudo=changed(b":scheme", value)), Malformed()
    yield ("CONNECT", request(pseudo=((b":method", b"CONNECT"), (b":authority", b"site.test:22"))),
           Malformed((400, 405, 501), (PROTOCOL_ERROR, 7, 8)))
    yield "CONNECT with a path", request(pseudo=changed(b":method", b"CONNECT")), Malformed((400, 405, 501))


def bodies():
    """RFC 9113, 8.1.1: lengths that do not agree; trailers."""
    length = (b"content-length", b"5")
    short = Malformed((400, 408), (PROTOCOL_ERROR,))
    yield "length larger than the data", post(length) + data(1, b"hel"), short
    yield "length smaller than the data", post(length) + data(1, b"hello" + SMUGGLED), short
    yield ("length smaller, in frames", post(length) + data(1, b"hello", end=False) + data(1, SMUGGLED),
           dataclasses.replace(short, may=(posted(maybe=True),)))
    yield "length without data", request(length, pseudo=POSTED), short
    yield "length and empty data", post(length) + data(1, b""), short
    for value in (b"+5", b"5, 5", b"0x5", b"-1", b"", b"5 5", b"18446744073709551621"):
        yield f"length {value.decode()!r}", post((b"content-length", value)) + data(1, b"hello"), Malformed()
    yield "two lengths", post(length, (b"content-length", b"6")) + data(1, b"hello"), Malformed()
    yield "no length", post() + data(1, b"hel", end=False) + data(1, b"lo"), posted()
    yield "a request as data", post() + data(1, SMUGGLED), posted(SMUGGLED)
    yield "chunks as data", post() + data(1, b"0\r\n\r\n" + SMUGGLED), posted(b"0\r\n\r\n" + SMUGGLED)
    yield "padded data", (post(length) + frame(DATA, END_STREAM | PADDED, 1, b"\x04hello\0\0\0\0")), posted()
    yield "Expect", post((b"expect", b"100-continue"), length) + data(1, b"hello"), posted()
    start = post() + data(1, b"hello", end=False)
    for name, field in (("pseudo field", (b":path", b"/x")), ("capital", (b"X-A", b"b")),
                        ("CRLF", (b"a", b"b\r\nc: d"))):
        yield f"trailers with a {name}", start + h2raw.headers(1, (field,)), Malformed()
    yield "trailers that do not end", start + h2raw.headers(1, ((b"a", b"b"),), end=False), Malformed()
    yield ("trailers that frame", start + h2raw.headers(1, ((b"content-length", b"50"), (b"host", b"evil.test"),
                                                            (b"x-sum", b"5"))),
           posted(any_end=True), Malformed())


def frames():
    """RFC 9113, 4 to 6, and RFC 7541: what ends the connection."""
    window = struct.pack(">I", 0x7fffffff)
    protocol = Ended((PROTOCOL_ERROR,))
    either = Ended((PROTOCOL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR), (PROTOCOL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR))
    block = h2raw.fields_block(PSEUDO)
    begun = frame(HEADERS, END_STREAM, 1, block[:20])
    for name, wire in (("DATA on no stream", data(0, b"x")), ("HEADERS on no stream", h2raw.headers(0, PSEUDO)),
                       ("HEADERS on an even stream", h2raw.headers(2, PSEUDO)),
                       ("DATA on an idle stream", data(1, b"x")), ("reset of an idle stream", h2raw.reset(1)),
                       ("reset of no stream", h2raw.reset(0)),
                       ("window of an idle stream", window_update(1, 1)),
                       ("push", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block)),
                       ("settings on a stream", frame(SETTINGS, 0, 1)),
                       ("ping on a stream", frame(PING, 0, 1, b"12345678")),
                       ("continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, block)),
                       ("window of 0", window_update(0, 0)),
                       ("padding beyond the frame", frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1,
                                                          b"\xff" + block)),
                       ("a frame between HEADERS and CONTINUATION", begun + frame(PING, 0, 0, b"12345678")),
                       ("CONTINUATION of another stream", begun + frame(CONTINUATION, END_HEADERS, 3, block[20:])),
                       ("push enabled by a number", h2raw.settings((h2raw.ENABLE_PUSH, 2))),
                       ("frame size too small", h2raw.settings((h2raw.MAX_FRAME_SIZE, 16383))),
                       ("frame size too large", h2raw.settings((h2raw.MAX_FRAME_SIZE, 1 << 24)))):
        yield name, wire, protocol
    for name, wire in (("frame too large", frame(DATA, 0, 1, b"x" * 16385)),
                       ("ping of 7 bytes", frame(PING, 0, 0, b"1234567")),
                       ("settings of 5 bytes", frame(SETTINGS, 0, 0, b"12345")),
                       ("settings acknowledged with bytes", frame(SETTINGS, 1, 0, b"123456")),
                       ("reset of 3 bytes", request(end=False) + frame(RST_STREAM, 0, 1, b"123")),
                       ("window of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"123")),
                       ("huge frame that never comes", b"\xff\xff\xff\0\0\0\0\0\1")):
        yield name, wire, Ended((FRAME_SIZE_ERROR, PROTOCOL_ERROR))
    yield ("window overflow", frame(WINDOW_UPDATE, 0, 0, window) + frame(WINDOW_UPDATE, 0, 0, window),
           Ended((FLOW_CONTROL_ERROR,)))
    yield ("window of a stream overflows", post() + frame(WINDOW_UPDATE, 0, 1, window),
           Ended((FLOW_CONTROL_ERROR,), (FLOW_CONTROL_ERROR,)))
    yield "initial window too large", h2raw.settings((h2raw.INITIAL_WINDOW_SIZE, 1 << 31)), Ended((FLOW_CONTROL_ERROR,))
    yield "window of a stream of 0", post() + window_update(1, 0), Ended((PROTOCOL_ERROR,), (PROTOCOL_ERROR,))
    yield "priority of itself", frame(PRIORITY, 0, 1, b"\0\0\0\1\0") + request(), Relay(), Malformed()
    for name, bad in (("index 0", b"\x80"), ("index beyond the tables", b"\xff\xff\x7f"),
                      ("endless integer", b"\xff" + b"\xff" * 12), ("string beyond the block", b"\0\x7f\xff\x7f"),
                      ("table larger than agreed", b"\x3f\xe1\xff\x7f" + block),
                      ("bad Huffman code", b"\0\x84\xff\xff\xff\xff\1a"), ("cut in a field", block[:-3])):
        yield f"HPACK: {name}", h2raw.headers(1, (), block=bad), Ended((COMPRESSION_ERROR,))
    yield "unknown frame", frame(0x77, 0xff, 1, b"x" * 100) + request(), Relay()
    yield "second HEADERS", request(end=False) + request(), either, Malformed()


def sizes():
    big = Malformed((400, 431), (PROTOCOL_ERROR, 2, 7, 8, ENHANCE_YOUR_CALM),
                    (PROTOCOL_ERROR, 2, COMPRESSION_ERROR, ENHANCE_YOUR_CALM), True)
    yield "huge head", request(*[(b"a%d" % i, b"b" * 8000) for i in range(5)]), big
    yield "huge field", request((b"a", b"b" * 60000)), big
    yield "head of a megabyte", request(*[(b"a%d" % i, b"b" * 8000) for i in range(130)]), big
    yield "too many fields", request(*[(b"a", b"b")] * 120), big
    # Of 20 KB with one name, which the table of 4 KiB repeats at a byte each (an "HPACK bomb").
    bomb = h2raw.fields_block(PSEUDO) + b"\x40\x01a\x7f\x81\x1e" + b"b" * 4000 + b"\xbe" * 12000
    yield "HPACK bomb", h2raw.headers(1, (), block=bomb), big
    yield ("long :path", request(pseudo=changed(b":path", b"/h/#####?" + b"a" * 9000)),
           Malformed((400, 414, 431), big.resets))


def cases():
    for part in (names_and_values, pseudo_fields, bodies, frames, sizes):
        for name, wire, *outcomes in part():
            yield Case(name, wire, tuple(outcomes))
