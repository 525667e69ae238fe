#!/usr/bin/env bash
# Installs the packages that tests/corpnet needs, and Wine. Prints a warning if that fails: the tests that need
# them are then skipped, which is acceptable on a laptop but not for CI.
set -u
cd "$(dirname "$0")/.."
installer=tests/corpnet/install_packages.sh
[ -e "$installer" ] || exit 0
bash "$installer" wine wine64 winbind || true # the stage under Wine reports what it leaves out
bash "$installer" && exit 0
cat >&2 <<TEXT

*************************************************************************
* Not all system packages could be installed (see above).               *
* Tests against the real upstreams that are missing will be SKIPPED.    *
*************************************************************************

TEXT
[ -z "${CI:-}" ]
