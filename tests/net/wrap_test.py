#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sequence numbers pass 2^32 in both directions while hits are answered, with and without loss.

The client's first number is chosen with TCP_REPAIR; the server's is chance, so connections are made
until one begins close enough below 2^32. Every fiftieth request is a miss.
"""

import socket
import struct
import sys

import netlab
from netlab import Lab, check, say, wbhttp

TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21  # linux/tcp.h
RECEIVE, SEND = 1, 2
OFF_WITHOUT_PROBE = -1
CLIENT_DISTANCE = 8000  # request bytes until the client's numbers wrap
SERVER_DISTANCE = 16 << 20  # at most so many response bytes until the server's do
TRIES = 4000
BEYOND = 300  # requests after both have wrapped
MISS_EVERY = 50
SIZES = [1024, 5000, 11673, 13999]


def set_option(sock, option, value):
    sock.setsockopt(socket.IPPROTO_TCP, option, value)


def connect(lab, family):
    """A connection of ours whose first byte has the number 2^32 - CLIENT_DISTANCE."""
    with lab.inside("client"):
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    sock.settimeout(10)
    set_option(sock, TCP_REPAIR, 1)
    set_option(sock, TCP_REPAIR_QUEUE, SEND)
    # An unsigned number in an int option; the SYN has the one before the first byte.
    sock.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ,
                    struct.pack("I", 2**32 - CLIENT_DISTANCE - 1))
    set_option(sock, TCP_REPAIR, OFF_WITHOUT_PROBE)
    sock.connect((lab.address(family), 80))
    return sock


def next_numbers(sock):
    """(next to send, next to receive)."""
    found = []
    set_option(sock, TCP_REPAIR, 1)
    for queue in (SEND, RECEIVE):
        set_option(sock, TCP_REPAIR_QUEUE, queue)
        found.append(struct.unpack("I", sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, 4))[0])
    set_option(sock, TCP_REPAIR_QUEUE, 0)
    set_option(sock, TCP_REPAIR, OFF_WITHOUT_PROBE)
    return found


def close_to_wrap(lab, family):
    """A connection whose numbers will both wrap soon, and what was tried."""
    for number in range(TRIES):
        sock = connect(lab, family)
        send, receive = next_numbers(sock)
        check(send == 2**32 - CLIENT_DISTANCE, f"the client begins at {send}")
        if 2**32 - receive <= SERVER_DISTANCE:
            return sock, receive, number + 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    raise netlab.TestFailure(f"no connection of {TRIES} begins near 2^32")


def run(lab, family, losses):
    targets = [f"/s{size}.html" for size in SIZES]
    wanted = {target: netlab.pattern(f"s{size}", size) for target, size in zip(targets, SIZES)}
    lab.warm(*targets)
    sock, first, tries = close_to_wrap(lab, family)
    if losses:
        lab.wire("set", *losses)
    connection = wbhttp.Connection.on(sock, 30.0)
    before = lab.status()
    sent = received = asked = 0
    left = BEYOND
    while left:
        if sent > CLIENT_DISTANCE and received > 2**32 - first:
            left -= 1
        asked += 1
        if asked % MISS_EVERY == 0:
            target = f"/dynamic/{asked}"
            body = f"dynamic {target}".encode()
        else:
            # Large ones until the server's numbers have wrapped.
            target = targets[asked % 4 if left < BEYOND else 2 + asked % 2]
            body = wanted[target]
        request = lab.request(target)
        response = connection.request(request)
        check(response.status == 200 and response.body == body,
              f"request {asked}, {target}: {response.head!r}, {len(response.body)} bytes")
        connection.quickack()
        sent += len(request)
        received += len(response.head) + len(response.body)
    send, receive = next_numbers(sock)
    check(send == (sent - CLIENT_DISTANCE) % 2**32 and send < 2**31, f"client at {send}")
    check(receive == (first + received) % 2**32 and receive < 2**31, f"server at {receive}")
    now = lab.status()
    hits = now["hits_total"] - before["hits_total"]
    repairs = sum(now["repairs"].values()) - sum(before["repairs"].values())
    say(f"  IPv{family} {'with loss' if losses else 'clean'}: {tries} tries, {asked} requests, "
        f"{received >> 20} MB, {hits} hits, {repairs} repairs; both directions wrapped")
    check(hits >= (0.8 if losses else 0.9) * asked, f"only {hits} hits of {asked}: {lab.reasons()}")
    check(not losses or repairs > 0, "no repair")
    connection.close()


def clean():
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, SIZES)) as lab:
        for family in (4, 6):
            run(lab, family, None)


def with_loss():
    with netlab.scratch() as path:
        netlab.make_docroot(path, SIZES)
        for family in (4, 6):
            with Lab(path, wire=[]) as lab:
                run(lab, family, ["--seed", "5", "--loss", "0.01"])


if __name__ == "__main__":
    sys.exit(netlab.main([clean, with_loss]))
