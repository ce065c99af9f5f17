# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Removal of a lab from any state: never up, half made, running, accelerd killed; and of what tests have
# added to it: namespaces PREFIX-NAME, pins below PIN_DIR-NAME. Runs with `set +e`; each step does what it
# can, and at the end what is left over decides the exit code.
# shellcheck disable=SC2034  # set_accel_names reads what is set here

lab_down() {
  if ! lab_leftovers >/dev/null; then
    say "lab $PREFIX is not up; nothing to remove"
    return 0
  fi
  saved_choices
  # The daemons would detach, in a second, what goes with the interfaces and the pins.
  down_pid "$(boosterd_pid)" 0
  down_origin
  as_origin2 down_origin
  down_stragglers
  down_net
  down_bpf
  as_origin2 down_bpf
  rm -rf --one-file-system "$RUN_DIR"
  rmdir --ignore-fail-on-non-empty "$LAB_ROOT" 2>/dev/null
  local left
  if left=$(lab_leftovers); then
    say "could not remove all of lab $PREFIX; left: ${left//$'\n'/ }"
    return 1
  fi
  say "lab $PREFIX is removed"
}

# Prints what there is of the lab; false if nothing.
lab_leftovers() {
  local found=1 thing
  for thing in "$RUN_DIR" "$PIN_DIR" "$PIN_DIR"-* "$CGROUP" "$ORIGIN2_CGROUP" /run/netns/"$PREFIX"-*; do
    [[ -e $thing ]] && printf '%s\n' "$thing" && found=0
  done
  return "$found"
}

# The build directory of `up`, unless it never got that far; lab.env is written in one rename.
saved_choices() {
  [[ -z ${WB_BUILD_DIR:-} && -r $RUN_DIR/lab.env ]] || return 0
  BUILD_DIR=$(sed -n "s/^BUILD_DIR='\{0,1\}\([^']*\)'\{0,1\}\$/\1/p" "$RUN_DIR/lab.env")
  set_accel_names
}

down_origin() {
  down_pid "$(accelerd_pid)" 0
  down_pid "$(nginx_pid)" 30
}

# down_pid PID TENTHS: SIGTERM, then SIGKILL when it is still there after that time; 0: SIGKILL at once.
down_pid() {
  [[ -n $1 ]] || return 0
  (($2 == 0)) || { kill -TERM "$1" 2>/dev/null && wait_for "$2" pid_gone "$1" && return; }
  kill -KILL "$1" 2>/dev/null
  wait_for 50 pid_gone "$1"
}

straggler_pids() {
  {
    local ns
    for ns in /run/netns/"$PREFIX"-*; do
      [[ ! -e $ns ]] || ip netns pids "${ns##*/}" 2>/dev/null
    done
    cat "$CGROUP/cgroup.procs" "$ORIGIN2_CGROUP/cgroup.procs" 2>/dev/null
  } | sort -un | grep -vx "$$"
}

no_stragglers() {
  local pid
  for pid in $(straggler_pids); do
    pid_gone "$pid" || return 1
  done
}

down_stragglers() {
  local signal
  for signal in TERM KILL; do
    no_stragglers && return
    # shellcheck disable=SC2046  # one word per pid
    kill -"$signal" $(straggler_pids) 2>/dev/null
    wait_for 20 no_stragglers
  done
}

# Interfaces go before their namespaces, which the kernel takes down later, in its own time: so
# their NAPI threads are gone too when the next lab of this prefix looks for its own.
down_net() {
  local ns ifname
  for ns in "$NS_ORIGIN" "$NS_ORIGIN2" "$NS_BOOSTER" "$NS_CLIENT"; do
    [[ -e /run/netns/$ns ]] || continue
    for ifname in "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF" "$BOOSTER_CLIENT_IF" "$ORIGIN2_IF" \
      "$ORIGIN2_BOOSTER_IF"; do
      ip -n "$ns" link delete "$ifname" 2>/dev/null
    done
  done
  for ns in /run/netns/"$PREFIX"-*; do
    [[ ! -e $ns ]] || ip netns delete "${ns##*/}" || rm -f "$ns"
  done
}

# Pinned links detach with their pins; programs attached without a link are detached by name.
down_bpf() {
  rm -rf --one-file-system "$PIN_DIR" "$PIN_DIR"-*
  [[ -d $CGROUP ]] || return 0
  local id kind
  if command -v bpftool >/dev/null; then
    while read -r id kind _; do
      [[ $id =~ ^[0-9]+$ ]] || continue
      bpftool cgroup detach "$CGROUP" "$kind" id "$id" >/dev/null 2>&1
    done < <(bpftool cgroup show "$CGROUP" 2>/dev/null)
  fi
  wait_for 20 rmdir "$CGROUP" 2>/dev/null
}
