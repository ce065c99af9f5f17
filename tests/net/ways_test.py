#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ways to a wrong byte, each tried for real (docs/SECURITY.md lists them). Where the answer is to be
right, it is compared with what nginx says on port 8080; what is a limit is shown as such, so that
a change of it does not go unnoticed.
"""

import contextlib
import ctypes
import email.utils
import gzip
import hmac
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import netlab
from netlab import Lab, check, comparable, say, wbhttp

FRESH_S = 0.010
NGINX = """
listen 81;
server_name b.test;
index index.htm index.html;
add_header X-Host $host;
if ($server_port = 81) { return 403; }
location /exp/ { expires 1h; }
location /lang/ { add_header Vary Accept-Language; }
location /only/ { allow 198.18.0.2; allow 127.0.0.1; deny all; }
location /excluded/ { allow 198.18.0.2; allow 127.0.0.1; deny all; }
location /ref/ { valid_referers none server_names; if ($invalid_referer) { return 403; } }
location /auth/ {
  satisfy any; allow 127.0.0.1; deny all; auth_basic here; auth_basic_user_file "@USERS@";
}
"""


def configuration(refresh="30s"):
    """The lab's, with another domain on the same document root and on one more port."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    one = text[text.index("  - name: @DOMAIN@"):]
    other = one.replace("@DOMAIN@", "b.test").replace("ports: [80]", "ports: [80, 81]")
    return (f"keepalive_refresh: {refresh}\n" + text.rstrip("\n")
            + "\n    exclude: [/excluded/]\n" + other)


@contextlib.contextmanager
def lab_of(nginx=NGINX, refresh="30s"):
    with netlab.scratch() as path, netlab.scratch() as beside:
        (beside / "users").write_text("user:{PLAIN}secret\n")
        for name in ("a", "exp", "lang", "only", "excluded", "ref", "auth", "dir"):
            (path / name).mkdir()
            (path / name / "o.html").write_bytes(netlab.pattern(name, 3000))
        for file in path.rglob("*.html"):
            os.utime(file, (1700000000, 1700000000))
        text = nginx.replace("@USERS@", str(beside / "users"))
        with Lab(path, conf=configuration(refresh), nginx_include=text) as lab:
            yield lab, path


def ask(lab, target, fields=(), *, port=80, host="client", to="ORIGIN", domain=None, method="GET"):
    """On a connection of its own, as its second request: the first one often comes before sockops has
    reported the connection, and is then nginx's whatever it asks for."""
    connection = lab.connect(port, host=host, to=to)
    try:
        connection.request(lab.request("/dynamic/first"))
        connection.quickack()
        return connection.request(lab.request(target, fields, method, domain), method.encode())
    finally:
        connection.close()


def make_hot(lab, target, fields=(), **where):
    """Asked until it is a hit; False: it never becomes one."""
    for _ in range(8):
        before = lab.hits()
        ask(lab, target, fields, **where)
        if lab.hits() > before:
            return True
        time.sleep(0.05)
    return False


def same(lab, target, fields=(), **more):
    mine, theirs = ask(lab, target, fields, **more), ask(lab, target, fields, port=8080, **more)
    check((mine.status, comparable(mine)) == (theirs.status, comparable(theirs)),
          f"{target} {fields} {more}: {mine.status} {mine.head!r}, nginx {theirs.head!r}")
    return mine


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


def odd_names():
    """A file asked for by another spelling of its path is not cached where its changes and purges
    would not be seen."""
    with lab_of() as (lab, path):
        odd = ["//exp/o.html", "/exp//o.html", "/exp/./o.html", "/a/../exp/o.html", "/%2e/exp/o.html",
               "/exp/%2e%2e/exp/o.html", "/exp%2f%2e%2fo.html", "/exp/o%2ehtml", "/%65xp/o.html",
               "/exp/o.html?", "/exp/o.html?x", "/exp%2fo.html"]
        results = lab.wbctl_run("--json", "cache", "warm",
                                *(f"http://{lab.domain}{target}" for target in odd))
        hot = [target for target, row in zip(odd, json.loads(results.stdout)["results"])
               if row["ok"]]
        (path / "exp" / "o.html").write_bytes(netlab.pattern("changed", 3000))
        time.sleep(FRESH_S)
        wrong = [target for target in odd
                 if ask(lab, target).body != netlab.pattern("changed", 3000)]
        say(f"  odd names: {len(hot)} of {len(odd)} are cached, {len(wrong)} stale after a change")
        check(not wrong, f"stale: {wrong}")
        check("/exp/o.html?x" in hot and "/%65xp/o.html" in hot, f"only {hot} hit: nothing tested")


def index_files():
    """A directory is answered by the index file that nginx would choose now."""
    with lab_of() as (lab, path):
        (path / "dir" / "index.html").write_bytes(netlab.pattern("second choice", 2000))
        check(make_hot(lab, "/dir/"), "/dir/ does not hit")
        same(lab, "/dir/")
        (path / "dir" / "index.htm").write_bytes(netlab.pattern("first choice", 2000))
        time.sleep(FRESH_S)
        answer = same(lab, "/dir/")
        check(answer.body == netlab.pattern("first choice", 2000), f"{answer.body[:40]!r}")
        (path / "dir" / "index.htm").unlink()
        time.sleep(FRESH_S)
        same(lab, "/dir/")
        say("  index: a file that nginx prefers replaces the cached one")


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
                  [("Range", "bytes=0-9"), ("If-Range", '"x"')], [("Range", "bytes=-5")], [("Range", "bytes=9-1")],
                  [("Accept-Encoding", "gzip;q=0")], [("Accept-Encoding", "identity;q=0, *;q=0")],
                  [("Connection", "close")], [("Cache-Control", "no-cache")], [("TE", "trailers")],
                  [("Via", "1.0 proxy")], [("X-Forwarded-For", "127.0.0.1")]]
        for fields in cases:
            for method in ("GET", "HEAD"):
                same(lab, "/a/o.html", fields, method=method)
        hits = lab.hits() - before
        say(f"  conditions: {2 * len(cases)} requests for a cached object, each as nginx; {hits} hits")
        check(hits >= 8, "the requests met no cache")


LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    """Two names swapped in one step."""
    if LIBC.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def aio_write(path, data):
    """By io_submit, which tells inotify nothing until the file is closed."""
    context = ctypes.c_ulong(0)
    check(LIBC.syscall(206, 1, ctypes.byref(context)) == 0, "io_setup")
    file = os.open(path, os.O_WRONLY)
    buffer = ctypes.create_string_buffer(data, len(data))
    block = ctypes.create_string_buffer(struct.pack(
        "<QIIHhIQQqQII", 0, 0, 0, 1, 0, file, ctypes.addressof(buffer), len(data), 0, 0, 0, 0))
    pointer = ctypes.c_void_p(ctypes.addressof(block))
    check(LIBC.syscall(209, context, 1, ctypes.byref(pointer)) == 1, "io_submit")
    events = ctypes.create_string_buffer(64)
    check(LIBC.syscall(208, context, 1, 1, events, None) == 1, "io_getevents")
    os.close(file)
    LIBC.syscall(207, context)


def change_exchange(folder, new):
    (folder / "x.html").write_bytes(new)
    exchange(folder / "x.html", folder / "o.html")


def change_exchange_folders(folder, new):
    other = folder.parent / f"{folder.name}-other"
    other.mkdir()
    (other / "o.html").write_bytes(new)
    exchange(other, folder)


def change_aio(folder, new):
    aio_write(folder / "o.html", new)


def change_tmpfile(folder, new):
    file = os.open(folder, os.O_TMPFILE | os.O_WRONLY)
    os.write(file, new)
    (folder / "o.html").unlink()
    check(LIBC.linkat(-100, f"/proc/self/fd/{file}".encode(), -100, os.fsencode(folder / "o.html"),
                      0x400) == 0, "linkat")
    os.close(file)


def change_copy_range(folder, new):
    (folder / "x.html").write_bytes(new)
    with open(folder / "x.html", "rb") as source, open(folder / "o.html", "r+b") as target:
        os.copy_file_range(source.fileno(), target.fileno(), len(new))


def change_by_hard_link(folder, new):
    with open(folder / "other-name", "r+b") as file:
        file.write(new)


def change_same_time(folder, new):
    """As rsync --times does: size and modification time are those of before."""
    before = os.stat(folder / "o.html")
    (folder / "x.html").write_bytes(new)
    os.utime(folder / "x.html", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.rename(folder / "x.html", folder / "o.html")


def change_mapped(folder, new):
    """Through a mapping, with the file open: it is seen when that is closed."""
    with open(folder / "o.html", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = new


CHANGES = [change_exchange, change_exchange_folders, change_aio, change_tmpfile, change_copy_range,
           change_by_hard_link, change_same_time, change_mapped]


def odd_changes():
    """Ways to change a file that coherence_test.py does not know."""
    with lab_of() as (lab, path):
        for change in CHANGES:
            folder = path / change.__name__
            folder.mkdir()
            (folder / "o.html").write_bytes(netlab.pattern("old", 3000))
            os.utime(folder / "o.html", (1700000000, 1700000000))
            os.link(folder / "o.html", folder / "other-name")
            target = f"/{folder.name}/o.html"
            check(make_hot(lab, target), f"{target} does not hit")
            new = netlab.pattern(change.__name__, 3000)
            change(folder, new)
            time.sleep(FRESH_S)
            check(ask(lab, target).body == new, f"{change.__name__}: stale")
        say(f"  odd changes: {[change.__name__ for change in CHANGES]}: none stale after 10 ms")
        # Limit: a mapping whose file descriptor is closed leaves no trace.
        file = path / "a" / "o.html"
        check(make_hot(lab, "/a/o.html"), "no hit")
        with open(file, "r+b") as opened:
            mapped = mmap.mmap(opened.fileno(), 0)
        time.sleep(0.05)
        check(make_hot(lab, "/a/o.html"), "no hit after the file was closed")
        mapped[:] = netlab.pattern("mapped", 3000)
        mapped.flush()
        time.sleep(2 * FRESH_S)
        stale = ask(lab, "/a/o.html").body != netlab.pattern("mapped", 3000)
        lab.wbctl("cache", "purge", f"http://{lab.domain}/a/o.html")
        check(ask(lab, "/a/o.html").body == netlab.pattern("mapped", 3000), "stale after a purge")
        mapped.close()
        hot = make_hot(lab, "/a/o.html")
        say(f"  limits: a write through a mapping alone is seen: {not stale}; purged: right "
            f"(hit again: {hot})")


def siblings():
    """Compressed siblings that come, change and go."""
    packed = (("Accept-Encoding", "gzip"),)
    with lab_of() as (lab, path):
        file, sibling = path / "a" / "o.html", path / "a" / "o.html.gz"

        def step(what):
            time.sleep(FRESH_S)
            for fields in ((), packed):
                same(lab, "/a/o.html", fields)
                make_hot(lab, "/a/o.html", fields)
                same(lab, "/a/o.html", fields)
            say(f"  siblings: {what}: as nginx")

        def put(place, data):
            place.with_suffix(".new").write_bytes(data)
            os.rename(place.with_suffix(".new"), place)

        step("none")
        put(sibling, gzip.compress(b"first" * 100))
        step(".gz made")
        put(sibling, gzip.compress(b"second" * 200))
        step(".gz replaced alone")
        put(file, netlab.pattern("new", 3000))
        step("plain file replaced alone")
        sibling.unlink()
        step(".gz removed")
        put(sibling, gzip.compress(b"third" * 300))
        file.unlink()
        step("plain file removed, .gz left")


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


def mounted_over():
    """A limit: a mount over a directory is a change that inotify does not tell."""
    with lab_of() as (lab, path), netlab.scratch() as other:
        (other / "o.html").write_bytes(netlab.pattern("mounted", 3000))
        check(make_hot(lab, "/a/o.html"), "no hit")
        subprocess.run(["mount", "--bind", other, path / "a"], check=True)
        try:
            time.sleep(0.05)
            stale = ask(lab, "/a/o.html").body == netlab.pattern("a", 3000)
            lab.wbctl("cache", "purge", "--all")
            for _ in range(5):
                check(ask(lab, "/a/o.html").body == netlab.pattern("mounted", 3000), "after a purge")
        finally:
            subprocess.run(["umount", path / "a"], check=True)
        lab.wbctl("cache", "purge", "--all")
        for _ in range(5):
            check(ask(lab, "/a/o.html").body == netlab.pattern("a", 3000), "after the unmount")
        say(f"  a mount over a directory is seen: {not stale}; after a purge it and its unmount are")


if __name__ == "__main__":
    sys.exit(netlab.main([names_of_the_host, odd_names, index_files, for_some_only, conditions,
                          odd_changes, siblings, reused_ports, link_local, banned,
                          other_configuration, clock_steps, forged_keys, mounted_over]))
