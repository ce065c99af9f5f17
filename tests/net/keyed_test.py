#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The booster link: compact keyed requests (abi/key_field.h), one to sixteen in a segment.

Answers come in order and are byte for byte those of port 8080; what has no key goes to the web
server and is answered all the same; only the configured boosters are believed.
"""

import hashlib
import hmac
import os
import pathlib
import signal
import sys

import netlab
from netlab import Lab, check, comparable, say, wbhttp

PARTS_MAX = 16
TARGETS = [f"/{letter}" for letter in "abcdefghijklmnop"]  # short: sixteen requests fill a segment
SEGMENT = 1448
TIMER_FREE_S = 0.15  # below any retransmission timeout of the peer's


def site(path):
    for number, target in enumerate(TARGETS):
        (path / target[1:]).write_bytes(netlab.pattern(f"key{target}", 37 + 61 * number))
    (path / "big").write_bytes(netlab.pattern("big", 5000))
    (path / "other").write_bytes(netlab.pattern("other", 900))
    return path


class Link:
    """A booster's side of the link: keys, requests, the persistent connection."""

    def __init__(self, lab, family=4, host="booster", to="ORIGIN_BOOSTER", timeout=10.0):
        self.lab = lab
        self.secret = bytes.fromhex(pathlib.Path(lab.env["KEY_FILE"]).read_text().strip())
        self.where = {"family": family, "host": host, "to": to, "timeout": timeout}
        self.connection = lab.connect(80, **self.where)

    def key(self, target):
        text = self.lab.domain.encode() + b"\0" + target.encode() + b"\0"
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()[:32]

    def request(self, target, key=None):
        head = f"GET {target} HTTP/1.1\r\nHost: {self.lab.domain}\r\n"
        size = len(head) + 48
        return f"{head}WB-Key: {size:04x}{key or self.key(target)}\r\n\r\n".encode()

    def ask(self, requests):
        """All in one send; the answers."""
        self.connection.send(b"".join(requests))
        answers = [self.connection.read_response() for _ in requests]
        check(not self.connection.parser.in_response(), "bytes after the last response")
        self.connection.quickack()
        return answers

    def close(self):
        self.connection.close()


class Reference:
    """What port 8080 answers to a target, Date aside."""

    def __init__(self, lab, **where):
        self._connection = lab.connect(8080, **where)
        self._lab = lab
        self._known = {}

    def of(self, target):
        if target not in self._known:
            self._known[target] = self.ask(self._lab.request(target))
        return self._known[target]

    def ask(self, request):
        return comparable(self._connection.request(request))


def same(answers, targets, reference, what):
    for number, (answer, target) in enumerate(zip(answers, targets)):
        check(comparable(answer) == reference.of(target),
              f"{what}: answer {number} of {len(answers)}, {target}, differs: {answer.head!r}")


def chosen(count, turn):
    return [TARGETS[(turn + number) % len(TARGETS)] for number in range(count)]


def batches(lab, family):
    """Every number of requests in a segment, many times over."""
    link = Link(lab, family)
    reference = Reference(lab, family=family)
    before, asked = lab.hits(), 0
    for turn in range(25):
        for count in range(1, PARTS_MAX + 1):
            targets = chosen(count, turn)
            if turn % 3 == 2 and count <= 3:
                targets[0] = "/big"
            same(link.ask([link.request(target) for target in targets]), targets, reference,
                 f"batch of {count}")
            asked += count
    link.close()
    hits = lab.hits() - before
    say(f"  IPv{family} MTU {lab.env['MTU']}: {asked} keyed requests, {hits} hits")
    check(hits >= 0.9 * asked, f"only {hits} hits of {asked}: {lab.reasons()}")


def in_segments():
    for mtu in (1500, 3498):
        with netlab.scratch() as path, Lab(site(path), mtu=mtu) as lab:
            lab.warm(*TARGETS, "/big")
            for family in (4, 6):
                batches(lab, family)
            check(lab.reasons()["in/hit_keyed"] > 0, "no packet of keyed requests")


def without_timer():
    """accelerd is frozen within its lease: no timer repairs what the fan-out failed to send."""
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        reference = Reference(lab)
        pid = int(lab.env["ACCELERD_PID"])
        cases = [chosen(count, 0) for count in range(1, PARTS_MAX + 1)]
        hung = []
        for targets in cases:
            for attempt in range(3):  # another's work on this CPU may delay one
                link = Link(lab)
                before = lab.reasons()
                for _ in range(8):  # the link earns its window
                    link.ask([link.request(target) for target in TARGETS])
                grown = netlab.difference(lab.reasons(), before)
                check(grown.get("in/hit_keyed") == 8, f"cold before the freeze: {grown}")
                before = lab.reasons()
                link.connection.timeout_s = TIMER_FREE_S
                os.kill(pid, signal.SIGSTOP)
                try:
                    same(link.ask([link.request(target) for target in targets]), targets, reference,
                         "without timer")
                    done = True
                except wbhttp.HttpError as error:
                    check(error.kind == "timeout", str(error))
                    done = False
                finally:
                    os.kill(pid, signal.SIGCONT)
                link.close()
                grown = netlab.difference(lab.reasons(), before)
                if done and (grown.get("in/hit_keyed") or grown.get("in/hit")):
                    break
            else:
                hung.append((len(targets), grown))
        check(not hung, f"not sent until something else is: {hung}")
        say(f"  without timer: {len(cases)} batches, each answered within "
            f"{1000 * TIMER_FREE_S:.0f} ms")


def unknown_keys():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        link, reference = Link(lab), Reference(lab)
        for turn in range(30):
            count = 1 + turn % PARTS_MAX
            targets = chosen(count, turn)
            requests = [link.request(target) for target in targets]
            place = turn % count
            before = lab.reasons()
            if turn % 2:
                requests[place] = link.request(targets[place], key="0" * 32)
            else:
                targets[place] = "/other"  # right key of what is not in the cache
                requests[place] = link.request("/other")
            same(link.ask(requests), targets, reference, f"unknown key at {place} of {count}")
            grown = netlab.difference(lab.reasons(), before)
            check(grown.get("in/key_unknown") == 1 and not grown.get("in/hit_keyed"), str(grown))
            # The link is hot again, if not with the next packet.
            hits = lab.hits()
            for again in range(3):
                targets = chosen(4, turn + again)
                same(link.ask([link.request(target) for target in targets]), targets, reference,
                     "after an unknown key")
            check(lab.hits() >= hits + 8, f"the link stays cold: {lab.hits() - hits} hits of 12, "
                  f"{netlab.difference(lab.reasons(), before)}")
        link.close()
        say("  unknown keys: 30 batches right, the link hot again after each")


def malformed():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        link, reference = Link(lab), Reference(lab)
        good = link.request("/a")
        key = link.key("/a").encode()
        digits = good[good.index(b"WB-Key: ") + 8:][:4]
        wrong = {
            "upper case": good.replace(key, key.upper()),
            "no hexadecimal": good.replace(key, b"g" + key[1:]),
            "short key": good.replace(key, key[1:]),
            "long key": good.replace(key, key + b"0"),
            "length 0": good.replace(digits + key, b"0000" + key),
            "length one less": good.replace(digits + key, b"%04x" % (len(good) - 1) + key),
            "length one more": good.replace(digits + key, b"%04x" % (len(good) + 1) + key),
            "length ffff": good.replace(digits + key, b"ffff" + key),
            "no space": good.replace(b"WB-Key: ", b"WB-Key:"),
            "lower case name": good.replace(b"WB-Key", b"wb-key"),
            "field behind": good[:-2] + b"X: y\r\n\r\n",
            "twice": good[:-2] + b"WB-Key: " + digits + key + b"\r\n\r\n",
            "empty": good.replace(digits + key, b""),
            "other method": good.replace(b"GET", b"PUT"),
        }
        for name, request in wrong.items():
            for others in (0, 2):  # alone, and behind good ones
                other = Link(lab)
                hits = lab.hits()
                answers = other.ask([other.request("/b")] * others + [request])
                same(answers[:others], ["/b"] * others, reference, name)
                check(comparable(answers[-1]) == Reference(lab).ask(request), f"{name} differs")
                other.close()
            # The request itself is plain and proper: its field may be ignored, never guessed at.
            check(lab.hits() - hits in (0, others + 1), f"{name}: {lab.hits() - hits} hits")
        same(link.ask([good]), ["/a"], reference, "a good one")
        say(f"  malformed: {len(wrong)} kinds, alone and behind good ones, as nginx answers them")


def not_trusted():
    with netlab.scratch() as path, Lab(site(path)) as lab:
        lab.warm(*TARGETS)
        reference = Reference(lab)
        for family in (4, 6):
            link = Link(lab, family, host="client", to="ORIGIN")
            before = lab.reasons()
            for turn in range(20):
                # Another object's key: who believed it would send that object.
                target = TARGETS[turn % len(TARGETS)]
                answers = link.ask([link.request(target, key=link.key("/p"))])
                same(answers, [target], reference, "from a stranger")
                targets = chosen(3, turn)
                same(link.ask([link.request(target) for target in targets]), targets, reference,
                     "from a stranger")
            grown = netlab.difference(lab.reasons(), before)
            check(not grown.get("in/hit_keyed"), f"a stranger's key was believed: {grown}")
            plain = lab.connect(80, family)
            hits = lab.hits()
            for target in TARGETS:
                check(comparable(plain.request(lab.request(target))) == reference.of(target),
                      f"{target} differs")
                plain.quickack()
            check(lab.hits() > hits, "no hits for plain requests")
        say("  not trusted: keys of a stranger are ignored")


def on_a_bad_wire():
    """The wire is between client and origin, so here the client is the booster."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    text = text.replace("@BOOSTER_IP@", "198.18.0.2").replace("@BOOSTER_IP6@", "fd00:198:18::2")
    with netlab.scratch() as path, \
            Lab(site(path), conf=text, wire=["--seed", "3", "--loss", "0.01"]) as lab:
        lab.warm(*TARGETS)
        reference = Reference(lab)
        before = lab.status()
        asked = 0
        for family in (4, 6):
            link = Link(lab, family, host="client", to="ORIGIN", timeout=20.0)
            for turn in range(600):
                targets = chosen(1 + turn % PARTS_MAX, turn)
                same(link.ask([link.request(target) for target in targets]), targets, reference,
                     "with loss")
                asked += len(targets)
            link.close()
        now = lab.status()
        hits = now["hits_total"] - before["hits_total"]
        repairs = sum(now["repairs"].values()) - sum(before["repairs"].values())
        say(f"  1 % loss: {asked} keyed requests right, {hits} hits, {repairs} repairs")
        check(hits >= 0.8 * asked and repairs > 0, f"{hits} hits of {asked}, {repairs} repairs")


if __name__ == "__main__":
    sys.exit(netlab.main([in_segments, without_timer, unknown_keys, malformed, not_trusted,
                          on_a_bad_wire]))
