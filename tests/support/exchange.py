#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs cases of mixed_cases.py on non-blocking connections and compares the answers.

An Exchange carries one case over one connection; the loop in mixed.py hands it readable events and
the clock. Its Outcome says all that the client saw: the responses, how the connection stood
afterwards, and when.
"""

import dataclasses
import email.utils
import re
import time

import wbhttp
from mixed_cases import WAIT

PAUSE_S = 0.0005
_BOUNDARY = re.compile(rb"multipart/byteranges; *boundary=([0-9A-Za-z]+)")
_LOCATION = re.compile(rb"(\r\nLocation: http://[^/\r\n:]+)(:[0-9]+)?(?=[/\r\n])")


@dataclasses.dataclass
class Outcome:
    """end is open, closed, or a kind of HttpError. Timing is from the last piece sent to the last
    byte.
    """

    responses: list
    end: str
    detail: str = ""
    tail: bytes = b""
    elapsed_s: float = 0.0
    sent_wall: float = 0.0
    done_wall: float = 0.0
    doomed: bool = False  # the server is known to close without saying so

    def failed(self):
        return self.end not in ("open", "closed")


class Exchange:
    """One case on one connection. step() is called when readable or when wake_at has come."""

    def __init__(self, case, connection, now):
        self.case = case
        self.connection = connection
        self.responses = []
        self.outcome = None
        self.piece = 0
        self.started = self.sent = now
        self.deadline = now + connection.timeout_s
        self.wake_at = self.deadline
        self.closing = False
        self.doomed = False
        self.sent_wall = time.time()
        self._send(now)

    def _send(self, now):
        pieces = self.case.pieces
        while self.piece < len(pieces):
            data = pieces[self.piece]
            if data is WAIT:
                if not (self.connection.parser.interim_seen() or self.responses):
                    self.wake_at = self.deadline
                    return
            else:
                try:
                    self.connection.send(data)
                    self.connection.sock.setblocking(False)
                except wbhttp.HttpError:
                    # The answer to a refused request may still be readable.
                    self.piece = len(pieces)
                    break
            self.piece += 1
            self.sent = time.monotonic()
            follows = self.piece < len(pieces) and pieces[self.piece] is not WAIT
            if follows and self.case.pause and data is not WAIT:
                self.wake_at = now + PAUSE_S
                return
        self.wake_at = self.deadline

    def step(self, now, readable):
        """Returns True when self.outcome is complete."""
        try:
            if readable:
                self._read()
            if self.outcome is None and self.piece < len(self.case.pieces):
                waiting = self.case.pieces[self.piece] is WAIT
                if waiting or now >= self.wake_at:
                    self._send(now)
                    self._finish_if_answered()
        except wbhttp.HttpError as error:
            self._finish(error.kind, error.detail)
        if self.outcome is None and now >= self.deadline:
            self._finish("timeout", f"{len(self.responses)} of {len(self.case.methods)} responses")
        return self.outcome is not None

    def _read(self):
        parser = self.connection.parser
        try:
            data = self.connection.sock.recv(1 << 20)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            # A reset after the last response of a closing connection is only a rude close.
            self._finish("closed" if self.closing else "reset", str(error))
            return
        if self.case.raw:
            parser.buffer += data
            if not data:
                self.responses = [(b"", bytes(parser.buffer))]
                parser.buffer.clear()
                self._finish("closed")
            return
        parser.feed(data)
        while not self.closing and len(self.responses) < len(self.case.methods):
            method = self.case.methods[len(self.responses)]
            response = parser.next(method) if data else parser.finish(method)
            if response is None:
                break
            self._take(response)
        if not data:
            self._finish("closed")
        else:
            self._finish_if_answered()

    def _finish_if_answered(self):
        """An answer may overtake the rest of its request; the rest is sent all the same, or the
        next one would be it.
        """
        answered = len(self.responses) == len(self.case.methods) and not self.closing
        if answered and self.piece == len(self.case.pieces):
            self._finish("extra" if self.connection.parser.in_response() else "open")

    def _take(self, response):
        head = b"".join(response.interim) + response.head
        self.responses.append((head, response.body))
        self.connection.requests += 1
        if not response.keeps_alive():
            self.closing = True
        # nginx (1.22) promises keep-alive with a 412 and then closes, sooner or later.
        self.doomed |= response.status == 412
        self.done = time.monotonic()

    def _finish(self, end, detail=""):
        parser = self.connection.parser
        elapsed = (self.done if self.responses and not self.case.raw else time.monotonic(
                   )) - self.sent
        self.outcome = Outcome(self.responses, end, detail, bytes(parser.buffer), max(elapsed, 0.0),
                               self.sent_wall, time.time(), self.doomed)
        if end == "open" and self.case.quickack:
            self.connection.quickack()


def _same_boundary(head, body):
    """nginx numbers its multipart boundaries; the number says nothing about the content."""
    match = _BOUNDARY.search(head)
    if not match:
        return head, body
    blank = b"-" * len(match[1])
    return head.replace(match[1], blank), body.replace(match[1], blank)


def canonical(head, body):
    """What must be equal: Date blanked; the port in a redirect, which differs by design, left
    out.
    """
    head = wbhttp.normalise(head)
    if head.startswith((b"HTTP/1.1 301", b"HTTP/1.1 302")):
        head = _LOCATION.sub(rb"\1", head)
    return _same_boundary(head, body)


def _first_difference(a, b):
    shorter = min(len(a), len(b))
    low, high = 0, shorter
    while low < high:  # by bisection over equal prefixes
        middle = (low + high) // 2
        if a[:middle + 1] == b[:middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _stale_dates(outcome, slack_s):
    for head, _ in outcome.responses:
        date = wbhttp.date_of(head)
        if date is None:
            continue
        stamp = email.utils.parsedate_to_datetime(date.decode()).timestamp()
        if not outcome.sent_wall - slack_s - 1 <= stamp <= outcome.done_wall + slack_s:
            return f"Date {date.decode()} is {stamp - outcome.done_wall:.1f} s off"
    return None


def compare(got, wanted, date_slack_s):
    """None when equal, else a dict that says what differs and where."""
    if got.end != wanted.end:
        return {"what": f"connection {got.end} {got.detail}, reference {wanted.end}"}
    if len(got.responses) != len(wanted.responses):
        return {"what": f"{len(got.responses)} responses, reference {len(wanted.responses)}"}
    if got.tail != wanted.tail:
        return {"what": f"after the responses {got.tail[:60]!r}, reference {wanted.tail[:60]!r}"}
    for number, (mine, theirs) in enumerate(zip(got.responses, wanted.responses)):
        if mine == theirs:
            continue
        mine, theirs = canonical(*mine), canonical(*theirs)
        for name, a, b in (("head", mine[0], theirs[0]), ("body", mine[1], theirs[1])):
            if a != b:
                at = _first_difference(a, b)
                return {"what": f"{name} of response {number} differs at byte {at} "
                                f"(lengths {len(a)}, reference {len(b)})",
                        "got": repr(a[max(0, at - 8):at + 24]),
                        "wanted": repr(b[max(0, at - 8):at + 24]),
                        "got_head": mine[0].decode("latin-1"),
                        "wanted_head": theirs[0].decode("latin-1")}
    stale = _stale_dates(got, date_slack_s)
    return {"what": stale} if stale else None
