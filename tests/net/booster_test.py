#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boosterd before the accelerated origin: bytes, hits by key, origins that die, reloads, slow clients.

The client's requests go to boosterd; what port 8080 of the origin answers, which neither XDP nor boosterd touch, is
what must come.
"""

import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time

import netlab
from booster_lab import ORIGIN, ORIGIN2, TO, booster, resident, restart_with
from netlab import Lab, check, finish_load, say

SMALL = [f"/s{size}.html" for size in (1, 700, 1400, 3000, 9000)]
SIZES = (1, 700, 1400, 3000, 9000, 15000, 40000, 300000)
# Of one connection: the one of whoever relays.
OWN_FIELDS = {"date", "connection", "keep-alive", "transfer-encoding", "via"}


def site(path):
    netlab.make_docroot(path, SIZES, compressed=(3000, 9000))
    return path


def first_origin(lab):
    return booster(lab)["domains"][0]["origins"][0]


def await_keys(lab, least):
    end = time.monotonic() + 10
    while first_origin(lab)["catalogued_keys"] < least:
        check(time.monotonic() < end, f"the catalogue has {first_origin(lab)['catalogued_keys']} keys, not {least}")
        time.sleep(0.05)


def essence(head, body):
    """Status, fields of the representation, and body."""
    lines = head.decode("latin-1").split("\r\n")
    fields = sorted((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)
                    if name.lower() not in OWN_FIELDS)
    return lines[0].split(" ", 2)[1], fields, body


REQUESTS = [(target, fields, method) for target in [f"/s{size}.html" for size in SIZES] + ["/", "/none", "/dynamic/x?a=1"]
            for fields, method in (((), "GET"), ((), "HEAD"), ((("Accept-Encoding", "gzip"),), "GET"),
                                   ((("Range", "bytes=10-99"),), "GET"), ((("Range", "bytes=-7"),), "GET"),
                                   ((("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT"),), "GET"),
                                   ((("Cookie", "a=b"),), "GET"))] + [("/s700.html", (), "OPTIONS"), ("/s700.html", (), "DELETE")]


def compare_all(lab, family):
    reference = lab.connect(8080, family=family)
    boosted = lab.connect(80, family=family, to=TO)
    for target, fields, method in REQUESTS:
        request = lab.request(target, fields, method)
        answers = [essence(answer.head, answer.body) for answer in
                   (connection.request(request, method.encode()) for connection in (reference, boosted))]
        check(answers[0] == answers[1], f"{method} {target} {fields}: {answers[0][:2]} and {answers[1][:2]}")
    reference.close()
    boosted.close()


def bytes_are_the_same():
    """Cold, then from the cache, over IPv4 and IPv6; then by curl over TLS, HTTP/1.1 and HTTP/2."""
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        for family in (4, 6, 4):
            compare_all(lab, family)
        # Misses of the booster have filled the cache.
        await_keys(lab, 5)
        before = first_origin(lab)["hits"]
        compare_all(lab, 4)
        check(first_origin(lab)["hits"] > before, f"no request went by key: {first_origin(lab)}")
        at = f"{lab.domain}:443:{lab.address(host=TO)}"
        for version in ("--http1.1", "--http2"):
            for size in SIZES:
                done = subprocess.run(lab.command("client", "curl", "-s", "--cacert", lab.env["CA_CERT"], "--resolve", at,
                                                  version, "--compressed", f"https://{lab.domain}/s{size}.html"),
                                      capture_output=True)
                check(done.returncode == 0, f"curl {version} s{size}: {done.returncode}")
                check(done.stdout == (path / f"s{size}.html").read_bytes(), f"curl {version}: other bytes for s{size}")


def load_by_key():
    """64 clients: every byte, and many requests to a packet."""
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        lab.warm(*SMALL)
        await_keys(lab, len(SMALL))
        before = lab.reasons()
        report = lab.load(SMALL, 4, "--connections", 64, to=TO)
        origin, grown = first_origin(lab), netlab.difference(lab.reasons(), before)
        keyed = grown.get("in/hit_keyed", 0) + grown.get("in/hit", 0)
        say(f"  {report['completed']} requests, {origin['hits']} by key, in {keyed} packets")
        check(origin["hits"] >= 0.95 * report["completed"], f"only {origin['hits']} by key")
        check(keyed * 2 <= report["completed"], f"{keyed} packets of requests for {report['completed']} requests")
        misses = sum(grown.get(f"in/{name}", 0) for name in ("key_unknown", "congestion_window", "flights", "window"))
        check(misses <= 0.01 * report["completed"] + 20, f"the accelerator left {misses} packets to the web server: {grown}")


def a_hot_object_changes():
    """Links that had to ask the web server for it are the accelerator's again at once, however full they are."""
    target, clients = "/s15000.html", 64
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        lab.warm(target)
        await_keys(lab, 1)
        # h2load, because it is the fastest: links that are not full recover by themselves.
        load = lab.start("client", "h2load", "--h1", "-t1", f"-c{clients}", "-D", "14", f"--connect-to={lab.address(host=TO)}:80",
                         f"http://{lab.domain}{target}")
        shares = []
        while len(shares) < 6:
            time.sleep(0.3)
            lab.wbctl("cache", "purge", f"http://{lab.domain}{target}")
            await_hits(lab, load)
            time.sleep(0.3)
            before = lab.reasons()
            time.sleep(0.5)
            grown = netlab.difference(lab.reasons(), before)
            if load.poll() is not None:
                break
            left = sum(grown.get(f"in/{name}", 0) for name in ("kernel_busy", "kernel_unacked", "out_of_order"))
            hits = grown.get("in/hit_keyed", 0)
            shares.append(hits / (hits + left) if hits else 0)
        text = load.communicate()[0]
        say(f"  XDP answered, of packets of requests: {', '.join(f'{share:.1%}' for share in shares)}")
        check(" 0 failed, 0 errored, 0 timeout" in text, text[-1000:])
        check(len(shares) >= 3, f"{len(shares)} purges in the time")
        check(min(shares) >= 0.9, f"links stay the web server's after a purge: {shares}")


def await_hits(lab, load):
    end, before = time.monotonic() + 5, lab.reasons().get("in/hit_keyed", 0)
    while lab.reasons().get("in/hit_keyed", 0) < before + 10 and load.poll() is None:
        check(time.monotonic() < end, "no hit for 5 s after a purge")
        time.sleep(0.02)


def accelerators_come_and_go():
    """accelerd is killed and started under load: its catalogue is forgotten and told again, and nobody notices."""
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        lab.warm(*SMALL)
        await_keys(lab, len(SMALL))
        load = lab.start(*lab.load_command(SMALL, 8, "--connections", 16, to=TO))
        time.sleep(1)
        lab.accelerd("kill")
        time.sleep(1.5)
        lab.accelerd("start")
        await_keys(lab, len(SMALL))
        finish_load(load)


def with_two_origins(lab, more=""):
    health = "health: { path: /s1.html, interval: 100ms, timeout: 300ms, rise: 2, fall: 2, slow_start: 0ms }"
    restart_with(lab, [f"{ORIGIN}:80", f"{ORIGIN2}:80"], f"{health}\n    {more}")


def stop_and_go(pids, number):
    for pid in pids:
        os.kill(pid, number)


def other_origins_take_over():
    """One of two origins hangs, then its web server is gone: GETs are answered all the same."""
    with netlab.scratch() as path, Lab(site(path), booster=True, without="accel") as lab:
        with_two_origins(lab)
        load = lab.start(*lab.load_command(SMALL, 8, "--connections", 8, "--timeout", 5, to=TO))
        time.sleep(1)
        workers = lab.nginx_workers()
        stop_and_go(workers, signal.SIGSTOP)
        time.sleep(2.5)
        stop_and_go(workers, signal.SIGCONT)
        time.sleep(1)
        os.kill(int(lab.env["NGINX_PID"]), signal.SIGTERM)
        report = finish_load(load)
        origins = booster(lab)["domains"][0]["origins"]
        check([origin["up"] for origin in origins] == [False, True], f"{origins}")
        check(report["completed"] > 100, f"{report}")


def names_of_the_certificate(lab, host=None):
    """Of the one that a client gets which names this host in TLS, or none; None: it gets no connection."""
    context = ssl.create_default_context(cafile=lab.env["CA_CERT"])
    context.check_hostname = False
    plain = lab.connect(443, to=TO).sock
    try:
        with context.wrap_socket(plain, server_hostname=host) as connection:
            return [name for _, name in connection.getpeercert()["subjectAltName"]]
    except ssl.SSLError as error:
        check("UNRECOGNIZED_NAME" in str(error).upper(), f"{error}")
        return None
    finally:
        plain.close()


def who_names_no_host_gets_the_default_certificate(lab, config):
    text, first, second = config.read_text(), lab.domain, lab.env["DOMAIN2"]
    check(names_of_the_certificate(lab) is None, "without a default there is a connection")
    for default in (second, first, ""):
        config.write_text(text + f'default_certificate: "{default}"\n')
        lab.must("booster", f"{lab.env['BUILD_DIR']}/ctl/wbctl/wbctl", "booster", "reload", "--socket", lab.env["BOOSTERD_SOCK"])
        found = names_of_the_certificate(lab)
        check(found == ([default] if default else None), f"{default!r}: the certificate of {found}")
        check(names_of_the_certificate(lab, first) == [first], "another certificate than the named host's")
    config.write_text(text)


def reloads_lose_nothing():
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        lab.warm(*SMALL)
        config = pathlib.Path(lab.env["BOOSTERD_CONF"])
        text = config.read_text()
        who_names_no_host_gets_the_default_certificate(lab, config)
        load = lab.start(*lab.load_command(SMALL + ["/s300000.html"], 6, "--connections", 16, to=TO))
        for number in range(20):
            config.write_text(text + f"timeouts: {{ idle: {60 + number}s }}\n")
            os.kill(int(lab.env["BOOSTERD_PID"]), signal.SIGHUP)
            time.sleep(0.2)
        config.write_text("nonsense\n")
        os.kill(int(lab.env["BOOSTERD_PID"]), signal.SIGHUP)
        finish_load(load)
        log = pathlib.Path(lab.env["BOOSTERD_LOG"]).read_text()
        check(log.count("reloaded: ") >= 20 and "not reloaded: " in log, log[-2000:])


def a_stop_lets_downloads_end():
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        connection = lab.connect(80, to=TO)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.send(lab.request("/s300000.html"))
        time.sleep(0.3)
        os.kill(int(lab.env["BOOSTERD_PID"]), signal.SIGTERM)
        time.sleep(0.3)
        answer = connection.read_response()
        check(answer.body == (path / "s300000.html").read_bytes(), "the download was cut")


def slow_clients_hold_memory_only():
    """Thousands that are idle, drip a head or do not read; the others are served, and memory is bounded."""
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        with_two_origins(lab, "quota: { rate: 0 }")
        pid = lab.env["BOOSTERD_PID"]
        before = resident(pid)
        idle, half, greedy = [], [], []
        for number in range(1500):
            connection = lab.connect(80, to=TO)
            (idle, half, greedy)[number % 3].append(connection)
            if number % 3 == 1:
                connection.send(b"GET / HTTP/1.1\r\nHost: si")
            elif number % 3 == 2:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.send(lab.request("/s300000.html") * 4)
        # The bound on one address is 1000 connections: the rest were ended.
        status = booster(lab)["connections"]
        check(status["open"] <= 1000, f"{status}")
        report = lab.load(SMALL, 3, "--connections", 8, to=TO, host="booster")
        grown = resident(pid) - before
        say(f"  {report['completed']} requests beside {status['open']} slow clients, {grown >> 20} MiB more")
        check(report["completed"] > 500, f"{report}")
        check(grown < 350 * (600 << 10), f"{grown} bytes for {len(greedy)} clients that do not read")
        for connection in idle + half + greedy:
            connection.close()


def quotas_refuse_the_one_who_asks_too_much():
    with netlab.scratch() as path, Lab(site(path), booster=True) as lab:
        with_two_origins(lab, "client_quota: { rate: 10, burst: 20 }")
        connection = lab.connect(80, to=TO)
        answers = [connection.request(lab.request("/s700.html")).status for _ in range(30)]
        check(answers.count(200) >= 20 and 429 in answers, f"{answers}")
        check(answers.count(200) <= 20 + 10 * 4, f"{answers}")
        connection.close()
        # Another client is not concerned.
        with lab.inside("booster"):
            other = netlab.wbhttp.Connection(lab.address(host=TO), 80, 10.0)
        check(other.request(lab.request("/s700.html")).status == 200, "another client was refused")
        other.close()


if __name__ == "__main__":
    sys.exit(netlab.main([bytes_are_the_same, load_by_key, a_hot_object_changes, accelerators_come_and_go, other_origins_take_over,
                          reloads_lose_nothing, a_stop_lets_downloads_end, slow_clients_hold_memory_only,
                          quotas_refuse_the_one_who_asks_too_much]))
