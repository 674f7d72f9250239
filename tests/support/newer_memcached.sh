#!/bin/bash
# newer_memcached.sh DIR: unpacks the memcached of Debian's release after bookworm (1.6.38) with all its libraries into
# DIR and prints how to run it, a word a line. Nothing is installed: apt works on lists, caches and a status of its own.
# Its signature check against Debian's keyring is apt's own. Exits 1 with one line on stderr when it cannot be had.
set -euo pipefail

SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# For each of update and download, s.
PATIENCE=90
dir=$1

fail() {
  echo "$*" >&2
  exit 1
}

# Its own loader: this machine's libc may be older than what the program was linked with.
command_line() {
  local loader program=$dir/usr/bin/memcached
  loader=$(compgen -G "$dir/usr/lib/*-linux-gnu*/ld-linux*.so.*" | head -n 1) || return 1
  [ -x "$program" ] && printf '%s\n' "$loader" --library-path "${loader%/*}" "$program"
}

command_line && exit 0

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "this machine has no apt"
[ -r "$KEYRING" ] || fail "there is no $KEYRING"
# The mirror that this machine is set to.
mirror=$(apt-get indextargets --format '$(SITE) $(REPO_URI)' 'Created-By: Packages' | awk '$2 ~ /\/debian\/$/ { print $2; exit }')
[ -n "$mirror" ] || fail "apt knows no mirror of Debian here"

mkdir -p "${dir%/*}"
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,root}
: >"$work/status"
echo "deb [signed-by=$KEYRING] $mirror $SUITE main" >"$work/sources.list"
options=(
  -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache"
  -o Dir::Cache::pkgcache=packages.bin -o Dir::Cache::srcpkgcache=sources.bin
  -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Acquire::Languages=none
  -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=1 -o APT::Update::Error-Mode=any
)
# For all packages' indexes besides Packages, which would be megabytes for nothing.
for index in Contents-deb DEP-11 DEP-11-icons; do options+=(-o "Acquire::IndexTargets::deb::$index::DefaultEnabled=false"); done

said=$(timeout $PATIENCE apt-get "${options[@]}" -qq update 2>&1) || fail "no $SUITE from $mirror: $(head -n 1 <<<"$said")"

# memcached and the libraries that it needs, and those that they need: blocks of a package's name and its "Depends: …".
packages=$(apt-cache "${options[@]}" depends --recurse memcached | awk '
  /^[^ ]/ { package = $1 }
  /^ *(Pre)?Depends: (lib|zlib)/ { needs[package] = needs[package] " " $2 }
  END {
    count = split("memcached", queue)
    for (at = 1; at <= count; at++) {
      if (wanted[queue[at]]++) continue
      print queue[at]
      more = split(needs[queue[at]], libraries)
      for (one = 1; one <= more; one++) queue[++count] = libraries[one]
    }
  }')

# shellcheck disable=SC2086
said=$(cd "$work/debs" && timeout $PATIENCE apt-get "${options[@]}" -qq download $packages 2>&1) ||
  fail "no packages from $mirror: $(head -n 1 <<<"$said")"
for deb in "$work"/debs/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
rm -rf "$work/root/usr/share"

# Two runs at once: the first one wins, both are equal.
mv -T "$work/root" "$dir" 2>/dev/null || true
command_line || fail "what came from $mirror holds no memcached that runs here"
