"""The packages that Px needs: checks that they are installed, else names the command that installs them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from subprocess import list2cmdline
from typing import Final

from px.core.startup_errors import ConfigError
from px.system.process.child_command import is_frozen

#: Module -> the package that contains it, as named in pyproject.toml.
PACKAGES: Final = {
    "keyring": "keyring",
    "platformdirs": "platformdirs",
    "psutil": "psutil",
    "quickjs": "quickjs-ng",
    **({"sspilib": "sspilib"} if sys.platform == "win32" else {}),
}


def check_dependencies(packages: Mapping[str, str] = PACKAGES) -> None:
    """Return if all packages are installed.

    Raises:
        ConfigError: A package is missing; the message has the command that installs it.
    """
    if is_frozen():
        return
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigError(
            f"{', '.join(missing)} {verb} not installed; to install what Px needs, run: {_command()}"
        )


def _command() -> str:
    clone = Path(__file__).resolve().parents[3]
    what = str(clone) if (clone / "pyproject.toml").is_file() else "px-proxy"
    parts = [sys.executable, "-m", "pip", "install", what]
    return list2cmdline(parts) if sys.platform == "win32" else shlex.join(parts)
