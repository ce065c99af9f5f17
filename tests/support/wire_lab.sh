#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts the bad wire of wire.c between the client and the origin of a lab, and takes it out again:
#
#   client CIF --- wc  [wire]  wo --- OIF origin        wire: namespace PREFIX-wire
#
# The client's old veth end moves into the wire as "wo"; the client gets a new one with the same
# name, MAC, addresses, routes and neighbours, so neither host knows. Source it for the functions
# wire_build, wire_insert, wire_set, wire_counters and wire_remove, or run it:
#   wire_lab.sh insert|set PREFIX [WIRE OPTIONS]
#   wire_lab.sh counters|remove PREFIX
# "ab" is client to origin. WIRE_BETWEEN says of which hosts: client-origin (unless told otherwise), client-booster, or
# booster-origin, where the booster is the "client". Interfaces are those of deploy/lab.sh, PREFIXc0 and PREFIXo0, unless
# WIRE_CLIENT_IF and WIRE_ORIGIN_IF say otherwise. Both hosts' offloads are off while it is in; the
# origin's stay on if WIRE_ORIGIN_OFFLOADS=on, and then what it hands over is cut into segments with
# finished checksums, as a NIC would, on its way through one more pair of links before the relay:
#   wc [wire] ws --- wt [tc redirect] wo --- OIF origin
# NAPI threads of the client's new interface are its own: pin them again where that matters.

WIRE_SELF_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
WIRE_BUILD_DIR="${WIRE_BUILD_DIR:-$WIRE_SELF_DIR/../../build/wire}"
WIRE_STATE_ROOT="${WIRE_STATE_ROOT:-/run/webbooster-wire}"
WIRE_CPU="${WIRE_CPU:-1}"
WIRE_BETWEEN="${WIRE_BETWEEN:-client-origin}"

wire_names() {
  local from=${WIRE_BETWEEN%-*} to=${WIRE_BETWEEN#*-}
  WIRE_STATE=$WIRE_STATE_ROOT/$1
  # One that is in is where it was put.
  [[ ! -s $WIRE_STATE/between ]] || read -r from to <"$WIRE_STATE/between"
  WIRE_CLIENT=$1-$from WIRE_ORIGIN=$1-$to WIRE_NS=$1-wire
  WIRE_WC=$1wc WIRE_WO=$1wo WIRE_WS=$1ws WIRE_WT=$1wt
  case $from-$to in
    client-booster) WIRE_CIF=${1}c1 WIRE_OIF=${1}b1 ;;
    booster-origin) WIRE_CIF=${1}b0 WIRE_OIF=${1}o1 ;;
    *) WIRE_CIF=${WIRE_CLIENT_IF:-${1}c0} WIRE_OIF=${WIRE_ORIGIN_IF:-${1}o0} ;;
  esac
  WIRE_HOSTS="$from $to"
}

wire_build() {
  mkdir -p "$WIRE_BUILD_DIR" &&
    gcc -O2 -Wall -Wextra -Werror -o "$WIRE_BUILD_DIR/wire.$$" "$WIRE_SELF_DIR/wire.c" &&
    mv "$WIRE_BUILD_DIR/wire.$$" "$WIRE_BUILD_DIR/wire" &&
    clang-16 -O2 -g -Wall -Werror -target bpf -I"/usr/include/$(gcc -print-multiarch)" \
      -c "$WIRE_SELF_DIR/xdp_pass.bpf.c" -o "$WIRE_BUILD_DIR/xdp_pass.bpf.o"
}

wire_in() {
  nsenter --net="/run/netns/$1" "${@:2}"
}

# wire_features NS IF: the offloads as arguments for ethtool -K.
wire_features() {
  wire_in "$1" ethtool -k "$2" | awk '
    /^tx-checksumming:/ { print "tx", $2 }
    /^tcp-segmentation-offload:/ { print "tso", $2 }
    /^generic-segmentation-offload:/ { print "gso", $2 }
    /^generic-receive-offload:/ { print "gro", $2 }' | paste -sd' '
}

# What the client's interface is, one command per line for wire_restore_net.
wire_save_net() {
  local family
  ip -n "$WIRE_CLIENT" -o address show dev "$WIRE_CIF" scope global |
    awk '{ print "address replace " $4 ($3 == "inet6" ? " nodad" : "") }'
  for family in -4 -6; do
    ip -n "$WIRE_CLIENT" "$family" route show dev "$WIRE_CIF" |
      grep -v -e 'proto kernel' -e '^fe80:' |
      sed -e 's/ linkdown//' -e "s/^/$family route replace /"
  done
  ip -n "$WIRE_CLIENT" neigh show dev "$WIRE_CIF" nud permanent |
    awk '{ print "neigh replace " $1 " lladdr " $3 " nud permanent" }'
}

# wire_restore_net FILE: a route through a gateway needs the addresses, which come first.
wire_restore_net() {
  local line
  local -a words
  while read -r line; do
    read -ra words <<<"$line"
    case $line in
      *' nodad') set -- "${words[@]:0:3}" dev "$WIRE_CIF" nodad ;;
      *) set -- "${words[@]}" dev "$WIRE_CIF" ;;
    esac
    ip -n "$WIRE_CLIENT" "$@" || return
  done <"$WIRE_STATE/net"
}

wire_end_up() {
  local object=$WIRE_BUILD_DIR/xdp_pass.bpf.o
  ip -n "$WIRE_NS" link set dev "$1" arp off promisc on &&
    ip -n "$WIRE_NS" link set dev "$1" xdpdrv obj "$object" section xdp.frags &&
    # Attaching switches GRO on; it would glue segments that cannot be sent on.
    wire_in "$WIRE_NS" ethtool -K "$1" gro off tx off tso off gso off >/dev/null &&
    ip -n "$WIRE_NS" link set dev "$1" up
}

wire_start() {
  local turn
  rm -f "$WIRE_STATE/counters"
  : >"$WIRE_STATE/log" # the last relay's says that it was ready
  setsid nsenter --net="/run/netns/$WIRE_NS" taskset -c "$WIRE_CPU" \
    "$WIRE_BUILD_DIR/wire" "$WIRE_WC" "$(<"$WIRE_STATE/far_end")" "$@" \
    >"$WIRE_STATE/counters" 2>"$WIRE_STATE/log" </dev/null &
  echo $! >"$WIRE_STATE/pid"
  for ((turn = 0; turn < 300; turn++)); do
    ! grep -q 'wire: ready' "$WIRE_STATE/log" || break
    kill -0 "$(<"$WIRE_STATE/pid")" 2>/dev/null || break
    sleep 0.01
  done
  grep -q 'wire: ready' "$WIRE_STATE/log" || {
    echo "the relay is not ready: $(<"$WIRE_STATE/log")" >&2
    return 1
  }
  echo "$(<"$WIRE_STATE/pid")"
}

# Ends the relay and waits for its counters.
wire_stop() {
  local pid turn
  [[ -s $WIRE_STATE/pid ]] || return 0
  pid=$(<"$WIRE_STATE/pid")
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) != wire ]] || kill "$pid"
  for ((turn = 0; turn < 300; turn++)); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == wire ]] || break
    sleep 0.01
  done
  rm -f "$WIRE_STATE/pid"
}

# wire_insert PREFIX [WIRE OPTIONS]: prints the pid of the relay.
wire_insert() {
  wire_names "$1"
  if [[ -e $WIRE_STATE ]]; then
    echo "a wire is in lab $1 already: wire_remove $1" >&2
    return 1
  fi
  [[ -x $WIRE_BUILD_DIR/wire && -s $WIRE_BUILD_DIR/xdp_pass.bpf.o ]] || wire_build || return
  wire_cut_in && wire_start "${@:2}"
}

wire_cut_in() {
  local mac mtu queues
  mkdir -p "$WIRE_STATE" || return
  read -r mac mtu queues < <(ip -n "$WIRE_CLIENT" -d -o link show "$WIRE_CIF" | awk '{
    for (i = 1; i < NF; i++) v[$i] = $(i + 1)
    print v["link/ether"], v["mtu"], v["numtxqueues"] }')
  echo "$WIRE_HOSTS" >"$WIRE_STATE/between"
  wire_save_net >"$WIRE_STATE/net" &&
    wire_features "$WIRE_CLIENT" "$WIRE_CIF" >"$WIRE_STATE/client_features" &&
    wire_features "$WIRE_ORIGIN" "$WIRE_OIF" >"$WIRE_STATE/origin_features" &&
    echo "$mac $WIRE_CIF $WIRE_OIF" >"$WIRE_STATE/link" &&
    echo "$WIRE_WO" >"$WIRE_STATE/far_end" &&
    ip netns add "$WIRE_NS" &&
    wire_in "$WIRE_NS" sh -c 'cd /proc/sys/net/ipv6/conf &&
      echo 1 >all/disable_ipv6 && echo 1 >default/disable_ipv6' &&
    ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" xdp off &&
    ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" down &&
    ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" netns "$WIRE_NS" name "$WIRE_WO" &&
    # Another MAC, or the wire's own stack would take the client's frames for its own.
    ip -n "$WIRE_NS" link set dev "$WIRE_WO" address "02:00:5e:00:00:01" &&
    ip -n "$WIRE_NS" link add name "$WIRE_WC" mtu "$mtu" \
      numtxqueues "$queues" numrxqueues "$queues" type veth \
      peer name "$WIRE_CIF" netns "$WIRE_CLIENT" mtu "$mtu" \
      numtxqueues "$queues" numrxqueues "$queues" &&
    ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" address "$mac" &&
    wire_end_up "$WIRE_WO" && wire_end_up "$WIRE_WC" &&
    wire_client_up &&
    wire_in "$WIRE_CLIENT" ethtool -K "$WIRE_CIF" tx off tso off gso off >/dev/null || return
  if [[ ${WIRE_ORIGIN_OFFLOADS:-off} == on ]]; then
    wire_segment "$mtu"
  else
    wire_in "$WIRE_ORIGIN" ethtool -K "$WIRE_OIF" tx off tso off gso off >/dev/null
  fi
}

# wire_segment MTU: the relay ends at ws, and what goes from wo to wt leaves it as single segments.
# An XDP program on wo would switch the origin's TSO off; GRO gives it the same NAPI, and what that
# glues is cut again.
wire_segment() {
  ip -n "$WIRE_NS" link set dev "$WIRE_WO" xdp off &&
    wire_in "$WIRE_NS" ethtool -K "$WIRE_WO" gro on >/dev/null &&
    ip -n "$WIRE_NS" link add name "$WIRE_WS" mtu "$1" type veth \
      peer name "$WIRE_WT" mtu "$1" &&
    wire_end_up "$WIRE_WS" && wire_end_up "$WIRE_WT" &&
    wire_redirect "$WIRE_WO" "$WIRE_WT" && wire_redirect "$WIRE_WT" "$WIRE_WO" &&
    echo "$WIRE_WS" >"$WIRE_STATE/far_end"
}

# wire_redirect FROM TO: all that arrives on FROM leaves by TO.
wire_redirect() {
  wire_in "$WIRE_NS" tc qdisc add dev "$1" clsact &&
    wire_in "$WIRE_NS" tc filter add dev "$1" ingress protocol all \
      u32 match u32 0 0 action mirred egress redirect dev "$2"
}

wire_client_up() {
  local -a features
  read -ra features <"$WIRE_STATE/client_features"
  # Up first: a veth that gets its GRO while down does not tell its peer that XDP may send to it.
  ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" up &&
    wire_in "$WIRE_CLIENT" ethtool -K "$WIRE_CIF" "${features[@]}" >/dev/null &&
    wire_restore_net
}

# wire_set PREFIX [WIRE OPTIONS]: other impairments; what passes while the relay changes is lost.
wire_set() {
  wire_names "$1" && wire_stop && wire_start "${@:2}"
}

# Counters of the relay as JSON: of now while it runs, else those it ended with.
wire_counters() {
  local turn lines
  wire_names "$1"
  if [[ -s $WIRE_STATE/pid ]]; then
    lines=$(wc -l <"$WIRE_STATE/counters")
    kill -USR1 "$(<"$WIRE_STATE/pid")" || return
    for ((turn = 0; turn < 300; turn++)); do
      (($(wc -l <"$WIRE_STATE/counters") == lines)) || break
      sleep 0.01
    done
  fi
  tail -n 1 "$WIRE_STATE/counters"
}

# Takes the wire out, whatever state it is in; prints the last counters.
wire_remove() {
  local mac
  local -a features
  wire_names "$1"
  [[ -d $WIRE_STATE ]] || return 0
  wire_stop
  tail -n 1 "$WIRE_STATE/counters" 2>/dev/null || true
  if [[ -s $WIRE_STATE/link ]] && read -r mac WIRE_CIF WIRE_OIF <"$WIRE_STATE/link" &&
    [[ -e /run/netns/$WIRE_CLIENT ]] && ip -n "$WIRE_NS" link show "$WIRE_WO" &>/dev/null; then
    ip -n "$WIRE_NS" link delete "$WIRE_WC" 2>/dev/null || true
    wire_in "$WIRE_NS" tc qdisc delete dev "$WIRE_WO" clsact 2>/dev/null || true
    ip -n "$WIRE_NS" link set dev "$WIRE_WO" xdp off
    ip -n "$WIRE_NS" link set dev "$WIRE_WO" promisc off arp on down
    ip -n "$WIRE_NS" link set dev "$WIRE_WO" netns "$WIRE_CLIENT" name "$WIRE_CIF"
    ip -n "$WIRE_CLIENT" link set dev "$WIRE_CIF" address "$mac"
    wire_client_up
    read -ra features <"$WIRE_STATE/origin_features"
    wire_in "$WIRE_ORIGIN" ethtool -K "$WIRE_OIF" "${features[@]}" >/dev/null
  fi
  ip netns delete "$WIRE_NS" 2>/dev/null || true
  rm -rf "$WIRE_STATE"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  case ${1-} in
    insert | set | counters | remove) "wire_$1" "${@:2}" ;;
    *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
fi
