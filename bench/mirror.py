#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wget mirrors the site of a lab: from the port that is not accelerated, then through the accelerator twice, with
conditional requests (-N), over IPv6, and without compression (which wget undoes before it saves a file), and through
the booster over IPv4 and IPv6. All mirrors
must hold the same files with the same bytes and the same Last-Modified, and wget must get as many answers of each
status. Part of deploy/quickstart.sh.

Exit codes: 0 all alike; 1 a difference, which is printed, or wget failed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.parse

import origin

LIMIT_S = 300
# What wget ends with when some answer was an error: broken links are part of a real site.
WGET_OK = (0, 8)
STATUS = re.compile(r"^HTTP request sent, awaiting response\.\.\. (\d{3}|.*)", re.M)


class Mirror:
    """One run of wget: the tree it leaves and the answers it got."""

    def __init__(self, lab, directory, host, port, compression="gzip", targets=()):
        """Follows the links from the root, or asks for the targets if they are newer than the tree's files."""
        self.directory = directory
        base = f"http://{host}:{port}/"
        how = ["--recursive", "--level=inf", "--execute", "robots=off", base]
        if targets:
            # Not recursive: wget reads no links in what it gets a 304 for.
            # wget's file names hold the query.
            with open(directory + ".urls", "w", encoding="ascii") as file:
                file.writelines(f"{base}{urllib.parse.quote(target, safe='/?=&')}\n" for target in targets)
            how = ["--timestamping", "--force-directories", "--input-file", file.name]
        log = directory + ".log"
        # The lab has no name server: wget asks the address for the lab's domain.
        command = lab.exec_command("client", "wget", "--no-host-directories", "--directory-prefix", directory,
                                   "--output-file", log, "--tries=2", "--timeout=20",
                                   f"--compression={compression}", "--header", f"Host: {lab.env['DOMAIN']}", *how)
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
        # What wget had to ask again for; with the lines before, which say what it was.
        self.retried = re.findall(r"--.*--  .*\n(?:.*\n){0,12}?.*(?:[Rr]ead error|Retrying|timed out).*", text)
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
    answers = {"304": len(wanted)} if conditional else reference.answers
    found += [f"asked again: {text[:300]!r}" for text in mirror.retried[:3]]
    if mirror.answers != answers:
        found.append(f"answers by status: {mirror.answers}, not {answers}")
    return found


def run(lab, directory):
    """Rows of what was asked and how much of it were hits; texts of what differs."""
    ip, ip6 = lab.env["ORIGIN_IP"], f"[{lab.env['ORIGIN_IP6']}]"
    booster, booster6 = lab.env["BOOSTER_CLIENT_IP"], f"[{lab.env['BOOSTER_CLIENT_IP6']}]"
    port = lab.env["ORIGIN_PORT"]
    problems, rows, references = [], [], {}
    # One of each, because a site may have some pages only in one form.
    for compression in ("gzip", "none"):
        reference = Mirror(lab, os.path.join(directory, f"reference-{compression}"), ip,
                           lab.env["ORIGIN_DIRECT_PORT"], compression)
        if reference.hits or not reference.files():
            problems.append(f"reference, {compression}: {reference.hits} hits, {len(reference.files())} files")
        references[compression] = reference
    files = sorted(references["gzip"].files())
    for name, tree, host, compression, targets in (("first", "first", ip, "gzip", ()),
                                                   ("again", "again", ip, "gzip", ()),
                                                   ("conditional", "again", ip, "gzip", files),
                                                   ("IPv6", "ipv6", ip6, "gzip", ()),
                                                   ("not compressed", "plain", ip, "none", ()),
                                                   ("not compressed, IPv6", "plain6", ip6, "none", ()),
                                                   ("through the booster", "boosted", booster, "gzip", ()),
                                                   ("through the booster, IPv6", "boosted6", booster6, "gzip", ())):
        mirror = Mirror(lab, os.path.join(directory, tree), host, port, compression, targets)
        found = differences(references[compression], mirror, bool(targets))
        problems += [f"{name}: {text}" for text in found]
        rows.append({"pass": name, "requests": mirror.requests, "hits": mirror.hits, "answers": mirror.answers,
                     "connections": mirror.connections, "bytes": mirror.bytes, "mismatches": len(found),
                     # The first that asks so: the cache has nothing for it yet.
                     "fills": compression not in [row["compression"] for row in rows], "compression": compression})
    return rows, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--prefix", required=True, help="of the lab")
    parser.add_argument("--directory", required=True, help="for the mirrors")
    parser.add_argument("--json", metavar="FILE", required=True, help="what site.py reads")
    args = parser.parse_args()
    lab = origin.Lab(args.prefix)
    os.makedirs(args.directory, exist_ok=True)
    try:
        lab.read()
        rows, problems = run(lab, args.directory)
    except (origin.BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"mirror.py: {error}", file=sys.stderr)
        return 1
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump({"passes": rows, "problems": problems}, file)
    for problem in problems:
        print(f"mirror.py: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
