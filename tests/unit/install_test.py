#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts into a fresh directory: the programs run, the manual pages are ones
that man has nothing to say against and that know every command, option and key, the completions
are scripts of their shells.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["WB_BUILD_DIR"])


def check(condition, text):
    if not condition:
        raise SystemExit(f"FAILED  {text}")


def run(*argv, **options):
    return subprocess.run(list(map(str, argv)), text=True, capture_output=True, **options)


def man_text(page):
    """As a terminal of 100 columns shows it; anything that groff warns of is a failure."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANROFFOPT": "", "PAGER": "cat"}
    done = run("man", "--warnings", "-l", page, env=env)
    check(done.returncode == 0 and not done.stderr, f"{page.name}: {done.stderr}")
    plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    # Words that were broken at the end of a line.
    return re.sub(r"\s+", " ", re.sub(r"\u2010\n\s*", "", plain))


def leaves(command):
    return [leaf for child in command["commands"] for leaf in leaves(child)] or [command]


def check_pages(root):
    tree = json.loads(run(root / "bin/wbctl", "completion", "tree", check=True).stdout)
    text = man_text(root / "share/man/man1/wbctl.1")
    for command in leaves(tree):
        check(f"wbctl {command['path']}" in text, f"wbctl(1) lacks {command['path']}")
        for option in command["options"] + tree["options"]:
            known = option["name"] == "--help" or option["name"] in text
            check(known, f"wbctl(1) lacks {option['name']} of {command['path']}")
    for title in ("EXIT STATUS", "SEE ALSO", "accelerd cannot be reached"):
        check(title in text, f"wbctl(1) lacks {title}")
    parts = re.split(r"^# Configuration of (\w+)\n", (REPO / "docs/CONFIGURATION.md").read_text(), flags=re.M)
    check(parts[1::2] == ["accelerd", "boosterd"], f"CONFIGURATION has the parts {parts[1::2]}")
    for daemon, part in zip(parts[1::2], parts[2::2]):
        keys = re.findall(r"^\| `([a-z_0-9.\[\]]+)` \|", part, re.M)
        check(len(keys) > 30, f"found only {keys}")
        text = man_text(root / f"share/man/man5/{daemon}.yaml.5")
        for key in keys:
            check(key in text, f"{daemon}.yaml(5) lacks {key}")
    text = man_text(root / "share/man/man8/accelerd.8")
    for word in ("--config", "--check", "When something is wrong".upper(), "wbctl(1)"):
        check(word in text, f"accelerd(8) lacks {word}")
    check("Operating boosterd" not in text, "accelerd(8) has boosterd's")
    text = man_text(root / "share/man/man8/boosterd.8")
    for word in ("--config", "not reloaded:", "when something is wrong".upper(), "wbctl(1)"):
        check(word in text, f"boosterd(8) lacks {word}")


def check_completions(root):
    for shell, place in (("bash", "bash-completion/completions/wbctl"),
                         ("zsh", "zsh/vendor-completions/_wbctl")):
        done = run(shell, "-n", root / "share" / place)
        check(done.returncode == 0 and not done.stderr, f"{place}: {done.stderr}")
    done = run("shellcheck", "-s", "bash", root / "share/bash-completion/completions/wbctl")
    check(done.returncode == 0, done.stdout)


def check_units():
    for unit in sorted((REPO / "deploy/systemd").glob("*.service")):
        done = run("systemd-analyze", "verify", "--man=no", unit)
        # The programs are not in /usr/sbin here.
        said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
        check(not said, f"{unit.name}: {said}")


def main():
    # The linter is really there and strict.
    with tempfile.NamedTemporaryFile("w", suffix=".1") as bad:
        bad.write(".TH A 1\n.SH NAME\n.no_such_macro\n")
        bad.flush()
        check(run("man", "--warnings", "-l", bad.name).stderr, "man warns of nothing")
    with tempfile.TemporaryDirectory(prefix="wbinstall") as directory:
        root = pathlib.Path(directory)
        done = run("cmake", "--install", BUILD, "--prefix", root)
        check(done.returncode == 0, done.stderr)
        for daemon in ("accelerd", "boosterd"):
            check(run(root / "sbin" / daemon, "--version").returncode == 0, f"{daemon} does not run")
            example = root / f"share/doc/webbooster/examples/{daemon}.yaml"
            check(example.is_file(), f"no example for {daemon}")
        check_units()
        check_pages(root)
        check_completions(root)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
