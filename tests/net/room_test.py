#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets the cache's memory once it is full, and what fills cost a web server that is in trouble."""

import contextlib
import socket
import sys
import threading
import time

import netlab
from netlab import Lab, check, say

ONE_CLASS = "accept_encodings: []\n"


def configuration(top, *domain_lines):
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    return top + text.rstrip("\n") + "\n" + "".join(f"    {line}\n" for line in domain_lines)


def second_domain(name, *lines):
    """As the first, on the same web server."""
    return (f"  - name: {name}", "    document_root: \"@DOCROOT@\"", *(f"    {x}" for x in lines))


def make_files(path, prefix, count, size):
    names = [f"/{prefix}{number}.html" for number in range(count)]
    for name in names:
        (path / name[1:]).write_bytes(netlab.pattern(name, size))
    return names


def ask_all(lab, targets, domain=None):
    """One after the other on one connection, so that all but the first can be reported or hit."""
    with contextlib.closing(lab.connect()) as connection:
        for target in (targets[0], *targets):
            response = connection.request(lab.request(target, domain=domain))
            check(response.status == 200, f"{target}: {response.head!r}")


def wait_until(condition, text, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, text)
        time.sleep(0.05)


def domain_info(lab, name=None):
    rows = {row["name"]: row for row in lab.wbctl("domain", "list")["domains"]}
    return rows[name or lab.domain]


def cached(lab, domain=None):
    entries = lab.wbctl("cache", "list", "--domain", domain or lab.domain,
                        "--limit", 10000)["entries"]
    return {entry["url"].split("/", 3)[3] for entry in entries}


def settled(lab):
    """Every miss that was reported has been decided upon."""
    def counts():
        rows = lab.wbctl("domain", "list")["domains"]
        return [(row["fills"]["waiting"], row["fills"]["running"], row["not_admitted"],
                 row["objects"]) for row in rows]
    before, end = counts(), time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.4)
        now = counts()
        if now == before and all(row[0] == row[1] == 0 for row in now):
            return
        before = now
    check(False, f"fills go on without end: {before}")


def a_scan_displaces_nothing():
    """Nothing that is asked for once enters a full cache, and it costs the web server no fetch; what
    is asked for again and again does; warming does whatever it displaces.
    """
    with netlab.scratch() as path:
        kept = make_files(path, "kept", 300, 9000)
        scan = make_files(path, "scan", 400, 9000)
        conf = configuration(ONE_CLASS + "limits: { memory: 1MiB }\n")
        with Lab(path, conf=conf) as lab:
            lab.warm(*kept)
            settled(lab)
            time.sleep(2)  # what warming has displaced has rested
            before, info = lab.status()["cache"], domain_info(lab)
            ask_all(lab, scan)
            settled(lab)
            after, then = lab.status()["cache"], domain_info(lab)
            refused = then["not_admitted"] - info["not_admitted"]
            fetches = after["fills_total"] - before["fills_total"]
            say(f"  a scan of {len(scan)}: {refused} not admitted, {fetches} fetched, "
                f"{after['evictions'] - before['evictions']} evicted")
            check(refused > 300, f"admitted: {then}")
            # What was kept free may be used, not more.
            check(fetches < 40 and after["evictions"] - before["evictions"] < 10, f"{after}")
            path_key = lab.reasons()["in/uncacheable"]
            for _ in range(6):
                ask_all(lab, scan[:20])
                settled(lab)
            check(lab.reasons()["in/uncacheable"] == path_key, "refused as if it were uncacheable")
            wait_until(lambda: len(cached(lab) & {name[1:] for name in scan[:20]}) >= 15,
                       "what is asked for again and again does not enter")
            lab.warm(*scan[100:110])
            check({name[1:] for name in scan[100:110]} <= cached(lab), "warming is refused")


def shares_and_bounds():
    """A domain's scan takes neither what another holds within its share, nor more than its bound."""
    with netlab.scratch() as path:
        mine = make_files(path, "mine", 40, 9000)
        theirs = make_files(path, "theirs", 400, 9000)
        conf = configuration(ONE_CLASS + "limits: { memory: 4MiB }\n").rstrip("\n") + "\n"
        conf += "\n".join(second_domain("other.test") + second_domain("small.test", "memory: 256KiB"))
        include = "server_name site.test other.test small.test;"
        with Lab(path, conf=conf + "\n", nginx_include=include) as lab:
            lab.warm(*mine)
            for _ in range(2):  # asked for again: their frequency is no obstacle
                lab.warm(*theirs, host="other.test")
            lab.warm(*theirs[:60], host="small.test")
            settled(lab)
            check(cached(lab) == {name[1:] for name in mine}, "a domain lost what was its share")
            other, small = domain_info(lab, "other.test"), domain_info(lab, "small.test")
            say(f"  other.test {other['arena_bytes']} of {other['share_bytes']} bytes, "
                f"{other['evictions']} evicted; small.test {small['arena_bytes']}")
            check(other["evictions"] > 20 and other["arena_bytes"] > other["share_bytes"],
                  f"{other}")
            check(0 < small["arena_bytes"] <= 256 << 10 == small["bound_bytes"], f"{small}")
            check(small["evictions"] >= 30, f"{small}")
            for row in (other, small):
                check(row["overhead_bytes"] == row["arena_bytes"] - row["body_bytes"]
                      and row["body_bytes"] == 9000 * row["objects"], f"{row}")


class Origin:
    """A web server on 127.0.0.1:9009 whose manner can be changed: good, busy (503), slow."""

    def __init__(self, lab):
        self.manner = "good"
        self.requests = 0
        self.connections = 0
        self.most = 0
        self._lock = threading.Lock()
        with lab.inside("origin"):
            self._listener = socket.create_server(("127.0.0.1", 9009), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with self._lock:
            self.connections += 1
            self.most = max(self.most, self.connections)
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.requests += 1
                self._answer(client, data)
        with self._lock:
            self.connections -= 1

    def _answer(self, client, data):
        if self.manner == "slow":
            time.sleep(0.15)
        head = (b"HTTP/1.1 503 Busy\r\n" if self.manner == "busy" else
                b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\n")
        body = b"" if data.startswith(b"HEAD") else b"a body"
        client.sendall(head + b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 6\r\n\r\n"
                       + body)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def ask_for(lab, seconds, names):
    """Misses for so long, each of something new: nginx answers them, accelerd fetches elsewhere."""
    end = time.monotonic() + seconds
    with contextlib.closing(lab.connect()) as connection:
        while time.monotonic() < end:
            connection.request(lab.request(next(names)))
            time.sleep(0.002)


def an_origin_in_trouble():
    """Its fetches become few, on few connections; when it is well again, so are the fills."""
    with netlab.scratch() as path:
        conf = configuration("lease: 5s\n" + ONE_CLASS).replace('"127.0.0.1:80"', '"127.0.0.1:9009"')
        include = 'location /new/ { add_header Cache-Control "max-age=3600"; return 200 "a body"; }'
        names = (f"/new/{number}" for number in range(10**9))
        with Lab(path, conf=conf, nginx_include=include) as lab:
            origin = Origin(lab)
            ask_for(lab, 1.5, names)
            good = origin.requests
            check(good > 100 and domain_info(lab)["fills"]["window"] == 4, f"only {good} fetches")
            counts = {}
            for manner, seconds in (("busy", 3), ("slow", 6)):
                wait_until(lambda: domain_info(lab)["fills"]["waiting"] == 0, "fills hang", 60)
                origin.manner, before = manner, origin.requests
                ask_for(lab, seconds, names)
                counts[manner] = origin.requests - before
                fills = domain_info(lab)["fills"]
                say(f"  {manner}: {counts[manner]} requests in {seconds} s; {fills}")
                check(fills["window"] < 4, f"no backing off: {fills}")
                if manner == "busy":
                    check(fills["paused_ms"] > 0 and fills["dropped"] > 0, f"{fills}")
                origin.manner = "good"
                lab.accelerd("stop")  # what was learnt is forgotten: each begins anew
                lab.accelerd("start")
                ask_for(lab, 0.5, names)
            check(counts["busy"] <= 20, f"{counts}")  # four at once, three pauses of 0.5 s and more
            check(counts["slow"] <= 80, f"{counts}")  # four without end would make 160
            check(origin.most <= 4, f"{origin.most} connections at once")
            origin.manner = "busy"
            ask_for(lab, 1, names)
            origin.manner, before = "good", origin.requests
            def recovered():
                ask_for(lab, 0.3, names)
                return domain_info(lab)["fills"]["window"] == 4 and origin.requests > before + 50
            wait_until(recovered, "does not recover", 30)
            origin.close()


if __name__ == "__main__":
    sys.exit(netlab.main([a_scan_displaces_nothing, shares_and_bounds, an_origin_in_trouble]))
