#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boosts domains as alerts say: a receiver of the webhooks (version "4") of Prometheus Alertmanager, beside boosterd.

A firing alert with the label `domain` is `wbctl boost on DOMAIN --for LIMIT`, which Alertmanager's repetitions renew, so
that a boost ends by itself when nobody speaks of it any more; a resolved one is `wbctl boost auto` (or off). A domain
that is `on` without a limit, or for longer than LIMIT, is so by another's word, and stays; so does, when an alert is
resolved, one that is not `on`.

It listens on the loopback only, takes nothing without the bearer token, and knows only the domains of its list. Answers:
200 done, or nothing to do; 401 wrong token; 400, 404, 411, 413, 415 no such notification; 422 an alert has no domain of
the list (the others are done); 502 wbctl failed, 504 it was late. Alertmanager tries those of 5xx again.

Python's standard library only. See docs/ORCHESTRATION.md; alertmanager.yml and alertmanager-webhook.service beside this
file belong to it.
"""

import argparse
import dataclasses
import hmac
import http.server
import ipaddress
import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

MAX_BODY = 256 * 1024
MAX_ALERTS = 1000
MAX_CONNECTIONS = 8  # at once
READ_S = 5  # for a whole request to arrive
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*\Z")
TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{32,512}\Z")
log = logging.getLogger()


class Answer(Exception):
    """What the sender is told, and nothing else happens."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def shown(text):
    """Of others' texts, in a line of the log."""
    return json.dumps(text)[:200]


def read_token(path):
    """The words of a file that nobody else can read; ValueError: it is not such a file."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077 or about.st_uid not in (0, os.geteuid()):
            raise ValueError(f"{path} has to be a file of root or of this user, with mode 0600")
        token = file.read(1024).removesuffix(b"\n")
    if not TOKEN.match(token):
        raise ValueError(f"{path} has to hold 32 to 512 letters, digits or . _ ~ + / = -, and no more than a line end")
    return token


def read_domains(path):
    """One a line, # begins a comment."""
    with open(path, encoding="utf-8") as file:
        domains = {name for line in file if (name := line.partition("#")[0].strip())}
    wrong = [name for name in domains if not DOMAIN.match(name)]
    if wrong or not domains:
        raise ValueError(f"{path} has to hold domains, one a line: {wrong}")
    return frozenset(domains)


@dataclasses.dataclass(frozen=True)
class Alert:
    firing: bool
    domain: str  # as it was said: it may be any text
    name: str


def _unique(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _need(condition, text):
    if not condition:
        raise Answer(400, text)


def parse_notification(body):
    """The alerts of a notification. Members that this does not need may be anything."""
    try:
        said = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Answer(400, "no JSON") from None
    _need(isinstance(said, dict) and said.get("version") == "4", 'no notification of version "4"')
    alerts = said.get("alerts")
    _need(isinstance(alerts, list) and 0 < len(alerts) <= MAX_ALERTS, f"not 1 to {MAX_ALERTS} alerts")
    if said.get("truncatedAlerts"):
        log.warning("alerts were left out of the notification: max_alerts of Alertmanager's webhook_configs is too low")
    return [parse_alert(alert) for alert in alerts]


def parse_alert(alert):
    _need(isinstance(alert, dict) and alert.get("status") in ("firing", "resolved"), "an alert that neither fires nor is resolved")
    labels = alert.get("labels")
    _need(isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values()), "labels are no texts")
    return Alert(alert["status"] == "firing", labels.get("domain", ""), labels.get("alertname", ""))


class Booster:
    """boosterd, by wbctl. One notification at a time, so that what is read and what is set belong together."""

    def __init__(self, options):
        self._command = [options.wbctl, "--socket", options.socket]
        self._limit_s = options.limit_s
        self._resolved = options.resolved
        self._turn = threading.Lock()

    def apply(self, wanted, deadline):
        """wanted: for each domain, whether an alert fires. What fails does not keep the others from being done."""
        if not self._turn.acquire(timeout=max(0, deadline - time.monotonic())):
            raise Answer(504, "others were first")
        try:
            now = self._domains(deadline)
            failed = [error for domain, firing in sorted(wanted.items())
                      if (error := self._apply_one(domain, firing, now, deadline))]
        finally:
            self._turn.release()
        if failed:
            raise Answer(max(error.code for error in failed), "; ".join(map(str, failed)))

    def _apply_one(self, domain, firing, now, deadline):
        words, why = self._decide(domain, firing, now)
        if not words:
            log.info("%s: %s: nothing to do: %s", domain, "firing" if firing else "resolved", why)
            return None
        try:
            said = self._wbctl(["boost", *words], deadline)
        except Answer as error:
            log.error("%s: boost %s: %s", domain, " ".join(words), error)
            return error
        log.info("%s: boost %s, for an alert is %s: %s", domain, " ".join(words), why, shown(said.strip()))
        return None

    def _decide(self, domain, firing, now):
        """The words for wbctl, or none, and why."""
        mode, left = now.get(domain, ("unknown", None))
        if mode == "on" and (left is None or left > self._limit_s):
            return None, "it is on without a limit, or with one that no alert has set"
        if firing:
            return ["on", domain, "--for", f"{self._limit_s}s"], "firing"
        if mode == "on":
            return [self._resolved, domain], "resolved"
        return None, f"its mode is {mode}, which no alert has set"

    def _domains(self, deadline):
        """Mode of each domain, and the seconds left of it, or None."""
        try:
            said = json.loads(self._wbctl(["--json", "boost", "status"], deadline))
            now = {domain["name"]: (domain["mode"], domain["until_s"]) for domain in said["domains"]}
            if all(left is None or isinstance(left, int) for _, left in now.values()):
                return now
        except (ValueError, LookupError, TypeError):
            pass
        raise Answer(502, "what wbctl says of the domains is not understood")

    def _wbctl(self, words, deadline):
        left = deadline - time.monotonic()
        if left < 1:
            raise Answer(504, "no time is left")
        try:
            # wbctl gives up by itself; if it does not, it is killed.
            done = subprocess.run([*self._command, "--timeout", str(int(left)), *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, errors="replace", timeout=left, check=False)
        except subprocess.TimeoutExpired:
            raise Answer(504, "wbctl was late, and ended") from None
        except OSError as error:
            raise Answer(502, f"wbctl cannot be run: {error.strerror}") from None
        if done.returncode:
            raise Answer(504 if done.returncode == 4 else 502, f"wbctl exits {done.returncode}: {shown(done.stderr.strip())}")
        return done.stdout


class Handler(http.server.BaseHTTPRequestHandler):
    """One request of a connection."""

    server_version = "webbooster-alerts"
    sys_version = ""

    def setup(self):
        super().setup()
        # However slowly its bytes drip.
        self._reader = threading.Timer(READ_S, self._give_up)
        self._reader.daemon = True
        self._reader.start()

    def finish(self):
        try:
            super().finish()
        finally:
            self._reader.cancel()

    def _give_up(self):
        try:
            self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # It is gone.

    def do_POST(self):
        try:
            self.server.receive(parse_notification(self._body()))
            self._answer(200, "done")
        except Answer as answer:
            log.log(logging.ERROR if answer.code >= 500 else logging.WARNING, "answered %d: %s", answer.code, answer)
            self._answer(answer.code, str(answer))

    def _body(self):
        given = self.headers.get_all("Authorization", [])
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1", "replace"), b"Bearer " + self.server.token):
            raise Answer(401, "wrong token")
        if self.path != "/alerts":
            raise Answer(404, "not here")
        if self.headers.get_content_type() != "application/json":
            raise Answer(415, "no application/json")
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not re.fullmatch("[0-9]{1,15}", lengths[0]):
            raise Answer(411, "no Content-Length")
        if int(lengths[0]) > MAX_BODY:
            raise Answer(413, f"larger than {MAX_BODY} bytes")
        body = self.rfile.read(int(lengths[0]))
        _need(len(body) == int(lengths[0]), "the body is not whole")
        return body

    def _answer(self, code, text):
        body = text.encode() + b"\n"
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Closed with bytes unread, TCP would reset the connection, and the answer be lost.
        self.connection.shutdown(socket.SHUT_WR)
        for _ in range(64):
            if not self.rfile.read1(65536):
                break

    def log_message(self, *_):
        pass  # Decisions are logged where they are made.


class Receiver(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 16

    def __init__(self, options, token, domains):
        self.address_family = socket.AF_INET6 if options.listen[0].version == 6 else socket.AF_INET
        super().__init__((str(options.listen[0]), options.listen[1]), Handler)
        self.token = token
        self.domains = domains
        self._timeout = options.timeout
        self._booster = Booster(options)
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def receive(self, alerts):
        """Of several alerts of a domain, one that fires is enough."""
        deadline = time.monotonic() + self._timeout
        wanted, unknown = {}, []
        for alert in alerts:
            if alert.domain not in self.domains:
                unknown.append(alert)
                log.warning("alert %s: domain %s is not of the list", shown(alert.name), shown(alert.domain))
                continue
            wanted[alert.domain] = wanted.get(alert.domain, False) or alert.firing
        if wanted:
            self._booster.apply(wanted, deadline)
        if unknown:
            raise Answer(422, f"{len(unknown)} alerts without a domain of the list")

    def process_request(self, request, client_address):
        if not self._slots.acquire(blocking=False):
            log.warning("more than %d connections at once", MAX_CONNECTIONS)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request, client_address):
        log.warning("connection lost: %s", shown(str(sys.exc_info()[1])))


def loopback(text):
    host, _, port = text.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_loopback or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError
    return address, int(port)


def duration(text):
    if not re.fullmatch("[1-9][0-9]{0,4}[smh]", text):
        raise ValueError
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def timeout(text):
    if not text.isdecimal() or not 2 <= int(text) <= 60:
        raise ValueError
    return int(text)


def parse_options():
    parser = argparse.ArgumentParser(description="Boosts domains as alerts of Prometheus Alertmanager say.")
    parser.add_argument("--listen", type=loopback, default="127.0.0.1:9469", metavar="ADDRESS:PORT", help="of the loopback (%(default)s)")
    parser.add_argument("--token-file", required=True, help="the bearer token; mode 0600")
    parser.add_argument("--domains", required=True, metavar="FILE", help="domains that may be boosted, one a line")
    parser.add_argument("--for", dest="limit_s", type=duration, default="30m", metavar="DURATION",
                        help="how long a boost lasts that no notification renews (%(default)s)")
    parser.add_argument("--resolved", choices=("auto", "off"), default="auto", help="the mode after an alert (%(default)s)")
    parser.add_argument("--wbctl", default="/usr/bin/wbctl", help="%(default)s")
    parser.add_argument("--socket", default="/run/webbooster/boosterd.sock", help="boosterd's control socket (%(default)s)")
    parser.add_argument("--timeout", type=timeout, default=8, metavar="S",
                        help="for all that a notification asks for; below 10, or below Alertmanager's group_interval (%(default)s)")
    return parser.parse_args()


def main():
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    options = parse_options()
    try:
        server = Receiver(options, read_token(options.token_file), read_domains(options.domains))
    except (OSError, ValueError) as error:
        log.error("%s", error)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("listening on %s, for %s", server.server_address[:2], ", ".join(sorted(server.domains)))
    server.serve_forever()
    server.server_close()  # Waits for what is under way.
    return 0


if __name__ == "__main__":
    sys.exit(main())
