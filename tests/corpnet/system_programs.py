"""Where the system's programs are, and the script that installs missing ones. Any module can import this."""

from __future__ import annotations

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL_SCRIPT = "tests/corpnet/install_packages.sh"
