# SPDX-License-Identifier: Apache-2.0
"""A lab with two boosters behind one domain, and a real etcd that keeps their modes (tests/support/boosters_net.sh)."""

import contextlib
import http.client
import pathlib
import re
import secrets
import signal
import subprocess
import time

import netlab
from boost_lab import api, state
from netlab import Lab, check

BUILD_NET = netlab.SUPPORT / "boosters_net.sh"
BOOSTER2 = "198.18.8.2"  # for the origin
REDIRECT = """redirect:
  interfaces: [{interfaces}]
  pin_dir: {pin_dir}
  state_file: {run}/boost.json
  tunnel: [198.18.9.{own}, "fd00:198:18:9::{own}"]
  peers: [198.18.9.{other}]
  peer_key_file: {key}
  etcd: {{ endpoints: ["http://198.18.{etcd}.1:2379"] }}
"""
SECOND = """instance: {prefix}-2
runtime_dir: {run}
api: {{ socket: {run}/boosterd.sock }}
metrics: {{ listen: "127.0.0.1:9465" }}
listeners:
  - {{ address: "{vip}:80" }}
  - {{ address: "[{vip6}]:80" }}
{redirect}domains:
  - name: {domain}
    origins: [{{ address: "198.18.8.1:80", key_file: {origin_key}, catalogue: "198.18.8.1:9466" }}]
    redirect: {{ vips: [{vip}, "{vip6}"], ports: [80], hold: 3s, switches: 10 }}
"""


def until(what, holds, seconds):
    """Seconds until it holds."""
    began = time.monotonic()
    while not holds():
        check(time.monotonic() < began + seconds, f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - began


class Process:
    """A program in a namespace of the lab; what it writes is in `log`. It is gone when the lab is, too."""

    def __init__(self, lab, host, log):
        self._enter = ["nsenter", f"--net=/run/netns/{lab.prefix}-{host}"]
        self.log = log
        self._process = None

    def run(self, *argv):
        with open(self.log, "a", encoding="utf-8") as log:
            # The daemon's own pid: nsenter becomes it.
            self._process = subprocess.Popen([*self._enter, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self):
        return self._process.pid

    def end(self, number):
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def running(self):
        return self._process is not None and self._process.poll() is None

    def tail(self):
        file = pathlib.Path(self.log)
        return "\n".join(file.read_text(encoding="utf-8").splitlines()[-15:]) if file.exists() else "it has none"


class Second:
    """The second booster; `env` and `domain` as of a lab, for boost_lab and booster_lab."""

    def __init__(self, lab, config, run):
        self.domain = lab.domain
        self.env = {"BOOSTERD_SOCK": f"{run}/boosterd.sock", "BUILD_DIR": lab.env["BUILD_DIR"]}
        self._config = config
        self._process = Process(lab, "booster2", run / "boosterd.log")

    def answers(self):
        try:
            return api(self, "GET", "/v1/status")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def start(self):
        self._process.run(f"{self.env['BUILD_DIR']}/booster/boosterd/boosterd", "--config", self._config)

        def settled():
            check(self._process.running(), f"the second boosterd has ended: {self._process.tail()}")
            return self.answers()

        until("the second boosterd answers", settled, 15)

    def end(self, number=signal.SIGKILL):
        self._process.end(number)

    def tail(self):
        return self._process.tail()


class Etcd:
    """Debian's, alone, without the patience of a disk."""

    def __init__(self, lab, run):
        run.mkdir()
        self._data = run / "data"
        self._process = Process(lab, "etcd", run / "log")

    def start(self):
        peers = "http://127.0.0.1:2380"
        self._process.run("etcd", "--data-dir", self._data, "--unsafe-no-fsync", "--listen-client-urls", "http://0.0.0.0:2379",
                          "--advertise-client-urls", "http://198.18.10.1:2379", "--listen-peer-urls", peers,
                          "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}")

    def end(self, number=signal.SIGKILL):
        self._process.end(number)


class Pair:
    """lab: its boosterd is the first one. second, etcd: running."""

    def __init__(self, lab, second, etcd):
        self.lab, self.second, self.etcd = lab, second, etcd
        self.both = (lab, second)

    def link(self, host, name, to):
        """An interface of a host up or down; `name` without the lab's prefix."""
        subprocess.run(["ip", "-n", f"{self.lab.prefix}-{host}", "link", "set", f"{self.lab.prefix}{name}", to], check=True)

    def ports(self, host):
        """Of the client's connections to the VIP that are open at a booster."""
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.lab.prefix}-{host}", "ss", "-Htn", "state", "established", "src",
                               self.lab.env["VIP_SITE"]], check=True, text=True, capture_output=True)
        return {int(line.split()[3].rsplit(":", 1)[1]) for line in done.stdout.splitlines()}

    def modes(self):
        return tuple(state(one)["mode"] for one in self.both)

    def states(self):
        return tuple(state(one)["state"] for one in self.both)

    def joined(self):
        """Each hears of the other, and etcd is well."""
        answers = [api(one, "GET", "/v1/boost")[1] for one in self.both]
        return all(answer["store_healthy"] and [peer["alive"] for peer in answer["peers"]] == [True] for answer in answers)


def _configure(lab):
    """Both configurations; the first one's is the lab's with more. Returns the path of the second one's."""
    run = pathlib.Path(lab.env["RUN_DIR"])
    key = run / "peers.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    prefix = lab.prefix
    first = pathlib.Path(lab.env["BOOSTERD_CONF"])
    redirect = REDIRECT.format(interfaces=f"{prefix}b1, {prefix}b3", pin_dir=lab.env["DIRECTOR_PIN_DIR"], run=run / "booster", own=1,
                               other=2, key=key, etcd=10)
    text, count = re.subn(r"(?m)^redirect:\n(  .*\n)+", lambda _: redirect, first.read_text())
    check(count == 1, "the lab's configuration of boosterd has no section redirect")
    first.write_text(text)
    own = run / "booster2"
    own.mkdir()
    redirect = REDIRECT.format(interfaces=f"{prefix}x1, {prefix}x2", pin_dir=lab.env["DIRECTOR_PIN_DIR"] + "2", run=own, own=2, other=1,
                               key=key, etcd=11)
    second = own / "boosterd.yaml"
    second.write_text(SECOND.format(prefix=prefix, run=own, vip=lab.env["VIP_SITE"], vip6=lab.env["VIP_SITE6"], redirect=redirect,
                                    domain=lab.domain, origin_key=lab.env["KEY_FILE"]))
    return second


@contextlib.contextmanager
def pair(path):
    """Calm, and joined. path: the document root."""
    conf = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    known = "addresses: [@BOOSTER_IP@,"
    check(known in conf, "the lab's configuration of accelerd has no such line")
    with Lab(docroot=path, booster=True, conf=conf.replace(known, f"{known} {BOOSTER2},")) as lab:
        subprocess.run([BUILD_NET, lab.prefix], check=True)
        config = _configure(lab)
        etcd = Etcd(lab, pathlib.Path(lab.env["RUN_DIR"]) / "etcd")
        second = Second(lab, config, config.parent)
        try:
            etcd.start()
            lab.boosterd("stop")
            lab.boosterd("start")
            second.start()
            made = Pair(lab, second, etcd)
            until("both boosters hear of each other and of etcd", made.joined, 20)
            yield made
        except BaseException:
            netlab.say(f"the end of the second boosterd's log:\n{second.tail()}")
            raise
        finally:
            second.end(signal.SIGTERM)
            etcd.end()
