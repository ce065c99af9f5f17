#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real clients of boosterd get what the origin's nginx answers them itself on port 8080, byte for byte: curl, nghttp,
h2load, wrk and Chromium, over HTTP/1.1, TLS 1.2 and 1.3, and HTTP/2, from the origin's packet cache and beside it.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import netlab
from booster_lab import TO, EchoOrigin
from booster_test import await_keys, essence, first_origin
from bytes_test import wrk_cases
from netlab import Lab, check, say

SMALL = (1, 700, 1024, 3001, 5000, 9000, 11673, 13999)
LARGE = (15000, 40000, 300000, 2_000_000)
COMPRESSED = (3001, 5000, 40000)
CLASSES = 9  # of Accept-Encoding, by default; each has a key
BODIES = (0, 1, 3000, 200_000, 1_100_000)  # curl asks for 100 (Continue) before the largest
PAST, FUTURE = "Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"
BOUNDARY = re.compile(rb"boundary=(\S+)")  # nginx numbers them
# Lines of curl's configuration by which it speaks a protocol.
PROTOCOLS = {"HTTP/1.1": ("http", "1.1", ["http1.1"]),
             "HTTP/1.1, TLS 1.2": ("https", "1.1", ["http1.1", 'tls-max = "1.2"']),
             "HTTP/1.1, TLS 1.3": ("https", "1.1", ["http1.1", "tlsv1.3"]),
             "HTTP/2, TLS 1.2": ("https", "2", ["http2", 'tls-max = "1.2"']),
             "HTTP/2, TLS 1.3": ("https", "2", ["http2", "tlsv1.3"])}
CHROMIUM = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--no-proxy-server",
            "--ignore-certificate-errors"]


def site(path):
    netlab.make_docroot(path, SMALL + LARGE, compressed=COMPRESSED)
    (path / "index.html").write_bytes(netlab.pattern("index", 900))
    for size in BODIES:
        (path / f"body{size}").write_bytes(netlab.pattern(f"body{size}", size))
    return path


def site_lab(path):
    # So that of what goes by key some is left to the web server, too.
    conf = (netlab.REPO / "deploy/lab/accelerd.yaml.in").read_text() + "keepalive_refresh: 1s\n"
    return Lab(path, booster=True, nginx_include=EchoOrigin.INCLUDE, conf=conf)


def field(name, value):
    return 'header = "{}: {}"'.format(name, value.replace('"', '\\"'))


def requests(lab, path):
    """Targets and the lines of curl's configuration that make the rest of a request."""
    reference = lab.connect(8080)
    found = [(target, []) for target in ("/", "/none", "/dynamic/x?a=1", "/s700.html?b=2", "/echo/none",
                                         "/echo/chunked")]
    for size in SMALL + LARGE:
        target = f"/s{size}.html"
        etag = reference.request(lab.request(target)).value(b"etag").decode()
        found += [(target, lines) for lines in (
            [], ["head"], ['range = "0-0"'], ['range = "500-3499"'], ['range = "-7"'], ['range = "5000000-"'],
            ['range = "5-5,9-"'], [field("If-None-Match", etag)], [field("If-None-Match", '"other"')],
            [field("Accept-Encoding", "gzip")],
            [field("If-Modified-Since", PAST)], [field("If-Modified-Since", FUTURE)], [field("Cookie", "a=b")],
            ['range = "2-3"', field("If-Range", etag)],
            [field("If-None-Match", etag), field("Accept-Encoding", "gzip")])]
    for size in BODIES:
        body = f"{path}/body{size}"
        plain, chunked = [f'data-binary = "@{body}"'], [field("Transfer-Encoding", "chunked")]
        put = [f'upload-file = "{body}"']
        found += [(f"/echo/{kind}{size}", lines) for kind in ("", "chunked") for lines in (plain, put)]
        # curl does not end an empty file's chunks.
        if size:
            more = (plain + chunked, put + chunked, plain + ['request = "PATCH"'])
            found += [(f"/echo/{size}", lines) for lines in more]
    found += [("/echo/none", ['request = "DELETE"']), ("/echo/x", ['request = "OPTIONS"']),
              ("/s700.html", ['request = "OPTIONS"']), ("/s700.html", ['data = "x"'])]
    reference.close()
    return found


def curl(lab, base, wanted, options):
    """Versions, connections made, and what was answered, without interim responses, of one process."""
    with netlab.scratch() as out:
        text = "\nnext\n".join("\n".join([
            f'url = "{base}{target}"', "globoff", "silent", "path-as-is", "max-time = 20",
            f'output = "{out}/{number}.body"', f'dump-header = "{out}/{number}.head"',
            'write-out = "%{http_version} %{num_connects} %{exitcode} %{errormsg}\\n"', *options, *lines])
            for number, (target, lines) in enumerate(wanted))
        (out / "conf").write_text(text)
        done = lab.run("client", "curl", "-q", "-K", out / "conf")
        check(done.returncode == 0, f"curl {base} {options} exits {done.returncode}: {done.stderr}")
        rows = [line.split(" ", 3) for line in done.stdout.splitlines()]
        for request, row in zip(wanted, rows):
            check(row[2] == "0", f"curl {base} {options}, {request}: {row}")
        answers = []
        for number, (_, lines) in enumerate(wanted):
            head = (out / f"{number}.head").read_bytes().removesuffix(b"\r\n\r\n").split(b"\r\n\r\n")[-1]
            body = out / f"{number}.body"
            body = body.read_bytes() if body.exists() and "head" not in lines else b""
            if boundary := BOUNDARY.search(head):
                head, body = (text.replace(boundary[1], b"(number)") for text in (head, body))
            answers.append(essence(head, body))
    return {row[0] for row in rows}, sum(int(row[1]) for row in rows), answers


def curl_gets_the_same():
    """Each kind of request in each protocol; first of a cold cache, then of a warm one."""
    with netlab.scratch() as path, site_lab(site(path)) as lab:
        echo = EchoOrigin(lab)
        wanted = requests(lab, path)
        direct = [f'resolve = "{lab.domain}:8080:{lab.address()}"', "http1.1"]
        _, _, reference = curl(lab, f"http://{lab.domain}:8080", wanted, direct)
        statuses = {answer[0] for answer in reference}
        check({"200", "204", "206", "304", "404", "405", "416"} <= statuses, f"only {statuses} are compared")
        turns = [*PROTOCOLS.items(), *PROTOCOLS.items()][:1 + len(PROTOCOLS)]
        for turn, (name, (scheme, version, lines)) in enumerate(turns):
            before = first_origin(lab)["hits"]
            lines = [*lines, f'cacert = "{lab.env["CA_CERT"]}"'] + [
                f'resolve = "{lab.domain}:{port}:{lab.address(host=TO)}"' for port in (80, 443)]
            versions, connections, answers = curl(lab, f"{scheme}://{lab.domain}", wanted, lines)
            for request, mine, theirs in zip(wanted, answers, reference):
                check(mine == theirs, f"{name}, {request}: {mine[:2]}, {len(mine[2])} bytes; "
                      f"nginx itself {theirs[:2]}, {len(theirs[2])}")
            check(versions == {version}, f"{name}: {versions}")
            check(connections == 1, f"{name}: {connections} connections for {len(wanted)} requests")
            hits = first_origin(lab)["hits"] - before
            say(f"  {name}: {len(wanted)} requests, {hits} by key, 0 differences")
            check(turn == 0 or hits >= 2 * len(SMALL), f"{name}: only {hits} by key")
            await_keys(lab, len(SMALL))
        # Those with a GET are asked by accelerd, too.
        sent = sum(1 for target, lines in wanted if target.startswith("/echo/") and lines)
        seen = sum(count for (method, _), count in echo.seen.items() if method != "GET")
        check(seen == sent * (1 + len(turns)), f"{seen} requests came, {sent} were sent {1 + len(turns)} times")
        echo.close()


def what_xdp_passes_is_the_same():
    """What goes by key and is left to the web server all the same, here because a link had no request for a second."""
    with netlab.scratch() as path, site_lab(site(path)) as lab:
        targets = [f"/s{size}.html" for size in COMPRESSED if size in SMALL]
        reference, boosted = lab.connect(8080), lab.connect(80, to=TO)
        encoded = [lab.request(target, [("Accept-Encoding", "gzip")]) for target in targets]
        wanted = []
        for request in encoded:
            answer = reference.request(request)
            check(answer.value(b"content-encoding") == b"gzip", f"nginx itself: {answer.head}")
            wanted.append(essence(answer.head, answer.body))
        lab.warm(*targets)
        await_keys(lab, CLASSES * len(targets))
        passed, hits = lab.reasons()["in/keepalive_refresh"], first_origin(lab)["hits"]
        for turn in range(8):
            time.sleep(1.1)
            for request, theirs in zip(encoded, wanted):
                answer = boosted.request(request)
                mine = essence(answer.head, answer.body)
                check(mine == theirs, f"turn {turn}, {request}: {mine[:2]}; nginx itself {theirs[:2]}")
        passed, hits = lab.reasons()["in/keepalive_refresh"] - passed, first_origin(lab)["hits"] - hits
        say(f"  {8 * len(encoded)} requests, {hits} by key, {passed} of them left to the web server, 0 differences")
        check(hits == 8 * len(encoded) and passed >= 4, f"{hits} by key, {passed} left to the web server")
        reference.close()
        boosted.close()


def by_nghttp(lab, path):
    """One at a time, for nghttp mixes what comes together, bodies sent and returned among them; then all at once, of
    which it tells the sizes.
    """
    base = f"https://{lab.address(host=TO)}"
    nghttp = ["env", f"SSL_CERT_FILE={lab.env['CA_CERT']}", "nghttp", f"-H:authority: {lab.domain}", "-t", "20"]
    asked = [(f"/s{size}.html", path / f"s{size}.html", []) for size in SMALL + LARGE]
    asked += [(f"/echo/chunked{size}", path / f"body{size}", ["-d", path / f"body{size}"]) for size in BODIES[1:]]
    for target, file, options in asked:
        done = subprocess.run(lab.command("client", *nghttp, *options, base + target), capture_output=True)
        check(done.returncode == 0 and not done.stderr, f"nghttp exits {done.returncode}: {done.stderr}")
        check(done.stdout == file.read_bytes(), f"nghttp {target}: {len(done.stdout)} bytes, other ones")
    sizes, before = SMALL + LARGE, first_origin(lab)["hits"]
    said = lab.must("client", *nghttp, "-ns", "-m", 5, "-HAccept-Encoding: identity",
                    *[f"{base}/s{size}.html" for size in sizes])
    rows = re.findall(r" (\d{3}) +(\d+[KM]?) (/s\d+\.html)$", said, re.MULTILINE)
    hits = first_origin(lab)["hits"] - before
    say(f"  nghttp: {len(asked)} bodies right; {len(rows)} streams at once, {hits} by key")
    check({row[0] for row in rows} == {"200"}, said)
    shown = {size: f"{size >> 20}M" if size >= 1 << 20 else f"{size >> 10}K" if size >= 1 << 10 else str(size)
             for size in sizes}
    check(sorted(rows) == sorted([("200", shown[size], f"/s{size}.html") for size in sizes] * 5), said)


def by_h2load(lab):
    """Many streams: all of them 2xx, and the bodies have as many bytes as the files."""
    with netlab.scratch() as out:
        sizes = SMALL + LARGE[:3]
        for scheme, options in (("https", ["-m", 64]), ("https", ["--h1", "-m", 4]), ("http", ["--h1", "-m", 1])):
            (out / "uris").write_text("".join(f"{scheme}://{lab.domain}/s{size}.html\n" for size in sizes))
            clients, turns = 8, 40
            count = clients * turns * len(sizes)
            port = 443 if scheme == "https" else 80
            said = lab.must("client", "h2load", "-n", count, "-c", clients, *options, "-i", out / "uris",
                            "-T", 20, "-N", 20, f"--connect-to={lab.address(host=TO)}:{port}")
            total, succeeded = map(int, re.search(r"requests: (\d+) total, .* (\d+) succeeded", said).groups())
            bodies = int(re.search(r"\((\d+)\) data", said)[1])
            say(f"  h2load {scheme} {options}: {succeeded} of {total}, {bodies} bytes")
            check(total == succeeded == count and f"status codes: {count} 2xx" in said, said)
            wanted = clients * turns * sum(sizes)
            check(bodies == wanted, f"{bodies} bytes, not {wanted}:\n{said}")


def by_wrk(lab):
    """Every body compared, with conditional requests, ranges, compressed ones and misses among them."""
    with netlab.scratch() as out:
        cases = wrk_cases(lab, 4, out)
        # For SNI wrk needs the name.
        (out / "hosts").write_text(f"{lab.address(host=TO)} {lab.domain}\n")
        wrk = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec wrk "$@"', out / "hosts"]
        for scheme in ("http", "https"):
            before = first_origin(lab)["hits"]
            said = lab.must("client", *wrk, "-t4", "-c4", "-d2s", "--timeout", "5s", "-s",
                            netlab.SUPPORT / "wrk_check.lua", f"{scheme}://{lab.domain}/", cases)
            checked, wrong = map(int, re.search(r"checked (\d+) wrong (\d+)", said).groups())
            hits = first_origin(lab)["hits"] - before
            say(f"  wrk {scheme}: {checked} requests, {hits} by key, {wrong} differences")
            check(wrong == 0 and checked > 200 and "Socket errors" not in said, said)
            check(hits > 0.4 * checked, f"{hits} by key of {checked}")


SCRIPT = """
<script>
const loaded = [], problems = [];
addEventListener('error', event => problems.push(String(event.target.src || event.target.href || event.message)), true);
</script>
"""
# SRI: Chromium compares the hashes of what it loads.
CHECKS = """
<script>
const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const get = ([url, integrity]) => fetch(url, {integrity, cache: 'no-store'}).then(response => response.arrayBuffer())
  .then(() => loaded.push(url), error => problems.push(`${url} ${error}`));
const post = async size => {
  const body = Uint8Array.from({length: size}, (_, at) => at * at % 251);
  const response = await fetch(`/echo/page${size}`, {method: 'POST', body});
  if (!same(body, new Uint8Array(await response.arrayBuffer()))) problems.push(`POST ${size}`);
  loaded.push(`POST ${size}`);
};
addEventListener('load', async () => {
  await Promise.all([...FETCHED.map(get), ...[1, 3000, 200000].map(post)]).catch(error => problems.push(String(error)));
  const entries = performance.getEntriesByType('resource');
  document.body.textContent = 'RESULT' + JSON.stringify({loaded: [...loaded, ...styles()], problems,
    images: [...document.images].filter(image => image.naturalWidth === 8).length,
    resources: entries.length, protocols: [...new Set(entries.map(entry => entry.nextHopProtocol))]}) + 'END';
});
const value = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const styles = () => [...Array(STYLES).keys()].map(at => `style${at}`).filter(name => value(name) === 'yes');
</script>
"""


def integrity(data):
    return "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()


def make_page(path, scripts=10, styles=6, images=6):
    """Names of what a page of some 30 parts has to load, images apart."""
    parts = [SCRIPT]
    for number in range(scripts):
        filling = netlab.pattern(f"js{number}", 300 << number).replace(b"\n", b" ")
        data = f"loaded.push('script{number}');\n// ".encode() + filling
        (path / f"script{number}.js").write_bytes(data)
        parts.append(f'<script src="/script{number}.js" integrity="{integrity(data)}"></script>')
    for number in range(styles):
        data = f":root {{ --style{number}: yes }}\n/*{'x' * 900 * number}*/".encode()
        (path / f"style{number}.css").write_bytes(data)
        parts.append(f'<link rel="stylesheet" href="/style{number}.css" integrity="{integrity(data)}">')
    for number in range(images):
        (path / f"image{number}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><!--{"y" * 700 * number}--></svg>')
        parts.append(f'<img src="/image{number}.svg">')
    fetched = [(f"/s{size}.html", integrity((path / f"s{size}.html").read_bytes())) for size in SMALL + LARGE]
    checks = CHECKS.replace("FETCHED", json.dumps(fetched)).replace("STYLES", str(styles))
    (path / "page.html").write_text(f"<!DOCTYPE html><html><head>{''.join(parts)}</head><body>{checks}</body></html>")
    for file in path.iterdir():
        os.utime(file, (1700000000, 1700000000))
    return ({f"script{n}" for n in range(scripts)} | {f"style{n}" for n in range(styles)} | {url for url, _ in fetched}
            | {f"POST {size}" for size in (1, 3000, 200000)}, images)


def by_chromium(lab, wanted, images):
    """A page of some 30 parts over HTTP/2, cold and warm. Chromium compares hashes, the page what it posted."""
    for warm in (False, True):
        before = first_origin(lab)["hits"]
        # Chromium's virtual time may be over between the last response and the script's last step: then again.
        for _ in range(4):
            done = lab.run("client", *CHROMIUM, f"--host-resolver-rules=MAP {lab.domain} {lab.address(host=TO)}",
                           "--virtual-time-budget=20000", "--dump-dom", f"https://{lab.domain}/page.html", timeout=60)
            found = re.search(r"RESULT(.*)END</body>", done.stdout)
            if found:
                break
        check(found, f"Chromium exits {done.returncode} without a result: {done.stdout[-500:]} {done.stderr[-1500:]}")
        result = json.loads(found[1])
        hits = first_origin(lab)["hits"] - before
        say(f"  Chromium: {result['resources']} parts over {result['protocols']}, {hits} by key")
        check(not result["problems"], f"{result['problems']}")
        check(set(result["loaded"]) == wanted, f"not loaded: {wanted - set(result['loaded'])}")
        check(result["images"] == images, f"{result['images']} images")
        check(result["protocols"] == ["h2"], f"{result['protocols']}")
        check(result["resources"] >= 30, f"{result}")
        check(not warm or hits >= 15, f"only {hits} by key")
        await_keys(lab, CLASSES * len(SMALL) + 15)


def other_clients_get_the_same():
    check(shutil.which(CHROMIUM[0]), "no Chromium")
    with netlab.scratch() as path:
        parts = make_page(site(path))
        with site_lab(path) as lab:
            echo = EchoOrigin(lab)
            lab.warm(*[f"/s{size}.html" for size in SMALL])
            await_keys(lab, len(SMALL))
            by_nghttp(lab, path)
            by_h2load(lab)
            by_wrk(lab)
            by_chromium(lab, *parts)
            echo.close()


if __name__ == "__main__":
    sys.exit(netlab.main([curl_gets_the_same, what_xdp_passes_is_the_same, other_clients_get_the_same]))
