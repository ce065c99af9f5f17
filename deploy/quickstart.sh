#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh Debian 12 machine to a real site served by XDP, as root and in network namespaces only:
# installs packages, builds, serves the HTML tree of Debian's Python documentation with nginx and
# accelerd in a lab (deploy/lab.sh), lets wget mirror it through the accelerator and crawls it with
# compressed answers, compares every byte with the unaccelerated port, measures what a request
# costs the origin both ways, and shows a load peak that moves to the booster and back.
set -Eeuo pipefail

REPO_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
BUILD_DIR=${WB_BUILD_DIR:-$REPO_DIR/build}
LAB=$REPO_DIR/deploy/lab.sh
PREFIX=qs KEEP=no OWN=no
WORK='' CHILD='' STAGE=''
export PYTHONDONTWRITEBYTECODE=1

usage() {
  cat <<'TEXT'
Usage: quickstart.sh [--keep] [--prefix P]

  --keep        leave the lab up, to play with
  --prefix P    of the lab (default qs); a lab of that prefix that quickstart.sh made is replaced

Exit codes: 0 done; 1 failed, a byte differed, or XDP answered nothing; 2 wrong usage. Whatever
happens, SIGTERM included, what was made is removed; what a killed run left, the next one removes.
With WB_BUILD_DIR set nothing is built: that directory is used.
TEXT
}

say() {
  printf '\n== %s\n' "$*"
}

die() {
  printf 'quickstart.sh: %s\n' "$*" >&2
  exit 1
}

# Runs a command so that a signal is acted upon at once, not when the command has ended.
watched() {
  local status=0
  "$@" 9>&- &
  CHILD=$!
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}

clean_up() {
  local status=$?
  trap '' HUP INT TERM
  trap - EXIT
  if [[ -n $CHILD ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
    # `lab.sh up` removes what it made, unless it was just done.
    ! wait "$CHILD" || [[ $STAGE != up ]] || OWN=yes
  fi
  if [[ $OWN == yes && ($KEEP == no || $status != 0) ]]; then
    if ((status)); then
      tail -n 15 "/run/webbooster-lab/$PREFIX/accelerd.log" >&2 2>/dev/null
    fi
    "$LAB" down --prefix "$PREFIX" || status=1
  fi
  [[ -z $WORK ]] || rm -rf "$WORK"
  exit "$status"
}

# Two runs at once would take each other's lab. A kept lab does not hold the lock.
take_lock() {
  mkdir -p /run/lock
  exec 9>"/run/lock/webbooster-quickstart-$PREFIX.lock"
  flock -n 9 || die "another quickstart with prefix $PREFIX is running"
}

install_and_build() {
  say 'Installing packages and building (minutes, the first time)'
  "$REPO_DIR/deploy/install-packages.sh" 9>&-
  WORK=$(mktemp -d /tmp/wb-quickstart-XXXXXX)
  [[ -z ${WB_BUILD_DIR:-} ]] || return 0
  if ! watched timeout -k 10 1800 "$REPO_DIR/deploy/build.sh" >"$WORK/build.log" 2>&1; then
    tail -n 40 "$WORK/build.log" >&2
    die 'the build failed'
  fi
}

# The documentation's HTML tree, with a compressed file beside each text: what nginx's gzip_static serves.
site() {
  local index from='' to=$BUILD_DIR/quickstart-site
  while read -r index; do
    [[ $index != */html/index.html || ! -f $index ]] || from=$(dirname "$(realpath "$index")")
  done < <(dpkg -L python3.11-doc)
  [[ -n $from ]] || die 'python3.11-doc has no HTML tree here'
  local version
  version=$(dpkg-query -W python3.11-doc)
  if [[ $(cat "$to.version" 2>/dev/null) == "$version" ]]; then
    printf '%s\n' "$to"
    return
  fi
  rm -rf "$to" "$to.version"
  cp -rL --preserve=timestamps "$from" "$to"
  find "$to" -type f \( -name '*.html' -o -name '*.css' -o -name '*.js' -o -name '*.txt' -o -name '*.svg' \) -print0 |
    xargs -0 -P 2 -n 50 gzip -9 -k -f
  printf '%s\n' "$version" >"$to.version"
  printf '%s\n' "$to"
}

lab_up() {
  local root
  root=$(site)
  say 'A lab: nginx and accelerd serve the documentation, precompressed, as site.test, and boosterd stands before them'
  if [[ $PREFIX == qs || -e /run/webbooster-lab/$PREFIX/quickstart ]]; then
    "$LAB" down --prefix "$PREFIX" 9>&- 2>/dev/null
  fi
  # `up` removes what it made when it fails, and refuses a lab that is not ours.
  STAGE=up
  watched timeout -k 10 120 "$LAB" up --prefix "$PREFIX" --docroot "$root"
  OWN=yes STAGE=''
  touch "/run/webbooster-lab/$PREFIX/quickstart"
}

# A client that everybody knows. What it saves is compared, file by file.
mirror() {
  say 'wget mirrors all of it: from port 8080, then through the accelerator (port 80) six times, and through the booster twice'
  watched timeout -k 10 900 python3 "$REPO_DIR/bench/mirror.py" --prefix "$PREFIX" --directory "$WORK/mirrors" \
    --json "$WORK/mirror.json" || die 'the mirrors differ, as shown above'
}

# As a browser asks, and with every head compared, too.
crawl() {
  say 'Crawling it as a browser would, heads compared too: port 8080, then port 80 twice over IPv4 and twice over IPv6'
  local ip ip6
  ip=$("$LAB" env ORIGIN_IP --prefix "$PREFIX")
  ip6=$("$LAB" env ORIGIN_IP6 --prefix "$PREFIX")
  # Mismatches are shown before the table says how many there were.
  watched timeout -k 10 600 "$LAB" exec --prefix "$PREFIX" client python3 "$REPO_DIR/tests/support/crawl.py" --json \
    --base http://site.test/ --ref "$ip:8080" --connect "$ip:80" --connect "[$ip6]:80" --passes 2 >"$WORK/crawl.json" ||
    { cut -c 1-4000 "$WORK/crawl.json" >&2 && die 'the crawl found differences, shown above'; }
}

measure() {
  say 'Measuring: the same keep-alive requests to nginx alone and through the accelerator'
  watched timeout -k 10 600 python3 "$REPO_DIR/bench/site.py" --prefix "$PREFIX" --mirror "$WORK/mirror.json" \
    --crawl "$WORK/crawl.json"
}

# The point of it all: who comes at the peak is at the booster, and the origin has its rest.
peak() {
  say 'A load peak on site.test: its clients go to the origin, at the peak to the booster, and back, by the load that the origin reports'
  watched timeout -k 10 120 python3 "$REPO_DIR/bench/peak.py" --prefix "$PREFIX" --path /about.html --svg "$BUILD_DIR/peak.svg" ||
    die 'the peak was not taken away from the origin, as shown above'
  printf 'A plot of it: %s\n' "$BUILD_DIR/peak.svg"
}

# wbctl and curl are shown as they can be typed; the metrics listen in the origin's namespace.
how_to_play() {
  local -A e=()
  local key value
  while IFS='=' read -r key value; do
    e[$key]=$value
  done < <("$LAB" env --prefix "$PREFIX")
  say 'Metrics (Prometheus)'
  "$LAB" exec --prefix "$PREFIX" origin curl -sf -m 5 "${e[ACCELERD_METRICS]}" 9>&- >"$WORK/metrics" ||
    die "no metrics at ${e[ACCELERD_METRICS]}"
  { grep -E '^webbooster_' "$WORK/metrics" || die 'the metrics say nothing of webbooster'; } |
    sed -n '1,6s/^/  /p'
  printf '  all: %s exec --prefix %s origin curl -s %s\n' "$LAB" "$PREFIX" "${e[ACCELERD_METRICS]}"
  if [[ $KEEP == no ]]; then
    printf '\nThe lab is removed now; quickstart.sh --keep leaves it up.\n'
    return
  fi
  cat <<TEXT

The lab is up. Play:
  $LAB exec --prefix $PREFIX client curl -i --resolve site.test:80:${e[ORIGIN_IP]} http://site.test/about.html
  $LAB exec --prefix $PREFIX client curl -i --cacert ${e[CA_CERT]} --resolve site.test:443:${e[BOOSTER_CLIENT_IP]} https://site.test/about.html
  ${e[WBCTL]} --socket ${e[ACCELERD_SOCK]} status
  ${e[WBCTL]} booster status --socket ${e[BOOSTERD_SOCK]}
  ${e[WBCTL]} boost on site.test --socket ${e[BOOSTERD_SOCK]}
  $LAB exec --prefix $PREFIX client curl -i --resolve site.test:80:${e[VIP_SITE]} http://site.test/about.html
  ${e[WBCTL]} --socket ${e[ACCELERD_SOCK]} cache list --limit 10
  ${e[WBCTL]} --socket ${e[ACCELERD_SOCK]} reasons
  ${e[WBCTL]} --socket ${e[ACCELERD_SOCK]} cache purge --all
End it:
  $LAB down --prefix $PREFIX
TEXT
}

main() {
  while (($#)); do
    case "$1" in
      -h | --help) usage && exit 0 ;;
      --keep) KEEP=yes && shift ;;
      --prefix=*) PREFIX=${1#*=} && shift ;;
      --prefix)
        (($# >= 2)) || { usage >&2 && exit 2; }
        PREFIX=$2
        shift 2
        ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
  [[ $PREFIX =~ ^[a-z][a-z0-9]{0,7}$ ]] || { usage >&2 && exit 2; }
  [[ $(id -u) == 0 ]] || die 'must run as root: namespaces and BPF need it'
  take_lock
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  install_and_build
  lab_up
  mirror
  crawl
  measure
  peak
  how_to_play
}

main "$@"
