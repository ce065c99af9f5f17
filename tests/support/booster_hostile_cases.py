# SPDX-License-Identifier: Apache-2.0
"""What attackers and broken clients send over HTTP/1.1, and what must become of it: a list of outcomes, one for each
message, in order. In the bytes, and in what is expected, {T} is the case's own target, {S} the one that a smuggled
request would have, which no origin may ever see, {H} the site's host, {P} the port of the scheme and {C} the client's
address. Statuses are those of RFC 9112, RFC 9110 and RFC 6585.
"""

import dataclasses

FORGED = "203.0.113.66"


@dataclasses.dataclass
class Relay:
    """One request at the origin, and its 200 at the client."""
    target: str = "{T}"
    method: str = "GET"
    body: bytes = b""
    has: tuple = ()      # (name, value) that the origin must see
    lacks: tuple = ()    # names that it must not see, in lower case
    trailers: tuple = ()
    close: bool = False  # the connection ends behind it
    any_end: bool = False  # whether it does is not said
    maybe: bool = False    # the origin need not have seen it


@dataclasses.dataclass
class Refuse:
    """A final response of the proxy's own, and the end of the connection; no request at the origin, but maybe one that
    was cut off.
    """
    statuses: tuple


@dataclasses.dataclass
class Reject(Refuse):
    """The same; the connection may go on, for nothing is wrong with the message's framing."""


@dataclasses.dataclass
class Nothing:
    """The client has ended its side within a message: an end, maybe with one of the statuses; no request."""
    statuses: tuple = (400, 408)


@dataclasses.dataclass
class Case:
    name: str
    wire: bytes
    outcomes: tuple
    half_close: bool = False


BAD = Refuse((400,))
HEAD = b"Host: {H}\r\n"


def get(fields=b"", line=b"GET {T} HTTP/1.1", host=HEAD):
    return line + b"\r\n" + host + fields + b"\r\n"


def post(fields, body=b""):
    return b"POST {T} HTTP/1.1\r\n" + HEAD + fields + b"\r\n" + body


def chunked(body, fields=b""):
    return post(b"Transfer-Encoding: chunked\r\n" + fields, body)


SMUGGLED = b"GET {S} HTTP/1.1\r\nHost: {H}\r\n\r\n"
INNER = b"GET /smuggled/99999 HTTP/1.1\r\nHost: site.test\r\n\r\n"  # without placeholders: its length is told
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
HOSTED = Relay(has=(("host", "site.test"),))
FORWARDED = Relay(has=(("x-forwarded-for", "{C}"),))


def posted(body=b"hello", **more):
    return Relay(method="POST", body=body, **more)


def transfer_encodings():
    """A coding that one reader sees and another does not."""
    yield ("both, length first", post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nG" + SMUGGLED),
           BAD)
    yield ("both, length last", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                                     b"5c\r\n" + SMUGGLED + b"0\r\n\r\n"), BAD)
    yield "both, length 0", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), BAD
    for name, value in (("identity behind", b"chunked, identity"), ("identity", b"identity"), ("x before", b"xchunked"),
                        ("gzip before", b"gzip, chunked"), ("twice in one", b"chunked, chunked"),
                        ("quoted", b'"chunked"'),
                        ("parameter", b"chunked;q=1"), ("comma behind", b"chunked,"), ("only commas", b","),
                        ("cow", b"cow"),
                        ("two words", b"chunked x"), ("letter that folds to k", "chun\u212aed".encode())):
        yield f"coding {name}", post(b"Transfer-Encoding: " + value + b"\r\n", HELLO + SMUGGLED), Refuse((400, 501))
    yield "coding empty", post(b"Transfer-Encoding:\r\n", HELLO + SMUGGLED), Refuse((400, 501))
    for name, line in (("vertical tab before", b"Transfer-Encoding:\x0bchunked"),
                       ("NUL behind", b"Transfer-Encoding: chunked\0"),
                       ("space before the colon", b"Transfer-Encoding : chunked"),
                       ("tab before the colon", b"Transfer-Encoding\t: chunked"),
                       ("folded", b"Transfer-Encoding:\r\n chunked"),
                       ("behind a fold", b"X: y\r\n\tTransfer-Encoding: chunked"),
                       ("behind a bare LF", b"X: y\nTransfer-Encoding: chunked"),
                       ("behind a bare CR", b"X: y\rTransfer-Encoding: chunked"),
                       ("with a space before the name", b" Transfer-Encoding: chunked"),
                       ("NUL in the name", b"Transfer-Enc\0oding: chunked"),
                       ("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                       ("twice, the second unknown", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow")):
        yield f"coding {name}", post(line + b"\r\n", HELLO + SMUGGLED), BAD
    for name, line in (("tab before", b"Transfer-Encoding:\tchunked"), ("no space", b"Transfer-Encoding:chunked"),
                       ("space behind", b"Transfer-Encoding: chunked \t"), ("capitals", b"TRANSFER-ENCODING: ChUnKeD"),
                       ("named by Connection", b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked")):
        yield f"coding {name}", post(line + b"\r\n", HELLO), posted()
    yield ("coding of HTTP/1.0",
           b"POST {T} HTTP/1.0\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO + SMUGGLED, BAD)
    yield ("coding with an underscore", post(b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
           posted(lacks=("transfer_encoding", "transfer-encoding")))


def lengths():
    for name, value in (("with a plus", b"+5"), ("with a minus", b"-5"), ("hexadecimal", b"0x5"), ("list", b"5, 5"),
                        ("list of two", b"5,6"),
                        ("two words", b"5 5"), ("fraction", b"5.0"), ("exponent", b"5e0"), ("letters", b"5a"),
                        ("of 2^64", b"18446744073709551616"),
                        ("of 2^64 + 5", b"18446744073709551621"), ("of 40 digits", b"9" * 40), ("semicolon", b"5;"),
                        ("quoted", b'"5"'),
                        ("Arabic digit", "\u0665".encode()), ("NUL", b"5\0"), ("vertical tab", b"\x0b5"),
                        ("underscore", b"0_5")):
        yield f"length {name}", post(b"Content-Length: " + value + b"\r\n", b"hello" + SMUGGLED), BAD
    yield "length empty", post(b"Content-Length:\r\n", b"hello" + SMUGGLED), BAD
    yield "length twice, equal", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), BAD
    yield "length twice, differing", post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello" + SMUGGLED), BAD
    yield "length with a space before the colon", post(b"Content-Length : 5\r\n", b"hello"), BAD
    yield "length folded", post(b"Content-Length:\r\n 5\r\n", b"hello"), BAD
    yield "length beyond the limit", post(b"Content-Length: 1073741825\r\n"), Refuse((413,))
    yield "length with zeros", post(b"Content-Length: 0005\r\n", b"hello"), posted(has=(("content-length", "5"),))
    yield "length named by Connection", post(b"Connection: content-length\r\nContent-Length: 5\r\n", b"hello"), posted()
    yield ("length with an underscore", post(b"Content_Length: 50\r\nContent-Length: 5\r\n", b"hello"),
           posted(lacks=("content_length",)))
    yield "a request as a body", post(b"Content-Length: %d\r\n" % len(INNER), INNER), posted(INNER)
    yield "a body of GET", get(b"Content-Length: 5\r\n") + b"hello", Relay(body=b"hello")
    yield "an early body of GET", get() + b"x=1&y=2\r\n", Relay(), BAD
    yield "HTTP/1.0 without length", b"POST {T} HTTP/1.0\r\nHost: {H}\r\n\r\nhello", Refuse((411,))
    yield "TRACE with a body", get(b"Content-Length: 5\r\n", b"TRACE {T} HTTP/1.1") + b"hello", Refuse((400, 405, 501))


def chunks():
    for name, body in (("hexadecimal prefix", b"0x5\r\nhello\r\n0\r\n\r\n"), ("plus", b"+5\r\nhello\r\n0\r\n\r\n"),
                       ("minus", b"-5\r\nhello\r\n0\r\n\r\n"),
                       ("space before", b" 5\r\nhello\r\n0\r\n\r\n"), ("space behind", b"5 \r\nhello\r\n0\r\n\r\n"),
                       ("empty", b"\r\nhello\r\n0\r\n\r\n"),
                       ("no digit", b"g\r\nhello\r\n0\r\n\r\n"),
                       ("of 17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
                       ("of 2^64", b"10000000000000000\r\n"),
                       ("of 2^64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
                       ("of 2^63", b"8000000000000000\r\nhello"),
                       ("of 2^32 beyond 5", b"5\r\nhello\r\nfffffffffffffffb\r\n" + SMUGGLED),
                       ("ended by LF", b"5\nhello\r\n0\r\n\r\n"), ("ended by CR", b"5\rhello\r\n0\r\n\r\n"),
                       ("NUL", b"5\0\r\nhello\r\n0\r\n\r\n"),
                       ("semicolon first", b";a\r\nhello\r\n0\r\n\r\n"), ("underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
                       ("chunk too long", b"5\r\nhello!\r\n0\r\n\r\n"), ("chunk without CRLF", b"5\r\nhello0\r\n\r\n"),
                       ("chunk ended by LF", b"5\r\nhello\n0\r\n\r\n"),
                       ("extension with LF", b"5;a\nx\r\nhello\r\n0\r\n\r\n"),
                       ("extension with CR", b"5;a\rx\r\nhello\r\n0\r\n\r\n"),
                       ("extension with NUL", b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
                       ("long extension", b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n"),
                       ("flood of extensions", (b"1;" + b"x" * 200 + b"\r\ny\r\n") * 200 + b"0\r\n\r\n"),
                       ("end by LF", b"5\r\nhello\r\n0\r\n\n"), ("last chunk ended by LF", b"5\r\nhello\r\n0\n\r\n"),
                       ("request as trailers", b"0\r\n" + SMUGGLED), ("trailer folded", b"0\r\nA: b\r\n c\r\n\r\n"),
                       ("trailer with LF", b"0\r\nA: b\nC: d\r\n\r\n")):
        yield f"chunk: {name}", chunked(body + SMUGGLED), BAD
    yield "chunk: flood of trailers", chunked(b"0\r\n" + b"A: b\r\n" * 40 + b"\r\n"), Refuse((400, 431))
    yield "chunk: huge trailer", chunked(b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n"), Refuse((400, 431))
    for name, body in (("zeros", b"0000005\r\nhello\r\n000\r\n\r\n"), ("capitals", b"00A\r\nhellohello\r\n0\r\n\r\n"),
                       ("extension", b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"),
                       ("quoted extension", b'5;a="x;y"\r\nhello\r\n0\r\n\r\n'),
                       ("space before an extension", b"5 ;a\r\nhello\r\n0\r\n\r\n"),
                       ("one byte each", b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n")):
        yield f"chunk: {name}", chunked(body), posted(body=b"hello" * (2 if name == "capitals" else 1))
    yield "chunk: a request within", chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)), posted(INNER)
    framing = (b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\nAuthorization: Basic eA==\r\n"
               b"Connection: close\r\nX-Forwarded-For: " + FORGED.encode() + b"\r\n")
    yield ("chunk: trailers that frame",
           chunked(b"5\r\nhello\r\n0\r\n" + framing + b"X-Sum: 5\r\n\r\n", b"Trailer: X-Sum\r\n"),
           posted(trailers=(("x-sum", "5"),)))


def lines():
    """How lines end, and what may stand in them."""
    for name, wire in (("LF everywhere", b"GET {T} HTTP/1.1\nHost: {H}\n\n"),
                       ("LF behind the request line", b"GET {T} HTTP/1.1\nHost: {H}\r\n\r\n"),
                       ("LF behind a field", get(b"A: b\nC: d\r\n")),
                       ("LF at the end", b"GET {T} HTTP/1.1\r\nHost: {H}\r\n\n" + SMUGGLED),
                       ("CR in a value", get(b"A: b\rC: d\r\n")), ("CR at a value's end", get(b"A: b\r\r\n")),
                       ("CR in the request line", b"GET {T}\r HTTP/1.1\r\nHost: {H}\r\n\r\n"),
                       ("CR at the end", b"GET {T} HTTP/1.1\r\nHost: {H}\r\n\r" + SMUGGLED),
                       ("LF CR", b"GET {T} HTTP/1.1\n\rHost: {H}\n\r\n\r"),
                       ("NUL in a value", get(b"A: b\0c\r\n")), ("NUL in a name", get(b"A\0: b\r\n")),
                       ("NUL in the target", b"GET {T}\0 HTTP/1.1\r\nHost: {H}\r\n\r\n"),
                       ("NUL in the method", b"G\0ET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n"),
                       ("escape in a value", get(b"A: \x1b[31m\r\n")), ("DEL in a value", get(b"A: \x7f\r\n")),
                       ("fold", get(b"A: b\r\n c\r\n")), ("fold with a tab", get(b"A: b\r\n\tc\r\n")),
                       ("fold of the first line", b"GET {T} HTTP/1.1\r\n X: y\r\nHost: {H}\r\n\r\n"),
                       ("empty fold", get(b"A: b\r\n \r\n")), ("space before a colon", get(b"A : b\r\n")),
                       ("no colon", get(b"A\r\n")), ("no name", get(b": b\r\n")),
                       ("slash in a name", get(b"A/b: c\r\n")), ("parentheses in a name", get(b"A(b): c\r\n")),
                       ("quote in a name", get(b'"A": c\r\n')),
                       ("name that is not ASCII", get("\u00e4: b\r\n".encode())),
                       ("two empty lines before", b"\r\n\r\n" + get()),
                       ("two spaces", get(line=b"GET  {T} HTTP/1.1")),
                       ("space behind the target", get(line=b"GET {T}  HTTP/1.1")),
                       ("tab", get(line=b"GET\t{T}\tHTTP/1.1")),
                       ("space before the method", get(line=b" GET {T} HTTP/1.1")),
                       ("space behind the version", get(line=b"GET {T} HTTP/1.1 ")),
                       ("space in the target", get(line=b"GET {T} x HTTP/1.1")), ("no version", get(line=b"GET {T}")),
                       ("no target", get(line=b"GET HTTP/1.1")),
                       ("lower-case version", get(line=b"GET {T} http/1.1")),
                       ("version 1.10", get(line=b"GET {T} HTTP/1.10")),
                       ("version +1.1", get(line=b"GET {T} HTTP/+1.1")),
                       ("version with a space", get(line=b"GET {T} HTTP/ 1.1")),
                       ("other protocol", get(line=b"GET {T} ICY/1.1")),
                       ("method with an @", get(line=b"G@T {T} HTTP/1.1")),
                       ("SMTP", b"EHLO client\r\nMAIL FROM:<a@b>\r\n"),
                       ("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 160),
                       ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"), ("HTTP/0.9", b"GET {T}\r\n")):
        yield name, wire, BAD
    for version in (b"1.2", b"2.0", b"3.0", b"0.9"):
        yield f"version {version.decode()}", get(line=b"GET {T} HTTP/" + version), Refuse((400, 505))
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", Refuse((400, 505))
    yield "one empty line before", b"\r\n" + get(), Relay()
    yield "value that is not ASCII", get(b"A: \xe4\xf6\r\n"), Relay(has=(("a", "\xe4\xf6"),))
    yield "white space around a value", get(b"A: \t b \t \r\n"), Relay(has=(("a", "b"),))
    yield "lower-case method", get(line=b"get {T} HTTP/1.1"), Relay(method="get")


def targets_and_hosts():
    for name, host in (("missing", b""), ("twice", HEAD + HEAD), ("twice, differing", HEAD + b"Host: evil.test\r\n"),
                       ("empty", b"Host:\r\n"),
                       ("with userinfo", b"Host: x@{H}\r\n"), ("with a path", b"Host: {H}/x\r\n"),
                       ("two words", b"Host: {H} evil.test\r\n"),
                       ("list", b"Host: {H}, evil.test\r\n"), ("bad port", b"Host: {H}:x\r\n"),
                       ("port too large", b"Host: {H}:65536\r\n"),
                       ("negative port", b"Host: {H}:-1\r\n"), ("percent", b"Host: %73ite.test\r\n"),
                       ("not ASCII", "Host: s\u00efte.test\r\n".encode()),
                       ("empty label", b"Host: site..test\r\n"), ("open bracket", b"Host: [::1\r\n"),
                       ("before the first line's end", b" Host: {H}\r\n"),
                       ("with a tab within", b"Host: site\t.test\r\n"), ("too long", b"Host: " + b"a" * 300 + b"\r\n")):
        yield f"host {name}", get(host=host), BAD
    yield "host in capitals", get(host=b"HOST: SITE.Test\r\n"), HOSTED
    yield "host with the default port", get(host=b"Host: {H}:{P}\r\n"), Relay()
    yield "host with an underscored twin", get(b"H_ost: evil.test\r\nHost_: evil.test\r\n"), HOSTED
    yield "host unknown", get(host=b"Host: evil.test\r\n"), Reject((400, 403, 404, 421))
    yield "host named by Connection", get(b"Connection: host\r\n"), HOSTED
    yield "absolute", get(line=b"GET http://{H}{T} HTTP/1.1"), HOSTED
    yield "absolute against Host", get(line=b"GET http://{H}{T} HTTP/1.1", host=b"Host: evil.test\r\n"), HOSTED
    yield "absolute to nobody", get(line=b"GET http://evil.test{T} HTTP/1.1"), Reject((400, 403, 404, 421))
    yield "absolute without Host", get(line=b"GET http://{H}{T} HTTP/1.1", host=b""), BAD
    for name, target in (("userinfo", b"http://x@{H}{T}"), ("other scheme", b"ftp://{H}{T}"),
                         ("no scheme", b"//{H}:80:80{T}#"), ("no slash", b"{H}{T}"),
                         ("javascript", b"javascript:{T}"), ("empty authority", b"http://{T}"), ("asterisk", b"*"),
                         ("fragment", b"{T}#x"),
                         ("half a percent", b"{T}%2"), ("percent of letters", b"{T}%zz"),
                         ("not ASCII", "{T}\u00e4".encode()), ("quote", b'{T}"'),
                         ("angle brackets", b"{T}<x>"), ("backslash", b"\\{T}"), ("query first", b"?{T}")):
        yield f"target {name}", get(line=b"GET " + target + b" HTTP/1.1"), BAD
    yield "CONNECT", get(line=b"CONNECT {H}:22 HTTP/1.1"), Refuse((400, 405, 501))
    for name, target in (("two slashes", b"//evil.test{T}"), ("dots", b"{T}/../x"),
                         ("encoded", b"{T}/%2e%2e/%00%0d%0a"), ("query with slashes", b"{T}?http://evil.test/?x")):
        yield f"target with {name}", get(line=b"GET " + target + b" HTTP/1.1"), Relay(target=target.decode())


def sizes():
    yield "huge head", get((b"A: " + b"b" * 8000 + b"\r\n") * 5), Refuse((431,))
    yield "huge field", get(b"A: " + b"b" * 40000 + b"\r\n"), Refuse((431,))
    yield "endless field", b"GET {T} HTTP/1.1\r\nHost: {H}\r\nA: " + b"b" * 70000, Refuse((431,))
    yield "too many fields", get(b"A: b\r\n" * 101), Refuse((431,))
    yield "too many Connection options", get(b"Connection: " + b"a," * 40 + b"\r\n"), Refuse((400, 431))
    yield "long target", get(line=b"GET {T}?" + b"a" * 9000 + b" HTTP/1.1"), Refuse((414,))
    yield "endless target", b"GET {T}?" + b"a" * 70000, Refuse((414, 431))
    yield "long method", get(line=b"G" * 9000 + b" {T} HTTP/1.1"), Refuse((400, 405, 501))
    yield "as many fields as there may be", get(b"A: b\r\n" * 98), Relay()


def hops():
    """What a client says that only this connection's or only a proxy's word may be."""
    lacks = ("wb-key", "wb_key")
    yield "key of a booster", get(b"WB-Key: 0070" + b"0" * 32 + b"\r\n"), Relay(lacks=lacks)
    yield "key with an underscore", get(b"wb_key: 0070" + b"0" * 32 + b"\r\n"), Relay(lacks=lacks)
    yield ("key as the last field, compact", get(b"WB-Key: 003f" + b"a" * 32 + b"\r\n") + get(), Relay(lacks=lacks),
           Relay())
    forged = FORGED.encode()
    for name in (b"Forwarded: for=", b"X-Forwarded-For: ", b"X-Real-IP: ", b"X_Forwarded_For: ", b"X-Forwarded-Host: ",
                 b"X-Forwarded-Proto: ",
                 b"x-forwarded_for: ", b"X-Forwarded-Server: ", b"FORWARDED: host="):
        yield f"forged {name.decode().strip(' :=')}", get(name + forged + b"\r\n"), FORWARDED
    yield ("forged and kept by Connection", get(b"Connection: X-Forwarded-For\r\nX-Forwarded-For: " + forged + b"\r\n"),
           FORWARDED)
    yield ("fields that Connection names",
           get(b"Connection: X-Secret, keep-alive,x-other\r\nX-Secret: a\r\nX-Other: b\r\nX-Stays: c\r\n"),
           Relay(has=(("x-stays", "c"),), lacks=("x-secret", "x-other")))
    yield ("fields of a connection",
           get(b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n"
               b"Proxy-Authorization: Basic eA==\r\n"),
           Relay(lacks=("keep-alive", "proxy-connection", "te", "proxy-authorization")))
    yield "Connection that is no token", get(b"Connection: a b\r\n"), BAD
    yield "Connection: close", get(b"Connection: close\r\n") + SMUGGLED, Relay(close=True)
    yield ("h2c", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
           Relay(lacks=("upgrade", "http2-settings")))
    yield "h2c behind another", get(b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), Relay(lacks=("upgrade",))
    yield "Upgrade without Connection", get(b"Upgrade: websocket\r\n"), Relay(lacks=("upgrade",))
    yield ("Upgrade with a body", post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", b"hello"),
           posted(lacks=("upgrade",)))
    yield ("Upgrade that is declined", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
           Relay(has=(("upgrade", "websocket"),), any_end=True))
    yield "Expect", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), posted(lacks=("expect",))
    yield "Expect without a body", get(b"Expect: 100-continue\r\n"), Relay(lacks=("expect",))
    for value in (b"200-ok", b"100-continue, x", b"100-continue=1"):
        yield (f"Expect {value.decode()}", post(b"Expect: " + value + b"\r\nContent-Length: 5\r\n", b"hello"),
               Reject((417,)))


def pipelines():
    second = get(line=b"GET {T}/2 HTTP/1.1")
    yield ("three at once", get() + chunked(HELLO).replace(b"{T}", b"{T}/1") + second, Relay(), posted(target="{T}/1"),
           Relay("{T}/2"))
    yield "bad one behind a good one", get() + get(b"A : b\r\n") + SMUGGLED, Relay(), BAD
    yield "bad one behind a body", post(b"Content-Length: 5\r\n", b"hello") + b"GET {S}\r\n" + SMUGGLED, posted(), BAD
    yield "good one behind HTTP/1.0", b"GET {T} HTTP/1.0\r\nHost: {H}\r\n\r\n" + SMUGGLED, Relay(close=True)
    yield "HTTP/1.0 that stays", b"GET {T} HTTP/1.0\r\nHost: {H}\r\nConnection: keep-alive\r\n\r\n", Relay(any_end=True)
    yield "HEAD", get(line=b"HEAD {T} HTTP/1.1") + second, Relay(method="HEAD"), Relay("{T}/2")


def cut_off():
    yield "head cut off", b"GET {T} HTTP/1.1\r\nHost: {H}\r\nA: b", Nothing()
    yield "body cut off", post(b"Content-Length: 50\r\n", b"hello"), Nothing()
    yield "chunk cut off", chunked(b"5\r\nhel"), Nothing()
    yield "chunks without an end", chunked(b"5\r\nhello\r\n"), Nothing()
    yield "last chunk cut off", chunked(b"5\r\nhello\r\n0\r\n"), Nothing()


def cases():
    for part in (transfer_encodings, lengths, chunks, lines, targets_and_hosts, sizes, hops, pipelines, cut_off):
        for name, wire, *outcomes in part():
            yield Case(name, wire, tuple(outcomes), half_close=part is cut_off)
