#!/usr/bin/env bash
# Installs what tests/corpnet runs, and Wine. Where that does not work, says so loudly: the tests that need it
# are skipped then, which is fit for a laptop but not for CI.
set -u
cd "$(dirname "$0")/.."
installer=tests/corpnet/install_packages.sh
[ -e "$installer" ] || exit 0
bash "$installer" wine wine64 winbind || true # the stage under Wine will say what that means for it
bash "$installer" && exit 0
cat >&2 <<TEXT

*************************************************************************
* Not all system packages could be installed (see above).               *
* Tests against the real upstreams that are missing will be SKIPPED.    *
*************************************************************************

TEXT
[ -z "${CI:-}" ]
