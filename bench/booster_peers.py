# SPDX-License-Identifier: Apache-2.0
"""What stands before an origin in booster.py: HAProxy, nginx and boosterd, each on its own address:port of the same
host of a lab, each with one thread. The peers are set up as their users would for speed: connections to the origin
kept and shared, no logs, keep-alive without end, the same kind of certificate.
"""

import os
import subprocess
import time

import origin

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  option splice-auto
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend clients
  bind {address}:8001
  bind {address}:8441 ssl crt {pem} alpn http/1.1
  default_backend origin
backend origin
  server origin {origin}:80
"""

NGINX = """
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  tcp_nopush on;
  upstream origin {{
    server {origin}:80;
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen {address}:8002 backlog=4096;
    listen {address}:8442 ssl backlog=4096;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffer_size 16k;
      proxy_buffers 16 16k;
      proxy_busy_buffers_size 64k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""

PROGRAMS = ("haproxy", "nginx", "boosterd")


def make_certificate(directory, domain):
    """Self-signed, EC P-256, with its key in the same file: what both peers read."""
    pem = os.path.join(directory, "peer.pem")
    origin.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days",
                "2", "-subj", f"/CN={domain}", "-keyout", pem + ".key", "-out", pem], 30)
    with open(pem, "a", encoding="ascii") as file, open(pem + ".key", encoding="ascii") as key:
        file.write(key.read())
    return pem


class Peer:
    """HAProxy or nginx in the booster's namespace of a lab, until close()."""

    def __init__(self, name, lab, directory, pem):
        self.name = name
        self.ports = {"haproxy": (8001, 8441), "nginx": (8002, 8442)}[name]
        self.address = lab.env["BOOSTER_CLIENT_IP"]
        directory = os.path.join(directory, f"{lab.prefix}-{name}")
        os.mkdir(directory)
        path = os.path.join(directory, "conf")
        with open(path, "w", encoding="ascii") as file:
            file.write({"haproxy": HAPROXY, "nginx": NGINX}[name].format(
                address=self.address, origin=lab.env["ORIGIN_BOOSTER_IP"], pem=pem, directory=directory))
        log = os.path.join(directory, "nginx-error.log")
        command = {"haproxy": ["haproxy", "-db", "-q", "-f", path],
                   "nginx": ["nginx", "-p", directory, "-e", log, "-c", path]}[name]
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            lab.exec_command("booster", *command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self._wait(lab)

    def _wait(self, lab):
        end = time.monotonic() + 10
        probe = lab.exec_command("client", "curl", "-s", "-o", "/dev/null", "-m", "1",
                                 f"http://{self.address}:{self.ports[0]}/")
        while subprocess.run(probe, check=False, timeout=10).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise origin.BenchError(f"{self.name} does not start")
            time.sleep(0.1)

    def pids(self):
        """All of the program: nginx's worker too."""
        found = [str(self.process.pid)]
        return found + origin.run(["pgrep", "-P", found[0]], 10, check=False).split()

    def port(self, scheme):
        return self.ports[scheme == "https"]

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Boosterd:
    """The lab's own."""

    name = "boosterd"

    def __init__(self, lab):
        self.address = lab.env["BOOSTER_CLIENT_IP"]
        self._pid = lab.env["BOOSTERD_PID"]

    def pids(self):
        return [self._pid]

    def port(self, scheme):
        return 443 if scheme == "https" else 80

    def close(self):
        pass


def start(name, lab, directory, pem):
    return Boosterd(lab) if name == "boosterd" else Peer(name, lab, directory, pem)
