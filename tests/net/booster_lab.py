# SPDX-License-Identifier: Apache-2.0
"""What tests of boosterd in a lab share: its address, other configurations, its memory, and an origin that says what it
got.
"""

import collections
import http.server
import json
import pathlib
import subprocess
import threading
import time

from netlab import check

TO = "BOOSTER_CLIENT"
ORIGIN = "198.18.1.1"  # for the booster
ORIGIN2 = "198.18.4.1"
CONF = """
instance: test
runtime_dir: {run}
api: {{ socket: {sock} }}
metrics: {{ listen: "127.0.0.1:9465" }}
listeners: [{{ address: "{at}:80" }}]
timeouts: {{ connect: 300ms, response: {response} }}
domains:
  - name: site.test
    origins: [{origins}]
    {more}
"""


def restart_with(lab, origins, more, response="1s"):
    """Other origins (address:port) and rules of the one domain for the running boosterd, by a restart."""
    config = pathlib.Path(lab.env["BOOSTERD_CONF"])
    config.write_text(CONF.format(run=config.parent / "booster", sock=lab.env["BOOSTERD_SOCK"], at=lab.address(host=TO), more=more,
                                  response=response, origins=", ".join(f'{{ address: "{origin}" }}' for origin in origins)))
    lab.boosterd("stop")
    lab.boosterd("start")


def booster(lab):
    """What boosterd's control socket says; it may say the same for 0.1 s."""
    time.sleep(0.2)
    done = subprocess.run([f"{lab.env['BUILD_DIR']}/ctl/wbctl/wbctl", "--json", "booster", "status", "--socket", lab.env["BOOSTERD_SOCK"]],
                          text=True, capture_output=True)
    check(done.returncode == 0, f"wbctl booster status: {done.stderr}")
    return json.loads(done.stdout)


def resident(pid):
    """Bytes of memory."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


class EchoOrigin:
    """Behind the origin's nginx, whose server needs INCLUDE: below /echo/ it returns the body of any request, with the
    method as a field. /echo/chunked...: in chunks; /echo/none...: 204. `seen` counts each method and target.
    """

    PORT = 9000
    INCLUDE = f"""
location /echo/ {{
  proxy_pass http://127.0.0.1:{PORT};
  proxy_http_version 1.1;
  client_max_body_size 0;
}}
"""

    def __init__(self, lab):
        self.seen = seen = collections.Counter()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen[self.command, self.path] += 1
                none, chunked = (self.path.startswith(f"/echo/{kind}") for kind in ("none", "chunked"))
                self.send_response(204 if none else 200)
                self.send_header("Echo-Method", self.command)
                self.send_header("Cache-Control", "no-store")
                if chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    pieces = [body[:1], body[1:8], *(body[at:at + 9999] for at in range(8, len(body), 9999))]
                    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
                elif not none:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD" and not none:
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256

        with lab.inside("origin"):
            self._server = Server(("127.0.0.1", self.PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
