#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wget mirrors the site of a lab: from the port that is not accelerated, then through the accelerator twice, with
conditional requests (-N), and over IPv6. All mirrors must hold the same files with the same bytes and the same
Last-Modified, and wget must get as many answers of each status. Part of deploy/quickstart.sh.

Exit codes: 0 all alike; 1 a difference, which is printed, or wget failed.
"""

import argparse
import json
import os
import re
import subprocess
import sys

import origin

LIMIT_S = 300
# What wget ends with when some answer was an error: broken links are part of a real site.
WGET_OK = (0, 8)
STATUS = re.compile(r"^HTTP request sent, awaiting response\.\.\. (\d{3}|.*)", re.M)


class Mirror:
    """One run of wget: the tree it leaves and the answers it got."""

    def __init__(self, lab, directory, host, port, *options):
        self.directory = directory
        log = directory + ".log"
        # The lab has no name server: wget asks the address for the lab's domain.
        command = lab.exec_command("client", "wget", "--recursive", "--level=inf", "--execute", "robots=off",
                                   "--no-host-directories", "--directory-prefix", directory, "--output-file", log,
                                   "--tries=2", "--timeout=20", "--header", f"Host: {lab.env['DOMAIN']}", *options,
                                   f"http://{host}:{port}/")
        before = lab.status()["hits_total"]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False,
                              env={**os.environ, "LC_ALL": "C"}).returncode
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if code not in WGET_OK:
            raise origin.BenchError(f"wget ended with {code}: {text[-1500:]}")
        self.hits = lab.status()["hits_total"] - before
        self.answers = {}
        for status in STATUS.findall(text):
            self.answers[status] = self.answers.get(status, 0) + 1
        self.requests = sum(self.answers.values())
        self.connections = text.count("\nConnecting to ")
        self.bytes = 0

    def files(self):
        """Path -> (size, time of last modification, which wget takes from the answer)."""
        found = {}
        for directory, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(directory, name)
                facts = os.stat(path)
                found[os.path.relpath(path, self.directory)] = (facts.st_size, int(facts.st_mtime))
        self.bytes = sum(size for size, _ in found.values())
        return found


def differences(reference, mirror, conditional):
    """Texts, at most ten or so, for what is not alike."""
    found = []
    diff = subprocess.run(["diff", "-rq", reference.directory, mirror.directory], stdout=subprocess.PIPE, text=True,
                          check=False)
    if diff.returncode:
        found += diff.stdout.splitlines()[:10] or ["diff failed"]
    wanted, got = reference.files(), mirror.files()
    stamps = [path for path in wanted if got.get(path, wanted[path]) != wanted[path]]
    if stamps:
        found.append(f"size or Last-Modified differ: {', '.join(stamps[:5])}")
    # A conditional run gets 304 for what it has.
    answers = dict(mirror.answers)
    if conditional:
        if "304" not in answers:
            found.append(f"no answer 304: {answers}")
        answers["200"] = answers.get("200", 0) + answers.pop("304", 0)
    if answers != reference.answers:
        found.append(f"answers by status: {answers}, without the accelerator {reference.answers}")
    return found


def run(lab, directory):
    """Rows of what was asked and how much of it were hits; texts of what differs."""
    ip, ip6 = lab.env["ORIGIN_IP"], f"[{lab.env['ORIGIN_IP6']}]"
    port = lab.env["ORIGIN_PORT"]
    reference = Mirror(lab, os.path.join(directory, "reference"), ip, lab.env["ORIGIN_DIRECT_PORT"])
    problems, rows = [], []
    if reference.hits or not reference.files():
        problems.append(f"the reference: {reference.hits} hits, {len(reference.files())} files")
    for name, tree, host, options in (("first, which fills the cache", "first", ip, ()),
                                      ("again", "again", ip, ()),
                                      ("conditional", "again", ip, ("--timestamping",)),
                                      ("IPv6", "ipv6", ip6, ())):
        mirror = Mirror(lab, os.path.join(directory, tree), host, port, *options)
        found = differences(reference, mirror, bool(options))
        problems += [f"{name}: {text}" for text in found]
        rows.append({"pass": name, "requests": mirror.requests, "hits": mirror.hits, "answers": mirror.answers,
                     "connections": mirror.connections, "bytes": mirror.bytes, "mismatches": len(found)})
    return rows, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--prefix", required=True, help="of the lab")
    parser.add_argument("--directory", required=True, help="empty, for the mirrors")
    parser.add_argument("--json", metavar="FILE", required=True, help="what site.py reads")
    args = parser.parse_args()
    lab = origin.Lab(args.prefix)
    try:
        lab.read()
        rows, problems = run(lab, args.directory)
    except (origin.BenchError, subprocess.TimeoutExpired) as error:
        print(f"mirror.py: {error}", file=sys.stderr)
        return 1
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump({"passes": rows, "problems": problems}, file)
    for problem in problems:
        print(f"mirror.py: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
