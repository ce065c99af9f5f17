#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boosts a domain for an event, from cron or an orchestrator, and checks that it is in force:
#
#   boost-peak.sh [OPTIONS] DOMAIN --for DURATION   new connections go to the booster, for so long (10m, 3h)
#   boost-peak.sh [OPTIONS] DOMAIN --off            ... to the origin
#   boost-peak.sh [OPTIONS] DOMAIN --auto           ... by the load of the origin
#
#   --socket PATH   boosterd's control socket (default: what wbctl takes)
#   --timeout S     of each question to boosterd (default 10)
#   --wait S        how long it may take until it is in force (default 5)
#
# $WBCTL: the program, if it is not `wbctl` of $PATH. It may be run again at any time: --for begins anew then, so
# that `--for 10m` every five minutes is a boost that ends by itself when nobody asks for it any more. A boost
# without a limit is the word of an operator: --for leaves it as it is. Example of /etc/cron.d:
#
#   50 19 * * 5  webops  boost-peak.sh shop.example.com --for 3h || logger -p user.err "the shop is not boosted"
#
# Exit codes: 0 in force; 1 boosterd refused, or knows no such domain; 2 wrong usage; 3 boosterd cannot be reached;
# 4 no answer in time; 5 said, but not in force after --wait (the booster has no capacity left, say: why is printed).
set -Eeuo pipefail

readonly EXIT_FAILED=1 EXIT_USAGE=2 EXIT_NOT_IN_FORCE=5
WBCTL=${WBCTL:-wbctl}
DOMAIN='' MODE='' DURATION='' SOCKET='' TIMEOUT_S=10 WAIT_S=5

say() {
  printf 'boost-peak.sh: %s\n' "$*"
}

die() {
  local code=$1
  shift
  say "$*" >&2
  exit "$code"
}

die_usage() {
  die "$EXIT_USAGE" "$1 (see the head of this file)"
}

set_mode() {
  [[ -z $MODE ]] || die_usage "one of --for, --off and --auto, once"
  MODE=$1
}

parse_options() {
  while (($#)); do
    case $1 in
      --for | --socket | --timeout | --wait) (($# > 1)) || die_usage "$1 wants a value" ;;
    esac
    case $1 in
      --for) set_mode on && DURATION=$2 && shift ;;
      --off) set_mode off ;;
      --auto) set_mode auto ;;
      --socket) SOCKET=$2 && shift ;;
      --timeout) [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || die_usage "--timeout wants seconds" && TIMEOUT_S=$2 && shift ;;
      --wait) [[ $2 =~ ^[0-9]{1,4}$ ]] || die_usage "--wait wants seconds" && WAIT_S=$2 && shift ;;
      -*) die_usage "unknown option $1" ;;
      *) [[ -z $DOMAIN ]] || die_usage "one domain only" && DOMAIN=$1 ;;
    esac
    shift
  done
  [[ $DOMAIN =~ ^[a-z0-9][a-z0-9.-]*$ ]] || die_usage "no domain, or not one: '$DOMAIN'"
  [[ -n $MODE ]] || die_usage "one of --for, --off and --auto"
  [[ $MODE != on || $DURATION =~ ^[1-9][0-9]*[smh]$ ]] || die_usage "--for wants a duration such as 30s, 10m or 3h"
}

# Ends with wbctl's exit code, and what it said, when it fails.
ask() {
  local code=0
  local -a options=(--timeout "$TIMEOUT_S")
  [[ -z $SOCKET ]] || options+=(--socket "$SOCKET")
  "$WBCTL" "${options[@]}" "$@" || code=$?
  ((code <= 4)) || die "$EXIT_FAILED" "$WBCTL exits $code"
  ((code == 0)) || exit "$code"
}

# Sets NOW_MODE, NOW_LIMIT (seconds left, or none), NOW_STATE and NOW_REASON.
look() {
  local json words
  json=$(ask --json boost status)
  words=$(python3 -c '
import json, sys
for domain in json.load(sys.stdin)["domains"]:
    if domain["name"] == sys.argv[1]:
        until = domain["until_s"]
        print(domain["mode"], "none" if until is None else until, domain["state"], domain["reason"])
' "$DOMAIN" <<<"$json") || die "$EXIT_FAILED" "what boosterd answers is not understood"
  [[ -n $words ]] || die "$EXIT_FAILED" "$DOMAIN is no domain that can be boosted"
  read -r NOW_MODE NOW_LIMIT NOW_STATE NOW_REASON <<<"$words"
}

said_already() {
  [[ $NOW_MODE == "$MODE" && $NOW_LIMIT == none ]]
}

in_force() {
  case $MODE in
    on) [[ $NOW_MODE == on && $NOW_STATE == boosted ]] ;;
    off) [[ $NOW_MODE == off && $NOW_STATE != boosted ]] ;;
    auto) [[ $NOW_MODE == auto ]] ;;
  esac
}

main() {
  parse_options "$@"
  look
  if said_already; then
    say "$DOMAIN is $MODE already, without a limit: left as it is"
  elif [[ $MODE == on ]]; then
    ask boost on "$DOMAIN" --for "$DURATION"
  else
    ask boost "$MODE" "$DOMAIN"
  fi
  local deadline=$((SECONDS + WAIT_S))
  look
  until in_force; do
    ((SECONDS < deadline)) || die "$EXIT_NOT_IN_FORCE" "$DOMAIN: mode $NOW_MODE, but $NOW_STATE: $NOW_REASON"
    sleep 0.2
    look
  done
  say "$DOMAIN is $NOW_STATE"
}

main "$@"
