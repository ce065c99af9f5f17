#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Configures and builds everything into build/ of the repository. Called by quickstart.sh, tests/run.sh,
# bench/run.sh and .ci/run; arguments go to the configuring cmake. Two at once wait for each other.
set -Eeuo pipefail

REPO_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
BUILD_DIR=$REPO_DIR/build

mkdir -p "$BUILD_DIR"
exec 8>"$BUILD_DIR/.build.lock"
flock 8

# A build directory that came with a copied or moved checkout cannot be used.
if [[ -f $BUILD_DIR/CMakeCache.txt ]] &&
  ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$REPO_DIR" "$BUILD_DIR/CMakeCache.txt"; then
  echo 'build.sh: build/ belongs to another directory; starting anew' >&2
  find "$BUILD_DIR" -mindepth 1 -maxdepth 1 ! -name .build.lock -exec rm -rf {} +
fi

launcher=()
! command -v ccache >/dev/null || launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# Not to the children: a server of a compiler cache must not keep the lock.
cmake -S "$REPO_DIR" -B "$BUILD_DIR" -DCMAKE_BUILD_TYPE=RelWithDebInfo "${launcher[@]}" "$@" 8>&-
cmake --build "$BUILD_DIR" --parallel "$(nproc)" 8>&-
