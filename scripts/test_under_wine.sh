#!/usr/bin/env bash
# Runs the tests that need no system packages on a Windows Python under Wine.
#   scripts/test_under_wine.sh PYTHON DIRECTORY
# PYTHON is one of Linux with Px's tests; DIRECTORY keeps the Windows Python and Wine's C: drive for the next time.
set -uo pipefail
cd "$(dirname "$0")/.."
linux_python=$1 directory=$2
windows_python=$directory/run

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

# Wine 8 wants pipes for standard handles.
run_windows_python() { "$windows_python" "$@" </dev/null 2>&1 | cat; }

echo "== $(/usr/lib/wine/wine64 --version), Windows Python $(run_windows_python -c 'import platform; print(platform.python_version())')"
run_windows_python -m pytest -q -p no:cacheprovider -m 'not corpnet' | tee "$directory/result"
status=$?
echo "== under Wine: $(tail -n 1 "$directory/result")"
exit "$status"
