#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# One fuzz target: tests/fuzz/run.sh TARGET [LIBFUZZER OPTION...]. First every input of corpus/TARGET,
# then new ones for WB_FUZZ_SECONDS (8; 0: none) from WB_FUZZ_SEED (random, printed; ctest's is 1, so that
# a change is judged by what it changes). An input that
# fails is left in build/fuzz-TARGET-*; once mended, it belongs into the corpus.
# Exit codes: 0 nothing found, 1 something was, 2 wrong usage.
set -Eeuo pipefail

SELF_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
BUILD_DIR="$(dirname "$(dirname "$SELF_DIR")")/build"
TARGET=${1:-}
if [[ ! $TARGET =~ ^[a-z0-9]+$ || ! -d $SELF_DIR/corpus/$TARGET ]]; then
  sed -n '4s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
shift
PROGRAM=$BUILD_DIR/asan/tests/fuzz/fuzz_$TARGET
[[ -x $PROGRAM ]] || {
  printf 'run.sh: no %s: tests/sanitize.sh build address\n' "$PROGRAM" >&2
  exit 2
}
SECONDS_LONG=${WB_FUZZ_SECONDS:-8}
SEED=${WB_FUZZ_SEED:-$((RANDOM * 32768 + RANDOM + 1))}
SYMBOLIZER=external_symbolizer_path=$(command -v addr2line)
export ASAN_OPTIONS=$SYMBOLIZER:handle_abort=1:quarantine_size_mb=32
export UBSAN_OPTIONS=$SYMBOLIZER:print_stacktrace=1

# Of one input and of all of them: memory that grows is found too.
options=(-seed="$SEED" -timeout=60 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=6000
  -artifact_prefix="$BUILD_DIR/fuzz-$TARGET-" -print_final_stats=1)
[[ ! -f $SELF_DIR/dict/$TARGET ]] || options+=(-dict="$SELF_DIR/dict/$TARGET")
if ((SECONDS_LONG == 0)); then
  options+=(-runs=0)
else
  options+=(-max_total_time="$SECONDS_LONG")
fi
FOUND=$(mktemp -d /tmp/wb-fuzz-XXXXXX)
trap 'rm -rf "$FOUND"' EXIT
printf 'fuzz_%s: %s s, WB_FUZZ_SEED=%s\n' "$TARGET" "$SECONDS_LONG" "$SEED"
"$PROGRAM" "${options[@]}" "$@" "$FOUND" "$SELF_DIR/corpus/$TARGET" >"$FOUND.log" 2>&1 || {
  tail -n 60 "$FOUND.log"
  rm -f "$FOUND.log"
  exit 1
}
grep -E '^(INITED|Done|stat::(number_of_executed_units|peak_rss_mb))|INITED|DONE' "$FOUND.log" || true
rm -f "$FOUND.log"
