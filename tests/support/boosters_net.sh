#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Adds a second booster and a host for etcd to a lab of deploy/lab.sh, for boosters_test.py:
#
#   P-client  198.18.7.2  --- 198.18.7.1   P-booster2   the VIP of the first domain on lo
#   P-origin  198.18.8.1  --- 198.18.8.2
#   P-booster 198.18.9.1  --- 198.18.9.2                the boosters' tunnels
#   P-booster 198.18.10.2 --- 198.18.10.1  P-etcd
#             P-booster2  198.18.11.2 --- 198.18.11.1   IPv6 alike in fd00:198:18:N::/64
#
# The client reaches the VIP by the first booster, by the second one if that link is down, and by the origin. What the
# first booster answers goes by the second one when its own link to the client is down. `lab.sh down` removes all of it.
#
# Usage: boosters_net.sh PREFIX   (root)
set -Eeuo pipefail

PATH="$PATH:/usr/sbin:/sbin"
LAB_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../deploy/lab" && pwd)"
for part in common net; do
  # shellcheck source=/dev/null
  source "$LAB_DIR/$part.sh"
done

# pair N NS IF  PEER_NS PEER_IF: the first has the address .1, without offloads at either end: XDP stands there.
pair() {
  link_up "$2" "$3" "198.18.$1.1" "fd00:198:18:$1::1" "$4" "$5" "198.18.$1.2" "fd00:198:18:$1::2"
  offload "$2" off "$3"
  offload "$4" off "$5"
}

space() {
  ip netns add "$1"
  set_sysctls "$1"
  ip -n "$1" link set lo up
}

# route NS N METRIC GATEWAY_N GATEWAY_HOST: to the lab's link N.
route() {
  ip -n "$1" route add "198.18.$2.0/24" via "198.18.$4.$5" metric "$3"
  ip -n "$1" -6 route add "fd00:198:18:$2::/64" via "fd00:198:18:$4::$5" metric "$3"
}

main() {
  # shellcheck disable=SC2034  # what net.sh and common.sh read
  PREFIX=$1 WITH_ACCEL=yes DOCROOT='' MTU=1500 QUEUES=1 BUILD_DIR=/nonexistent REPO_DIR=/nonexistent
  set_names
  local second=$PREFIX-booster2 etcd=$PREFIX-etcd
  space "$second"
  space "$etcd"
  pair 7 "$second" "${PREFIX}x1" "$NS_CLIENT" "${PREFIX}c3"
  pair 8 "$NS_ORIGIN" "${PREFIX}o4" "$second" "${PREFIX}x0"
  pair 9 "$NS_BOOSTER" "${PREFIX}b3" "$second" "${PREFIX}x2"
  pair 10 "$etcd" "${PREFIX}e0" "$NS_BOOSTER" "${PREFIX}b4"
  pair 11 "$etcd" "${PREFIX}e1" "$second" "${PREFIX}x3"
  vips_up "$second" "$VIP_SITE" "$VIP_SITE6"
  ip -n "$NS_CLIENT" route add "$VIP_SITE/32" via 198.18.7.1 metric 15
  ip -n "$NS_CLIENT" -6 route add "$VIP_SITE6/128" via fd00:198:18:7::1 metric 15
  route "$second" 2 10 7 2
  route "$NS_BOOSTER" 2 1500 9 2
  route "$NS_BOOSTER" 7 10 9 2
  # The first booster's answers come from the VIP, which the second one has, too.
  # shellcheck disable=SC2016  # expanded by the inner shell
  in_ns "$second" sh -eu -c '
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    echo 1 >"/proc/sys/net/ipv4/conf/$1/accept_local"' sh "${PREFIX}x2"
}

(($# == 1)) || {
  echo "usage: boosters_net.sh PREFIX" >&2
  exit 2
}
main "$1"
