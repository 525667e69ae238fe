#!/usr/bin/env bash
# Runs the tests that need no system packages on each Python newer than the one given.
#   scripts/test_newer_pythons.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
own_minor=$("$1" -c 'import sys; print(sys.version_info.minor)')

# Prints a Python 3.$1 that works: from PATH (a pyenv shim may not), else the newest that pyenv has.
find_python() {
    local candidate
    for candidate in "python3.$1" $(pyenv_pythons "$1"); do
        if "$candidate" -c '' 2>/dev/null; then echo "$candidate"; return; fi
    done
}
pyenv_pythons() {
    command -v pyenv >/dev/null || return 0
    pyenv versions --bare | grep "^3\.$1\.[0-9]*$" | sort -rV | while read -r version; do
        echo "$(pyenv root)/versions/$version/bin/python"
    done
}

status=0
for minor in 12 13 14; do
    [ "$minor" -gt "$own_minor" ] || continue
    python=$(find_python "$minor")
    if [ -z "$python" ]; then echo "== Python 3.$minor: not found, not tested"; continue; fi
    echo "== Python 3.$minor: $python"
    venv=.venv-3.$minor
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]'
    "$venv/bin/python" -m pytest -q -m 'not corpnet' || status=1
done
exit "$status"
