#!/usr/bin/env bash
# Runs the tests without system packages on a Windows Python under Wine, then such a Px at the upstreams of
# tests/corpnet.
#   scripts/test_under_wine.sh PYTHON DIRECTORY
# PYTHON is a Python of Linux with the test packages of Px; DIRECTORY keeps the Windows Python and Wine's C: drive
# for the next time.
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

# Wine 8 needs pipes as standard handles.
run_windows_python() { "$windows_python" "$@" </dev/null 2>&1 | cat; }

echo "== $(/usr/lib/wine/wine64 --version), $(run_windows_python -c 'import sys; print("Windows Python", sys.version)')"
# Left out are tests of the repository, and of code that does the same on every system that has the same version
# of Python: it calls nothing of the system, or only the event loop, as tests/proxy, tests/io and tests/downstream
# do more than it.
left_out=(tests/core tests/bench tests/config/imports tests/cli/completion tests/upstream/test_*.py
  tests/routing/pac/test_{sandbox,scripts,functions}.py
  tests/test_{architecture,contributing,documents,import_rules,log_flags,man_page,mirror,odd_configurations}.py
  tests/test_{options_document,stages,troubleshooting}.py)
# The script waits for Python to end, and not for the end of Python's output: Wine may leave a console process
# behind, which keeps the output open.
exec 3> >(tee "$directory/tests")
tee=$!
"$windows_python" -m pytest -q -p no:cacheprovider -m 'not corpnet' --last-parameters "${left_out[@]/#/--ignore=}" \
  </dev/null >&3 2>&1
tests=$?
exec 3>&-
WINEPREFIX=$(cd "$directory" && pwd)/prefix /usr/lib/wine/wineserver64 -k
wait "$tee"
echo "== Px on it, clients and upstreams on Linux"
WINDOWS_PYTHON=$windows_python "$linux_python" -m pytest -q -p no:cacheprovider tests/e2e | tee "$directory/e2e"
e2e=$?
echo "== under Wine: $(tail -n 1 "$directory/tests")"
echo "== with Px under Wine: $(tail -n 1 "$directory/e2e")"
exit $((tests || e2e))
