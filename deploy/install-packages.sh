#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what deploy/packages.txt lists; nothing to do, and no network needed, when all is there. The
# first step of quickstart.sh, tests/run.sh and .ci/run. Services that come with the packages (nginx,
# haproxy, prometheus) are neither started nor enabled: only the programs are needed. Needs root to install.
set -Eeuo pipefail

SELF_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
LIST=$SELF_DIR/packages.txt
POLICY=/usr/sbin/policy-rc.d
SERVICES=(nginx haproxy prometheus prometheus-node-exporter prometheus-alertmanager)
# Images of containers leave documentation out, but the quickstart's site is documentation.
DOC_PACKAGE=python3.11-doc
DOC_DIR=/usr/share/doc/python3.11

export DEBIAN_FRONTEND=noninteractive
APT=(apt-get -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3
  -o "Dpkg::Options::=--path-include=$DOC_DIR/*")

say() {
  printf 'install-packages.sh: %s\n' "$*" >&2
}

installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing_packages() {
  local package
  while read -r package; do
    installed "$package" || printf '%s\n' "$package"
  done < <(sed 's/#.*//' "$LIST" | awk 'NF { print $1 }')
}

doc_is_there() {
  ! grep -q "^$DOC_PACKAGE\\b" "$LIST" || [[ -n $(find -L "$DOC_DIR" -name index.html -print -quit 2>/dev/null) ]]
}

# Exit code 101 of policy-rc.d forbids maintainer scripts to start what they install.
forbid_services() {
  [[ ! -e $POLICY ]] || return 0
  trap 'rm -f "$POLICY"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 0755 "$POLICY"
}

main() {
  local -a missing new_services=()
  local service
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)) && doc_is_there; then
    return 0
  fi
  [[ $(id -u) == 0 ]] || { say "must run as root to install ${missing[*]:-$DOC_PACKAGE}" && exit 1; }
  for service in "${SERVICES[@]}"; do
    installed "$service" || new_services+=("$service")
  done
  forbid_services
  say "installing: ${missing[*]:-$DOC_PACKAGE}"
  "${APT[@]}" update
  if ((${#missing[@]})); then
    "${APT[@]}" install --no-install-recommends "${missing[@]}"
  fi
  doc_is_there || "${APT[@]}" install --reinstall --no-install-recommends "$DOC_PACKAGE"
  if command -v systemctl >/dev/null; then
    for service in "${new_services[@]}"; do
      systemctl disable --quiet "$service" 2>/dev/null || true
    done
  fi
}

main "$@"
