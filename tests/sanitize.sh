#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# User space under the sanitizers of clang: tests/sanitize.sh build|run address|thread [TEST]. `build` makes
# build/asan (address and undefined behaviour, with the fuzz targets) or build/tsan beside build/, whose
# BPF programs it takes. `run` runs the unit tests there and a real accelerd in a lab under load, or TEST.
# ctest calls both (sanitize_*). WB_SANITIZE_SECONDS: of load (15).
set -Eeuo pipefail

REPO_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
SELF_DIR=$REPO_DIR/tests/sanitize
export PYTHONDONTWRITEBYTECODE=1

usage() {
  sed -n '4,7s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

build() {
  chrt --idle --pid 0 $$ # tests run meanwhile
  local -a launcher=()
  export CCACHE_SLOPPINESS=pch_defines,time_macros # which its precompiled headers take
  ! command -v ccache >/dev/null ||
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  [[ -f $REPO_DIR/build/bpf/webbooster.skel.h ]] || {
    echo 'sanitize.sh: build/ is not built: deploy/build.sh' >&2
    exit 1
  }
  cmake -S "$REPO_DIR" -B "$BUILD_DIR" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWB_SANITIZE="$SANITIZERS" \
    -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16 \
    -DWB_BPF_BUILT="$REPO_DIR/build/bpf" "${launcher[@]}"
  cmake --build "$BUILD_DIR" --parallel "$(nproc)" --target accelerd wbctl "${TESTS[@]}" "${MORE[@]}"
}

# One test; what it says is not mixed with the others'.
run_one() {
  local -a program=("$BUILD_DIR"/tests/*/"$1")
  local said status=0
  said=$("${RUN[@]}" "${program[0]}" --gtest_brief=1 --gtest_filter="-$LONG$FILTER" 2>&1) || status=$?
  printf '== %s (%d s)\n%s\n' "$1" "$SECONDS" "$said"
  return "$status"
}

# As many tests at once as there are CPUs; the load has them all.
run() {
  printf '%s\n' "${TESTS[@]}" | xargs -P "$(nproc)" -I{} "${BASH_SOURCE[0]}" run "$1" {}
  printf '== accelerd under load\n'
  WB_BUILD_DIR=$BUILD_DIR "${RUN[@]}" "$SELF_DIR/load_test.py"
}

(($# == 2 || $# == 3)) || usage
RUN=() MORE=() FILTER=
# Simulations that would take minutes, and measure speed.
LONG='FragmentationTest.*:Traces/*:BulkSimulationTest.Goodput*:BulkSimulationTest.Fills*:BulkSimulationTest.TwoFlows*'
LONG+=':BulkLateDriverTest.GoodputUnderLoss*:BulkLateDriverTest.ReorderingCosts*:BulkLateDriverTest.GatheringCosts*'
# Locks of the ones that have threads; all tests for memory.
LONG+=':RandomLoadTest.*:NoisyDayTest.*:Profiles/NoisyHourTest.*'
TESTS=(api_test cache_test accelerd_adoption_test boost_etcd_test boost_test front_policy_test)
SYMBOLIZER=external_symbolizer_path=$(command -v addr2line)
case "$2" in
  address)
    BUILD_DIR=$REPO_DIR/build/asan SANITIZERS=address,undefined MORE=(fuzz_targets)
    TESTS+=(booster_http_test booster_link_test bulk_test config_test front_config_test front_h2_test front_test link_test tls_test)
    TESTS+=(doctor_test doctor_machine_test metrics_test kern_conn_table_test sock_destroy_test tc_hook_test)
    TESTS+=(accelerd_load_test kern_listen_queues_test bpf_bounce_test director_attach_test director_test)
    # Of the simulation of random paths.
    export WB_BULK_SEGMENTS=30000
    export ASAN_OPTIONS=$SYMBOLIZER:detect_stack_use_after_return=1:strict_string_checks=1:handle_abort=1
    export UBSAN_OPTIONS=$SYMBOLIZER:print_stacktrace=1
    ;;
  thread)
    BUILD_DIR=$REPO_DIR/build/tsan SANITIZERS=thread
    TESTS+=(booster_link_test)
    # What only Debian's libraries touch, some of them by a memcmp() that is seen where their locks are not.
    export TSAN_OPTIONS=$SYMBOLIZER:ignore_noninstrumented_modules=1:detect_deadlocks=1:second_deadlock_stack=1
    # What the fake service notes reaches Wbctl by way of another process, unseen; and the runtime has a thread of its
    # own, with which no process enters a user namespace.
    FILTER=':Wbctl.*:WatcherLimitTest.NamesTheSysctlWhenWatchesRunOut'
    # Its runtime does not know every layout that address randomisation makes.
    RUN=(setarch -R)
    ;;
  *) usage ;;
esac
case "$1 $#" in
  'build 2' | 'run 2') "$1" "$2" ;;
  'run 3') run_one "$3" ;;
  *) usage ;;
esac
