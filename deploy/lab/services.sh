# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx, accelerd and boosterd of a lab. All are entered with nsenter and not with `ip netns exec`, which
# mounts a new /sys and so hides pins and cgroups. A pid is believed only while its command line
# names the run directory.

# pid_of FILE: prints the pid in FILE if that process is this lab's and alive.
pid_of() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$RUN_DIR/" || return 1
  printf '%s\n' "$pid"
}

nginx_pid() {
  pid_of "$RUN_DIR/nginx.pid"
}

accelerd_pid() {
  pid_of "$RUN_DIR/accelerd.pid"
}

boosterd_pid() {
  pid_of "$RUN_DIR/boosterd.pid"
}

nginx_worker_pids() {
  local pid
  ! pid=$(nginx_pid) || { pgrep -P "$pid" || true; } | paste -sd' '
}

# Pages of a few sizes. Each begins with its own name, so that a wrong object shows; make_docroot
# MARK puts MARK before it.
make_docroot() {
  local name size base=$RUN_DIR/pattern
  mkdir "$DOCROOT"
  seq -f '%011.0f' 0 9999 >"$base"
  while read -r name size; do
    { printf '%s\n' "${1:-}$name" && head -c "$size" "$base"; } >"$DOCROOT/$name"
    truncate -s "$size" "$DOCROOT/$name"
  done <<<$'1k.bin 1024\n11k.bin 11673\n14k.bin 14000\n100k.bin 102400'
  rm "$base"
  cat >"$DOCROOT/index.html" <<HTML
<!DOCTYPE html>
<html><head><title>$DOMAIN</title></head>
<body><h1>$DOMAIN</h1>
<p><a href="1k.bin">1k.bin</a> <a href="11k.bin">11k.bin</a> <a href="14k.bin">14k.bin</a>
<a href="100k.bin">100k.bin</a></p></body></html>
HTML
  gzip -9nk "$DOCROOT/index.html"
  touch -d @1700000000 "$DOCROOT"/*
}

# shellcheck disable=SC2034  # read by placeholder()
nginx_start() {
  local NGINX_WORKERS=${WB_NGINX_WORKERS:-1} FILE_CACHE='open_file_cache off;' SERVER_INCLUDE=''
  [[ $OPEN_FILE_CACHE == off ]] ||
    FILE_CACHE='open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;'
  if [[ -n $NGINX_INCLUDE ]]; then
    cp -- "$NGINX_INCLUDE" "$RUN_DIR/nginx-include.conf"
    SERVER_INCLUDE="include $RUN_DIR/nginx-include.conf;"
  fi
  render "$SELF_DIR/lab/nginx.conf.in" >"$RUN_DIR/nginx.conf"
  mkdir "$RUN_DIR/tmp" "$CGROUP"
  # In the cgroup before it listens: sockops sees connections of the listener's cgroup.
  local -a pin
  pin_prefix pin 0
  # shellcheck disable=SC2016  # expanded by the inner shell
  sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$CGROUP" \
    nsenter --net="/run/netns/$NS_ORIGIN" "${pin[@]}" \
    nginx -p "$RUN_DIR/" -e "$RUN_DIR/nginx-error.log" -c "$RUN_DIR/nginx.conf" </dev/null >&2 ||
    die "nginx does not start; see the messages above"
  wait_for 50 nginx_pid >/dev/null || die "nginx wrote no pid"
}

check_binaries() {
  local file
  for file in "$@"; do
    [[ -x $file ]] || die "no program $file: build it, set WB_BUILD_DIR, or see up --without"
  done
}

check_accel_binaries() {
  check_binaries "$BUILD_DIR/ctl/accelerd/accelerd" "$WBCTL"
}

accelerd_configure() {
  mountpoint -q /sys/fs/bpf || mount -t bpf -o mode=0700 bpf /sys/fs/bpf ||
    die "cannot mount /sys/fs/bpf"
  (umask 077 && od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' >"$KEY_FILE")
  render "${CONF_TEMPLATE:-$SELF_DIR/lab/accelerd.yaml.in}" >"$CONF"
}

accelerd_start() {
  daemon_start accelerd "$NS_ORIGIN" 0 "$BUILD_DIR/ctl/accelerd/accelerd" "$CONF"
}

accelerd_answers() {
  [[ -S $ACCELERD_SOCK ]] &&
    timeout -k 1 2 "$WBCTL" --socket "$ACCELERD_SOCK" status >/dev/null 2>&1
}

# A certificate for each domain, of a CA made for this lab. All die with it: two days are enough.
make_certificates() {
  mkdir "$TLS_DIR"
  local -a new=(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2)
  local name
  (
    umask 077
    "${new[@]}" -subj "/CN=lab $PREFIX" -keyout "$TLS_DIR/ca.key" -out "$CA_CERT"
    for name in "$DOMAIN" "$DOMAIN2"; do
      "${new[@]}" -CA "$CA_CERT" -CAkey "$TLS_DIR/ca.key" -subj "/CN=$name" \
        -addext "subjectAltName=DNS:$name" -addext basicConstraints=CA:FALSE \
        -keyout "$TLS_DIR/$name.key" -out "$TLS_DIR/$name.pem"
    done
    chmod 0644 "$TLS_DIR"/*.pem
  ) >"$TLS_DIR/log" 2>&1 || die "openssl makes no certificates: $(tail -n 5 "$TLS_DIR/log")"
}

boosterd_configure() {
  mkdir "$BOOSTER_RUN_DIR"
  render "${BOOSTER_CONF_TEMPLATE:-$SELF_DIR/lab/boosterd.yaml.in}" >"$BOOSTERD_CONF"
}

boosterd_start() {
  daemon_start boosterd "$NS_BOOSTER" 1 "$BOOSTERD" "$BOOSTERD_CONF"
}

boosterd_answers() {
  [[ -S $BOOSTERD_SOCK ]] &&
    curl -sf -m 2 -o /dev/null --unix-socket "$BOOSTERD_SOCK" http://boosterd/v1/status 2>/dev/null
}

# daemon_start NAME NS CPU PROGRAM CONF: returns when NAME_answers.
daemon_start() {
  local log=$RUN_DIR/$1.log
  local -a pin
  pin_prefix pin "$3"
  # setsid and nsenter exec, so the pid is the daemon's own.
  setsid nsenter --net="/run/netns/$2" "${pin[@]}" "$4" --config "$5" </dev/null >>"$log" 2>&1 &
  echo $! >"$RUN_DIR/$1.pid"
  disown
  if wait_for 150 daemon_settled "$1" "$!" && "$1_answers"; then
    return
  fi
  if [[ -d /proc/$! ]]; then
    say "$1 does not answer on its socket"
    kill -KILL "$!" 2>/dev/null || true
  else
    say "$1 has ended"
  fi
  say "the end of its log:"
  tail -n 30 "$log" >&2
  exit 1
}

# Started, or ended without having done so: either way there is nothing to wait for.
daemon_settled() {
  [[ ! -d /proc/$2 ]] || "$1_answers"
}

# daemon_signal NAME SIGNAL TENTHS: sends it and waits for the end; none running is fine.
daemon_signal() {
  local pid
  pid=$("$1_pid") || return 0
  kill -"$2" "$pid" 2>/dev/null || true
  wait_for "$3" pid_gone "$pid" || die "$1 $pid has not ended $(($3 / 10)) s after SIG$2"
  rm -f "$RUN_DIR/$1.pid"
}

# A zombie is gone for us: who started it may be slow to collect it.
pid_gone() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
  [[ -z $state || $state == Z ]]
}
