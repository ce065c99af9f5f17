#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/examples for operators: boost-peak.sh, boost.yml (Ansible) and alertmanager-webhook.py, each against boosterd
in a lab, where the first new connection after a toggle tells whether it was one; the last also with the real
Alertmanager, and against senders that nobody asked.
"""

import concurrent.futures
import json
import os
import sys
import time

import netlab
from netlab import check
from orchestration_lab import (EXAMPLES, HOOK_USER, TOKEN, Alertmanager, Ansible, RecordingWbctl, Webhook, alert, notification, peak, run,
                               until)

SCRIPT = EXAMPLES / "boost-peak.sh"
WEBHOOK = EXAMPLES / "alertmanager-webhook.py"
SITE, SHOP = "site.test", "shop.test"


def files_are_valid():
    """What their own tools say of the examples."""
    exposed = run("systemd-analyze", "security", "--offline=yes", "--threshold=15", EXAMPLES / "alertmanager-webhook.service")
    for done in (run("shellcheck", "-x", SCRIPT), run("amtool", "check-config", EXAMPLES / "alertmanager.yml"),
                 run("promtool", "check", "rules", EXAMPLES / "boost.rules.yml"), exposed,
                 run("systemd-analyze", "verify", "--man=no", EXAMPLES / "alertmanager-webhook.service")):
        check(done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}")
    routes = ("amtool", "config", "routes", "test", f"--config.file={EXAMPLES}/alertmanager.yml")
    check(run(*routes, "boost=yes", "domain=a.test").stdout == "webbooster,people\n", "alerts that boost go to both")
    check(run(*routes, "domain=a.test").stdout == "people\n", "others go to people alone")


def script_boosts():
    with peak() as lab:
        def script(*words, code=0):
            done = run(SCRIPT, "--socket", lab.socket, *words, env={**os.environ, "WBCTL": lab.wbctl})
            check(done.returncode == code, f"{words} exits {done.returncode}, not {code}: {done.stdout}{done.stderr}")
            return done.stdout + done.stderr
        lab.expect(SITE, "off", "origin")
        script(SITE, "--for", "60s")
        lab.expect(SITE, "on", "booster")
        lab.expect(SHOP, "off", "origin")
        check(0 < lab.now(SITE)["until_s"] <= 60, f"no limit: {lab.now(SITE)}")
        script(SITE, "--for", "10m")
        check(60 < lab.now(SITE)["until_s"] <= 600, f"it does not begin anew: {lab.now(SITE)}")
        script(SITE, "--off")
        lab.expect(SITE, "off", "origin")
        check("already" in script(SITE, "--off"), "off twice says it twice")
        script(SITE, "--for", "1s")
        until(lambda: lab.now(SITE)["mode"] == "off", 10, lambda: lab.now(SITE))
        lab.expect(SITE, "off", "origin")
        lab.boost("on", SITE)
        check("already" in script(SITE, "--for", "60s") and lab.now(SITE)["until_s"] is None, "an operator's word gets a limit")
        script(SITE, "--auto")
        check(lab.now(SITE)["mode"] == "auto", f"not auto: {lab.now(SITE)}")
        script("none.test", "--off", code=1)
        script(SITE, "--off", "--socket", "/nonexistent", code=3)
        with lab.frozen():
            script(SITE, "--off", "--timeout", "1", code=4)
        script(SITE, "--off")


def script_refuses():
    """Wrong usage asks nobody; and what is said but not in force is told."""
    with netlab.scratch() as path:
        wbctl = RecordingWbctl(path)

        def script(*words):
            return run(SCRIPT, *words, env={**os.environ, "WBCTL": str(wbctl.program)})
        for words in ([], [SITE], ["--off"], [SITE, "--for"], [SITE, "--for", "soon"], [SITE, "--for", "0s"], [SITE, "--off", "--auto"],
                      [SITE, SHOP, "--off"], [SITE, "--off", "--for", "1h"], ["-x", "--off"], [f"{SITE};id", "--off"], ["$(id)", "--off"],
                      [SITE, "--off", "--timeout", "0"], [SITE, "--off", "--wait", "x"], [SITE, "--off", "--socket"]):
            done = script(*words)
            check(done.returncode == 2 and done.stderr, f"{words} exits {done.returncode}")
        check(not (path / "call").exists(), "wrong usage asks boosterd")
        wbctl.set_domains(site=("on", "calm", 60))
        done = script(SITE, "--for", "1m", "--wait", "0")
        check(done.returncode == 5 and "capacity" in done.stderr, f"not in force: {done}")
        check(wbctl.calls() == [["boost", "on", SITE, "--for", "1m"]], "it was not said")
        wbctl.behave("exit 9")
        check(script(SITE, "--off").returncode == 1, "a wbctl that fails")
        wbctl.set_domains(site=("on", "calm", "$(touch /x) *"))
        check(script(SITE, "--off").returncode == 1, "a status that is none")


def playbook_boosts():
    with netlab.scratch() as path, peak() as lab:
        ansible = Ansible(path, boost_become=False, boost_wbctl=lab.wbctl, boost_socket=lab.socket, boost_domains=[SITE, SHOP])

        def play(expected, *options, **variables):
            """expected: of the first host; the second one has the same boosterd, which is as it shall be by then."""
            code, changed, text = ansible.play(*options, **variables)
            again = expected if "--check" in options else 0
            check(code == 0 and changed == {"b1": expected, "b2": again}, f"{options} {variables}: {code} {changed}: {text}")
        play(1, "--check", boost_mode="on")
        lab.expect(SITE, "off", "origin")
        play(1, boost_mode="on")
        lab.expect(SITE, "on", "booster")
        lab.expect(SHOP, "on", "booster")
        play(0, "--check", boost_mode="on")
        play(1, boost_mode=True, boost_for="10m")
        check(lab.now(SHOP)["until_s"] > 0, f"no limit: {lab.now(SHOP)}")
        play(1, boost_mode="auto", boost_at=70)
        check(lab.now(SITE)["raise_percent"] == 70, f"not at 70: {lab.now(SITE)}")
        play(0, boost_mode="auto", boost_at=70)
        play(1, boost_mode=False)
        lab.expect(SITE, "off", "origin")
        for wrong in ({"boost_domains": [SITE, "none.test"], "boost_mode": "on"}, {"boost_domains": [SITE, "a; id"], "boost_mode": "on"}):
            code, changed, text = ansible.play(**wrong)
            check(code != 0 and changed == {"b1": 0}, f"{wrong}: {code} {changed}: {text}")
        lab.expect(SITE, "off", "origin")


def playbook_refuses():
    """Variables that are wrong or missing: no booster is asked."""
    with netlab.scratch() as path:
        wbctl = RecordingWbctl(path)
        right = {"boost_become": False, "boost_wbctl": str(wbctl.program), "boost_domains": [SITE], "boost_mode": "on"}
        done = Ansible(path).play(**right | {"boost_mode": "off"})
        check(done[0] == 0, f"the right ones are not taken: {done}")
        wbctl.calls()
        for wrong in ({"boost_mode": "boosted"}, {"boost_domains": SITE}, {"boost_domains": []}, {"boost_domains": ["--help"]},
                      {"boost_for": "10"}, {"boost_at": 70}):
            code, changed, text = Ansible(path).play(**right | wrong)
            check(code != 0 and changed == {"b1": 0} and "wrong" in text, f"{wrong}: {code} {changed}: {text}")
            check(not (path / "call").exists(), f"{wrong}: boosterd is asked")


def alerts_boost():
    """Alertmanager and the receiver, which runs as a user that may no more than ask boosterd."""
    with netlab.scratch() as path, peak() as lab:
        user = ("setpriv", f"--reuid={HOOK_USER}", f"--regid={HOOK_USER}", "--clear-groups", "--bounding-set=-all", "--no-new-privs")
        options = ("--wbctl", lab.wbctl, "--socket", lab.socket, "--for", "8s", "--timeout", 3, "--resolved", "off")
        with Webhook(path, *options, before=lab.lab.command("booster", *user), lab=lab.lab) as hook:
            with Alertmanager(path, lab.lab) as manager:
                manager.tell(SITE, 600)
                until(lambda: lab.now(SITE)["mode"] == "on", 10, hook.log.read_text)
                lab.expect(SITE, "on", "booster")
                lab.expect(SHOP, "off", "origin")
                # Renewed by what Alertmanager repeats.
                time.sleep(9)
                lab.expect(SITE, "on", "booster")
                with lab.frozen():
                    manager.tell(SITE, 0)
                    until(lambda: "answered 504" in hook.log.read_text(), 20, hook.log.read_text)
                # Tried again.
                until(lambda: lab.now(SITE)["mode"] == "off", 20, hook.log.read_text)
                lab.expect(SITE, "off", "origin")
                manager.tell(SHOP, 600)
                until(lambda: lab.now(SHOP)["mode"] == "on", 10, hook.log.read_text)
            # No Alertmanager any more.
            until(lambda: lab.now(SHOP)["mode"] == "off", 20, hook.log.read_text)
            lab.expect(SHOP, "off", "origin")


def webhook_decides():
    """What it tells wbctl, and what it leaves alone."""
    with netlab.scratch() as path:
        wbctl = RecordingWbctl(path)
        on, back = ["boost", "on", SITE, "--for", "1800s"], ["boost", "auto", SITE]
        shop_on = ["boost", "on", SHOP, "--for", "1800s"]
        with Webhook(path, "--wbctl", wbctl.program) as hook:
            for site, alerts, calls in (
                    (("off", "calm", None), [alert(SITE)], [on]),
                    (("auto", "calm", None), [alert(SITE), alert(SITE, "resolved", alertname="b"), alert(SHOP)], [shop_on, on]),
                    (("on", "boosted", 900), [alert(SITE)], [on]),
                    (("on", "boosted", 900), [alert(SITE, "resolved")], [back]),
                    (("on", "boosted", 900), [alert(SITE, "resolved"), alert(SITE)], [on]),
                    (("on", "boosted", 1801), [alert(SITE)], []),
                    (("on", "boosted", 1801), [alert(SITE, "resolved")], []),
                    (("on", "boosted", None), [alert(SITE)], []),
                    (("on", "boosted", None), [alert(SITE, "resolved")], []),
                    (("off", "calm", None), [alert(SITE, "resolved")], []),
                    (("auto", "boosted", None), [alert(SITE, "resolved")], [])):
                wbctl.set_domains(site=site)
                status, got = hook.post(notification(*alerts)), wbctl.calls()
                check(status == 200 and got == calls, f"{site} {alerts}: {status}, {got}: {hook.log.read_text()}")
            # Two notifications at once: neither is between what the other reads and sets.
            wbctl.behave(f"echo $3 $4 $5 $6 >>{path}/order; sleep 0.3; echo end >>{path}/order")
            wbctl.set_domains()
            with concurrent.futures.ThreadPoolExecutor() as pool:
                both = list(pool.map(lambda domain: hook.post(notification(alert(domain))), (SITE, SHOP)))
            check(both == [200, 200], f"two at once: {both}")
            check((path / "order").read_text().splitlines()[1::2] == ["end", "end"], "two wbctl run at once")
        check("boost on site.test --for 1800s, for an alert is firing" in hook.log.read_text(), "decisions are not logged")
        check(hook.process.returncode == 0, "SIGTERM is no failure")
        with Webhook(path, "--wbctl", wbctl.program, "--resolved", "off") as hook:
            wbctl.behave("exit 0")
            wbctl.set_domains(site=("on", "boosted", 9))
            wbctl.calls()
            check(hook.post(notification(alert(SITE, "resolved"))) == 200 and wbctl.calls() == [["boost", "off", SITE]], "--resolved off")


def webhook_tells_what_failed():
    with netlab.scratch() as path:
        wbctl = RecordingWbctl(path)
        with Webhook(path, "--wbctl", wbctl.program, "--timeout", 2) as hook:
            for behaviour, status in (("exit 1", 502), ("exit 3", 502), ("exit 4", 504), ("kill -9 $$", 502), ("exec sleep 60", 504),
                                      ("sleep 60 & exec sleep 60", 504)):
                wbctl.behave(behaviour)
                begun = time.monotonic()
                check((got := hook.post(notification(alert(SITE)))) == status, f"{behaviour}: {got}")
                check(time.monotonic() - begun < 10, f"{behaviour}: takes {time.monotonic() - begun} s")
            # One that fails does not keep the other from being done.
            wbctl.behave('[[ $* != *shop.test* ]]')
            wbctl.calls()
            check(hook.post(notification(alert(SHOP), alert(SITE))) == 502 and len(wbctl.calls()) == 2, "only one of two is done")
            for status in ("", "{}", '{"domains": [{}]}', '{"domains": [{"name": "site.test", "mode": "on", "until_s": "x"}]}'):
                (path / "status").write_text(status)
                check((got := hook.post(notification(alert(SITE)))) == 502, f"status {status}: {got}")
            check(not wbctl.calls(), "set without having read")
        with Webhook(path, "--wbctl", path / "none") as hook:
            check(hook.post(notification(alert(SITE))) == 502, "no wbctl")


HOSTILE_DOMAINS = ["none.test", "", "site.test ", "SITE.TEST", "site.test\n", "site.test;id", "$(touch /tmp/x)", "`id`", "--help", "-h",
                   "../site.test", "site.test\0", "site.test' --for '9h", "ｓite.test", "a" * 10000, "\x1b[31m\n INFO site.test: forged"]


def webhook_refuses():
    """Senders that nobody asked, and alerts that want more than they may: wbctl is not run."""
    with netlab.scratch() as path:
        wbctl = RecordingWbctl(path)
        good = notification(alert(SITE))
        with Webhook(path, "--wbctl", wbctl.program) as hook:
            for status, body, fields in (
                    (401, good, {"token": "x"}), (401, good, {"token": ""}), (401, good, {"token": TOKEN + "x"}),
                    (401, good, {"token": TOKEN[:-1]}), (401, good, {"Authorization": None}), (401, good, {"Authorization": TOKEN}),
                    (401, good, {"Authorization": f"Basic {TOKEN}"}), (401, b"x" * 300000, {"token": "x"}),
                    (404, good, {"path": "/"}), (404, good, {"path": "/alerts?x"}), (415, good, {"Content_Type": "text/plain"}),
                    (411, good, {"Content_Length": None}), (411, good, {"Content_Length": "-1"}), (411, good, {"Content_Length": "+9"}),
                    (411, good, {"Content_Length": "9\r\nContent-Length: 9"}), (411, b"0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
                    (413, b" " * (256 * 1024 + 1), {}), (413, b"x" * 3000000, {}), (413, good, {"Content_Length": "9" * 15}),
                    (400, b"", {}), (400, b"{", {}), (400, b"[]", {}), (400, b"\xff\xfe", {}), (400, b"[" * 200000, {}),
                    (400, b'{"version":"4",' + json.dumps(good)[1:].encode(), {}), (400, notification(), {}),
                    (400, notification(alert(SITE), version="3"), {}), (400, notification(alert(SITE), version=4), {}),
                    (400, good | {"alerts": {}}, {}), (400, good | {"alerts": [1]}, {}), (400, good | {"alerts": [{}]}, {}),
                    (400, notification(alert(SITE, "pending")), {}), (400, notification(alert(["site.test"])), {}),
                    (400, notification(*[{"status": "firing", "labels": {}}] * 1001), {}),
                    (400, notification(alert(SITE) | {"labels": None}), {}), (422, notification(alert(SITE) | {"labels": {}}), {}),
                    *((422, notification(alert(domain)), {}) for domain in HOSTILE_DOMAINS)):
                got = hook.post(body, **fields)
                check(got == status, f"{fields} {str(body)[:200]}: {got}, not {status}")
            check(hook.raw(b"GET /alerts HTTP/1.1\r\n\r\n") == 501, "only POST")
            check(hook.raw(b"\x16\x03\x01\x02\0\x01\0\r\n\r\n") in (0, 400), "TLS")
            check(not (path / "call").exists(), f"wbctl was run: {wbctl.calls()}")
            check(hook.post(notification(alert("none.test"), alert(SITE, alertname="\n INFO forged"))) == 422, "a good and a bad one")
            check(wbctl.calls() == [["boost", "on", SITE, "--for", "1800s"]], "the good one is done all the same")
            slow_senders(hook, good)
        lines = hook.log.read_text().splitlines()
        check(all(line.startswith(("INFO ", "WARNING ", "ERROR ")) and len(line) < 500 for line in lines), f"lines are forged: {lines}")
        check(TOKEN not in hook.log.read_text(), "the token is in the log")


def slow_senders(hook, good):
    """As many as may be at once: there is no room for another, until they are ended."""
    head = f"POST /alerts HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    slow = []
    while len(slow) < 8:
        connection = hook.connect()
        connection.sendall(head.encode() if len(slow) % 2 else b"POST")
        connection.settimeout(0.1)
        try:
            connection.recv(1)
            connection.close()  # Those before this test are not quite gone.
        except ConnectionError:
            connection.close()
        except TimeoutError:
            slow.append(connection)
    check(hook.post(good) == 0, "there is room for more than 8")
    until(lambda: hook.post(good) == 200, 10, lambda: "slow senders are not ended")
    for connection in slow:
        connection.close()


def webhook_checks_its_files():
    with netlab.scratch() as path:
        for name, text, mode in (("token", TOKEN, 0o600), ("open", TOKEN, 0o640), ("short", "x" * 31, 0o600),
                                 ("two", f"{TOKEN}\n{TOKEN}", 0o600), ("domains", f"{SITE}\n", 0o644), ("empty", "# none\n", 0o644),
                                 ("wrong", f"{SITE}\n--help\n", 0o644)):
            (path / name).write_text(text)
            (path / name).chmod(mode)
        (path / "link").symlink_to(path / "token")
        os.mkfifo(path / "fifo", 0o600)
        for option, values in (("--token-file", ("open", "short", "two", "link", "fifo", "none")),
                               ("--domains", ("wrong", "empty", "none")),
                               ("--listen", ("0.0.0.0:9469", "192.0.2.1:9469", "[::]:9469", "localhost:9469", "127.0.0.1", "127.0.0.1:0"))):
            for value in values:
                words = {"--token-file": path / "token", "--domains": path / "domains"} | {
                    option: value if option == "--listen" else path / value}
                done = run(sys.executable, "-I", WEBHOOK, *(word for pair in words.items() for word in pair), timeout=20)
                check(done.returncode == 2 and done.stderr, f"{option} {value}: {done}")
                check(TOKEN not in done.stderr, "the token is printed")


if __name__ == "__main__":
    sys.exit(netlab.main([files_are_valid, script_refuses, webhook_checks_its_files, webhook_decides, webhook_refuses,
                          webhook_tells_what_failed, playbook_refuses, script_boosts, playbook_boosts, alerts_boost]))
