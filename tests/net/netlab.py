# SPDX-License-Identifier: Apache-2.0
"""A lab of deploy/lab.sh for one test: made, used and removed whatever happens.

    with Lab(docroot=make_docroot(...)) as lab:
        connection = lab.connect(80)

The prefix holds the pid of the test, so labs of tests that run at once differ, and a lab whose test
was killed is found and removed by the next test. Sockets are made in a namespace of the lab by
entering it for a moment (a socket stays where it was made). Not thread-safe but for connect().
"""

import contextlib
import ctypes
import gzip
import http.client
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
SUPPORT = REPO / "tests" / "support"
LAB_SH = str(REPO / "deploy" / "lab.sh")
WIRE_SH = str(SUPPORT / "wire_lab.sh")
sys.path.insert(0, str(SUPPORT))
os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")

import wbhttp  # noqa: E402  (found by the path above)

CLONE_NEWNET = 0x40000000
DIGITS = string.digits + string.ascii_lowercase
_LIBC = ctypes.CDLL(None, use_errno=True)
_COUNT = 0


class TestFailure(Exception):
    """A requirement that does not hold."""


def check(condition, text):
    if not condition:
        raise TestFailure(text)


def say(text):
    print(text, flush=True)


def _base36(number):
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text


def _new_prefix():
    """nt, the pid in five digits, a counter: eight characters, the most that a lab takes."""
    global _COUNT
    _COUNT += 1
    return f"nt{_base36(os.getpid()).rjust(5, '0')}{_base36(_COUNT)}"


def remove_abandoned():
    """Labs of tests that are no more."""
    found = subprocess.run([LAB_SH, "list"], capture_output=True, text=True).stdout.split()
    for prefix in found:
        if len(prefix) != 8 or not prefix.startswith("nt"):
            continue
        try:
            os.kill(int(prefix[2:7], 36), 0)
        except ProcessLookupError:
            say(f"removing lab {prefix} of a test that was killed")
            subprocess.run([WIRE_SH, "remove", prefix], stdout=subprocess.DEVNULL)
            subprocess.run([LAB_SH, "down", "--prefix", prefix])
        except PermissionError:
            pass


class UnixConnection(http.client.HTTPConnection):
    """To the control socket."""

    def __init__(self, path):
        super().__init__("accelerd", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lab:
    """wire: options of the bad wire between client and origin (wire.c), or None. The other
    arguments are options of `lab.sh up`; conf, booster_conf and nginx_include are texts, not files.
    bulk: whether objects above 16 KiB are sent by accelerd, and not misses. booster: whether there
    are boosterd and the second origin.
    """

    def __init__(self, docroot, wire=None, conf=None, nginx_include=None, bulk=False, booster=False,
                 booster_conf=None, **options):
        if conf is None:
            conf = (REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
        if not bulk and "\nbulk:" not in conf:
            conf = "bulk: { memory: 0 }\n" + conf
        self.docroot = str(docroot)
        self.wire_options = wire
        self.texts = {"conf": conf, "nginx-include": nginx_include, "booster-conf": booster_conf}
        self.booster = booster
        self.options = options
        self.prefix = _new_prefix()
        self.env = {}
        self._files = contextlib.ExitStack()

    def __enter__(self):
        command = [LAB_SH, "up", "--prefix", self.prefix, "--docroot", self.docroot]
        if not self.booster:
            command += ["--without", "booster"]
        for name, text in self.texts.items():
            if text is not None:
                file = self._files.enter_context(tempfile.NamedTemporaryFile("w", suffix=name))
                file.write(text)
                file.flush()
                command += [f"--{name}", file.name]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            self.refresh()
            if self.wire_options is not None:
                self.wire("insert", *self.wire_options)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and self.env:
            for name in ("ACCELERD_LOG", "ORIGIN2_ACCELERD_LOG", "BOOSTERD_LOG"):
                log = pathlib.Path(self.env[name] or "/nonexistent")
                if log.exists():
                    say(f"the end of {name}:\n" + "\n".join(log.read_text().splitlines()[-15:]))
        # An orphaned relay would hold its namespace.
        subprocess.run([WIRE_SH, "remove", self.prefix], stdout=subprocess.DEVNULL)
        subprocess.run([LAB_SH, "down", "--prefix", self.prefix], check=kind is None)
        self._files.close()

    def refresh(self):
        """Reads the environment again: pids change."""
        text = subprocess.run([LAB_SH, "env", "--prefix", self.prefix], check=True, text=True,
                              capture_output=True).stdout
        self.env = dict(word.split("=", 1) for word in shlex.split(text))

    def address(self, family=4, host="ORIGIN"):
        return self.env[f"{host}_IP6" if family == 6 else f"{host}_IP"]

    @property
    def domain(self):
        return self.env["DOMAIN"]

    # Commands.

    def command(self, host, *argv):
        return [LAB_SH, "exec", "--prefix", self.prefix, host, *map(str, argv)]

    def run(self, host, *argv, **options):
        return subprocess.run(self.command(host, *argv), text=True, capture_output=True, **options)

    def must(self, host, *argv):
        done = self.run(host, *argv)
        check(done.returncode == 0, f"{argv} on {host} exits {done.returncode}: {done.stdout}"
              f"{done.stderr}")
        return done.stdout

    def start(self, host, *argv, **more):
        return subprocess.Popen(self.command(host, *argv), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **more)

    def accelerd(self, verb):
        self.daemon("accelerd", verb)

    def boosterd(self, verb):
        self.daemon("boosterd", verb)

    def daemon(self, name, verb):
        """name: accelerd, accelerd2 or boosterd."""
        subprocess.run([LAB_SH, name, "--prefix", self.prefix, verb], check=True)
        self.refresh()

    def wire(self, verb, *options, between="client-origin"):
        # With TSO the wire segments, as the device would.
        done = subprocess.run([WIRE_SH, verb, self.prefix, *map(str, options)], text=True,
                              capture_output=True,
                              env={**os.environ, "WIRE_ORIGIN_OFFLOADS": self.env["TSO"], "WIRE_BETWEEN": between})
        check(done.returncode == 0, f"wire {verb}: {done.stderr}")
        return done.stdout

    def wbctl_run(self, *argv):
        return subprocess.run([self.env["WBCTL"], "--socket", self.env["ACCELERD_SOCK"],
                               *map(str, argv)], text=True, capture_output=True)

    def wbctl(self, *argv):
        """The JSON that a command prints."""
        done = self.wbctl_run("--json", *argv)
        check(done.returncode == 0, f"wbctl {argv} exits {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    # What accelerd says.

    def status(self):
        return self.wbctl("status")

    def hits(self):
        return self.status()["hits_total"]

    def reasons(self):
        return {f"{row['hook']}/{row['label']}": row["count"]
                for row in self.wbctl("reasons", "--all")["reasons"]}

    def warm(self, *targets, host=None):
        urls = [f"http://{host or self.domain}{target}" for target in targets]
        results = self.wbctl("cache", "warm", *urls)["results"]
        bad = [row for row in results if not row["ok"]]
        check(not bad, f"not warmed: {bad}")
        return results

    def nginx_workers(self):
        found = subprocess.run(["pgrep", "-P", self.env["NGINX_PID"]], text=True,
                               capture_output=True).stdout
        return [int(pid) for pid in found.split()]

    # Sockets.

    @contextlib.contextmanager
    def inside(self, host):
        """The calling thread is in the host's network namespace meanwhile."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"/run/netns/{self.prefix}-{host}", "rb") as there:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)

    def connect(self, port=80, family=4, host="client", timeout=10.0, to="ORIGIN"):
        with self.inside(host):
            return wbhttp.Connection(self.address(family, to), port, timeout)

    def request(self, target, fields=(), method="GET", domain=None):
        return wbhttp.request_bytes(method, target, domain or self.domain, fields)

    # The load generators.

    def mixed(self, *, family=4, profile="all", count=1000, seed=1, options=(), fails=False):
        """Report of mixed.py; any failure of its is one of the test."""
        done = self.run("client", sys.executable, SUPPORT / "mixed.py", "--json",
                        "--host", self.address(family), "--domain", self.domain,
                        "--docroot", self.docroot, "--profile", profile, "--count", count,
                        "--seed", seed, *options)
        check(done.stdout.strip(), f"mixed.py exits {done.returncode}: {done.stderr[-2000:]}")
        report = json.loads(done.stdout)
        check(fails or done.returncode == 0 and not report["failures"],
              f"mixed.py: {report['failures']} failures of {report['requests']}: "
              f"{json.dumps(report['shown'][:4], indent=1)}")
        return report

    def load_command(self, targets, seconds, *options, family=4, host="client", to="ORIGIN"):
        wanted = [word for target in targets for word in ("--target", target)]
        return (host, sys.executable, SUPPORT / "load.py", "--host", self.address(family, to),
                "--domain", self.domain, "--seconds", seconds, "--verify-dir", self.docroot,
                *wanted, *options)

    def load(self, targets, seconds, *options, **where):
        return finish_load(self.start(*self.load_command(targets, seconds, *options, **where)))


def _setns(file):
    if _LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def finish_load(process, fails=False):
    """Waits for load.py; failed requests are a failure of the test."""
    out, err = process.communicate()
    check(out.strip(), f"load.py exits {process.returncode}: {err[-2000:]}")
    report = json.loads(out)
    check(fails or process.returncode == 0, f"load.py: {report}")
    return report


def comm_of(file):
    """What a /proc/PID/comm says, or nothing when that process is gone."""
    try:
        return file.read_text()
    except OSError:
        return ""


def comparable(response):
    """What must be equal in the answers of both ports."""
    return wbhttp.normalise(response.head), response.body


def difference(after, before):
    """What grew between two readings of Lab.reasons()."""
    return {name: count - before.get(name, 0) for name, count in after.items()
            if count != before.get(name, 0)}


@contextlib.contextmanager
def scratch():
    """A directory that nginx can read, removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="wbnet"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def pattern(name, size):
    """Bytes in which every object and every place differs."""
    text = b"".join(b"%s %09d\n" % (name.encode(), at) for at in range(size // 10 + 1))
    return text[:size]


def make_docroot(path, sizes, compressed=()):
    """Files named sN.html of so many bytes; compressed: those that get a .gz sibling."""
    for size in sizes:
        (path / f"s{size}.html").write_bytes(pattern(f"s{size}", size))
    for size in compressed:
        data = (path / f"s{size}.html").read_bytes()
        (path / f"s{size}.html.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    for file in path.iterdir():
        os.utime(file, (1700000000, 1700000000))
    return path


class Background:
    """A thread whose exception is raised where it is joined."""

    def __init__(self, work):
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        try:
            work()
        except BaseException as error:  # handed to join()
            self._error = error

    def join(self, timeout=60):
        self._thread.join(timeout)
        check(not self._thread.is_alive(), "a thread of the test hangs")
        if self._error:
            raise self._error


def main(tests):
    """Runs the tests named on the command line, or all; the exit code is the process's."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check_root()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    remove_abandoned()
    wanted = sys.argv[1:] or [test.__name__ for test in tests]
    unknown = set(wanted) - {test.__name__ for test in tests}
    if unknown:
        raise SystemExit(f"no test {unknown}; there are {[test.__name__ for test in tests]}")
    failed = []
    for test in tests:
        if test.__name__ not in wanted:
            continue
        started = time.monotonic()
        try:
            test()
            say(f"ok      {test.__name__} ({time.monotonic() - started:.1f} s)")
        except (TestFailure, wbhttp.HttpError, OSError, subprocess.SubprocessError) as error:
            say(f"FAILED  {test.__name__} ({time.monotonic() - started:.1f} s): {error}")
            failed.append(test.__name__)
    return 1 if failed else 0


def check_root():
    if os.geteuid() != 0:
        raise SystemExit("network tests need root")
