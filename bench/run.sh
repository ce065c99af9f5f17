#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Origin CPU per request, in labs bqn and bqa of deploy/lab.sh:
#   bench/run.sh quick [--json FILE]   the accelerator against nginx, under 3 minutes
#   bench/run.sh miss [--json FILE]    what a request costs that the accelerator cannot answer
#   bench/run.sh bulk [--json FILE]    what objects above 16 KiB cost
#   bench/run.sh check [--json FILE]   do the cost targets hold
#   bench/run.sh booster [--json FILE] HAProxy, nginx and boosterd side by side, about 18 minutes
# More options: bench/run.sh --help. Builds what is not built; removes its labs however it ends.
# Exit codes: 0 done; 1 failed, what should have been hits was not, or a bound of check does not hold; 2 wrong usage.
set -Eeuo pipefail

REPO_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONDONTWRITEBYTECODE=1

clean_up() {
  trap '' HUP INT TERM
  [[ -z ${BENCH_PID:-} ]] || kill -TERM "$BENCH_PID" 2>/dev/null || true
  local prefix
  for prefix in bqn bqa; do
    "$REPO_DIR/deploy/lab.sh" down --prefix "$prefix" >/dev/null 2>&1 || true
  done
}

for word; do
  case "$word" in
    -h | --help) exec python3 "$REPO_DIR/bench/bench.py" --help ;;
  esac
done
# Before anything is built; bench.py reads the rest.
case "${1:-}" in
  quick | miss | bulk | check | booster) ;;
  *) echo 'usage: run.sh quick|miss|bulk|check|booster [--json FILE] [...]; see run.sh --help' >&2 && exit 2 ;;
esac
[[ $(id -u) == 0 ]] || { echo 'run.sh: must run as root: labs need it' >&2 && exit 1; }
mkdir -p /run/lock
exec 9>/run/lock/webbooster-bench.lock
flock -n 9 || { echo 'run.sh: another benchmark is running' >&2 && exit 1; }
[[ -n ${WB_BUILD_DIR:-} ]] || "$REPO_DIR/deploy/build.sh" >&2
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
clean_up # what an earlier run may have left
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, so that a signal is acted upon at once.
timeout -k 10 2400 python3 "$REPO_DIR/bench/bench.py" "$@" 9>&- &
BENCH_PID=$!
status=0
wait "$BENCH_PID" || status=$?
BENCH_PID=
exit "$status"
