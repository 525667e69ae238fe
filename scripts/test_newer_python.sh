#!/usr/bin/env bash
# Runs tests that need no system packages on Python 3.MINOR, if that is newer than the given one, which runs all
# tests. The newest Python that is found runs the tests of all packages, except the longest ones of processes and
# those of what QuickJS does. A Python between the two runs only the tests that a new Python can break: the event
# loop, TLS, child processes, the command line.
#   scripts/test_newer_python.sh PYTHON MINOR
set -euo pipefail
cd "$(dirname "$0")/.."
minor=$2 newest_minor=14
if ! "$1" -c "import sys; sys.exit(sys.version_info.minor >= $minor)"; then
    echo "== Python 3.$minor: no newer than $1, which runs all tests"
    exit
fi

# Prints a working Python of that minor version: from PATH (a pyenv shim may fail), otherwise the newest of pyenv.
find_python() {
    local candidate minor=$1
    for candidate in "python3.$minor" $(pyenv_pythons "$minor"); do
        if "$candidate" -c '' 2>/dev/null; then echo "$candidate"; return; fi
    done
}
pyenv_pythons() {
    local minor=$1
    command -v pyenv >/dev/null || return 0
    pyenv versions --bare | grep "^3\.$minor\.[0-9]*$" | sort -rV | while read -r version; do
        echo "$(pyenv root)/versions/$version/bin/python"
    done
}

python=$(find_python "$minor")
if [ -z "$python" ]; then echo "== Python 3.$minor: not found, not tested"; exit; fi
echo "== Python 3.$minor: $python"
venv=.venv-3.$minor
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]'
tests=(tests/proxy)
for package in src/px/*/; do
    package=tests/$(basename "$package")
    [ ! -d "$package" ] || tests+=("$package")
done
for module in processes/test_{listen_sockets,program,reload} routing/pac/test_{differential,functions,sandbox,scripts}; do
    tests+=("--ignore=tests/$module.py")
done
for newer in $(seq $((minor + 1)) "$newest_minor"); do
    if [ -n "$(find_python "$newer")" ]; then
        tests=(tests/app tests/cli tests/io tests/logs tests/proxy tests/system/process
            tests/upstream/connections)
        echo "== Python 3.$newer runs more tests; here: ${tests[*]}"
        break
    fi
done
"$venv/bin/python" -m pytest -q -m 'not corpnet' --last-parameters "${tests[@]}"
