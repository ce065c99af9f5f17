# SPDX-License-Identifier: Apache-2.0
"""What orchestration_test.py runs the examples against: boosterd in a lab, and a wbctl that only writes down what it is
asked to do.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import netlab
from boost_lab import who
from netlab import REPO, Lab, check

EXAMPLES = REPO / "deploy" / "examples"
TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz"
PORT = 9469
HOOK_USER = 64999  # of no name: one that may use boosterd's socket, and nothing else


def run(*argv, **options):
    return subprocess.run(list(map(str, argv)), text=True, capture_output=True, check=False, **options)


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"not within {seconds} s: {what()}")
        time.sleep(0.1)


class Peak:
    """boosterd and the origins of a lab; both domains are off, and the user HOOK_USER may say otherwise."""

    def __init__(self, lab):
        self.lab = lab
        self.wbctl = lab.env["WBCTL"]
        self.socket = lab.env["BOOSTERD_SOCK"]
        self.domains = [lab.env["DOMAIN"], lab.env["DOMAIN2"]]
        self._vips = dict(zip(self.domains, (lab.env["VIP_SITE"], lab.env["VIP_SHOP"])))

    def boost(self, *words):
        done = run(self.wbctl, "--socket", self.socket, "--json", "boost", *words)
        check(done.returncode == 0, f"wbctl boost {words} exits {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def now(self, domain):
        return next(row for row in self.boost("status")["domains"] if row["name"] == domain)

    def goes_to(self, domain):
        """Where a new connection to the domain's VIP is accepted."""
        with self.lab.inside("client"):
            return who(self.lab, self._vips[domain], host=domain)

    def expect(self, domain, mode, side):
        now = self.now(domain)
        check(now["mode"] == mode, f"{domain}: mode {now['mode']}, not {mode}")
        check((got := self.goes_to(domain)) == side, f"{domain} is {mode}, and new connections go to the {got}")

    @contextlib.contextmanager
    def frozen(self):
        """boosterd accepts connections of its socket, and answers none."""
        pid = int(self.lab.env["BOOSTERD_PID"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def peak():
    conf = (REPO / "deploy" / "lab" / "boosterd.yaml.in").read_text()
    access = "api: { socket: @BOOSTERD_SOCK@"
    check(access in conf, "the lab's configuration has no such line")
    conf = conf.replace(access, f'{access}, mode: "0666", allow: ["user:{HOOK_USER}"]')
    with netlab.scratch() as path, Lab(netlab.make_docroot(path, [700]), booster=True, booster_conf=conf) as lab:
        yield Peak(lab)


class RecordingWbctl:
    """A wbctl that keeps what it is called with. The domains site.test and shop.test are off, unless told otherwise."""

    def __init__(self, path):
        self._path = path
        self.program = path / "wbctl"
        self.set_domains()
        self.behave("exit 0")
        self.program.write_text(f"""#!/usr/bin/env bash
printf '%s\\0' "$@" >>{path}/call && printf '\\n' >>{path}/call
. {path}/behaviour
""")
        self.program.chmod(0o755)

    def behave(self, text):
        """text: shell words, for what is not a question for the domains."""
        (self._path / "behaviour").write_text(f'[[ $* != *"boost status"* ]] || exec cat {self._path}/status\n{text}\n')

    def set_domains(self, **modes):
        """modes: of site and shop, (mode, state, until_s)."""
        rows = [{"name": f"{name}.test", "mode": mode, "state": state, "until_s": left, "reason": "capacity"}
                for name, (mode, state, left) in ({"site": ("off", "calm", None), "shop": ("off", "calm", None)} | modes).items()]
        (self._path / "status").write_text(json.dumps({"domains": rows}))

    def calls(self):
        """Since the last time; without the questions, and without the options before `boost`."""
        file = self._path / "call"
        lines = file.read_text().split("\0\n")[:-1] if file.exists() else []
        file.unlink(missing_ok=True)
        words = [line.split("\0") for line in lines]
        return [line[line.index("boost"):] for line in words if line[-2:] != ["boost", "status"]]


class Webhook:
    """A running alertmanager-webhook.py; options are those of its command line."""

    def __init__(self, path, *options, before=(), lab=None, port=PORT):
        self.lab = lab
        self.port = port
        self.log = path / "log"
        token = path / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        if before:
            os.chown(token, HOOK_USER, -1)
        (path / "domains").write_text("# of the test\nsite.test\nshop.test # both\n")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-I", EXAMPLES / "alertmanager-webhook.py", "--listen", f"127.0.0.1:{port}", "--token-file",
                 token, "--domains", path / "domains", *map(str, options)], stderr=log)

    def __enter__(self):
        try:
            until(self._listens, 10, self.log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def _listens(self):
        check(self.process.poll() is None, f"the receiver ends: {self.log.read_text()}")
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def connect(self):
        with self.lab.inside("booster") if self.lab else contextlib.nullcontext():
            return socket.create_connection(("127.0.0.1", self.port), 30)

    def raw(self, data):
        """Status of what is answered to these bytes; 0: nothing is."""
        with self.connect() as connection:
            connection.sendall(data)
            response = http.client.HTTPResponse(connection)
            try:
                response.begin()
            except (http.client.HTTPException, ConnectionError):
                return 0
            return response.status

    def post(self, body, token=TOKEN, path="/alerts", **fields):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Host": "localhost", "Content-Type": "application/json", "Authorization": f"Bearer {token}",
                 "Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in fields.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        return self.raw(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)


def alert(domain, status="firing", **labels):
    return {"status": status, "labels": {"alertname": "Busy", "boost": "yes", "domain": domain} | labels, "annotations": {},
            "startsAt": "2026-01-02T03:04:05Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "c6eadffa33fcdf37"}


def notification(*alerts, **members):
    """As Alertmanager's documentation has it."""
    firing = any(one["status"] == "firing" for one in alerts)
    return {"version": "4", "groupKey": '{}:{boost="yes"}', "truncatedAlerts": 0, "status": "firing" if firing else "resolved",
            "receiver": "webbooster", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://localhost:9093", "alerts": list(alerts)} | members


class Alertmanager:
    """The real one, with the example's configuration and other times, beside the receiver."""

    PORT = 9093

    def __init__(self, path, lab):
        conf = (EXAMPLES / "alertmanager.yml").read_text()
        for before, after in (("group_interval: 30s", "group_interval: 1s"), ("repeat_interval: 10m", "repeat_interval: 2s"),
                              ("/etc/prometheus/webbooster.token", str(path / "token"))):
            check(before in conf, f"the example has no {before}")
            conf = conf.replace(before, after)
        (path / "alertmanager.yml").write_text(conf)
        self.lab = lab
        self._log = (path / "alertmanager.log").open("w")
        self.process = subprocess.Popen(
            lab.command("booster", "prometheus-alertmanager", "--config.file", path / "alertmanager.yml", "--storage.path", path / "data",
                        "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{self.PORT}"), stdout=self._log, stderr=self._log)

    def __enter__(self):
        try:
            until(lambda: self._ask("GET", "/-/ready") == 200, 20, lambda: "Alertmanager is not ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._log.close()

    def _ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.PORT, timeout=10)
        try:
            with self.lab.inside("booster"):
                connection.connect()
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().status
        except ConnectionError:
            return 0
        finally:
            connection.close()

    def tell(self, domain, seconds):
        """An alert that is firing for so many seconds from now; 0: it is resolved."""
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + (seconds or -1)))
        labels = {"alertname": "SiteSlow", "boost": "yes", "domain": domain}
        status = self._ask("POST", "/api/v2/alerts", [{"labels": labels, "endsAt": ends}])
        check(status == 200, f"Alertmanager answers {status}")


class Ansible:
    """Runs boost.yml on two hosts, which are this machine."""

    def __init__(self, path, **variables):
        self._path = path
        self._variables = variables
        self._env = {**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(path / "ansible"), "ANSIBLE_LOCAL_TEMP": str(path / "ansible"),
                     "ANSIBLE_REMOTE_TEMP": str(path / "ansible"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(path / "ansible.cfg")}
        (path / "ansible.cfg").touch()
        (path / "hosts").write_text("[boosters]\nb1\nb2\n[all:vars]\nansible_connection=local\n"
                                    "ansible_python_interpreter=/usr/bin/python3\n")

    def play(self, *options, **variables):
        """(exit code, for each host that was reached how many tasks changed something, what was printed)."""
        extra = json.dumps(self._variables | variables)
        done = run("ansible-playbook", "-i", self._path / "hosts", EXAMPLES / "boost.yml", "-e", extra, *options, env=self._env)
        recap = done.stdout.rpartition("PLAY RECAP")[2].splitlines()[1:]
        changed = {line.split()[0]: int(line.split("changed=")[1].split()[0]) for line in recap if "changed=" in line}
        return done.returncode, changed, done.stdout + done.stderr


