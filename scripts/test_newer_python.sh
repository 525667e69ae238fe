#!/usr/bin/env bash
# Runs the tests that need no system packages on Python 3.MINOR, if that is newer than the one given.
#   scripts/test_newer_python.sh PYTHON MINOR
set -euo pipefail
cd "$(dirname "$0")/.."
minor=$2
if ! "$1" -c "import sys; sys.exit(sys.version_info.minor >= $minor)"; then
    echo "== Python 3.$minor: no newer than $1, which runs all tests"
    exit
fi

# Prints a Python 3.$minor that works: from PATH (a pyenv shim may not), else the newest that pyenv has.
find_python() {
    local candidate
    for candidate in "python3.$minor" $(pyenv_pythons); do
        if "$candidate" -c '' 2>/dev/null; then echo "$candidate"; return; fi
    done
}
pyenv_pythons() {
    command -v pyenv >/dev/null || return 0
    pyenv versions --bare | grep "^3\.$minor\.[0-9]*$" | sort -rV | while read -r version; do
        echo "$(pyenv root)/versions/$version/bin/python"
    done
}

python=$(find_python)
if [ -z "$python" ]; then echo "== Python 3.$minor: not found, not tested"; exit; fi
echo "== Python 3.$minor: $python"
venv=.venv-3.$minor
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]'
"$venv/bin/python" -m pytest -q -m 'not corpnet'
