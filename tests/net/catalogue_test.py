#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The catalogue: what accelerd tells its boosters of what it holds, as that changes.

Keys are computed here, from the secret and the configuration. Whatever is told is right within
moments of the change; who has not the secret, or another address, is told nothing.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import queue
import signal
import sys
import threading
import time

import keyed_test
import netlab
from netlab import Lab, check, say

PORT = 9466
TEMPLATE = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
# Classes of Accept-Encoding that are filled without being asked for; the first is "no such field".
ENCODINGS = ["", "gzip", "gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd",
             "deflate, gzip", "deflate, gzip, br, zstd", "br", "identity"]
# $tag: the first directory of documents that nobody watches.
SERVER = """
location ~ ^/(?<tag>[a-z]+)/t/ {{
  root "{0}";
  add_header Cache-Control "max-age=600";
  add_header Cache-Tag "all, $tag";
}}
location /brief/ {{
  root "{0}";
  add_header Cache-Control "max-age=2";
}}
"""


class Watch:
    """catalogue_watch on a host of the lab; `held` is what it was told."""

    def __init__(self, lab, what="frames", host="booster", to="ORIGIN_BOOSTER", family=4,
                 key_file=None):
        self.held = {}
        self.lines = queue.Queue()
        self.last = {}
        self.begins = 0
        self.process = lab.start(host, pathlib.Path(lab.env["BUILD_DIR"]) / "tests" / "net" /
                                 "catalogue_watch", what, lab.address(family, to), PORT,
                                 key_file or lab.env["KEY_FILE"])
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def until(self, condition, what, timeout_s=15.0):
        """Reads what it says until the condition holds; the seconds that it took."""
        begun = time.monotonic()
        while not condition():
            left = begun + timeout_s - time.monotonic()
            try:
                self._take(self.lines.get(timeout=max(left, 0)))
            except queue.Empty:
                raise netlab.TestFailure(f"never: {what}; {len(self.held)} keys, last "
                                         f"{str(self.last)[:300]}") from None
        return time.monotonic() - begun

    def _take(self, line):
        self.last = line
        event = line.get("event")
        if event == "begin":
            self.begins += 1
            self.held = {}
        elif event == "put":
            self.held.update(line["held"])
        elif event == "remove":
            for key in line["keys"]:
                self.held.pop(key, None)

    def event(self, name):
        return self.until(lambda: self.last.get("event") == name, f"event {name}")

    def close(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def watching(lab, *args, **options):
    watch = Watch(lab, *args, **options)
    try:
        yield watch
    finally:
        watch.close()


class Keys:
    def __init__(self, lab):
        self.secret = bytes.fromhex(pathlib.Path(lab.env["KEY_FILE"]).read_text().strip())
        self.domain = lab.domain

    def of(self, target, encoding=""):
        text = b"\0".join(part.encode() for part in (self.domain, target, encoding))
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()[:32]

    def all(self, *targets):
        return {self.of(target, encoding) for target in targets for encoding in ENCODINGS}


def site(path):
    keyed_test.site(path)
    for directory in ("dir", "brief", "one/t", "two/t"):
        (path / directory).mkdir(parents=True)
        for number in range(3):
            (path / directory / f"f{number}").write_bytes(
                netlab.pattern(f"{directory}{number}", 300 + number))
    (path / "large").write_bytes(netlab.pattern("large", 60000))
    return path


def documents(path):
    """The same files, but outside of the document root."""
    other = path / "documents"
    other.mkdir()
    return SERVER.format(site(other)), path / "empty"


def told():
    """A snapshot, fills, changes of files, purges by URL and prefix, and a domain switched off."""
    with netlab.scratch() as path, Lab(site(path), bulk=True) as lab:
        keys = Keys(lab)
        lab.warm("/a", "/b", "/dir/f0", "/large")
        with watching(lab) as watch:
            watch.event("end")
            check(set(watch.held) == keys.all("/a", "/b", "/dir/f0"),
                  f"told at first: {watch.held} instead of {keys.all('/a', '/b', '/dir/f0')}")
            link = keyed_test.Link(lab)
            answer = link.ask([link.request("/a")])[0]
            check(watch.held[keys.of("/a")] == len(answer.head) + len(answer.body),
                  f"/a has {watch.held[keys.of('/a')]} bytes, not {len(answer.head)} and "
                  f"{len(answer.body)}")
            link.close()

            lab.warm("/c", "/dir/f1", "/dir/f2")
            took = watch.until(lambda: keys.all("/c", "/dir/f1", "/dir/f2") <= set(watch.held),
                               "what was filled")
            say(f"  filled: told {1000 * took:.0f} ms after wbctl came back")

            # By a miss: only the class that was asked for, or its twins.
            connection = lab.connect(80)
            while keys.of("/other") not in watch.held:
                connection.request(lab.request("/other"))
                with contextlib.suppress(netlab.TestFailure):
                    watch.until(lambda: keys.of("/other") in watch.held, "/other", 0.2)

            (path / "b").write_bytes(b"changed")
            took = watch.until(lambda: not keys.all("/b") & set(watch.held), "the change of a file")
            say(f"  changed: told {1000 * took:.0f} ms after the change")
            lab.warm("/b")
            watch.until(lambda: keys.all("/b") <= set(watch.held), "the changed file")

            for what, arguments, gone, stays in (
                    ("URL", (f"http://{lab.domain}/a",), ["/a"], ["/b", "/c"]),
                    ("directory", ("--prefix", f"http://{lab.domain}/dir/"),
                     ["/dir/f0", "/dir/f1", "/dir/f2"], ["/b", "/c"]),
                    ("prefix", ("--prefix", f"http://{lab.domain}/c"), ["/c"], ["/b"]),
                    ("domain", ("--domain", lab.domain), ["/b"], [])):
                lab.wbctl("cache", "purge", *arguments)
                took = watch.until(lambda keep=gone: not keys.all(*keep) & set(watch.held),
                                   f"purge of a {what}")
                check(keys.all(*stays) <= set(watch.held), f"purge of a {what} took others, too")
                say(f"  purged by {what}: told {1000 * took:.0f} ms after wbctl came back")
            watch.until(lambda: not watch.held, "the end of all")

            lab.warm("/a")
            watch.until(lambda: keys.all("/a") <= set(watch.held), "/a again")
            lab.wbctl("domain", "disable", lab.domain)
            watch.until(lambda: not watch.held, "the domain switched off")
            lab.wbctl("domain", "enable", lab.domain)
            watch.until(lambda: set(watch.held) == keys.all("/a"), "the domain switched on")
            check(watch.begins == 1, f"{watch.begins} snapshots")
            status = lab.status()["catalogue"]
            check(status["connections"] == 1 and status["entries"] == len(ENCODINGS), str(status))


def by_themselves():
    """Documents of their own freshness: their tags, and their end."""
    with netlab.scratch() as path:
        server, root = documents(path)
        root.mkdir()
        with Lab(root, nginx_include=server, conf=TEMPLATE + "    tag_field: Cache-Tag\n") as lab:
            keys = Keys(lab)
            with watching(lab, family=6) as watch:
                watch.event("end")
                lab.warm("/one/t/f0", "/two/t/f0", "/brief/f0")
                watch.until(lambda: keys.all("/one/t/f0", "/two/t/f0") <= set(watch.held), "fills")
                lab.wbctl("cache", "purge", "--tag", "one")
                watch.until(lambda: not keys.all("/one/t/f0") & set(watch.held), "purge of a tag")
                check(keys.all("/two/t/f0") <= set(watch.held), "another tag's object went, too")
                watch.until(lambda: set(watch.held) == keys.all("/two/t/f0"), "an end by itself")
                lab.wbctl("cache", "purge", "--tag", "all")
                watch.until(lambda: not watch.held, "purge of all")


def strangers():
    """Another secret, another address, no TLS, silence."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm("/a")
        wrong = path / "wrong.key"
        wrong.write_text("00" * 32)
        wrong.chmod(0o600)
        with watching(lab, key_file=str(wrong)) as watch:
            watch.event("closed")
            check(watch.last["code"] == "UNAUTHENTICATED" and not watch.begins, str(watch.last))
        with watching(lab, host="client", to="ORIGIN") as watch:
            watch.event("closed")
            check(not watch.begins, str(watch.last))
        silent = [lab.connect(PORT, host="booster", to="ORIGIN_BOOSTER") for _ in range(20)]
        plain = lab.run("booster", "curl", "-sS", "-m", "5",
                        f"http://{lab.address(4, 'ORIGIN_BOOSTER')}:{PORT}/")
        check(plain.returncode != 0 and not plain.stdout, f"plain HTTP is answered: {plain}")
        with watching(lab) as watch:
            watch.until(lambda: set(watch.held) == Keys(lab).all("/a"), "a booster among them")
            text = lab.must("origin", "curl", "-sS", lab.env["ACCELERD_METRICS"])
            status = lab.status()["catalogue"]
            for cause in ("address", "handshake", "limit"):
                count = status[f"refused_{cause}"]
                check(count > 0, f"not counted: {cause} in {status}")
                check(f'webbooster_catalogue_refused_total{{cause="{cause}"}}' in text, cause)
            check("webbooster_catalogue_connections 1\n" in text, "not in the metrics")
        for connection in silent:
            connection.close()


def restarts():
    """boosterd's client: it knows nothing while accelerd is gone, or frozen, and then all again."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm("/a", "/b")
        entries = 2 * len(ENCODINGS)

        def complete():
            return watch.last.get("complete") and watch.last["entries"] == entries

        def empty():
            return not watch.last["open"] and watch.last["entries"] == 0

        with watching(lab, "client") as watch:
            watch.until(complete, "all at first")
            lab.accelerd("kill")
            say(f"  killed: forgotten after {1000 * watch.until(empty, 'forgotten'):.0f} ms")
            lab.accelerd("start")
            lab.warm("/a", "/b")  # what was proved is there already
            watch.until(complete, "all after a crash")
            os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGSTOP)
            try:
                took = watch.until(empty, "forgotten while frozen")
            finally:
                os.kill(int(lab.env["ACCELERD_PID"]), signal.SIGCONT)
            say(f"  frozen: forgotten after {took:.1f} s")
            check(took < 4.5, f"only after {took:.1f} s")
            watch.until(complete, "all after the freeze")
            lab.accelerd("stop")
            watch.until(empty, "forgotten after a stop")
            lab.accelerd("start")
            lab.warm("/a", "/b")
            watch.until(complete, "all after a restart")
            check(watch.last["opened"] == 4, str(watch.last))


def reloads():
    """Another secret ends the channel and gives other keys; another address needs a restart."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm("/a")
        before = Keys(lab)
        with watching(lab) as watch:
            watch.until(lambda: set(watch.held) == before.all("/a"), "all at first")
            pathlib.Path(lab.env["KEY_FILE"]).write_text("5a" * 32)
            lab.wbctl("reload")
            watch.event("closed")
        with watching(lab) as watch:
            watch.until(lambda: set(watch.held) == Keys(lab).all("/a"), "all by the new secret")
        conf = pathlib.Path(lab.env["CONF"])
        text = conf.read_text()
        conf.write_text(text.replace(f":{PORT}", ":9467"))
        done = lab.wbctl_run("reload")
        check(done.returncode != 0 and "boosters.catalogue: cannot change" in done.stderr,
              f"a change of the address: {done.stderr}")
        conf.write_text(text.replace(lab.address(4, "BOOSTER"), "192.0.2.1"))
        with watching(lab) as watch:
            watch.event("end")
            lab.wbctl("reload")
            watch.event("closed")


if __name__ == "__main__":
    sys.exit(netlab.main([told, by_themselves, strangers, restarts, reloads]))
