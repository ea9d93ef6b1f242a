#!/bin/sh
# Puts K3s-DaaS on this machine and installs its service. As k3s' own installer:
#   curl -sfL …/install.sh | INSTALL_K3S_DAAS_VERSION=v0.1.0 sh -s - --node-label disk=ssd
#   INSTALL_K3S_DAAS_ARTIFACT=./k3s-daas-linux-amd64.tar.gz sh install.sh --gateway
# First words: --dry-run, --gateway, --program-only, --yes; all that follow are flags of `k3s agent`. Variables:
#   INSTALL_K3S_DAAS_ARTIFACT  a release on this machine (k3s-daas-linux-<arch>.tar.gz) instead of a download
#   INSTALL_K3S_DAAS_SHA256    its SHA-256; else the file beside it: <release>.sha256. Needed to download without curl
#   INSTALL_K3S_DAAS_VERSION   the release to fetch, such as v0.1.0
#   INSTALL_K3S_DAAS_URL       where releases are (https), laid out as <url>/<version>/<release>
#   INSTALL_K3S_DAAS_DIR       where the program is put (default /usr/local/lib/k3s-daas)
#   INSTALL_K3S_DAAS_BIN_DIR   where the link to it is put (default /usr/local/bin)
# The other INSTALL_K3S_DAAS_… and all K3S_DAAS_… are for `k3s-daas install`: docs/install.md.
set -eu

dir=${INSTALL_K3S_DAAS_DIR:-/usr/local/lib/k3s-daas}
bin_dir=${INSTALL_K3S_DAAS_BIN_DIR:-/usr/local/bin}
url=${INSTALL_K3S_DAAS_URL:-}
version=${INSTALL_K3S_DAAS_VERSION:-}
artifact=${INSTALL_K3S_DAAS_ARTIFACT:-}
dry_run='' role='' program_only='' answer=''

say() { echo "[k3s-daas] $*" >&2; }
fail() {
  echo "[k3s-daas] cannot install: $1" >&2
  exit "${2:-78}"
}

while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry_run=yes ;;
    --gateway) role=--gateway ;;
    --program-only) program_only=yes ;;
    --yes) answer=--yes ;;
    *) break ;;
  esac
  shift
done

case $(uname -m) in
  x86_64) arch=amd64 loader=/lib64/ld-linux-x86-64.so.2 ;;
  aarch64) arch=arm64 loader=/lib/ld-linux-aarch64.so.1 ;;
  *) fail "there is no release for $(uname -m)" ;;
esac
[ -e "$loader" ] || fail "this system has no GNU C library ($loader); install Node 24 and the npm package instead"
name=k3s-daas-linux-$arch.tar.gz

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT TERM HUP

fetch() {
  case $1 in https://*) ;; *) fail "$1 is not https" ;; esac
  if command -v curl >/dev/null; then
    # A connection that hangs ends: twenty seconds to make it, then a minute below 1 kB/s.
    curl --proto '=https' --fail --silent --show-error --location --connect-timeout 20 \
      --speed-limit 1024 --speed-time 60 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -q -O "$2" "$1"
  else
    fail 'neither curl nor wget is on this machine: fetch the release elsewhere and set INSTALL_K3S_DAAS_ARTIFACT'
  fi
}

if [ -z "$artifact" ]; then
  [ -n "$url" ] || fail 'set INSTALL_K3S_DAAS_ARTIFACT to a release on this machine, or INSTALL_K3S_DAAS_URL and INSTALL_K3S_DAAS_VERSION'
  [ -n "$version" ] || fail 'INSTALL_K3S_DAAS_VERSION is not set: which program root runs is not decided by what is newest today'
  artifact=$temporary/$name
  # The wget of BusyBox does not look at certificates: what it brings is known by a SHA-256 that came in another way.
  command -v curl >/dev/null || [ -n "${INSTALL_K3S_DAAS_SHA256:-}" ] ||
    fail 'there is no curl on this machine: set INSTALL_K3S_DAAS_SHA256 to the SHA-256 of the release, or install curl'
  say "fetches $url/$version/$name"
  fetch "$url/$version/$name" "$artifact" || fail "$url/$version/$name cannot be fetched" 75
  [ -n "${INSTALL_K3S_DAAS_SHA256:-}" ] ||
    fetch "$url/$version/$name.sha256" "$artifact.sha256" || fail "$url/$version/$name.sha256 cannot be fetched" 75
fi
[ -f "$artifact" ] || fail "$artifact (INSTALL_K3S_DAAS_ARTIFACT) is not there"

expected=${INSTALL_K3S_DAAS_SHA256:-}
if [ -z "$expected" ]; then
  [ -f "$artifact.sha256" ] ||
    fail "nothing says what $artifact has to be: set INSTALL_K3S_DAAS_SHA256, or put $artifact.sha256 beside it"
  read -r expected _ <"$artifact.sha256" || [ -n "$expected" ]
fi
read -r found _ <<EOT
$(sha256sum "$artifact")
EOT
[ "$found" = "$expected" ] ||
  fail "$artifact has the SHA-256 $found, expected $expected. Nothing was installed" 1
say "$artifact has the expected SHA-256 $found"

# A directory for each release: a running host reads its files until it is restarted.
target=$dir/$(printf '%.16s' "$found")
if [ -n "$dry_run" ]; then
  unpacked=$temporary/program
  say "would unpack it to $target, and link $bin_dir/k3s-daas to it"
else
  [ "$(id -u)" = 0 ] || fail 'run this as root (sudo), or look first with --dry-run'
  unpacked=$target.new
  rm -rf "$unpacked"
fi
umask 022
mkdir -p "$unpacked"
tar -xzf "$artifact" -C "$unpacked" --strip-components=1 --no-same-owner
[ -x "$unpacked/bin/k3s-daas" ] || fail "$artifact is no release of K3s-DaaS: it has no bin/k3s-daas" 1
"$unpacked/bin/k3s-daas" --version >/dev/null || fail 'the program does not run on this machine' 1

if [ -z "$dry_run" ]; then
  if [ -d "$target" ]; then rm -rf "$unpacked"; else mv "$unpacked" "$target"; fi
  mkdir -p "$bin_dir"
  # Replaced in one step: what starts meanwhile finds the old program or the new one.
  ln -s "$target/bin/k3s-daas" "$bin_dir/.k3s-daas.$$"
  mv -T "$bin_dir/.k3s-daas.$$" "$bin_dir/k3s-daas"
  say "$bin_dir/k3s-daas is $("$bin_dir/k3s-daas" --version)"
  program=$bin_dir/k3s-daas
else
  program=$unpacked/bin/k3s-daas
  export INSTALL_K3S_DAAS_PROGRAM="$bin_dir/k3s-daas"
fi
[ -z "$program_only" ] || exit 0

# Piped into a shell there is nobody to ask: what is done is printed, and undone by `k3s-daas uninstall`.
[ -t 0 ] || answer=--yes
"$program" install $role ${dry_run:+--dry-run} $answer -- "$@"
