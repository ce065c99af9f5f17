#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the bad wire itself, with two plain namespaces, nginx and curl: it loses, doubles, holds
# back and delays as much as asked, in the direction asked, and nothing else; a text is lost once;
# XDP transmit of the origin crosses it; mixed.py finds no difference across it; it segments what an
# origin with offloads hands over; taking it out leaves the hosts as they were.
# Usage: wire_test.sh [PREFIX]   (root; prefix of the namespaces, default "wt")
# shellcheck disable=SC2317  # functions are called through check and the trap
set -Eeuo pipefail

PREFIX=${1:-wt}
SELF_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
SUPPORT_DIR="$SELF_DIR/../../support"
WORK=$(mktemp -d)
export PATH="$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1
export WIRE_BUILD_DIR="$WORK/build" WIRE_CLIENT_IF="${PREFIX}c0" WIRE_ORIGIN_IF="${PREFIX}o0"
# shellcheck source-path=SCRIPTDIR source=../../support/wire_lab.sh
source "$SUPPORT_DIR/wire_lab.sh"
CLIENT=$PREFIX-client ORIGIN=$PREFIX-origin IP=198.18.97.1 IP6=fd00:198:18:97::1
FAILED=0

cleanup() {
  wire_remove "$PREFIX" >/dev/null || true
  [[ ! -s $WORK/nginx.pid ]] || kill "$(<"$WORK/nginx.pid")" || true
  ip netns delete "$CLIENT" 2>/dev/null || true
  ip netns delete "$ORIGIN" 2>/dev/null || true
  rm -rf "$WORK"
}

check() {
  if "${@:2}"; then
    echo "ok      $1"
  else
    echo "FAILED  $1"
    FAILED=1
  fi
}

hosts_up() {
  ip netns add "$CLIENT"
  ip netns add "$ORIGIN"
  ip -n "$CLIENT" link add "$WIRE_CLIENT_IF" type veth peer name "$WIRE_ORIGIN_IF" netns "$ORIGIN"
  ip -n "$CLIENT" address add 198.18.97.2/24 dev "$WIRE_CLIENT_IF"
  ip -n "$ORIGIN" address add $IP/24 dev "$WIRE_ORIGIN_IF"
  ip -n "$CLIENT" address add fd00:198:18:97::2/64 dev "$WIRE_CLIENT_IF" nodad
  ip -n "$ORIGIN" address add $IP6/64 dev "$WIRE_ORIGIN_IF" nodad
  ip -n "$CLIENT" link set "$WIRE_CLIENT_IF" up
  ip -n "$ORIGIN" link set "$WIRE_ORIGIN_IF" up
  ip -n "$CLIENT" route add 198.18.98.0/24 via $IP
}

nginx_up() {
  mkdir "$WORK/site"
  head -c 10485760 /dev/urandom >"$WORK/site/big.bin"
  local bytes
  for bytes in 1 300 1024 5000 11400 14000 40000 300000; do
    head -c "$bytes" /dev/urandom >"$WORK/site/f$bytes.html"
  done
  { head -c 9000 "$WORK/site/f40000.html" && echo '~mark~' && head -c 9000 /dev/urandom; } \
    >"$WORK/site/marked.html"
  chmod -R a+rX "$WORK"
  cat >"$WORK/nginx.conf" <<TEXT
worker_processes 1;
pid $WORK/nginx.pid;
error_log $WORK/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path $WORK/body;
  server { listen 80; listen [::]:80; listen 8080; listen [::]:8080; root $WORK/site; }
}
TEXT
  ip netns exec "$ORIGIN" nginx -c "$WORK/nginx.conf"
}

in_client() {
  nsenter --net="/run/netns/$CLIENT" "$@"
}

# The big file through the wire, over IPv4 and IPv6, whole.
fetch() {
  local host
  for host in $IP "[$IP6]"; do
    in_client curl -sS -m 60 -o "$WORK/got" -w "        %{speed_download} B/s\n" \
      "http://$host/big.bin" && cmp "$WORK/got" "$WORK/site/big.bin" || return
  done
}

# counted DIR NAME LOW HIGH: the share of eligible frames of DIR in NAME is within the limits.
counted() {
  wire_counters "$PREFIX" | python3 -c '
import json, sys
counters = json.load(sys.stdin)
row, (name, low, high) = counters[sys.argv[1]], sys.argv[2:]
share = row[name] / row["eligible"]
print("        {} {} {} of {}: {:.4f}".format(sys.argv[1], name, row[name], row["eligible"], share))
clean = not any(c[n] for c in counters.values() for n in
                ("refused_checksum", "send_errors", "over_limit", "socket_drops", "device_drops"))
sys.exit(not (clean and float(low) <= share <= float(high)))' "$@"
}

# impairment TITLE DIR NAME LOW HIGH OPTIONS: limits lie more than four standard deviations off.
impairment() {
  wire_set "$PREFIX" --seed 5 "${@:6}" >/dev/null
  check "$1: both files whole" fetch
  check "$1: $3 $2 within $4 to $5" counted "${@:2:4}"
}

state_of_hosts() {
  local ns
  for ns in "$CLIENT $WIRE_CLIENT_IF" "$ORIGIN $WIRE_ORIGIN_IF"; do
    ip -n "${ns% *}" -d link show "${ns#* }" | sed 's/^[0-9]*: //; s/@[^:]*//; s/if[0-9]*//g'
    ip -n "${ns% *}" -o address show dev "${ns#* }" | sed 's/^[0-9]*: //; s/ tentative//'
    ip -n "${ns% *}" route show
    nsenter --net="/run/netns/${ns% *}" ethtool -k "${ns#* }" | grep -v fixed
  done
}

# Prints how many of 200 datagrams the origin's XDP program sent back.
reflected() {
  in_client python3 - "$IP" <<'TEXT'
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
back = 0
for number in range(200):
    sock.sendto(b"%d" % number, (sys.argv[1], 7777))
    try:
        back += sock.recv(100) == b"%d" % number
    except OSError:
        pass
sys.exit(back != 200)
TEXT
}

delayed() {
  local seconds
  seconds=$(in_client curl -sS -o /dev/null -w '%{time_total}' "http://$IP/f1.html")
  echo "        connect and answer in $seconds s"
  awk -v s="$seconds" 'BEGIN { exit !(s >= 0.040) }'
}

mixed() {
  in_client timeout 300 python3 "$SUPPORT_DIR/mixed.py" --host "$1" --domain site.test \
    --docroot "$WORK/site" --count 3000 --seed 11 >"$WORK/mixed" ||
    { cat "$WORK/mixed" && return 1; }
  sed -n 's/^/        /; $p' "$WORK/mixed"
}

loaded() {
  in_client python3 "$SUPPORT_DIR/load.py" --host "$IP" --domain site.test --target /f1024.html \
    --target /f11400.html --seconds 6 --connections 4 --verify-dir "$WORK/site"
}

# A text in the middle of a file is lost with its segment, once for each connection.
text_lost_once() {
  local turn
  wire_set "$PREFIX" --lose-text '~mark~' >/dev/null || return
  for turn in 1 2; do
    in_client curl -sS -m 20 -o "$WORK/got" "http://$IP/marked.html" || return
    cmp "$WORK/got" "$WORK/site/marked.html" || return
  done
  wire_counters "$PREFIX" | python3 -c '
import json, sys
counters = json.load(sys.stdin)
print("        {} segments lost".format(counters["ba"]["lost"]))
sys.exit((counters["ab"]["lost"], counters["ba"]["lost"]) != (0, 2))'
}

offloads_of_origin() {
  nsenter --net="/run/netns/$ORIGIN" ethtool -k "$WIRE_ORIGIN_IF" |
    grep -q "^tcp-segmentation-offload: $1"
}

trap cleanup EXIT
wire_build
hosts_up
nginx_up
state_of_hosts >"$WORK/before"
wire_insert "$PREFIX" >/dev/null
impairment "clean wire" ab lost 0 0
impairment "clean wire backwards" ba lost 0 0
impairment "5 % lost to the origin" ab lost 0.035 0.065 --loss-ab 0.05
check "5 % lost to the origin: none back" counted ba lost 0 0
impairment "5 % lost from the origin" ba lost 0.042 0.058 --loss-ba 0.05
impairment "5 % doubled" ba duplicated 0.042 0.058 --dup 0.05
# While a frame is held back no other is chosen, hence less than asked.
impairment "2 % out of order" ba reordered 0.012 0.026 --reorder 0.02
impairment "10 ms each way" ba lost 0 0 --delay-ms 10
check "10 ms each way: two round trips take 40 ms" delayed
wire_set "$PREFIX" --seed 5 --loss 0.05 --dup 0.02 --reorder 0.02 >/dev/null
check "mixed requests, IPv4" mixed $IP
check "mixed requests, IPv6" mixed $IP6
check "load" loaded
check "a text is lost once for each connection" text_lost_once
wire_set "$PREFIX" >/dev/null
clang-16 -O2 -target bpf -I"/usr/include/$(gcc -print-multiarch)" -c "$SELF_DIR/reflect.bpf.c" \
  -o "$WORK/reflect.o"
ip -n "$ORIGIN" link set dev "$WIRE_ORIGIN_IF" xdpdrv obj "$WORK/reflect.o" section xdp.frags
check "XDP transmit of the origin arrives" reflected
ip -n "$ORIGIN" link set dev "$WIRE_ORIGIN_IF" xdp off
wire_remove "$PREFIX" >/dev/null
nsenter --net="/run/netns/$ORIGIN" ethtool -K "$WIRE_ORIGIN_IF" gro off
state_of_hosts >"$WORK/after"
check "hosts as before" diff "$WORK/before" "$WORK/after"
check "direct path again" fetch
WIRE_ORIGIN_OFFLOADS=on wire_insert "$PREFIX" >/dev/null
check "segmentation left to the device" offloads_of_origin on
impairment "5 % lost of its segments" ba lost 0.042 0.058 --loss-ba 0.05
wire_remove "$PREFIX" >/dev/null
exit $FAILED
