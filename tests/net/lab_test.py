#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/lab.sh as its users know it: options, exit codes, what `env` says, two labs side by side, and that `down`
leaves nothing from whatever state, nor an `up` that fails or is killed.

A trace is anything whose name holds the lab's prefix, which is as odd as netlab.py's prefixes are: namespaces, links,
pins, cgroups, run directories, and processes and kernel threads by name, arguments or network namespace.
"""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import netlab
from netlab import LAB_SH, check, say

LAB_ROOT = pathlib.Path("/run/webbooster-lab")
BOOSTER_KEYS = ("BOOSTER_HTTP", "BOOSTER_HTTPS", "BOOSTERD_SOCK", "BOOSTERD_METRICS", "BOOSTERD_CONF", "CA_CERT",
                "BOOSTERD_PID", "ORIGIN2_IP", "ORIGIN2_IF", "ORIGIN2_ACCELERD_SOCK", "ORIGIN2_ACCELERD_PID",
                "ORIGIN2_NGINX_PID", "ORIGIN2_KEY_FILE", "DOMAIN2")
ISSUE_KEYS = ("ORIGIN_IP", "ORIGIN_IP6", "ORIGIN_DIRECT_PORT", "BOOSTER_IP", "CLIENT_IP", "ORIGIN_IF", "ACCELERD_SOCK",
              "ACCELERD_METRICS", "ACCELERD_PID", "NGINX_PID")
# The same in all tests: each begins where the one before must have left nothing.
ONE, OTHER = netlab.Lab("/").prefix, netlab.Lab("/").prefix


def lab_sh(*argv, code=0, timeout=60):
    """What lab.sh prints; its exit code must be the one expected."""
    done = subprocess.run([LAB_SH, *map(str, argv)], text=True, capture_output=True, timeout=timeout)
    check(done.returncode == code,
          f"lab.sh {shlex.join(map(str, argv))} exits {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout


def env_of(prefix):
    return dict(word.split("=", 1) for word in shlex.split(lab_sh("env", "--prefix", prefix)))


def processes():
    """pid -> name, arguments and the inode of the network namespace, of all but this test."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if "\nState:\tZ" not in (entry / "status").read_text():
                text = (entry / "comm").read_text() + (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                found[int(entry.name)] = (text.replace("\0", " "), os.stat(entry / "ns/net").st_ino)
    return found


def traces(prefix, spaces=()):
    """All there is of a lab; `spaces` are inodes of namespaces that were its."""
    places = [path for root in ("/run/netns", LAB_ROOT, "/sys/fs/bpf", "/sys/class/net")
              for path in pathlib.Path(root).glob(f"*{prefix}*")]
    mounts = pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    for root in {line.split()[1] for line in mounts if line.split()[2] == "cgroup2"}:
        places += pathlib.Path(root).glob(f"*{prefix}*")
    return [str(path) for path in places] + [f"{pid}: {text}" for pid, (text, space) in processes().items()
                                             if prefix in text or space in spaces]


def wait_until(what, holds, seconds=15):
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.01)


def expect_no_trace(prefix, spaces=()):
    """The kernel takes down what is in a namespace, NAPI threads included, a moment after its name."""
    end = time.monotonic() + 5
    while traces(prefix, spaces) and time.monotonic() < end:
        time.sleep(0.05)
    check(not traces(prefix, spaces), f"left of lab {prefix}: {traces(prefix, spaces)}")


def spaces_of(prefix):
    return {os.stat(path).st_ino for path in pathlib.Path("/run/netns").glob(f"{prefix}-*")}


@contextlib.contextmanager
def removed(*prefixes):
    """Whatever happens inside, nothing of these labs outlives it."""
    try:
        yield
    finally:
        for prefix in prefixes:
            subprocess.run([LAB_SH, "down", "--prefix", prefix], capture_output=True)


def usage():
    """Nothing here makes anything."""
    prefix = ONE
    wrong = ["", "fly", "up --bogus", "up --mtu", "up --mtu 100", "up --mtu 65536", "up --mtu big", "up --tso maybe",
             "up --tso", "up --queues 0", "up --domain -x", "up --domain a_b", "up --docroot /no/such", "up word",
             "up --conf /no/such", "up --nginx-include /no/such", "up --without nginx", "up --without", "up --without=",
             "up --without accel,nginx", "up --booster-conf /no/such", "up --domain shop.test", "up --prefix Upper",
             "up --prefix ninechars", "up --prefix 1st", "up --prefix=", "down word", "down --mtu 1500", "env A B",
             "exec", "exec client", "accelerd", "accelerd start stop", "boosterd", "accelerd2 start stop", "pin word", "list word", "-x"]
    for line in wrong:
        words = line.split(" ") if line else []
        if len(words) > 1 and words[0] != "exec" and "--prefix" not in line:
            words[1:1] = ["--prefix", prefix]
        lab_sh(*words, code=2)
    for words in (["env"], ["env", "ORIGIN_IP"], ["exec", "client", "true"], ["accelerd", "start"], ["boosterd", "start"],
                  ["accelerd2", "start"], ["pin"]):
        lab_sh(words[0], "--prefix", prefix, *words[1:], code=3)
    lab_sh("down", "--prefix", prefix)
    expect_no_trace(prefix)
    text = lab_sh("--help")
    for word in ("tcp_allowed_congestion_control", "/sys/fs/bpf", "Exit codes", "--queues"):
        check(word in text, f"--help says nothing of {word}")


def fetch(prefix, target, host, port=80, family=4, client="client"):
    """Status and body as curl sees them from a host of the lab."""
    env = env_of(prefix)
    address = env["ORIGIN_IP6"] if family == 6 else env["ORIGIN_BOOSTER_IP" if client == "booster" else "ORIGIN_IP"]
    text = lab_sh("exec", "--prefix", prefix, client, "curl", "-s", "-g", "-m", 5, "-w", "\n%{http_code}", "-H",
                  f"Host: {host}", f"http://[{address}]:{port}{target}" if family == 6
                  else f"http://{address}:{port}{target}")
    body, _, status = text.rpartition("\n")
    return int(status), body


def wbctl_at(env, sock, *argv):
    done = subprocess.run([env["WBCTL"], "--socket", env[sock], *argv], text=True, capture_output=True)
    check(done.returncode == 0, f"wbctl {argv}: {done.stdout}{done.stderr}")
    return done.stdout


def hits_at(env, sock):
    return json.loads(wbctl_at(env, sock, "--json", "status"))["hits_total"]


def hits_of(prefix):
    return hits_at(env_of(prefix), "ACCELERD_SOCK")


def wbctl(prefix, *argv):
    wbctl_at(env_of(prefix), "ACCELERD_SOCK", *argv)


def expect_hits(prefix, domain, target, body):
    """By both families and from both hosts; not on the direct port."""
    wbctl(prefix, "cache", "warm", f"http://{domain}{target}")
    for family, client in ((4, "client"), (6, "client"), (4, "booster")):
        before = hits_of(prefix)
        got = fetch(prefix, target, domain, family=family, client=client)
        check(got == (200, body), f"{prefix}: {got[0]}, {got[1][:60]!r}")
        check(hits_of(prefix) == before + 1, f"{prefix}: no hit over IPv{family} from the {client}")
    before = hits_of(prefix)
    port = int(env_of(prefix)["ORIGIN_DIRECT_PORT"])
    check(fetch(prefix, target, domain, port=port) == (200, body), "the direct port serves something else")
    check(hits_of(prefix) == before, "the direct port is accelerated")


def expect_environment(prefix, docroot):
    env = env_of(prefix)
    for key in ISSUE_KEYS:
        check(env.get(key), f"env lacks {key}: {env}")
        check(lab_sh("env", "--prefix", prefix, key) == env[key] + "\n", f"env {key} differs")
    check(env["DOCROOT"] == str(docroot) and env["DOMAIN"] == "shop.test" and env["ORIGIN_DIRECT_PORT"] == "8080",
          str(env))
    check(not any(env[key] for key in BOOSTER_KEYS), f"of a lab without booster: {env}")
    lab_sh("env", "--prefix", prefix, "NO_SUCH_KEY", code=2)
    for key, name in (("ACCELERD_PID", "accelerd"), ("NGINX_PID", "nginx")):
        comm = pathlib.Path(f"/proc/{env[key]}/comm").read_text(encoding="utf-8").strip()
        check(comm == name, f"{key} is {comm}")
    metrics = lab_sh("exec", "--prefix", prefix, "origin", "curl", "-s", "-m", 5, env["ACCELERD_METRICS"])
    check("webbooster_up 1" in metrics, f"no metrics at {env['ACCELERD_METRICS']}")
    check(os.stat(env["ACCELERD_SOCK"]), "no control socket")


def expect_links(prefix, mtu, tso):
    """Options --mtu and --tso, on the interfaces themselves."""
    env = env_of(prefix)
    for host, name in (("origin", "ORIGIN_IF"), ("origin", "ORIGIN_BOOSTER_IF"), ("client", "CLIENT_IF"),
                       ("booster", "BOOSTER_IF"), ("booster", "BOOSTER_CLIENT_IF"), ("client", "CLIENT_BOOSTER_IF")):
        shown = lab_sh("exec", "--prefix", prefix, host, "ip", "-o", "link", "show", env[name])
        check(f" mtu {mtu} " in shown, f"{name}: {shown}")
    for host, name, wanted in (("origin", "ORIGIN_IF", tso), ("origin", "ORIGIN_BOOSTER_IF", tso),
                               ("client", "CLIENT_IF", "off"), ("booster", "BOOSTER_IF", "off")):
        shown = lab_sh("exec", "--prefix", prefix, host, "ethtool", "-k", env[name])
        check(f"\ntcp-segmentation-offload: {wanted}" in shown, f"{name}: TSO is not {wanted}")
        check(f"\ntx-checksumming: {wanted}" in shown, f"{name}: tx checksums are not {wanted}")
    # Who refuses a connection can be reached.
    for host, address in (("client", env["BOOSTER_CLIENT_IP"]), ("booster", f"[{env['CLIENT_BOOSTER_IP6']}]")):
        shown = lab_sh("exec", "--prefix", prefix, host, "sh", "-c", f"curl -sSgv -m 5 http://{address}:9/ 2>&1", code=7)
        check("Connection refused" in shown, f"{host}: {shown}")


def expect_exec(prefix):
    check(lab_sh("exec", "--prefix", prefix, "client", "sh", "-c", "echo $1; exit 37", "sh", "two words", code=37)
          == "two words\n", "exec changes arguments")
    lab_sh("exec", "--prefix", prefix, "moon", "true", code=2)
    if os.cpu_count() > 1:
        for host, cpu in (("origin", 0), ("client", 1), ("booster", 1)):
            shown = lab_sh("exec", "--prefix", prefix, host, "sh", "-c", "taskset -cp $$")
            check(shown.endswith(f": {cpu}\n"), f"{host}: {shown}")


def through_booster(prefix, url, family=4, *options):
    """What curl gets from boosterd, by the lab's CA."""
    env = env_of(prefix)
    address = f"[{env['BOOSTER_CLIENT_IP6']}]" if family == 6 else env["BOOSTER_CLIENT_IP"]
    return lab_sh("exec", "--prefix", prefix, "client", "curl", "-sSf", "-m", 5, "--cacert", env["CA_CERT"], "--resolve",
                  f"*:80:{address}", "--resolve", f"*:443:{address}", *options, url)


def expect_booster(prefix):
    """Both domains by all ways in, each from its origin; daemons and NAPI threads are where they belong."""
    env = env_of(prefix)
    for key in BOOSTER_KEYS:
        check(env.get(key), f"env lacks {key}: {env}")
    check((env["BOOSTER_HTTP"], env["BOOSTER_HTTPS"]) == ("198.18.2.1:80", "198.18.2.1:443"), str(env))
    for domain, address, first in ((env["DOMAIN"], "198.18.1.1", "1k.bin\n"),
                                   (env["DOMAIN2"], "198.18.4.1", "shop.test 1k.bin\n")):
        for scheme in ("http", "https"):
            for family in (4, 6):
                check(through_booster(prefix, f"{scheme}://{domain}/who", family) == address, f"{domain}: wrong origin")
                check(through_booster(prefix, f"{scheme}://{domain}/1k.bin", family).startswith(first),
                      f"{domain}: wrong object")
    metrics = lab_sh("exec", "--prefix", prefix, "booster", "curl", "-sSf", "-m", 5, env["BOOSTERD_METRICS"])
    check("webbooster_" in metrics, f"no metrics at {env['BOOSTERD_METRICS']}")
    expect_origin2(prefix, env)
    if os.cpu_count() > 1:
        for key, cpu in (("BOOSTERD_PID", 1), ("BOOSTER_NAPI_PIDS", 1), ("ORIGIN2_ACCELERD_PID", 0),
                         ("ORIGIN2_NGINX_WORKER_PIDS", 0), ("ORIGIN2_NAPI_PIDS", 0), ("ORIGIN_NAPI_PIDS", 0)):
            # A NAPI thread for each interface.
            check(len(env[key].split()) >= {"BOOSTER_NAPI_PIDS": 3, "ORIGIN2_NAPI_PIDS": 2}.get(key, 1), f"no {key}")
            for pid in env[key].split():
                check(os.sched_getaffinity(int(pid)) == {cpu}, f"{key} {pid} is not on CPU {cpu}")


def expect_origin2(prefix, env):
    """Both origins accelerate both domains, and count for themselves."""
    for sock, address in (("ACCELERD_SOCK", env["ORIGIN_IP"]), ("ORIGIN2_ACCELERD_SOCK", env["ORIGIN2_IP"])):
        for domain in (env["DOMAIN"], env["DOMAIN2"]):
            url = f"http://{domain}/1k.bin"
            wbctl_at(env, sock, "cache", "warm", url)
            before = {name: hits_at(env, name) for name in ("ACCELERD_SOCK", "ORIGIN2_ACCELERD_SOCK")}
            # Several: a request that overtakes the note of its connection is no hit.
            lab_sh("exec", "--prefix", prefix, "client", "curl", "-sSf", "-m", 5, "--resolve", f"*:80:{address}",
                   *["-o", "/dev/null", url] * 8)
            grown = {name: hits_at(env, name) - count for name, count in before.items()}
            check(grown.pop(sock) > 0 and not any(grown.values()), f"{domain} from {address}: {grown} hits elsewhere")


def expect_verbs(prefix, daemon, key):
    """Stop, kill and start of boosterd and of the second accelerd."""
    first = env_of(prefix)[key]
    for verb in ("stop", "kill"):
        lab_sh(daemon, "--prefix", prefix, verb)
        check(env_of(prefix)[key] == "", f"{daemon} runs after {verb}")
        lab_sh(daemon, "--prefix", prefix, "start")
        check(env_of(prefix)[key] not in ("", first), f"{daemon} was not started")
    lab_sh(daemon, "--prefix", prefix, "start", code=1)
    lab_sh(daemon, "--prefix", prefix, "fly", code=2)


def boosted():
    """boosterd before two origins; --without booster is what the other tests use."""
    prefix = ONE
    with netlab.scratch() as path, removed(prefix):
        (path / "who").write_text("location = /who { add_header Cache-Control no-store; return 200 $server_addr; }\n",
                                  encoding="ascii")
        lab_sh("up", "--prefix", prefix, "--nginx-include", path / "who")
        spaces = spaces_of(prefix)
        check(len(spaces) == 4, f"{len(spaces)} namespaces")
        expect_booster(prefix)
        accelerd = env_of(prefix)["ACCELERD_PID"]
        expect_verbs(prefix, "boosterd", "BOOSTERD_PID")
        expect_verbs(prefix, "accelerd2", "ORIGIN2_ACCELERD_PID")
        check(env_of(prefix)["ACCELERD_PID"] == accelerd, "the first origin's accelerd was touched")
        expect_booster(prefix)
        check(lab_sh("exec", "--prefix", prefix, "origin2", "hostname", "-I").split()[0] == "198.18.3.1", "no origin2")
        programs = program_ids(prefix, "origin2")
        check(programs and all(map(loaded, programs)), "the second origin is not accelerated")
        lab_sh("down", "--prefix", prefix)
        expect_no_trace(prefix, spaces)
        wait_until("the programs are unloaded", lambda: not any(map(loaded, programs)))


def expect_accelerd(prefix):
    """Stop, kill and start; nothing of it disturbs nginx."""
    first = env_of(prefix)["ACCELERD_PID"]
    for verb in ("stop", "kill"):
        lab_sh("accelerd", "--prefix", prefix, verb)
        check(env_of(prefix)["ACCELERD_PID"] == "", f"accelerd runs after {verb}")
        check(fetch(prefix, "/1k.bin", "site.test")[0] == 200, f"no answer after {verb}")
        lab_sh("accelerd", "--prefix", prefix, "start")
        check(env_of(prefix)["ACCELERD_PID"] not in ("", first), "accelerd was not started")
    lab_sh("accelerd", "--prefix", prefix, "start", code=1)
    lab_sh("accelerd", "--prefix", prefix, "fly", code=2)


def program_ids(prefix, host="origin"):
    shown = lab_sh("exec", "--prefix", prefix, host, "bpftool", "-j", "net", "show")
    return {word.split(",")[0].rstrip("}]") for word in shown.split('"id":')[1:]}


def loaded(program):
    return subprocess.run(["bpftool", "prog", "show", "id", program], capture_output=True).returncode == 0


def two_labs():
    """One with every option and one with none, made at once."""
    one, other = ONE, OTHER
    with netlab.scratch() as path, removed(one, other):
        (path / "page.html").write_text("of the shop\n", encoding="ascii")
        ups = [subprocess.Popen([LAB_SH, "up", *words], stderr=subprocess.PIPE, text=True) for words in (
            ["--prefix", one, "--docroot", str(path), "--domain", "shop.test", "--mtu", "3498", "--tso=on",
             "--without=booster"], [f"--prefix={other}", "--without", "booster"])]
        for process in ups:
            _, text = process.communicate(timeout=90)
            check(process.returncode == 0, f"up exits {process.returncode}: {text}")
        check({one, other} <= set(lab_sh("list").split()), "list does not name both")
        expect_environment(one, path)
        expect_links(one, 3498, "on")
        expect_links(other, 1500, "off")
        expect_hits(one, "shop.test", "/page.html", "of the shop\n")
        check(hits_of(other) == 0, "hits of one lab are counted in the other")
        check(fetch(one, "/1k.bin", "shop.test")[0] == 404, "one lab has the files of the other")
        check(fetch(one, "/page.html", "site.test")[0] == 404, "any host name is answered")
        check(fetch(other, "/1k.bin", "site.test")[0] == 200, "the default lab does not serve its tree")
        lab_sh("up", "--prefix", one, code=3)
        expect_hits(one, "shop.test", "/page.html", "of the shop\n")
        expect_exec(other)
        expect_accelerd(other)
        for daemon in ("boosterd", "accelerd2"):
            lab_sh(daemon, "--prefix", other, "start", code=1)
        lab_sh("exec", "--prefix", other, "origin2", "true", code=2)
        # A process that a user left in a lab goes with it, and only with it.
        left = [subprocess.Popen([LAB_SH, "exec", "--prefix", prefix, "booster", "sleep", "600"])
                for prefix in (one, other)]
        spaces, programs = spaces_of(one), program_ids(one)
        check(len(spaces) == 3 and programs and all(map(loaded, programs)), "nothing to be removed")
        check(len(traces(one, spaces)) > 8, f"traces are not found: {traces(one, spaces)}")
        lab_sh("down", "--prefix", one)
        check(left[0].wait(5) != 0, "a process survived its lab")
        expect_no_trace(one, spaces)
        wait_until("the programs are unloaded", lambda: not any(map(loaded, programs)))
        check(left[1].poll() is None, "a process of the other lab was ended")
        check(fetch(other, "/1k.bin", "site.test")[0] == 200, "down of one lab breaks the other")
        # Namespaces deleted by hand while nginx runs in one, and accelerd killed.
        spaces = spaces_of(other)
        lab_sh("accelerd", "--prefix", other, "kill")
        for host in ("origin", "booster"):
            subprocess.run(["ip", "netns", "delete", f"{other}-{host}"], check=True)
        lab_sh("down", "--prefix", other)
        left[1].terminate()  # in a namespace without a name: nothing leads to it
        left[1].wait(5)
        expect_no_trace(other, spaces)
        lab_sh("down", "--prefix", other)


def failed_up():
    """Configurations that accelerd, boosterd and nginx refuse; up says why and takes back what it made."""
    prefix = ONE
    with netlab.scratch() as path:
        (path / "accelerd.yaml").write_text("domains: [{ name: site.test, no_such_key: 1 }]\n", encoding="ascii")
        (path / "unknown.yaml").write_text("instance: @NO_SUCH_PLACE@\n", encoding="ascii")
        (path / "nginx.conf").write_text("no_such_directive on;\n", encoding="ascii")
        for words in (("--conf", path / "accelerd.yaml"), ("--conf", path / "unknown.yaml", "--without=booster"),
                      ("--booster-conf", path / "accelerd.yaml"), ("--booster-conf", path / "unknown.yaml"),
                      ("--nginx-include", path / "nginx.conf", "--without", "accel", "--without", "booster")):
            with removed(prefix):
                lab_sh("up", "--prefix", prefix, *words, code=1)
                expect_no_trace(prefix)


def killed_up():
    """By SIGTERM up cleans up itself; by SIGKILL it leaves a half, which up refuses and down removes."""
    moments = (("namespace", lambda p: pathlib.Path(f"/run/netns/{p}-client")),
               ("nginx", lambda p: LAB_ROOT / p / "nginx.pid"),
               ("accelerd", lambda p: LAB_ROOT / p / "accelerd.pid"),
               ("second nginx", lambda p: LAB_ROOT / p / "origin2/nginx.pid"),
               ("boosterd", lambda p: LAB_ROOT / p / "boosterd.pid"))
    for number, what in ((signal.SIGTERM, moments[1]), *((signal.SIGKILL, moment) for moment in moments)):
        prefix = ONE
        name, path = what[0], what[1](prefix)
        with removed(prefix):
            process = subprocess.Popen([LAB_SH, "up", "--prefix", prefix], stderr=subprocess.DEVNULL,
                                       start_new_session=True)
            wait_until(f"{path} appears", path.exists)
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            code = process.wait(60)
            if number == signal.SIGTERM:
                check(code == 143, f"up exits {code} for SIGTERM")
                expect_no_trace(prefix)
                continue
            check(traces(prefix), f"killed at {name}: nothing was made yet")
            spaces = spaces_of(prefix)
            lab_sh("env", "--prefix", prefix, code=3)
            lab_sh("exec", "--prefix", prefix, "client", "true", code=3)
            lab_sh("up", "--prefix", prefix, code=3)
            check(prefix in lab_sh("list"), "list does not name the half")
            lab_sh("down", "--prefix", prefix)
            expect_no_trace(prefix, spaces)
        say(f"  killed by signal {number} when there was a {name}: removed")


def lost_run_directory():
    prefix = ONE
    with removed(prefix):
        lab_sh("up", "--prefix", prefix, "--without", "accel")
        env = env_of(prefix)
        check(env["ACCELERD_PID"] == env["ORIGIN2_ACCELERD_PID"] == "", "accelerd runs although it was not wanted")
        lab_sh("accelerd", "--prefix", prefix, "start", code=1)
        lab_sh("accelerd2", "--prefix", prefix, "start", code=1)
        check(through_booster(prefix, "https://shop.test/1k.bin").startswith("shop.test 1k.bin\n"), "no origin")
        spaces = spaces_of(prefix)
        subprocess.run(["rm", "-rf", LAB_ROOT / prefix], check=True)
        lab_sh("env", "--prefix", prefix, code=3)
        lab_sh("up", "--prefix", prefix, code=3)
        lab_sh("down", "--prefix", prefix)
        expect_no_trace(prefix, spaces)


if __name__ == "__main__":
    sys.exit(netlab.main([usage, two_labs, boosted, failed_up, killed_up, lost_run_directory]))
