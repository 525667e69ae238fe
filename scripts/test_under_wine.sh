#!/usr/bin/env bash
# Runs what needs no system packages on a Windows Python under Wine; then Px so at the upstreams of tests/corpnet.
#   scripts/test_under_wine.sh PYTHON DIRECTORY
# PYTHON is one of Linux with Px's tests; DIRECTORY keeps the Windows Python and Wine's C: drive for the next time.
set -uo pipefail
cd "$(dirname "$0")/.."
linux_python=$1 directory=$2

if ! scripts/make_windows_python.sh "$linux_python" "$directory"; then
  cat >&2 <<TEXT

*************************************************************************
* Wine or the Windows Python could not be had (see above).              *
* NOTHING was tested under Wine: all of its tests were SKIPPED.         *
*************************************************************************

TEXT
  [ -z "${CI:-}" ]
  exit
fi
windows_python=$(cd "$directory" && pwd)/run

# Wine 8 wants pipes for standard handles.
run_windows_python() { "$windows_python" "$@" </dev/null 2>&1 | cat; }

echo "== $(/usr/lib/wine/wine64 --version), $(run_windows_python -c 'import sys; print("Windows Python", sys.version)')"
run_windows_python -m pytest -q -p no:cacheprovider -m 'not corpnet' | tee "$directory/tests"
tests=$?
echo "== Px on it, clients and upstreams on Linux"
WINDOWS_PYTHON=$windows_python "$linux_python" -m pytest -q -p no:cacheprovider tests/e2e | tee "$directory/e2e"
e2e=$?
echo "== under Wine: $(tail -n 1 "$directory/tests")"
echo "== with Px under Wine: $(tail -n 1 "$directory/e2e")"
exit $((tests || e2e))
