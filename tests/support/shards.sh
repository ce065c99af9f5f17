#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# shards.sh N PROGRAM: runs a GoogleTest program in N parts at once, and prints what they print one after the other. Fails if
# one of them does.
set -Eeuo pipefail

WORK=$(mktemp -d /tmp/wb-shards-XXXXXX)
trap 'rm -rf "$WORK"' EXIT
pids=()
for ((i = 0; i < $1; i++)); do
  GTEST_TOTAL_SHARDS=$1 GTEST_SHARD_INDEX=$i "$2" >"$WORK/$i" 2>&1 &
  pids+=($!)
done
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$WORK"' EXIT
status=0
for ((i = 0; i < $1; i++)); do
  wait "${pids[i]}" || status=1
  cat "$WORK/$i"
done
exit "$status"
