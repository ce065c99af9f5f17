# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Names, messages and small helpers of lab.sh. set_names derives everything but the choices of `up`
# from PREFIX; those choices are kept in $RUN_DIR/lab.env, which require_up reads back.
# shellcheck disable=SC2034  # the variables set here are read by the other parts

LAB_ROOT=/run/webbooster-lab
STATIC_KEYS=(
  PREFIX NS_CLIENT NS_BOOSTER NS_ORIGIN
  CLIENT_IF CLIENT_IP CLIENT_IP6 CLIENT_BOOSTER_IF CLIENT_BOOSTER_IP CLIENT_BOOSTER_IP6
  BOOSTER_IF BOOSTER_IP BOOSTER_IP6 BOOSTER_CLIENT_IF BOOSTER_CLIENT_IP BOOSTER_CLIENT_IP6
  ORIGIN_IF ORIGIN_IP ORIGIN_IP6 ORIGIN_BOOSTER_IF ORIGIN_BOOSTER_IP ORIGIN_BOOSTER_IP6
  ORIGIN_PORT ORIGIN_DIRECT_PORT CATALOGUE_PORT DOMAIN DOCROOT MTU TSO QUEUES
  RUN_DIR PIN_DIR CGROUP BUILD_DIR WBCTL CONF KEY_FILE ACCELERD_SOCK ACCELERD_METRICS ACCELERD_LOG
)

say() {
  printf 'lab.sh: %s\n' "$*" >&2
}

die() {
  say "$*"
  exit 1
}

die_usage() {
  say "$* (lab.sh --help)"
  exit 2
}

need_tools() {
  local missing=() tool
  for tool in ip:iproute2 ethtool:ethtool nginx:nginx-light nsenter:util-linux taskset:util-linux \
    setsid:util-linux mountpoint:util-linux pgrep:procps bpftool:bpftool gzip:gzip; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool%%:*} (Debian package ${tool##*:})")
  done
  ((${#missing[@]} == 0)) || die "missing: ${missing[*]}"
  [[ -r /etc/nginx/mime.types ]] || die "missing: /etc/nginx/mime.types (package nginx-common)"
  [[ -d /proc/sys/net/ipv6 ]] || die "this kernel has no IPv6"
}

# Mount point of cgroup v2: the first one, which on a hybrid system is /sys/fs/cgroup/unified.
cgroup_root() {
  awk '$3 == "cgroup2" { print $2; found = 1; exit } END { exit !found }' /proc/mounts
}

set_names() {
  NS_CLIENT=$PREFIX-client NS_BOOSTER=$PREFIX-booster NS_ORIGIN=$PREFIX-origin
  ORIGIN_IF=${PREFIX}o0 CLIENT_IF=${PREFIX}c0
  ORIGIN_BOOSTER_IF=${PREFIX}o1 BOOSTER_IF=${PREFIX}b0
  BOOSTER_CLIENT_IF=${PREFIX}b1 CLIENT_BOOSTER_IF=${PREFIX}c1
  ORIGIN_IP=198.18.0.1 CLIENT_IP=198.18.0.2
  ORIGIN_BOOSTER_IP=198.18.1.1 BOOSTER_IP=198.18.1.2
  BOOSTER_CLIENT_IP=198.18.2.1 CLIENT_BOOSTER_IP=198.18.2.2
  ORIGIN_IP6=fd00:198:18::1 CLIENT_IP6=fd00:198:18::2
  ORIGIN_BOOSTER_IP6=fd00:198:18:1::1 BOOSTER_IP6=fd00:198:18:1::2
  BOOSTER_CLIENT_IP6=fd00:198:18:2::1 CLIENT_BOOSTER_IP6=fd00:198:18:2::2
  ORIGIN_PORT=80 ORIGIN_DIRECT_PORT=8080 METRICS_PORT=9464 CATALOGUE_PORT=9466
  RUN_DIR=$LAB_ROOT/$PREFIX
  PIN_DIR=/sys/fs/bpf/webbooster-$PREFIX
  local root
  root=$(cgroup_root) ||
    die "cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
  CGROUP=$root/wb-$PREFIX
  DOCROOT=${DOCROOT:-$RUN_DIR/www}
  set_accel_names
}

set_accel_names() {
  BUILD_DIR=$(realpath -m -- "${WB_BUILD_DIR:-${BUILD_DIR:-$REPO_DIR/build}}")
  WBCTL=$BUILD_DIR/ctl/wbctl/wbctl
  if [[ $WITH_ACCEL == yes ]]; then
    CONF=$RUN_DIR/accelerd.yaml KEY_FILE=$RUN_DIR/booster.key
    ACCELERD_SOCK=$RUN_DIR/accelerd.sock ACCELERD_LOG=$RUN_DIR/accelerd.log
    ACCELERD_METRICS=http://127.0.0.1:$METRICS_PORT/metrics
  else
    WBCTL='' CONF='' KEY_FILE='' ACCELERD_SOCK='' ACCELERD_LOG='' ACCELERD_METRICS=''
  fi
}

# NAME=VALUE for the shell; values that need no quotes get none, so that simple readers do as well.
print_assignment() {
  if [[ $2 =~ ^[A-Za-z0-9_./:@%+,-]*$ ]]; then
    printf '%s=%s\n' "$1" "$2"
  else
    printf "%s='%s'\n" "$1" "${2//\'/\'\\\'\'}"
  fi
}

write_static_env() {
  local key
  for key in "${STATIC_KEYS[@]}"; do
    print_assignment "$key" "${!key}"
  done >"$RUN_DIR/lab.env.new"
  mv "$RUN_DIR/lab.env.new" "$RUN_DIR/lab.env"
}

require_up() {
  [[ -f $LAB_ROOT/$PREFIX/ready ]] || {
    say "lab $PREFIX is not up"
    exit 3
  }
  set_names
  # shellcheck source=/dev/null
  source "$LAB_ROOT/$PREFIX/lab.env"
  [[ -n $CONF ]] || WITH_ACCEL=no
  set_accel_names
}

lab_env() {
  local key ACCELERD_PID NGINX_PID NGINX_WORKER_PIDS ORIGIN_NAPI_PIDS
  ACCELERD_PID=$(accelerd_pid || true)
  NGINX_PID=$(nginx_pid || true)
  NGINX_WORKER_PIDS=$(nginx_worker_pids)
  ORIGIN_NAPI_PIDS=$(napi_pids "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF")
  local -a keys=("${STATIC_KEYS[@]}" ACCELERD_PID NGINX_PID NGINX_WORKER_PIDS ORIGIN_NAPI_PIDS)
  if (($#)); then
    [[ " ${keys[*]} " == *" $1 "* ]] || die_usage "unknown key '$1'"
    printf '%s\n' "${!1}"
    return
  fi
  for key in "${keys[@]}"; do
    print_assignment "$key" "${!key}"
  done
}

lab_list() {
  local dir
  for dir in "$LAB_ROOT"/*/; do
    [[ -d $dir ]] || continue
    basename "$dir"
    [[ -f $dir/ready ]] || say "lab $(basename "$dir") is being made, or was left half made"
  done
}

# Fills the placeholders @KEY@ of a template file; one that is not known is an error, not text.
render() {
  local text key
  text=$(<"$1")
  for key in PREFIX PIN_DIR RUN_DIR CGROUP IFS DOCROOT DOMAIN SOCK METRICS_PORT BOOSTER_IP \
    BOOSTER_IP6 CATALOGUE_PORT KEY_FILE NGINX_WORKERS FILE_CACHE SERVER_INCLUDE; do
    [[ $text != *"@$key@"* ]] || text=${text//"@$key@"/"$(placeholder "$key")"}
  done
  [[ ! $text =~ @[A-Z0-9_]+@ ]] || die "$1: unknown placeholder ${BASH_REMATCH[0]}"
  printf '%s\n' "$text"
}

placeholder() {
  case "$1" in
    IFS)
      printf '[{ name: %s, mode: native }, { name: %s, mode: native }]' \
        "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF"
      ;;
    SOCK) printf %s "$ACCELERD_SOCK" ;;
    *) printf %s "${!1}" ;;
  esac
}

# wait_for TENTHS CMD...: true as soon as CMD is, false when so many tenths of a second have passed.
wait_for() {
  local end=$((${EPOCHREALTIME/[.,]/} + $1 * 100000))
  shift
  until "$@"; do
    ((${EPOCHREALTIME/[.,]/} < end)) || return 1
    sleep 0.1
  done
}
