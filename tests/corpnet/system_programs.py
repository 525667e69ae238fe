"""Where the system's programs are, and what installs those that are missing. Can be imported anywhere."""

from __future__ import annotations

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL_SCRIPT = "tests/corpnet/install_packages.sh"
