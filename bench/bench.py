#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measuring half of run.sh, which builds before and removes the labs afterwards."""

import argparse
import contextlib
import signal
import subprocess
import sys

import booster
import booster_peers
import bulk
import check
import miss
import origin
import quick


PARTS = {"quick": quick, "miss": miss, "bulk": bulk, "check": check, "booster": booster}
PAGE_LISTS = "/proc/sys/vm/percpu_pagelist_high_fraction"
BOUNDED = "1000"


@contextlib.contextmanager
def bounded_page_lists():
    """For all configurations alike: the kernel's lists of free pages stay short while this holds.

    A veth's frames are made of pages that one CPU allocates and the other frees. Left to themselves the lists between them
    grow to 40,000 pages, so that each frame is written to memory that no cache holds: up to a fifth of a hit's cost.
    """
    with open(PAGE_LISTS, "r+", encoding="ascii") as file:
        before = file.read().strip()
        file.seek(0)
        file.write(BOUNDED)
    try:
        yield
    finally:
        with open(PAGE_LISTS, "w", encoding="ascii") as file:
            file.write(before)


def words_of(known):
    """For argparse: a comma list of some of these words."""
    def parse(text):
        words = tuple(text.split(","))
        if not set(words) <= set(known):
            raise argparse.ArgumentTypeError(f"wants some of {', '.join(known)}")
        return words
    return parse


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description="Origin CPU per request, measured in labs.")
    parser.add_argument("what", choices=tuple(PARTS),
                        help="quick: the comparison; miss: what a miss costs; bulk: large objects; check: do the cost targets hold; "
                             "booster: HAProxy, nginx and boosterd side by side")
    parser.add_argument("--json", metavar="FILE", help="write everything there, too")
    parser.add_argument("--seconds", type=float, help="of each measurement (0.5)")
    parser.add_argument("--rounds", type=int, help="repetitions (quick: 3, miss: 20, bulk: 7, check: 15 at most, booster: 5)")
    parser.add_argument("--connections", type=int, default=24,
                        help="of clients (default 24: the replies to all of them fit a veth's queue of 256 packets)")
    parser.add_argument("--budget", type=float,
                        help="quick: seconds for the rounds at one MTU, but two rounds at least (default 46)")
    parser.add_argument("--programs", type=words_of(booster_peers.PROGRAMS), default=booster_peers.PROGRAMS,
                        help="booster: comma list (default: haproxy,nginx,boosterd); ratios are to the first")
    parser.add_argument("--schemes", type=words_of(("http", "https")), default=("http", "https"), help="booster: comma list")
    parser.add_argument("--clients", type=lambda text: tuple(int(word) for word in text.split(",")), default=(4, 64, 256),
                        help="booster: comma list (default: 4,64,256)")
    args = parser.parse_args()
    args.own_times = bool(args.seconds or args.rounds or args.budget)
    args.budget = args.budget or 46
    args.seconds = args.seconds or 0.5
    args.rounds = args.rounds or {"quick": 3, "miss": 20, "bulk": 7, "check": 15, "booster": 5}[args.what]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with bounded_page_lists():
            return PARTS[args.what].main(args)
    except (origin.BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
