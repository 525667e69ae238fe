#!/bin/sh
# Puts the proxies that Px is compared with into build/bench, and what builds the load programs into the system.
# What is not to be had is left out, and said so. Squid comes with the packages of the tests.
set -eu

cd "$(dirname "$0")/.."
build=$PWD/build/bench
python=${1:-python3}
mkdir -p "$build/debs"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

left_out() {
  echo "bench: $1 is not to be had here: LEFT OUT" >&2
}

if command -v apt-get >/dev/null; then
  for command in gcc:gcc go:golang-go; do
    command -v "${command%:*}" >/dev/null ||
      { as_root apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
          "${command#*:}" libc6-dev; } || left_out "${command#*:}"
  done
  # Unpacked, not installed: no service starts, nothing conflicts.
  for package in cntlm tinyproxy-bin; do
    ls "$build/debs/$package"_*.deb >/dev/null 2>&1 ||
      (cd "$build/debs" && apt-get download -q "$package") || { left_out "$package"; continue; }
    dpkg-deb -x "$build/debs/$package"_*.deb "$build/debian"
  done
else
  left_out "cntlm and tinyproxy"
fi

if command -v go >/dev/null; then
  (cd bench/go && go build -buildvcs=false -o "$build/relay" .) || left_out "the Go relay"
fi

if ! [ -x "$build/original-px/bin/px" ]; then
  "$python" -m venv "$build/original-px" &&
    "$build/original-px/bin/python" -m pip install --quiet --disable-pip-version-check px-proxy ||
    left_out "the original Px"
fi
