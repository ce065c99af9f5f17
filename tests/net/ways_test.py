#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ways to a wrong byte, each tried for real (docs/SECURITY.md lists them). Where the answer is to be
right, it is compared with what nginx says on port 8080; what is a limit is shown as such, so that
a change of it does not go unnoticed. Those by files are in file_ways_test.py.
"""

import contextlib
import email.utils
import hmac
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import netlab
from netlab import check, say, wbhttp
from ways_lab import ask, lab_of, make_hot, same


def names_of_the_host():
    """Ports and domains: the same name on another port is another site; two domains on one document
    root have each their own headers; no spelling of a host gets another's."""
    with lab_of() as (lab, _):
        for domain in (lab.domain, "b.test"):
            check(make_hot(lab, "/a/o.html", domain=domain), f"{domain} does not hit")
        for domain in (lab.domain, f"{lab.domain}:80", "b.test", "b.test:81", "b.test:80"):
            status = ask(lab, "/a/o.html", port=81, domain=domain).status
            check(status == 403 or domain.startswith("b.test"),
                  f"Host {domain} on port 81: {status}, and nginx would have said 403")
        for domain in (lab.domain, "b.test"):
            answer = ask(lab, "/a/o.html", domain=domain)
            check(answer.value(b"x-host") == domain.encode(), f"{domain}: {answer.head!r}")
        for domain in (lab.domain.upper(), "B.test", lab.domain + ".", f"{lab.domain}:8080",
                       f"user@{lab.domain}", "other.test", f"{lab.domain}:080"):
            same(lab, "/a/o.html", domain=domain)
        say("  host: another port, another domain, seven spellings: each as nginx")


def for_some_only():
    """What nginx gives to some clients only."""
    with lab_of() as (lab, _):
        secret = (("Authorization", "Basic dXNlcjpzZWNyZXQ="),)
        for _ in range(5):
            check(ask(lab, "/auth/o.html", secret).status == 200, "the password is refused")
            time.sleep(0.05)
            check(ask(lab, "/auth/o.html").status == 401, "served without the password")
        # The other client comes by the booster's link; nginx knows it as 198.18.1.2.
        other = {"host": "booster", "to": "ORIGIN_BOOSTER"}
        for _ in range(5):
            check(ask(lab, "/excluded/o.html").status == 200, "refused")
            time.sleep(0.05)
            check(ask(lab, "/excluded/o.html", **other).status == 403, "excluded, yet served")
        for _ in range(5):
            ask(lab, "/lang/o.html", (("Accept-Language", "de"),))
            time.sleep(0.05)
        before = lab.hits()
        ask(lab, "/lang/o.html", (("Accept-Language", "en"),))
        check(lab.hits() == before, "Vary: Accept-Language was cached")
        # Limits, which docs/CONFIGURATION.md names: rules that nginx does not say in its answer.
        for target in ("/only/o.html", "/ref/o.html"):
            check(make_hot(lab, target), f"{target} does not hit")
        limits = {"address": ask(lab, "/only/o.html", **other).status,
                  "referer": ask(lab, "/ref/o.html", (("Referer", "http://evil.test/"),)).status}
        say(f"  for some only: password, exclude and Vary hold; not seen by a cache: {limits}")
        check(limits == {"address": 200, "referer": 200},
              f"{limits}: a limit of docs/SECURITY.md is none any more")


def conditions():
    """Fields that change the answer, on a cached object: each as nginx."""
    with lab_of() as (lab, _):
        check(make_hot(lab, "/a/o.html"), "no hit")
        seen = ask(lab, "/a/o.html", port=8080)
        tag, date = seen.value(b"etag").decode(), seen.value(b"last-modified").decode()
        future, past = "Thu, 31 Dec 2099 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"
        cases = [[("If-None-Match", value)] for value in (
            tag, f"W/{tag}", f"{tag}, {tag}", f'"x", {tag}', f"{tag},", "*", '"x"', tag[:-1], tag[1:],
            f"w/{tag}", f"{tag} ", '""', tag + "x", f'W/"x", W/{tag}')]
        cases += [[("If-Modified-Since", value)] for value in (
            date, future, past, date.lower(), date + " ", "yesterday", "0", date[:-4] + " UTC",
            date.replace("GMT", "+0000"))]
        before = lab.hits()
        cases += [[("If-None-Match", '"x"'), ("If-Modified-Since", date)],
                  [("If-None-Match", tag), ("If-Modified-Since", past)],
                  [("If-Match", '"x"')], [("If-Unmodified-Since", past)], [("Range", "bytes=0-9")],
                  [("Range", "bytes=0-9"), ("If-Range", '"x"')], [("Range", "bytes=-5")],
                  [("Range", "bytes=9-1")],
                  [("Accept-Encoding", "gzip;q=0")], [("Accept-Encoding", "identity;q=0, *;q=0")],
                  [("Connection", "close")], [("Cache-Control", "no-cache")], [("TE", "trailers")],
                  [("Via", "1.0 proxy")], [("X-Forwarded-For", "127.0.0.1")]]
        for fields in cases:
            for method in ("GET", "HEAD"):
                same(lab, "/a/o.html", fields, method=method)
        hits = lab.hits() - before
        say(f"  conditions: {2 * len(cases)} requests for a cached object, each as nginx; {hits} hits")
        check(hits >= 8, "the requests met no cache")


def reused_ports():
    """One 4-tuple, connection after connection, ended in every way."""
    with lab_of() as (lab, _):
        check(make_hot(lab, "/a/o.html"), "no hit")
        with lab.inside("client"):
            probe = socket.socket()
            probe.bind((lab.address(4, "CLIENT"), 0))
            port = probe.getsockname()[1]
            probe.close()
        before, tries, done = lab.hits(), 0, 0
        while done < 150 and tries < 3000:
            tries += 1
            with lab.inside("client"):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(5)
                sock.bind((lab.address(4, "CLIENT"), port))
            try:
                sock.connect((lab.address(4), 80))
            except OSError:  # the client's own TIME_WAIT
                sock.close()
                time.sleep(0.01)
                continue
            connection = wbhttp.Connection.on(sock, 5)
            for turn in range(1 + done % 4):
                target = f"/dynamic/{done}.{turn}" if (done + turn) % 3 == 0 else "/a/o.html"
                body = connection.request(lab.request(target)).body
                check(body in (netlab.pattern("a", 3000), f"dynamic {target}".encode()),
                      f"connection {done}: {body[:60]!r}")
            if done % 5 == 4:  # a reply is under way
                connection.send(lab.request("/a/o.html"))
            if done % 2 == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif done % 3 == 0:
                connection.send(lab.request("/dynamic/last", (("Connection", "close"),)))
                connection.read_until_close()
            connection.close()
            done += 1
        say(f"  reused ports: {done} connections on one 4-tuple, {lab.hits() - before} hits")
        check(done == 150, f"only {done} connections in {tries} tries")
        check(lab.hits() - before > 100, "no hits")


def link_local():
    """The same pair of link-local addresses on two links, with the same ports."""
    with lab_of() as (lab, _):
        for host, name, address in (
                ("origin", "ORIGIN_IF", "fe80::1:1"), ("origin", "ORIGIN_BOOSTER_IF", "fe80::1:1"),
                ("client", "CLIENT_IF", "fe80::1:2"), ("booster", "BOOSTER_IF", "fe80::1:2")):
            lab.must(host, "ip", "address", "add", f"{address}/64", "dev", lab.env[name], "nodad")
        check(make_hot(lab, "/a/o.html"), "no hit")
        before = lab.reasons()
        connections = []
        for host, name in (("client", "CLIENT_IF"), ("booster", "BOOSTER_IF")):
            with lab.inside(host):
                scope = socket.if_nametoindex(lab.env[name])
                sock = socket.socket(socket.AF_INET6)
                sock.settimeout(3)
                sock.bind(("fe80::1:2", 45000, 0, scope))
                sock.connect(("fe80::1:1", 80, 0, scope))
            connections.append(wbhttp.Connection.on(sock, 3))
            for turn in range(20):
                for connection in connections:
                    target = f"/dynamic/{turn}" if turn % 4 == 3 else "/a/o.html"
                    body = connection.request(lab.request(target)).body
                    check(body in (netlab.pattern("a", 3000), f"dynamic {target}".encode()),
                          f"{body[:60]!r}")
        grown = netlab.difference(lab.reasons(), before)
        for connection in connections:
            connection.close()
        say(f"  link-local: two links, one pair of addresses: right; {grown}")
        check(grown.get("sock/refused") == 2, f"{grown}")


def banned():
    """A client that the firewall drops from now on: its connection is answered from the cache until
    keepalive_refresh lets a request through to the firewall, and then no more."""
    with lab_of(refresh="1s") as (lab, _):
        check(make_hot(lab, "/a/o.html"), "no hit")
        connection = lab.connect(timeout=1.5)
        connection.request(lab.request("/a/o.html"))
        lab.must("origin", "nft", "add table ip t; add chain ip t i { type filter hook input "
                 f"priority 0; }}; add rule ip t i ip saddr {lab.address(4, 'CLIENT')} drop")
        begun = last = time.monotonic()
        answered = 0
        with contextlib.suppress(wbhttp.HttpError):
            while time.monotonic() < begun + 10:
                connection.request(lab.request("/a/o.html"))
                last, answered = time.monotonic(), answered + 1
        say(f"  banned: {answered} hits, the last {last - begun:.2f} s after the ban "
            f"(keepalive_refresh 1 s)")
        check(last - begun < 1.5, "a banned client is answered for longer than keepalive_refresh")
        with contextlib.suppress(wbhttp.HttpError):
            connection.request(lab.request("/a/o.html"))
            raise netlab.TestFailure("answered again")
        connection.close()


def other_configuration():
    """nginx is told of other headers: what is cached keeps the old ones until it is purged, once the
    workers of before are gone (they answer on while the new ones begin)."""
    with lab_of() as (lab, _):
        check(make_hot(lab, "/a/o.html"), "no hit")
        place = f"{lab.env['RUN_DIR']}/nginx-include.conf"
        with open(place, encoding="utf-8") as file:
            text = file.read()
        with open(place, "w", encoding="utf-8") as file:
            file.write(text.replace("add_header X-Host $host;", "add_header X-New yes;"))
        workers = set(lab.nginx_workers())
        os.kill(int(lab.env["NGINX_PID"]), signal.SIGHUP)
        end = time.monotonic() + 20
        while workers & set(lab.nginx_workers()):
            check(time.monotonic() < end, "nginx does not reload")
            time.sleep(0.05)
        old = ask(lab, "/a/o.html").value(b"x-new") is None
        lab.wbctl("cache", "purge", "--all")
        for _ in range(5):
            same(lab, "/a/o.html")
        check(make_hot(lab, "/a/o.html"), "no hit")
        same(lab, "/a/o.html")
        say(f"  nginx -s reload: old headers until the purge: {old}; after it as nginx")


def clock_steps():
    """The wall clock of accelerd leaps: hits go on with right bytes, and Date follows."""
    with netlab.scratch() as beside, lab_of() as (lab, _):
        shim, shift = beside / "clock_shift.so", beside / "shift"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim,
                        netlab.SUPPORT / "clock_shift.c"], check=True)
        shift.write_text("0")
        lab.accelerd("stop")
        os.environ.update(LD_PRELOAD=str(shim), CLOCK_SHIFT=str(shift))
        try:
            lab.accelerd("start")
        finally:
            del os.environ["LD_PRELOAD"]
        check(make_hot(lab, "/a/o.html"), "no hit")
        connection = lab.connect(timeout=20)
        for seconds in (3600, -3600, 400 * 86400, 0, -1, 170, 1100, 0):
            shift.write_text(str(seconds))
            time.sleep(0.3)
            before = lab.hits()
            for _ in range(10):
                response = connection.request(lab.request("/a/o.html"))
                check(response.body == netlab.pattern("a", 3000), f"bytes, clock {seconds}")
            check(lab.hits() >= before + 9, f"no hits with the clock {seconds} s ahead")
            date = email.utils.parsedate_to_datetime(wbhttp.date_of(response.head).decode())
            off = date.timestamp() - time.time() - seconds
            check(abs(off) < 2.5, f"clock {seconds} s ahead: Date is off by {off:.1f} s")
        connection.close()
        say("  clock: eight steps of up to 400 days: hits go on, Date follows")


def forged_keys():
    """The key of another object in a request of somebody who is no booster is no key."""
    with lab_of() as (lab, _):
        for target in ("/a/o.html", "/exp/o.html"):
            check(make_hot(lab, target), f"{target} does not hit")
        with open(lab.env["KEY_FILE"], encoding="ascii") as file:
            secret = bytes.fromhex(file.read().strip())
        key = hmac.new(secret, f"{lab.domain}\0/exp/o.html\0".encode(), "sha256").hexdigest()[:32]
        before = lab.hits()
        for length in ("0055", "0067", "ffff"):
            body = ask(lab, "/a/o.html", (("WB-Key", length + key),)).body
            check(body == netlab.pattern("a", 3000), f"forged key: {body[:40]!r}")
        check(lab.hits() >= before + 2, "the requests met no cache")
        # And it is the right key: a booster would get the other object by it.
        connection = lab.connect(host="booster", to="ORIGIN_BOOSTER")
        text = lab.request("/a/o.html", (("WB-Key", "0000" + key),))
        text = text.replace(b"0000" + key.encode(), b"%04x" % len(text) + key.encode())
        connection.request(lab.request("/dynamic/first"))
        connection.quickack()
        body = connection.request(text).body
        connection.close()
        check(body == netlab.pattern("exp", 3000), f"the key is none: {body[:40]!r}")
        say("  forged keys: answered by the request's own target; only a booster's key counts")


if __name__ == "__main__":
    sys.exit(netlab.main([names_of_the_host, for_some_only, conditions, reused_ports, link_local,
                          banned, other_configuration, clock_steps, forged_keys]))
