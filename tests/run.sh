#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs packages, builds, and passes all tests: tests/run.sh [CTEST ARGUMENTS]. One test at a time,
# because network tests measure time, and beside it what compiles when nothing else runs. Removes what aborted runs of the tests
# have left, before and after. A skipped test is a failure. The last line is ctest's summary.
# Exit codes: 0 all passed; else 1.
set -Eeuo pipefail

REPO_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
BUILD_DIR=$REPO_DIR/build
LIMIT_S=${WB_TESTS_LIMIT_S:-4500}
export PYTHONDONTWRITEBYTECODE=1
WORK=''

die() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}

# Also of labs of which only some part is left.
lab_prefixes() {
  {
    "$REPO_DIR/deploy/lab.sh" list 2>/dev/null || true
    ip netns list 2>/dev/null | sed -nE 's/^(nt[0-9a-z]{6})-(client|booster|origin|wire).*/\1/p'
    find /sys/fs/bpf -mindepth 1 -maxdepth 1 -name 'webbooster-nt??????*' -printf '%f\n' 2>/dev/null |
      sed -e 's/^webbooster-//' -e 's/-origin2$//' -e 's/-booster$//'
  } | sort -u
}

# Only what tests made whose process is gone: labs of net/netlab.py, named "nt", five digits of the
# pid to base 36 and one more; the doctor's namespaces; and pins named by a pid.
remove_leftovers() {
  local prefix ns
  while read -r prefix; do
    [[ $prefix =~ ^nt([0-9a-z]{5})[0-9a-z]$ && ! -d /proc/$((36#${BASH_REMATCH[1]})) ]] || continue
    [[ ! -e /run/webbooster-wire/$prefix ]] ||
      timeout -k 5 30 "$REPO_DIR/tests/support/wire_lab.sh" remove "$prefix" >/dev/null 2>&1 || true
    timeout -k 5 60 "$REPO_DIR/deploy/lab.sh" down --prefix "$prefix" >&2 || true
  done < <(lab_prefixes)
  while read -r ns _; do
    if [[ $ns =~ ^wbdoctor-([0-9]+)$ && ! -d /proc/${BASH_REMATCH[1]} ]]; then
      ip netns delete "$ns" || true
    fi
  done < <(ip netns list 2>/dev/null || true)
  local pins
  for pins in /sys/fs/bpf/wb-test-*; do
    [[ ! $pins =~ -([0-9]+)(-[0-9]+)?$ || -d /proc/${BASH_REMATCH[1]} ]] || rm -rf --one-file-system "$pins"
  done
}

clean_up() {
  local status=$?
  trap '' HUP INT TERM
  trap - EXIT
  set +e
  if [[ -n ${CTEST_PID:-} ]]; then
    kill -TERM "$CTEST_PID" 2>/dev/null
    wait "$CTEST_PID"
  fi
  remove_leftovers
  [[ -z $WORK ]] || rm -rf "$WORK"
  [[ -z ${SUMMARY:-} ]] || printf '%s\n' "$SUMMARY"
  exit "$status"
}

# Tests that did not run are failures: those that ctest calls skipped or not run, and those within a
# GoogleTest program, of which ctest knows nothing.
skipped() {
  grep -hE '^[[:space:]]*[0-9]+ - .* \((Skipped|Disabled|Not Run)\)' "$1" || true
  grep -hE '^\[  SKIPPED \] [A-Za-z0-9_/]+\.' "$2" 2>/dev/null | sort -u || true
}

main() {
  [[ $(id -u) == 0 ]] || die 'must run as root: network namespaces and BPF need it'
  mkdir -p /run/lock
  exec 9>/run/lock/webbooster-tests.lock
  flock -n 9 || die 'another run of the tests is under way'
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  "$REPO_DIR/deploy/install-packages.sh" 9>&-
  remove_leftovers
  WORK=$(mktemp -d /tmp/wb-tests-XXXXXX)
  if ! timeout -k 10 1800 "$REPO_DIR/deploy/build.sh" >"$WORK/build.log" 2>&1 9>&-; then
    tail -n 60 "$WORK/build.log"
    die 'the build failed'
  fi
  rm -f "$BUILD_DIR/Testing/Temporary/LastTest.log"
  local status=0 problems
  timeout -k 30 "$LIMIT_S" ctest --test-dir "$BUILD_DIR" --output-on-failure --no-tests=error \
    --timeout 600 -j 2 "$@" >"$WORK/ctest.log" 2>&1 9>&- &
  CTEST_PID=$!
  # What ctest prints is shown as it comes, and ends with it.
  tail -n +1 -f --pid="$CTEST_PID" "$WORK/ctest.log" 9>&- &
  wait "$CTEST_PID" || status=$?
  CTEST_PID=
  wait
  ((status != 124)) || printf 'run.sh: the tests took longer than %s s\n' "$LIMIT_S"
  problems=$(skipped "$WORK/ctest.log" "$BUILD_DIR/Testing/Temporary/LastTest.log")
  if [[ -n $problems ]]; then
    printf 'run.sh: skipped, and so failed:\n%s\n' "$problems"
    status=1
  fi
  SUMMARY=$(grep -E '^[0-9]+% tests passed' "$WORK/ctest.log" | tail -n 1 || true)
  [[ -n $SUMMARY ]] || { SUMMARY='no test ran to its end' && status=1; }
  ((status == 0)) || exit 1
}

main "$@"
