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
# Empty in a lab without booster.
BOOSTER_KEYS=(
  BOOSTER_HTTP BOOSTER_HTTPS BOOSTERD_CONF BOOSTERD_SOCK BOOSTERD_METRICS BOOSTERD_LOG CA_CERT
  NS_ORIGIN2 ORIGIN2_IF ORIGIN2_IP ORIGIN2_IP6 CLIENT_ORIGIN2_IF CLIENT_ORIGIN2_IP CLIENT_ORIGIN2_IP6
  ORIGIN2_BOOSTER_IF ORIGIN2_BOOSTER_IP ORIGIN2_BOOSTER_IP6
  BOOSTER_ORIGIN2_IF BOOSTER_ORIGIN2_IP BOOSTER_ORIGIN2_IP6 DOMAIN2 DOCROOT2
  ORIGIN2_RUN_DIR ORIGIN2_PIN_DIR ORIGIN2_CGROUP ORIGIN2_CONF ORIGIN2_KEY_FILE
  ORIGIN2_ACCELERD_SOCK ORIGIN2_ACCELERD_METRICS ORIGIN2_ACCELERD_LOG
  VIP_SITE VIP_SITE6 VIP_SHOP VIP_SHOP6 BOOST DIRECTOR_PIN_DIR
)
# What changes while a lab is up.
PID_KEYS=(
  ACCELERD_PID NGINX_PID NGINX_WORKER_PIDS ORIGIN_NAPI_PIDS BOOSTERD_PID BOOSTER_NAPI_PIDS
  ORIGIN2_ACCELERD_PID ORIGIN2_NGINX_PID ORIGIN2_NGINX_WORKER_PIDS ORIGIN2_NAPI_PIDS
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
  [[ $WITH_BOOSTER == no ]] || for tool in openssl curl; do
    command -v "$tool" >/dev/null || missing+=("$tool (Debian package $tool)")
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
  INSTANCE=$PREFIX
  set_accel_names
  set_booster_names
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

set_booster_names() {
  BOOSTERD=$BUILD_DIR/booster/boosterd/boosterd
  BOOSTERD_CONF=$RUN_DIR/boosterd.yaml BOOSTERD_SOCK=$RUN_DIR/boosterd.sock
  BOOSTERD_LOG=$RUN_DIR/boosterd.log BOOSTERD_METRICS=http://127.0.0.1:9465/metrics
  BOOSTER_HTTP=$BOOSTER_CLIENT_IP:80 BOOSTER_HTTPS=$BOOSTER_CLIENT_IP:443
  BOOSTER_RUN_DIR=$RUN_DIR/booster TLS_DIR=$RUN_DIR/tls CA_CERT=$RUN_DIR/tls/ca.pem
  NS_ORIGIN2=$PREFIX-origin2
  ORIGIN2_IF=${PREFIX}o2 CLIENT_ORIGIN2_IF=${PREFIX}c2
  ORIGIN2_BOOSTER_IF=${PREFIX}o3 BOOSTER_ORIGIN2_IF=${PREFIX}b2
  ORIGIN2_IP=198.18.3.1 CLIENT_ORIGIN2_IP=198.18.3.2
  ORIGIN2_BOOSTER_IP=198.18.4.1 BOOSTER_ORIGIN2_IP=198.18.4.2
  ORIGIN2_IP6=fd00:198:18:3::1 CLIENT_ORIGIN2_IP6=fd00:198:18:3::2
  ORIGIN2_BOOSTER_IP6=fd00:198:18:4::1 BOOSTER_ORIGIN2_IP6=fd00:198:18:4::2
  VIP_SITE=198.18.5.1 VIP_SITE6=fd00:198:18:5::1
  VIP_SHOP=198.18.6.1 VIP_SHOP6=fd00:198:18:6::1
  DIRECTOR_PIN_DIR=$PIN_DIR-booster
  DOCROOT2=${DOCROOT2:-$RUN_DIR/www2}
  ORIGIN2_RUN_DIR=$RUN_DIR/origin2 ORIGIN2_PIN_DIR=$PIN_DIR-origin2 ORIGIN2_CGROUP=$CGROUP-origin2
  ORIGIN2_ACCELERD_METRICS=$ACCELERD_METRICS
  local key
  for key in CONF KEY_FILE ACCELERD_SOCK ACCELERD_LOG; do
    printf -v "ORIGIN2_$key" %s "${!key/#"$RUN_DIR"/"$ORIGIN2_RUN_DIR"}"
  done
}

# as_origin2 CMD...: a function of the lab's, for the second origin instead of the first.
as_origin2() {
  local NS_ORIGIN=$NS_ORIGIN2 RUN_DIR=$ORIGIN2_RUN_DIR PIN_DIR=$ORIGIN2_PIN_DIR \
    CGROUP=$ORIGIN2_CGROUP INSTANCE=$INSTANCE-origin2 \
    ORIGIN_IF=$ORIGIN2_IF ORIGIN_BOOSTER_IF=$ORIGIN2_BOOSTER_IF \
    VIP_SITE=$VIP_SHOP VIP_SITE6=$VIP_SHOP6 ORIGIN_BOOSTER_IP=$ORIGIN2_BOOSTER_IP BOOSTER_IP=$BOOSTER_ORIGIN2_IP \
    BOOSTER_IP6=$BOOSTER_ORIGIN2_IP6 CONF=$ORIGIN2_CONF KEY_FILE=$ORIGIN2_KEY_FILE \
    ACCELERD_SOCK=$ORIGIN2_ACCELERD_SOCK ACCELERD_LOG=$ORIGIN2_ACCELERD_LOG
  "$@"
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
  [[ $WITH_BOOSTER == yes ]] || local "${BOOSTER_KEYS[@]/%/=}"
  for key in "${STATIC_KEYS[@]}" "${BOOSTER_KEYS[@]}"; do
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
  [[ -n $BOOSTERD_CONF ]] || WITH_BOOSTER=no
  set_accel_names
  [[ $WITH_BOOSTER == no ]] || set_booster_names
}

lab_env() {
  local key
  local -a keys=("${STATIC_KEYS[@]}" "${BOOSTER_KEYS[@]}" "${PID_KEYS[@]}")
  local "${PID_KEYS[@]/%/=}"
  read_pids
  if (($#)); then
    [[ " ${keys[*]} " == *" $1 "* ]] || die_usage "unknown key '$1'"
    printf '%s\n' "${!1}"
    return
  fi
  for key in "${keys[@]}"; do
    print_assignment "$key" "${!key}"
  done
}

read_pids() {
  ACCELERD_PID=$(accelerd_pid || true)
  NGINX_PID=$(nginx_pid || true)
  NGINX_WORKER_PIDS=$(nginx_worker_pids)
  ORIGIN_NAPI_PIDS=$(napi_pids "$ORIGIN_IF" "$ORIGIN_BOOSTER_IF")
  BOOSTER_NAPI_PIDS=$(napi_pids "$BOOSTER_IF" "$BOOSTER_CLIENT_IF")
  [[ $WITH_BOOSTER == yes ]] || return 0
  BOOSTERD_PID=$(boosterd_pid || true)
  BOOSTER_NAPI_PIDS=$(napi_pids "$BOOSTER_IF" "$BOOSTER_CLIENT_IF" "$BOOSTER_ORIGIN2_IF")
  ORIGIN2_ACCELERD_PID=$(as_origin2 accelerd_pid || true)
  ORIGIN2_NGINX_PID=$(as_origin2 nginx_pid || true)
  ORIGIN2_NGINX_WORKER_PIDS=$(as_origin2 nginx_worker_pids)
  ORIGIN2_NAPI_PIDS=$(napi_pids "$ORIGIN2_IF" "$ORIGIN2_BOOSTER_IF")
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
  for key in PREFIX INSTANCE PIN_DIR RUN_DIR CGROUP IFS DOCROOT DOMAIN SECOND_DOMAIN SOCK METRICS_PORT \
    BOOSTER_IP BOOSTER_IP6 CATALOGUE_PORT KEY_FILE NGINX_WORKERS FILE_CACHE SERVER_INCLUDE SERVERS BOOSTER_RUN_DIR \
    BOOSTERD_SOCK BOOSTER_CLIENT_IP BOOSTER_CLIENT_IP6 BOOSTER_CLIENT_IF BOOSTER_IF BOOSTER_ORIGIN2_IF TLS_DIR DOMAIN2 \
    ORIGIN ORIGIN2 ORIGIN_BOOSTER_IP ORIGIN2_BOOSTER_IP TLS_SERVER VIP_SITE VIP_SITE6 VIP_SHOP VIP_SHOP6 BOOST \
    DIRECTOR_PIN_DIR; do
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
    SERVERS)
      render "$SELF_DIR/lab/nginx-server.conf.in"
      [[ $WITH_BOOSTER == no ]] || as_domain2 render "$SELF_DIR/lab/nginx-server.conf.in"
      ;;
    SECOND_DOMAIN)
      [[ $WITH_BOOSTER == no ]] || as_domain2 render "$SELF_DIR/lab/accelerd-domain.yaml.in"
      ;;
    TLS_SERVER)
      [[ $WITH_BOOSTER == no ]] || render "$SELF_DIR/lab/nginx-tls.conf.in"
      ;;
    ORIGIN) origin_entry ;;
    ORIGIN2) as_origin2 origin_entry ;;
    *) printf %s "${!1}" ;;
  esac
}

as_domain2() {
  # shellcheck disable=SC2153  # set by main() of lab.sh
  local DOMAIN=$DOMAIN2 DOCROOT=$DOCROOT2
  "$@"
}

# An item of boosterd's `origins`.
origin_entry() {
  local accelerator=''
  [[ $WITH_ACCEL == no ]] ||
    accelerator=", key_file: $KEY_FILE, catalogue: \"$ORIGIN_BOOSTER_IP:$CATALOGUE_PORT\""
  printf '{ address: "%s:80"%s }' "$ORIGIN_BOOSTER_IP" "$accelerator"
}

# wait_for TENTHS CMD...: true as soon as CMD is, false when so many tenths of a second have passed.
wait_for() {
  local end=$((${EPOCHREALTIME/[.,]/} + $1 * 100000))
  shift
  until "$@"; do
    ((${EPOCHREALTIME/[.,]/} < end)) || return 1
    sleep 0.02
  done
}
