# SPDX-License-Identifier: Apache-2.0
"""Mixed requests of one curl process per port over one keep-alive connection, and their comparison.

What curl sends, how it acknowledges and when, is its own; the requests are the same on both ports
for the same seed. Used by bytes_test.py and loss_test.py.
"""

import random
import subprocess

import netlab
from netlab import check, wbhttp

MAX_TIME_S = 30
KINDS = {"get": 40, "head": 10, "range": 8, "post": 6, "if_none_match": 10, "changed": 4,
         "not_found": 6, "compressed": 12, "large": 4}


class Requests:
    """A list of (kind, target, lines of curl's configuration)."""

    def __init__(self, lab, sizes, seed, count):
        rng = random.Random(f"curl/{seed}")
        reference = lab.connect(8080)
        small = [f"/s{size}.html" for size in sizes if size <= 14336]
        large = [f"/s{size}.html" for size in sizes if size > 14336] or small
        etags = {target: reference.request(lab.request(target)).value(b"etag").decode()
                 for target in small}
        self.list = []
        for number in range(count):
            kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
            target = rng.choice(large if kind == "large" else small)
            first = rng.randrange(200)
            etag = etags.get(target, "").replace('"', '\\"')
            lines = {
                "head": ["head"],
                "range": [f'range = "{first}-{first + rng.randrange(3000)}"'],
                "post": [f'data = "{"x" * rng.choice([1, 40, 3000])}"'],
                "if_none_match": [f'header = "If-None-Match: {etag}"'],
                "changed": ['header = "If-None-Match: \\"none\\""'],
                "compressed": ["compressed"],
            }.get(kind, [])
            if kind == "not_found":
                target = f"/none-{number}.html"
            self.list.append((kind, target, lines))

    def configuration(self, base, domain, out):
        sections = []
        for number, (_, target, lines) in enumerate(self.list):
            sections.append("\n".join([
                f'url = "{base}{target}"', f'header = "Host: {domain}"', "globoff", "silent",
                f'output = "{out}/{number}.body"', f'dump-header = "{out}/{number}.head"',
                'write-out = "%{num_connects} %{time_total}\\n"', f"max-time = {MAX_TIME_S}",
                *lines]))
        return "\nnext\n".join(sections) + "\n"


def content(file):
    """A HEAD's head is in the body's file too, and of an empty body there is none."""
    data = file.read_bytes() if file.exists() else b""
    return wbhttp.normalise(data) if data.startswith(b"HTTP/1.1 ") else data


def ask(lab, family, port, requests):
    """Of one port: what was answered, connections made, seconds of each."""
    host = lab.address(family)
    shown = f"[{host}]" if family == 6 else host
    with netlab.scratch() as out:
        text = requests.configuration(f"http://{shown}:{port}", lab.domain, out)
        (out / "curl.conf").write_text(text)
        done = subprocess.run(lab.command("client", "curl", "-q", "-K", out / "curl.conf"),
                              capture_output=True, text=True)
        check(done.returncode == 0, f"curl on port {port} exits {done.returncode}: {done.stderr}")
        rows = [line.split() for line in done.stdout.splitlines()]
        check(len(rows) == len(requests.list),
              f"curl: {len(rows)} answers to {len(requests.list)} requests")
        answers = [(content(out / f"{number}.head"), content(out / f"{number}.body"))
                   for number in range(len(rows))]
    return answers, sum(int(row[0]) for row in rows), [float(row[1]) for row in rows]


def compare(lab, family, sizes, seed, count):
    """{requests, hits, connections, seconds, reference_seconds}; a difference fails the test."""
    requests = Requests(lab, sizes, seed, count)
    wanted, _, reference_seconds = ask(lab, family, 8080, requests)
    before = lab.hits()
    got, connections, seconds = ask(lab, family, 80, requests)
    for number, (mine, theirs) in enumerate(zip(got, wanted)):
        check(theirs[0].startswith(b"HTTP/1.1 "), f"no reference answer to request {number}")
        check(mine == theirs, f"curl over IPv{family}, request {number} {requests.list[number]}: "
              f"{mine[0]!r}, {len(mine[1])} bytes; reference {theirs[0]!r}, {len(theirs[1])} bytes")
    return {"requests": len(got), "hits": lab.hits() - before, "connections": connections,
            "seconds": seconds, "reference_seconds": reference_seconds}
