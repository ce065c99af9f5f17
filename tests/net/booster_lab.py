# SPDX-License-Identifier: Apache-2.0
"""What tests of boosterd in a lab share: its address, other configurations, its memory."""

import json
import pathlib
import subprocess
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
