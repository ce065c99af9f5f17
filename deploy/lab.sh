#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A laboratory of network namespaces: client, booster with boosterd, and two origins with nginx and
# accelerd. Used by the tests, the benchmarks and by people who want to look. This file reads the
# command line; the work is in lab/: common.sh (names, messages), net.sh (namespaces, links,
# pinning), services.sh (nginx, accelerd, boosterd), down.sh (removal). What a lab is made of follows from its prefix, so `down`
# works from any half state.
# shellcheck disable=SC2034  # the options set here are read by the parts
set -Eeuo pipefail

PATH="$PATH:/usr/sbin:/sbin"
SELF_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
REPO_DIR="$(dirname "$SELF_DIR")"
for part in common net services down; do
  # shellcheck source=/dev/null
  source "$SELF_DIR/lab/$part.sh"
done

usage() {
  cat <<'TEXT'
Usage: lab.sh COMMAND [OPTIONS]

  up [OPTIONS]                make a lab and start nginx, accelerd and boosterd in it
  down                        remove every trace of a lab, whatever state it is in
  env [KEY]                   print KEY=VALUE lines, quoted for the shell; or the bare value of KEY
  exec HOST CMD [ARG...]      run CMD on HOST (client, booster, origin, origin2), on that host's CPU
  accelerd start|stop|kill    start with the lab's configuration; SIGTERM and wait; SIGKILL
  accelerd2, boosterd ...     likewise: the second origin's accelerd; boosterd
  pin                         pin processes and NAPI threads again (needed after XDP comes or goes)
  list                        print the prefixes of the labs there are

All commands but list take --prefix P (default: $WB_LAB_PREFIX, else wb): a letter, then up to
seven letters or digits in lower case. Labs with different prefixes coexist.

Options of up:
  --docroot DIR           document root (default: a small generated tree)
  --domain NAME           host name nginx answers to (default site.test); the second domain, of
                          the second origin, is shop.test, always with a generated tree
  --mtu N                 MTU of all links (default 1500)
  --tso on|off            segmentation and checksums left to the origin's interfaces (default off)
  --queues N              queues of every interface (default 1)
  --without LIST          comma list, repeatable: accel: do not start accelerd; booster: neither
                          boosterd, nor the second origin and its domain
  --conf FILE             accelerd configuration instead of lab/accelerd.yaml.in; it may hold
                          @PREFIX@ @PIN_DIR@ @RUN_DIR@ @CGROUP@ @IFS@ @DOCROOT@ @DOMAIN@ @SOCK@
                          @METRICS_PORT@ @BOOSTER_IP@ @BOOSTER_IP6@ @KEY_FILE@ @INSTANCE@ @CATALOGUE_PORT@
                          @ORIGIN_BOOSTER_IP@, and @SECOND_DOMAIN@ in a list of domains; of
                          both origins, each with its own values
  --booster-conf FILE     boosterd configuration instead of lab/boosterd.yaml.in; it may hold
                          what that one holds, and @ORIGIN_BOOSTER_IP@ @ORIGIN2_BOOSTER_IP@
                          @VIP_SITE@ @VIP_SHOP@ @BOOST@ @DIRECTOR_PIN_DIR@
  --boost off|on|auto     the mode of both domains: where new connections to their VIPs go
                          (default off: to the origins)
  --nginx-include FILE    text for nginx's server blocks
  --open-file-cache       let nginx cache open files (benchmarks; it may then serve stale files)

Environment:
  WB_BUILD_DIR            where ctl/accelerd/accelerd, ctl/wbctl/wbctl and booster/boosterd/boosterd
                          are (default: build/ of the repository); the lab keeps it, `accelerd
                          start` takes a new one
  WB_NGINX_WORKERS        nginx worker processes (default 1)
  WB_LAB_PREFIX           default prefix

  P-client  198.18.0.2 --- 198.18.0.1  P-origin   nginx on :80, accelerated,
            198.18.2.2     198.18.1.1             and on :8080, never accelerated
                 |              |
            198.18.2.1     198.18.1.2             IPv6 alike in fd00:198:18:N::/64
                    P-booster
Unless --without booster, boosterd listens on 198.18.2.1:80 and :443 (TLS), IPv6 too, certificates
by a CA made at `up` (CA_CERT), and there is another origin, P-origin2: 198.18.3.1, to P-client
198.18.3.2; 198.18.4.1, to P-booster 198.18.4.2. boosterd asks P-origin for the first domain and
P-origin2 for the second; both origins serve and accelerate both.
The domains' VIPs, 198.18.5.1 and 198.18.6.1 (IPv6 too), are on lo of the booster and of their
origin. P-client reaches them by the booster, whose director sends new connections to boosterd or
to the origin; should that link be down, by the origin's own.
Origin processes and NAPI threads run on CPU 0, all others on CPU 1.

What stays on the host after `down`: "cubic" in net.ipv4.tcp_allowed_congestion_control, because a
namespace may only choose what the host allows; /sys/fs/bpf mounted, if it was not. All else goes,
processes in the lab's namespaces and cgroup included.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the lab exists already (up) or is not up (env, exec,
accelerd, accelerd2, boosterd, pin). `exec` ends with the code of CMD. A failed `up` removes what it had made.

Example: lab.sh up && lab.sh exec client curl -i --resolve site.test:80:198.18.0.1 http://site.test/
TEXT
}

# Options of all commands and those of up; what is left is in ARGS. For exec, options end at HOST.
parse_options() {
  local cmd=$1
  shift
  ARGS=()
  while (($#)); do
    if [[ $1 == --*=* ]]; then
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
    fi
    case "$1" in
      -h | --help) usage && exit 0 ;;
      --prefix) need_value "$@" && PREFIX=$2 && shift 2 ;;
      --) shift && ARGS+=("$@") && break ;;
      --*)
        [[ $cmd == up ]] || die_usage "unknown option $1 for $cmd"
        parse_up_option "$@"
        shift "$CONSUMED"
        ;;
      -*) die_usage "unknown option $1" ;;
      *)
        [[ $cmd == exec ]] && ARGS+=("$@") && break
        ARGS+=("$1")
        shift
        ;;
    esac
  done
}

parse_up_option() {
  CONSUMED=2
  case "$1" in
    --open-file-cache) OPEN_FILE_CACHE=on && CONSUMED=1 ;;
    --docroot) need_value "$@" && DOCROOT=$2 ;;
    --domain) need_value "$@" && DOMAIN=$2 ;;
    --mtu) need_value "$@" && MTU=$2 ;;
    --tso) need_value "$@" && TSO=$2 ;;
    --queues) need_value "$@" && QUEUES=$2 ;;
    --conf) need_value "$@" && CONF_TEMPLATE=$2 ;;
    --booster-conf) need_value "$@" && BOOSTER_CONF_TEMPLATE=$2 ;;
    --boost) need_value "$@" && BOOST=$2 ;;
    --nginx-include) need_value "$@" && NGINX_INCLUDE=$2 ;;
    --without) need_value "$@" && parse_without "$2" ;;
    *) die_usage "unknown option $1" ;;
  esac
}

parse_without() {
  local what
  local -a list
  IFS=, read -ra list <<<"$1"
  ((${#list[@]})) || die_usage "--without wants a list"
  for what in "${list[@]}"; do
    case "$what" in
      accel) WITH_ACCEL=no ;;
      booster) WITH_BOOSTER=no ;;
      *) die_usage "--without takes 'accel' and 'booster', not '$what'" ;;
    esac
  done
}

need_value() {
  (($# >= 2)) || die_usage "option $1 needs a value"
}

check_up_options() {
  [[ $DOMAIN =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] || die_usage "bad host name '$DOMAIN'"
  if [[ ! $MTU =~ ^[1-9][0-9]{3,4}$ ]] || ((MTU < 1280 || MTU > 65535)); then
    die_usage "--mtu wants 1280 to 65535, not '$MTU'"
  fi
  [[ $TSO == on || $TSO == off ]] || die_usage "--tso wants on or off, not '$TSO'"
  [[ $BOOST =~ ^(off|on|auto)$ ]] || die_usage "--boost wants off, on or auto, not '$BOOST'"
  [[ $BOOST != auto || $WITH_ACCEL == yes ]] || die_usage "--boost auto needs accelerd, which tells the load"
  [[ $QUEUES =~ ^[1-9][0-9]?$ ]] || die_usage "--queues wants 1 to 99, not '$QUEUES'"
  [[ ${WB_NGINX_WORKERS:-1} =~ ^[1-9][0-9]?$ ]] || die_usage "WB_NGINX_WORKERS wants 1 to 99"
  if [[ -n $DOCROOT ]]; then
    [[ -d $DOCROOT ]] || die_usage "document root '$DOCROOT' is not a directory"
    DOCROOT=$(realpath -- "$DOCROOT")
    [[ $DOCROOT != *[\"\$\\@]* && $DOCROOT != *[[:cntrl:]]* ]] ||
      die_usage "document root '$DOCROOT' has a character nginx.conf cannot hold"
  fi
  [[ -z $CONF_TEMPLATE || -r $CONF_TEMPLATE ]] || die_usage "cannot read '$CONF_TEMPLATE'"
  [[ -z $BOOSTER_CONF_TEMPLATE || -r $BOOSTER_CONF_TEMPLATE ]] ||
    die_usage "cannot read '$BOOSTER_CONF_TEMPLATE'"
  [[ $WITH_BOOSTER == no || ${DOMAIN,,} != "$DOMAIN2" ]] ||
    die_usage "$DOMAIN2 is the second domain: --without booster, or another --domain"
  [[ -z $NGINX_INCLUDE || -r $NGINX_INCLUDE ]] || die_usage "cannot read '$NGINX_INCLUDE'"
}

# mkdir of the run directory is the claim: of two `up` at once only one gets it, and the other must
# not tear down what is not its own.
lab_up() {
  check_up_options
  need_tools
  set_names
  ! lab_leftovers >/dev/null || die_up
  mkdir -p "$LAB_ROOT"
  mkdir -m 0755 "$RUN_DIR" 2>/dev/null || die_up
  trap 'undo_up $?' EXIT
  trap 'say "${BASH_SOURCE[0]##*/}:$LINENO: failed: $BASH_COMMAND"' ERR
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  [[ $WITH_ACCEL == no ]] || check_accel_binaries
  [[ $WITH_BOOSTER == no ]] || check_binaries "$BOOSTERD"
  write_static_env
  net_up
  [[ $DOCROOT != "$RUN_DIR/www" ]] || make_docroot
  [[ $WITH_BOOSTER == no ]] || as_domain2 make_docroot "$DOMAIN2 "
  [[ $WITH_BOOSTER == no ]] || make_certificates
  origin_start
  if [[ $WITH_BOOSTER == yes ]]; then
    mkdir "$ORIGIN2_RUN_DIR"
    as_origin2 origin_start
    boosterd_configure
    boosterd_start
  fi
  lab_pin
  touch "$RUN_DIR/ready"
  trap - EXIT ERR HUP INT TERM
  say "lab $PREFIX is up: http://$DOMAIN/ is $ORIGIN_IP:80, unaccelerated $ORIGIN_IP:8080"
  [[ $WITH_BOOSTER == no ]] ||
    say "through boosterd: http://$DOMAIN/ and http://$DOMAIN2/ are $BOOSTER_HTTP, https $BOOSTER_HTTPS"
}

origin_start() {
  nginx_start
  [[ $WITH_ACCEL == yes ]] || return 0
  accelerd_configure
  accelerd_start
}

die_up() {
  say "lab $PREFIX exists already, perhaps half made: lab.sh down --prefix $PREFIX"
  exit 3
}

undo_up() {
  trap '' HUP INT TERM
  trap - EXIT ERR
  set +e
  say "up failed; removing lab $PREFIX"
  lab_down
  # A code of zero would come from a stray exit: up has failed all the same.
  exit $(($1 == 0 ? 1 : $1))
}

lab_exec() {
  ((${#ARGS[@]} >= 2)) || die_usage "exec wants a host and a command"
  require_up
  local host=${ARGS[0]} cpu=1
  case "$host" in
    client | booster) ;;
    origin) cpu=0 ;;
    origin2)
      [[ $WITH_BOOSTER == yes ]] || die_usage "lab $PREFIX was made --without booster: no origin2"
      cpu=0
      ;;
    *) die_usage "unknown host '$host': client, booster, origin or origin2" ;;
  esac
  local -a pin
  pin_prefix pin "$cpu"
  exec nsenter --net="/run/netns/$PREFIX-$host" "${pin[@]}" "${ARGS[@]:1}"
}

# lab_daemon NAME VERB: of as_origin2 for the second origin's.
lab_daemon() {
  case "$2" in
    start)
      ! "$1_pid" >/dev/null || die "$1 runs already, pid $("$1_pid")"
      if [[ $1 == accelerd ]]; then check_accel_binaries; else check_binaries "$BOOSTERD"; fi
      "$1_start"
      ;;
    stop) daemon_signal "$1" TERM "$([[ $1 == accelerd ]] && echo 150 || echo 400)" ;;
    kill) daemon_signal "$1" KILL 50 ;;
    *) die_usage "$1 wants start, stop or kill, not '$2'" ;;
  esac
}

lab_service() {
  ((${#ARGS[@]} == 1)) || die_usage "$1 wants start, stop or kill"
  require_up
  [[ $1 == boosterd || -n $CONF ]] || die "lab $PREFIX was made --without accel"
  [[ $1 == accelerd || $WITH_BOOSTER == yes ]] || die "lab $PREFIX was made --without booster"
  case "$1" in
    accelerd2) as_origin2 lab_daemon accelerd "${ARGS[0]}" ;;
    *) lab_daemon "$1" "${ARGS[0]}" ;;
  esac
  lab_pin
}

main() {
  (($#)) || { usage >&2 && exit 2; }
  local cmd=$1
  shift
  case "$cmd" in
    -h | --help | help) usage && exit 0 ;;
    up | down | env | exec | accelerd | accelerd2 | boosterd | pin | list) ;;
    *) die_usage "unknown command '$cmd'" ;;
  esac
  PREFIX=${WB_LAB_PREFIX:-wb}
  DOCROOT='' DOMAIN=site.test MTU=1500 TSO=off QUEUES=1 WITH_ACCEL=yes WITH_BOOSTER=yes
  DOCROOT2='' DOMAIN2=shop.test BOOSTER_CONF_TEMPLATE='' CONF_TEMPLATE='' NGINX_INCLUDE='' OPEN_FILE_CACHE=off BOOST=off
  parse_options "$cmd" "$@"
  [[ $PREFIX =~ ^[a-z][a-z0-9]{0,7}$ ]] || die_usage "bad prefix '$PREFIX': see --help"
  case "$cmd" in
    exec | accelerd | accelerd2 | boosterd) ;;
    env) ((${#ARGS[@]} <= 1)) || die_usage "env takes at most one KEY" ;;
    *) ((${#ARGS[@]} == 0)) || die_usage "$cmd takes no argument '${ARGS[0]}'" ;;
  esac
  [[ $(id -u) == 0 ]] || die "must run as root: namespaces, BPF and pinning need it"
  case "$cmd" in
    up) lab_up ;;
    down) set_names && set +e && lab_down ;;
    env) require_up && lab_env "${ARGS[@]}" ;;
    exec) lab_exec ;;
    accelerd | accelerd2 | boosterd) lab_service "$cmd" ;;
    pin) require_up && lab_pin ;;
    list) lab_list ;;
  esac
}

main "$@"
