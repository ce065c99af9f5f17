#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gigabytes of replies on one connection, every byte compared, with a miss every 2,000 hits.

WB_LONG_BYTES is how many bytes of replies. Above 2^32 the connection begins anywhere and wraps by
its own traffic (4600000000 for the run by hand); below, as every day, it begins shortly before the
end of the numbers (wrap_test.py) and passes it.
"""

import os
import sys
import time

import netlab
import wrap_test
from netlab import Lab, check, say, wbhttp

BYTES = int(os.environ.get("WB_LONG_BYTES", "150000000"))
MISS_EVERY = 2000
SIZES = [13999, 11673, 5000]


class Reader:
    """Reads replies whose length is known, and compares them but for the Date."""

    def __init__(self, connection, lab):
        self.connection, self.lab = connection, lab
        self.known = {}
        self.buffer = bytearray(1 << 16)

    def learn(self, target):
        response = self.connection.request(self.lab.request(target))
        text = response.head + response.body
        at = text.index(wbhttp.date_of(response.head))
        self.known[target] = (self.lab.request(target), text[:at], text[at + 29:], len(text))

    def ask(self, target):
        request, before, after, length = self.known[target]
        sock, view, have = self.connection.sock, memoryview(self.buffer), 0
        sock.sendall(request)
        while have < length:
            n = sock.recv_into(view[have:length])
            check(n > 0, "closed in mid-reply")
            have += n
        at = len(before)
        check(view[:at] == before and view[at + 29:length] == after,
              f"{target}: {bytes(view[:length])[:400]!r}")
        return length


def one_connection():
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        targets = [f"/s{size}.html" for size in SIZES]
        lab.warm(*targets)
        whole = BYTES > 2**32
        if whole:
            connection = lab.connect(timeout=30)
            first = wrap_test.next_numbers(connection.sock)[1]
        else:
            sock, first, _ = wrap_test.close_to_wrap(lab, 4)
            connection = wbhttp.Connection.on(sock, 30)
        connection.sock.settimeout(30)
        reader = Reader(connection, lab)
        for target in targets:
            reader.learn(target)
        before, begun, hits, received, misses = lab.status(), time.monotonic(), 0, 0, 0
        while received < BYTES:
            received += reader.ask(targets[hits % 7 == 6 and 1 + hits % 2 or 0])
            hits += 1
            if hits % MISS_EVERY == 0:
                misses += 1
                body = connection.request(lab.request(f"/dynamic/{misses}")).body
                check(body == f"dynamic /dynamic/{misses}".encode(), f"miss {misses}: {body!r}")
        spent = time.monotonic() - begun
        now = lab.status()
        counted = now["hits_total"] - before["hits_total"]
        repairs = sum(now["repairs"].values()) - sum(before["repairs"].values())
        wraps = (first + received) >> 32
        say(f"  one connection: {received} bytes in {hits} replies and {misses} misses, {spent:.0f} s "
            f"({received / spent / 1e6:.0f} MB/s), {counted} hits, {repairs} repairs, the server's "
            f"numbers wrapped {wraps} times")
        check(wraps >= 1, "the numbers did not wrap")
        check(counted >= 0.9 * hits, f"only {counted} hits: {lab.reasons()}")
        connection.close()


if __name__ == "__main__":
    sys.exit(netlab.main([one_connection]))
