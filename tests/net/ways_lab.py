# SPDX-License-Identifier: Apache-2.0
"""What ways_test.py and file_ways_test.py share: a lab with two domains on one document root, and
requests that meet its cache.
"""

import contextlib
import os
import time

import netlab
from netlab import Lab, check, comparable

FRESH_S = 0.010
NGINX = """
listen 81;
server_name b.test;
index index.htm index.html;
add_header X-Host $host;
if ($server_port = 81) { return 403; }
location /exp/ { expires 1h; }
location /lang/ { add_header Vary Accept-Language; }
location /only/ { allow 198.18.0.2; allow 127.0.0.1; deny all; }
location /excluded/ { allow 198.18.0.2; allow 127.0.0.1; deny all; }
location /ref/ { valid_referers none server_names; if ($invalid_referer) { return 403; } }
location /auth/ {
  satisfy any; allow 127.0.0.1; deny all; auth_basic here; auth_basic_user_file "@USERS@";
}
"""


def configuration(refresh="30s"):
    """The lab's, with another domain on the same document root and on one more port."""
    text = (netlab.REPO / "deploy" / "lab" / "accelerd.yaml.in").read_text()
    one = text[text.index("  - name: @DOMAIN@"):]
    other = one.replace("@DOMAIN@", "b.test").replace("ports: [80]", "ports: [80, 81]")
    return (f"keepalive_refresh: {refresh}\n" + text.rstrip("\n")
            + "\n    exclude: [/excluded/]\n" + other)


@contextlib.contextmanager
def lab_of(nginx=NGINX, refresh="30s"):
    with netlab.scratch() as path, netlab.scratch() as beside:
        (beside / "users").write_text("user:{PLAIN}secret\n")
        for name in ("a", "exp", "lang", "only", "excluded", "ref", "auth", "dir"):
            (path / name).mkdir()
            (path / name / "o.html").write_bytes(netlab.pattern(name, 3000))
        for file in path.rglob("*.html"):
            os.utime(file, (1700000000, 1700000000))
        text = nginx.replace("@USERS@", str(beside / "users"))
        with Lab(path, conf=configuration(refresh), nginx_include=text) as lab:
            yield lab, path


def ask(lab, target, fields=(), *, port=80, host="client", to="ORIGIN", domain=None, method="GET"):
    """On a connection of its own, as its second request: the first one often comes before sockops has
    reported the connection, and is then nginx's whatever it asks for."""
    connection = lab.connect(port, host=host, to=to)
    try:
        connection.request(lab.request("/dynamic/first"))
        connection.quickack()
        return connection.request(lab.request(target, fields, method, domain), method.encode())
    finally:
        connection.close()


def make_hot(lab, target, fields=(), **where):
    """Asked until it is a hit; False: it never becomes one."""
    for _ in range(8):
        before = lab.hits()
        ask(lab, target, fields, **where)
        if lab.hits() > before:
            return True
        time.sleep(0.05)
    return False


def same(lab, target, fields=(), **more):
    mine, theirs = ask(lab, target, fields, **more), ask(lab, target, fields, port=8080, **more)
    check((mine.status, comparable(mine)) == (theirs.status, comparable(theirs)),
          f"{target} {fields} {more}: {mine.status} {mine.head!r}, nginx {theirs.head!r}")
    return mine
