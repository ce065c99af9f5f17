#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile corpus against boosterd: each message is refused with the right status, or relayed as exactly one request
that says what it was understood to say. Behind boosterd is an origin that writes down what it gets and admits nothing
that two readers could understand differently (support/recording_origin.py). Each case has a number, which its targets
hold: at the end what the origin has seen of each is compared with what the client was told.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import socket
import ssl
import struct
import sys
import time

import netlab
from netlab import Lab, check, say, wbhttp

import booster_hostile_cases as http1
import booster_hostile_h2 as http2
import h2raw
from booster_hostile_cases import Nothing, Refuse, Reject, Relay

ORIGIN_PORT = 9000
SEED = int(os.environ.get("WB_HOSTILE_SEED", "1"))
NUMBER = re.compile("/(?:h|smuggled)/([0-9]{5})")
SETTLE_S = 0.05
PATIENCE_S = 10
MORE_MEMORY_KIB = 96 << 10  # that boosterd may take for any attack here


class Bad(Exception):
    """What a case requires and does not hold."""


def require(condition, text):
    if not condition:
        raise Bad(text)


class Field:
    """The lab, the origin's record and the cases that were tried."""

    def __init__(self, lab, record):
        self.lab, self.record = lab, record
        self.context = ssl.create_default_context(cafile=lab.env["CA_CERT"])
        self.number = 0
        self.port = 80  # that the case goes to
        self.names = {0: "before all cases"}
        self.expected = {}  # number -> ([Relay], whether a request may be cut off)
        self.failures = []

    def connect(self, port):
        with self.lab.inside("client"):
            sock = socket.create_connection((self.lab.env["BOOSTER_CLIENT_IP"], port), timeout=PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect_tls(self):
        self.context.set_alpn_protocols(["http/1.1"])
        return self.context.wrap_socket(self.connect(443), server_hostname=self.lab.domain)

    def connect_h2(self, *options):
        self.context.set_alpn_protocols(["h2"])
        return h2raw.Http2(self.connect(443), self.context, self.lab.domain, options)

    def filled(self, value):
        """Bytes or text with its placeholders filled for the present case."""
        if isinstance(value, str):
            return self.filled(value.encode("latin-1")).decode("latin-1")
        for name, text in (("{T}", "/h/#####"), ("{S}", "/smuggled/#####"), ("{H}", self.lab.domain),
                           ("{P}", str(self.port)), ("{C}", self.lab.env["CLIENT_BOOSTER_IP"]),
                           ("#####", f"{self.number:05}")):
            value = value.replace(name.encode(), text.encode())
        return value

    def attempt(self, name, work):
        """work() returns the requests that the origin must have seen, and whether another may have been cut off."""
        self.number += 1
        self.names[self.number] = name
        try:
            relays, cut = work()
            filled = [dataclasses.replace(relay, target=self.filled(relay.target),
                                          has=tuple((field, self.filled(value)) for field, value in relay.has))
                      for relay in relays]
            self.expected[self.number] = (filled, cut)
        except (Bad, wbhttp.HttpError, OSError, ValueError) as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}")

    def judge(self):
        """Compares what the origin has seen; raises with all that is wrong."""
        seen = {}
        for line in self.record.read_text(encoding="ascii").splitlines():
            row = json.loads(line)
            found = NUMBER.search(row.get("target") or row["bytes"])
            number = int(found[1]) if found else -1
            seen.setdefault(number, []).append(row)
            smuggled = number not in self.names or "/smuggled/" in row.get("target", "")
            if row["kind"] == "problem" or smuggled or http1.FORGED in line:
                self.failures.append(f"{self.names.get(number)}: the origin got {line[:600]}")
        for number, (relays, cut) in self.expected.items():
            rows = seen.get(number, [])
            try:
                require(cut or not any(row["kind"] == "cut" for row in rows), "a request was cut off")
                compare(relays, [row for row in rows if row["kind"] == "request"])
            except Bad as error:
                self.failures.append(f"{self.names[number]}: {error}")
        check(not self.failures, f"{len(self.failures)} of {self.number} cases:\n  " + "\n  ".join(self.failures))


def compare(relays, rows):
    got = [(row["method"], row["target"]) for row in rows]
    relays = [relay for relay in relays if not relay.maybe or (relay.method, relay.target) in got]
    wanted = [(relay.method, relay.target) for relay in relays]
    require(got == wanted, f"the origin saw {got}, not {wanted}")
    for relay, row in zip(relays, rows):
        fields = [(name.lower(), value) for name, value in row["fields"]]
        require(row["body"].encode("latin-1") == relay.body, f"body {row['body'][:200]!r}")
        require([value for name, value in fields if name == "host"] == ["site.test"], f"host in {fields}")
        for pair in relay.has:
            require(pair in fields, f"no {pair} in {fields}")
        for name in relay.lacks:
            require(name not in dict(fields), f"{name} in {fields}")
        trailers = [(name.lower(), value) for name, value in row["trailers"]]
        require(trailers == list(relay.trailers), f"trailers {trailers}")


# HTTP/1.1.


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.parser = wbhttp.ResponseParser()
        self.ended = False

    def send(self, wire, pieces=None):
        """pieces: a source of chance, to cut the bytes by."""
        cuts = sorted(pieces.sample(range(1, len(wire)), min(3, len(wire) - 1))) if pieces else []
        with contextlib.suppress(OSError):  # it may refuse before all is sent
            for begin, end in zip([0, *cuts], [*cuts, len(wire)]):
                self.sock.sendall(wire[begin:end])
                if pieces:
                    time.sleep(0.002)

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except TimeoutError as error:
            raise Bad("no answer, and no end") from error
        except OSError:  # reset: bytes of ours were left unread
            data = b""
        self.ended = not data
        self.parser.feed(data)

    def response(self, method):
        """The next final one, or None at the end of the connection."""
        while not self.ended:
            if found := self.parser.next(method):
                return found
            self._fill()
        require(not self.parser.in_response(), "the response is cut off")
        return None

    def expect_end(self):
        while not self.ended:
            require(not self.parser.in_response(), f"more than was asked for: {bytes(self.parser.buffer)[:200]}")
            self._fill()


def http1_case(field, case, connect, pieces):
    """Sends it; returns what attempt() wants."""
    relays = []
    with contextlib.closing(connect()) as sock:
        client = Client(sock)
        client.send(field.filled(case.wire), pieces)
        if case.half_close:
            socket.socket.shutdown(sock, socket.SHUT_WR)  # of TLS too: without a close_notify
        for outcome in case.outcomes:
            method = outcome.method if isinstance(outcome, Relay) else "GET"
            response = client.response(method.encode())
            if isinstance(outcome, Nothing):
                require(response is None or response.status in outcome.statuses,
                        f"answered {response and response.status}")
                client.expect_end()
                continue
            require(response is not None, f"no answer, wanted {outcome}")
            if isinstance(outcome, Refuse):
                require(response.status in outcome.statuses, f"answered {response.status}, wanted {outcome.statuses}")
                if not isinstance(outcome, Reject):
                    client.expect_end()
                continue
            require(response.status == 200, f"answered {response.status}: {response.body[:200]!r}")
            said = f"{method} {field.filled(outcome.target)}\n".encode()
            require(method == "HEAD" or response.body == said, f"answered {response.body[:200]!r}")
            relays.append(outcome)
        last = case.outcomes[-1]
        if isinstance(last, Relay) and last.close:
            client.expect_end()
        elif isinstance(last, Relay) and not last.any_end:
            relays.append(probe(field, client))
    cut = isinstance(last, (Refuse, Nothing))
    return relays, cut


def probe(field, client):
    """Another request on the connection, to see that both sides agree where it stands."""
    client.send(field.filled(b"GET {T}/probe HTTP/1.1\r\nHost: {H}\r\n\r\n"))
    response = client.response(b"GET")
    require(response is not None and response.body == field.filled(b"GET {T}/probe\n"),
            "the next request is not answered")
    return Relay("{T}/probe")


def http1_corpus(field):
    for way, port, connect, cut in (("http", 80, lambda: field.connect(80), False),
                                    ("http, cut", 80, lambda: field.connect(80), True),
                                    ("https", 443, field.connect_tls, False)):
        field.port = port
        chance = random.Random(SEED)
        for case in http1.cases():
            field.attempt(f"{case.name} ({way})", lambda case=case, connect=connect, cut=cut: http1_case(
                field, case, connect, chance if cut else None))


# HTTP/2.


def http2_case(field, case):
    with contextlib.closing(field.connect_h2()) as client:
        client.send(field.filled(case.wire))
        require(client.wait(1, PATIENCE_S), f"neither answered nor ended: {client.streams}")
        stream = client.stream(1)
        said = f"status {stream.status}, reset {stream.reset}, GOAWAY {client.goaway}, closed {client.closed}"
        for outcome in case.outcomes:
            if isinstance(outcome, Relay):
                if stream.status == 200 and stream.ended:
                    require(stream.body == field.filled(f"{outcome.method} {{T}}\n".encode()),
                            f"answered {stream.body[:200]!r}")
                    return [outcome, *([] if outcome.any_end else [probe_h2(field, client)])], False
            elif client.goaway in outcome.goaways and not stream.ended:
                require(client.read_until(lambda: client.closed, PATIENCE_S), "GOAWAY, but no end")
                return [], True
            elif stream.reset in outcome.resets or stream.status in getattr(outcome, "statuses", ()):
                # A GOAWAY may follow what the stream was told.
                client.read_until(lambda: client.closed or client.goaway >= 0, SETTLE_S)
                probes = [probe_h2(field, client)] if client.goaway < 0 and not client.closed else []
                return [*getattr(outcome, "may", ()), *probes], True
            elif client.closed and client.goaway < 0 and getattr(outcome, "closes", False):
                return [], True
        raise Bad(f"{said}, wanted {case.outcomes}")


def probe_h2(field, client):
    client.send(h2raw.headers(7, changed_path(field, b"{T}/probe")))
    require(client.wait(7, PATIENCE_S) and client.stream(7).status == 200,
            f"the next request is not answered: {client.stream(7)}, GOAWAY {client.goaway}")
    return Relay("{T}/probe")


def http2_corpus(field):
    for case in http2.cases():
        field.attempt(f"{case.name} (h2)", lambda case=case: http2_case(field, case))


# Floods: whoever asks honestly is answered meanwhile, and boosterd's memory stays bounded.


def resident_kib(lab):
    for line in pathlib.Path(f"/proc/{lab.env['BOOSTERD_PID']}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Bad("boosterd has ended")


def honest(field, seconds=5):
    """A request of somebody else, while an attack goes on."""
    with contextlib.closing(field.connect(80)) as sock:
        sock.settimeout(seconds)
        client = Client(sock)
        client.send(field.filled(b"GET {T}/honest HTTP/1.1\r\nHost: {H}\r\n\r\n"))
        response = client.response(b"GET")
        require(response is not None and response.status == 200, "an honest client was not served")


def flood(field, wire, times, ends, most_kib=MORE_MEMORY_KIB, first=b""):
    """Sends the same again and again. ends: the connection must be ended for it; else nothing is read meanwhile, and
    it may as well be left unread.
    """
    before = resident_kib(field.lab)
    with contextlib.closing(field.connect_h2()) as client:
        client.send(field.filled(first))
        for at in range(times):
            if client.closed or client.stalled or client.goaway > 0:
                break
            client.send(field.filled(wire(at) if callable(wire) else wire))
            if ends:
                client.drain()
            if at % (times // 4) == times // 8:
                honest(field)
        grown = resident_kib(field.lab) - before
        require(grown < most_kib, f"boosterd has grown by {grown} KiB")
        honest(field)
        if ends:
            require(client.closed or client.read_until(lambda: client.goaway > 0 or client.closed, 2),
                    "the connection goes on")


def any_number(field, work):
    """Of a flood how many requests get to the origin is not said: they are not compared one by one."""
    field.attempt(work.__name__, lambda: (work(), ([], True))[1])
    field.expected.pop(field.number, None)


def rapid_reset(field):
    """CVE-2023-44487."""
    def wire(at):
        fields = http2.changed(b":path", b"/h/#####/reset")
        return b"".join(h2raw.headers(number, fields) + h2raw.reset(number)
                        for number in range(at * 200 + 1, at * 200 + 201, 2))
    flood(field, wire, 400, True)
    asked = field.record.read_text(encoding="ascii").count(field.filled('"target": "{T}/reset'))
    require(asked <= 4000, f"the origin saw {asked} of the 40,000 requests that were reset")


def continuation_flood(field):
    """CVE-2024-24549 and its kin: a head that never ends."""
    part = h2raw.fields_block([(b"a", b"b" * 1000)] * 16)
    flood(field, h2raw.frame(h2raw.CONTINUATION, 0, 1, part), 2000, True,
          first=h2raw.frame(h2raw.HEADERS, h2raw.END_STREAM, 1, h2raw.fields_block(http2.PSEUDO)))


def empty_continuations(field):
    flood(field, h2raw.frame(h2raw.CONTINUATION, 0, 1) * 100, 1000, True,
          first=h2raw.frame(h2raw.HEADERS, h2raw.END_STREAM, 1, h2raw.fields_block(http2.PSEUDO)))


def settings_flood(field):
    flood(field, h2raw.settings((h2raw.INITIAL_WINDOW_SIZE, 1000)) * 100, 2000, False)


def ping_flood(field):
    flood(field, h2raw.frame(h2raw.PING, 0, 0, b"12345678") * 100, 4000, False)


def empty_data(field):
    """CVE-2019-9518: frames without bytes."""
    flood(field, h2raw.frame(h2raw.DATA, 0, 1) * 100, 2000, False, first=h2raw.headers(1, http2.POSTED, end=False))


def priority_flood(field):
    flood(field, h2raw.frame(h2raw.PRIORITY, 0, 3, struct.pack(">IB", 0, 1)) * 100, 2000, False)


def window_updates(field):
    flood(field, h2raw.window_update(0, 1) * 100, 2000, False)


def zero_window(field):
    """Replies that the client does not take wait within bounds, and come when it does."""
    before = resident_kib(field.lab)
    with contextlib.closing(field.connect_h2((h2raw.INITIAL_WINDOW_SIZE, 0))) as client:
        numbers = range(1, 161, 2)
        for number in numbers:
            path = changed_path(field, b"{T}/%d/big/4000000" % number)
            client.send(h2raw.headers(number, path))
        require(client.read_until(lambda: all(client.stream(number).status == 200 for number in numbers), PATIENCE_S),
                "not all heads have come")
        honest(field)
        time.sleep(1)
        grown = resident_kib(field.lab) - before
        require(grown < MORE_MEMORY_KIB, f"boosterd has grown by {grown} KiB for a client that takes nothing")
        for number in numbers[2:]:
            client.send(h2raw.reset(number))
        client.send(h2raw.settings((h2raw.INITIAL_WINDOW_SIZE, 1 << 20)) + h2raw.window_update(0, 1 << 24))
        for number in numbers[:2]:
            require(client.wait(number, 30) and client.stream(number).size == 4000000,
                    f"the reply does not come: {client.stream(number)}")


def changed_path(field, path):
    return [(name, field.filled(value)) for name, value in http2.changed(b":path", path)]


def many_streams(field):
    """More at once than was agreed: refused, and nobody else suffers."""
    with contextlib.closing(field.connect_h2((h2raw.INITIAL_WINDOW_SIZE, 0))) as client:
        for number in range(1, 2001, 2):
            client.send(h2raw.headers(number, changed_path(field, b"{T}/%d" % number)))
        honest(field)
        def refused():
            return sum(stream.reset == h2raw.REFUSED_STREAM for stream in client.streams.values())
        require(client.read_until(lambda: refused() >= 500 or client.goaway > 0), "a thousand streams at once")


def floods(field):
    for work in (rapid_reset, continuation_flood, empty_continuations, settings_flood, ping_flood, empty_data,
                 priority_flood, window_updates, zero_window, many_streams):
        before = len(field.failures)
        any_number(field, named(work, field))
        say(f"  {'ok' if len(field.failures) == before else 'FAILED'} {work.__name__}")


def named(work, field):
    def run():
        work(field)
    run.__name__ = work.__name__
    return run


# All.


@contextlib.contextmanager
def battlefield():
    conf = (netlab.REPO / "deploy" / "lab" / "boosterd.yaml.in").read_text()
    check("origins: [@ORIGIN@]" in conf, "the lab's configuration has no origin")
    conf = conf.replace("origins: [@ORIGIN@]", f'origins: [{{ address: "@ORIGIN_BOOSTER_IP@:{ORIGIN_PORT}" }}]')
    with netlab.scratch() as path, Lab(path, booster=True, booster_conf=conf, without="accel") as lab:
        record = path / "record"
        record.touch()
        origin = lab.start("origin", sys.executable, netlab.SUPPORT / "recording_origin.py", ORIGIN_PORT, record)
        try:
            field = Field(lab, record)
            wait_for_origin(field)
            yield field
        finally:
            origin.terminate()
            origin.wait(10)


def wait_for_origin(field):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(Bad, OSError, wbhttp.HttpError):
            return honest(field)
        time.sleep(0.2)
    raise netlab.TestFailure("boosterd does not find its origin")


def corpus_http1():
    with battlefield() as field:
        http1_corpus(field)
        field.judge()
        say(f"  {field.number} cases")


def corpus_http2():
    with battlefield() as field:
        http2_corpus(field)
        field.judge()
        say(f"  {field.number} cases")


def flooded():
    with battlefield() as field:
        floods(field)
        check(not field.failures, "\n  ".join(field.failures))


if __name__ == "__main__":
    sys.exit(netlab.main([corpus_http1, corpus_http2, flooded]))
