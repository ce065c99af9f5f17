# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Namespaces, links, offloads and CPU pinning. Links are made inside the namespaces, so nothing of a
# lab is ever seen on the host; their names carry the prefix because NAPI threads are found by
# interface name.

net_up() {
  local ns
  allow_cubic
  local -a spaces=("$NS_CLIENT" "$NS_BOOSTER" "$NS_ORIGIN")
  [[ $WITH_BOOSTER == no ]] || spaces+=("$NS_ORIGIN2")
  for ns in "${spaces[@]}"; do
    ip netns add "$ns"
    set_sysctls "$ns"
    ip -n "$ns" link set lo up
  done
  # Direct clients often reconnect; their ports would otherwise run out in TIME_WAIT.
  in_ns "$NS_CLIENT" sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse'
  link_up "$NS_ORIGIN" "$ORIGIN_IF" "$ORIGIN_IP" "$ORIGIN_IP6" \
    "$NS_CLIENT" "$CLIENT_IF" "$CLIENT_IP" "$CLIENT_IP6"
  link_up "$NS_ORIGIN" "$ORIGIN_BOOSTER_IF" "$ORIGIN_BOOSTER_IP" "$ORIGIN_BOOSTER_IP6" \
    "$NS_BOOSTER" "$BOOSTER_IF" "$BOOSTER_IP" "$BOOSTER_IP6"
  link_up "$NS_BOOSTER" "$BOOSTER_CLIENT_IF" "$BOOSTER_CLIENT_IP" "$BOOSTER_CLIENT_IP6" \
    "$NS_CLIENT" "$CLIENT_BOOSTER_IF" "$CLIENT_BOOSTER_IP" "$CLIENT_BOOSTER_IP6"
  if [[ $WITH_BOOSTER == yes ]]; then
    net_up_origin2
    net_up_vips
  fi
  set_offloads
  # Answers to spoofed sources need a way out, else SYN cookies never start and resets die here.
  ip -n "$NS_ORIGIN" route add default via "$CLIENT_IP" dev "$ORIGIN_IF"
  ip -n "$NS_ORIGIN" -6 route add default via "$CLIENT_IP6" dev "$ORIGIN_IF"
}

# vips_up NS IP IP6: addresses that are answered for, but never announced.
vips_up() {
  ip -n "$1" address add "$2/32" dev lo
  ip -n "$1" address add "$3/128" dev lo nodad
}

# To a VIP by the booster, and by the origin when that link is down.
vip_routes() {
  local -a client=(ip -n "$NS_CLIENT")
  "${client[@]}" route add "$VIP_SITE/32" via "$BOOSTER_CLIENT_IP" metric 10
  "${client[@]}" route add "$VIP_SITE/32" via "$1" metric 20
  "${client[@]}" -6 route add "$VIP_SITE6/128" via "$BOOSTER_CLIENT_IP6" metric 10
  "${client[@]}" -6 route add "$VIP_SITE6/128" via "$2" metric 20
}

net_up_vips() {
  vips_up "$NS_BOOSTER" "$VIP_SITE" "$VIP_SITE6"
  vips_up "$NS_BOOSTER" "$VIP_SHOP" "$VIP_SHOP6"
  vips_up "$NS_ORIGIN" "$VIP_SITE" "$VIP_SITE6"
  as_origin2 vips_up "$NS_ORIGIN2" "$VIP_SHOP" "$VIP_SHOP6"
  vip_routes "$ORIGIN_IP" "$ORIGIN_IP6"
  as_origin2 vip_routes "$ORIGIN2_IP" "$ORIGIN2_IP6"
}

net_up_origin2() {
  link_up "$NS_ORIGIN2" "$ORIGIN2_IF" "$ORIGIN2_IP" "$ORIGIN2_IP6" \
    "$NS_CLIENT" "$CLIENT_ORIGIN2_IF" "$CLIENT_ORIGIN2_IP" "$CLIENT_ORIGIN2_IP6"
  link_up "$NS_ORIGIN2" "$ORIGIN2_BOOSTER_IF" "$ORIGIN2_BOOSTER_IP" "$ORIGIN2_BOOSTER_IP6" \
    "$NS_BOOSTER" "$BOOSTER_ORIGIN2_IF" "$BOOSTER_ORIGIN2_IP" "$BOOSTER_ORIGIN2_IP6"
  offload "$NS_CLIENT" off "$CLIENT_ORIGIN2_IF"
  offload "$NS_BOOSTER" off "$BOOSTER_ORIGIN2_IF"
  offload "$NS_ORIGIN2" "$TSO" "$ORIGIN2_IF" "$ORIGIN2_BOOSTER_IF"
  ip -n "$NS_ORIGIN2" route add default via "$CLIENT_ORIGIN2_IP" dev "$ORIGIN2_IF"
  ip -n "$NS_ORIGIN2" -6 route add default via "$CLIENT_ORIGIN2_IP6" dev "$ORIGIN2_IF"
}

in_ns() {
  nsenter --net="/run/netns/$1" "${@:2}"
}

# A namespace may only choose what the host's list allows. Adding to that list is the one change
# made to the host, and it stays.
allow_cubic() {
  local list=/proc/sys/net/ipv4/tcp_allowed_congestion_control
  grep -qw cubic "$list" || printf '%s cubic\n' "$(<"$list")" >"$list" ||
    die "cannot allow cubic in $list (modprobe tcp_cubic?)"
}

# No metrics are saved: a test with loss would lower the ssthresh of the next. DAD would delay `up`.
set_sysctls() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  in_ns "$1" sh -eu -c '
    set_key() { echo "$2" >"/proc/sys/net/$1"; }
    set_key ipv4/tcp_congestion_control cubic
    set_key ipv4/ip_local_port_range "1024 65535"
    set_key ipv4/tcp_no_metrics_save 1
    set_key ipv4/ip_forward 0
    for name in all default; do
      set_key "ipv4/conf/$name/rp_filter" 0
      set_key "ipv4/conf/$name/arp_ignore" 1
      set_key "ipv4/conf/$name/arp_announce" 2
      set_key "ipv4/conf/$name/ignore_routes_with_linkdown" 1
      set_key "ipv6/conf/$name/ignore_routes_with_linkdown" 1
      set_key "ipv6/conf/$name/disable_ipv6" 0
      set_key "ipv6/conf/$name/accept_dad" 0
      set_key "ipv6/conf/$name/accept_ra" 0
      set_key "ipv6/conf/$name/router_solicitations" 0
    done'
}

# link_up NS IF IP IP6  PEER_NS PEER_IF PEER_IP PEER_IP6
link_up() {
  local -a dims=(mtu "$MTU" numtxqueues "$QUEUES" numrxqueues "$QUEUES")
  ip -n "$1" link add name "$2" "${dims[@]}" type veth peer name "$6" netns "$5" "${dims[@]}"
  local ns ifname ip ip6
  while read -r ns ifname ip ip6; do
    ip -n "$ns" address add "$ip/24" dev "$ifname"
    ip -n "$ns" address add "$ip6/64" dev "$ifname" nodad
    ip -n "$ns" link set "$ifname" up
  done <<<"$1 $2 $3 $4"$'\n'"$5 $6 $7 $8"
}

# XDP must see whole packets with finished checksums, hence no offloads where requests are sent; GRO
# gives a veth its NAPI, without which the frames that XDP of its peer transmits vanish.
set_offloads() {
  offload "$NS_CLIENT" off "$CLIENT_IF" "$CLIENT_BOOSTER_IF"
  offload "$NS_BOOSTER" off "$BOOSTER_IF"
  in_ns "$NS_BOOSTER" ethtool -K "$BOOSTER_CLIENT_IF" gro on >/dev/null
  offload "$NS_ORIGIN" "$TSO" "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF"
}

# offload NS on|off IF...
offload() {
  local ifname
  for ifname in "${@:3}"; do
    in_ns "$1" ethtool -K "$ifname" tx "$2" tso "$2" gso "$2" gro on >/dev/null
  done
}

# Pids of the NAPI threads of the interfaces named, on one line.
napi_pids() {
  local ifname
  for ifname; do
    { grep -l "^napi/$ifname-" /proc/[0-9]*/comm 2>/dev/null || true; } | cut -d/ -f3
  done | paste -sd' '
}

can_pin() {
  taskset -c 0 true 2>/dev/null && taskset -c 1 true 2>/dev/null
}

# pin_prefix ARRAY CPU: the words to put before a command so that it runs on CPU; none with one CPU.
# shellcheck disable=SC2034  # the array is the caller's
pin_prefix() {
  local -n words=$1
  words=()
  ! can_pin || words=(taskset -c "$2")
}

# NAPI threads come and go with GRO and XDP, and new ones run anywhere: call this after each change.
lab_pin() {
  local -a boosters=("$BOOSTER_IF" "$BOOSTER_CLIENT_IF") clients=("$CLIENT_IF" "$CLIENT_BOOSTER_IF")
  if [[ $WITH_BOOSTER == yes ]]; then
    boosters+=("$BOOSTER_ORIGIN2_IF") clients+=("$CLIENT_ORIGIN2_IF")
    thread_napi "$NS_ORIGIN2" "$ORIGIN2_IF" "$ORIGIN2_BOOSTER_IF"
  fi
  thread_napi "$NS_ORIGIN" "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF"
  thread_napi "$NS_BOOSTER" "${boosters[@]}"
  thread_napi "$NS_CLIENT" "${clients[@]}"
  can_pin || {
    say "warning: CPUs 0 and 1 are not both usable here; nothing is pinned"
    return 0
  }
  local pid
  for pid in $(origin_pids) $([[ $WITH_BOOSTER == no ]] || as_origin2 origin_pids); do
    pin_pid 0 "$pid"
  done
  for pid in $(boosterd_pid || true); do
    pin_pid 1 "$pid"
  done
  for pid in $(napi_pids "${boosters[@]}" "${clients[@]}"); do
    pin_pid 1 "$pid"
    # They do not interrupt the load generator at each packet: the origin would pay for the interrupt, which a NIC's
    # driver does not need to send.
    chrt --batch --pid 0 "$pid" 2>/dev/null || true
  done
}

origin_pids() {
  accelerd_pid || true
  nginx_pid || true
  nginx_worker_pids
  napi_pids "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF"
}

pin_pid() {
  taskset -acp "$1" "$2" >/dev/null 2>&1 || [[ ! -d /proc/$2 ]] ||
    say "warning: cannot pin process $2 to CPU $1"
}

# The interfaces are only seen in a /sys of their namespace, which `ip netns exec` mounts.
thread_napi() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  ip netns exec "$1" sh -c \
    'for i; do echo 1 >"/sys/class/net/$i/threaded" || exit; done' sh "${@:2}" ||
    say "warning: no NAPI threads for ${*:2}: their CPU time cannot be told apart"
}
