#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/quickstart.sh from end to end: its exit code, no byte that differs, its table; nothing is left behind, also
when it is killed in the middle; and as often as one likes, also after a kill that it could not clean up, and with the
lab of --keep there.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import netlab
from lab_test import env_of, expect_no_trace, traces
from netlab import REPO, check, say

QUICKSTART = str(REPO / "deploy" / "quickstart.sh")
PREFIX = netlab.Lab("/").prefix
LIMIT_S = 240
# A signal is acted upon at once: what takes time is `lab.sh down`.
SIGNAL_S = 20


def scratch_files():
    """What quickstart.sh and its parts keep in /tmp while they run."""
    return {str(path) for pattern in ("wb-quickstart-*", "wb-site-*") for path in pathlib.Path("/tmp").glob(pattern)}


class Quickstart:
    """A running quickstart.sh; its output is read as it comes."""

    def __init__(self, *options):
        self.output = tempfile.TemporaryFile("w+")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen([QUICKSTART, "--prefix", PREFIX, *options], stdout=self.output,
                                        stderr=subprocess.STDOUT, start_new_session=True)

    def text(self):
        self.output.seek(0)
        return self.output.read()

    def wait_for(self, words):
        end = time.monotonic() + LIMIT_S
        while words not in self.text():
            check(self.process.poll() is None and time.monotonic() < end, f"no {words!r} in: {self.text()[-3000:]}")
            time.sleep(0.05)

    def finish(self, code, seconds=LIMIT_S):
        try:
            got = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            check(False, f"quickstart.sh runs for more than {seconds} s: {self.text()[-3000:]}")
        check(got == code, f"quickstart.sh exits {got}, not {code}: {self.text()[-4000:]}")
        return self.text()


@contextlib.contextmanager
def nothing_left():
    before = scratch_files()
    try:
        yield
        expect_no_trace(PREFIX)
        check(scratch_files() <= before, f"left in /tmp: {scratch_files() - before}")
    finally:
        subprocess.run([netlab.LAB_SH, "down", "--prefix", PREFIX], capture_output=True)


def number(pattern, text):
    found = re.search(pattern, text)
    check(found, f"no {pattern!r} in the table: {text[-3000:]}")
    return float(found.group(1))


def expect_table(text):
    check(number(r"mismatches with port 8080 +(\d+)\n", text) == 0, "bytes differ")
    requests = number(r"wget, first  .*?(\d+) requests", text)
    check(requests > 300, f"only {requests} requests are no site")
    for name, least in (("again", 200), ("IPv6", 200), ("not compressed, IPv6", 40),
                        ("through the booster", 200), ("through the booster, IPv6", 200)):
        check(number(rf"wget, {name}  .*?, (\d+) hits", text) >= least, f"wget, {name}: no hits")
    # Files too large for a hit are a 304 all the same, but that is the web server's.
    check(number(r"wget, conditional .*?(\d+) x 304", text) > 300, "no answers 304")
    check(number(r"wget, conditional .*?, (\d+) hits", text) >= 200, "no 304 from XDP")
    check(number(r"crawl, as a browser .*?, (\d+) hits", text) > 200, "the crawl had no hits")
    ratios = [float(value) for value in re.findall(r"\n +ratio +([\d.]+)\n", text)]
    check(len(ratios) == 2, f"no ratios in the table: {text[-3000:]}")
    # No more than that hits are cheaper: how much is bench/run.sh's to judge.
    check(ratios[1] > 1.5, f"small files cost 1/{ratios[1]} of nginx alone")
    check("webbooster_up 1" in text, "no metrics are shown")


def killed():
    """SIGKILL leaves a lab; the next run replaces it, and SIGTERM in its middle leaves nothing."""
    with nothing_left():
        before = scratch_files()
        first = Quickstart()
        first.wait_for("wget mirrors")
        os.killpg(first.process.pid, signal.SIGKILL)
        first.finish(-signal.SIGKILL)
        check(traces(PREFIX), "killed before there was anything to leave")
        second = Quickstart()
        second.wait_for("wget mirrors")
        other = Quickstart()
        check("another quickstart" in other.finish(1, SIGNAL_S), "two at once")
        second.process.terminate()
        second.finish(143, SIGNAL_S)
        for path in scratch_files() - before:  # of the one that could not remove it
            subprocess.run(["rm", "-rf", path], check=True)


def kept_and_again():
    """--keep leaves a lab that works; another run replaces it and takes it away."""
    with nothing_left():
        begun = time.monotonic()
        text = Quickstart("--keep").finish(0)
        say(f"  took {time.monotonic() - begun:.0f} s:")
        say("\n".join(line for line in text.splitlines() if re.match("  +[a-z]", line)))
        expect_table(text)
        check("The lab is up" in text, "nothing about playing")
        accelerd = env_of(PREFIX)["ACCELERD_PID"]
        shown = re.search(r"\n  (\S+lab\.sh exec .* curl -i .*)\n", text)
        check(shown, f"no command to play with: {text[-1500:]}")
        played = subprocess.run(["sh", "-c", shown.group(1)], capture_output=True)
        check(played.stdout.startswith(b"HTTP/1.1 200 OK\r\n"), f"{shown.group(1)}: {played}")
        again = Quickstart()
        again.wait_for("wget mirrors")
        check(env_of(PREFIX)["ACCELERD_PID"] != accelerd, "the lab was not replaced")
        again.process.terminate()
        again.finish(143, SIGNAL_S)


def usage():
    for words in (["--bogus"], ["--prefix"], ["--prefix", "Upper"]):
        done = subprocess.run([QUICKSTART, *words], capture_output=True, text=True)
        check(done.returncode == 2 and "Usage" in done.stderr, f"{words}: {done}")


if __name__ == "__main__":
    sys.exit(netlab.main([usage, killed, kept_and_again]))
