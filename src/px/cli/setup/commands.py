"""The commands that ``px --setup`` names for a person to paste into the shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from px.config.invocation import Invocation

_PLAIN: Final = re.compile(r"[\w:/.=-]+", re.ASCII)
_USER: Final = "DOMAIN\\user"


def own_name() -> str:
    """Return the command that runs this Px in this shell."""
    program = Path(sys.argv[0])
    if program.stem not in {"px", "pxw"}:
        return "px"
    found = shutil.which("px")
    if found is not None and Path(found).resolve() == program.resolve():
        return "px"
    return shlex.quote(sys.argv[0])


def format_setup(invocation: Invocation, **changes: str) -> str:
    """Return the command that sets Px up again.

    Args:
        invocation: With what is given or answered already.
        changes: Other values of options; ``setup`` is the site of the test.
    """
    site = changes.pop("setup", invocation.action_value)
    values = {name: one.text for name, one in invocation.given.items() if one.is_flag} | changes
    words = [f"--setup={site}" if site else "--setup", *(f"--{switch}" for switch in invocation.switches)]
    words += [f"--{name}={text}" for name, text in values.items()]
    return " ".join([own_name(), *map(_quote, words)])


def format_password_commands(
    invocation: Invocation, *, is_windows: bool = os.name == "nt"
) -> tuple[str, str]:
    """Return the command that takes a password into the environment of the shell, and the set-up with it."""
    if is_windows:
        ask = "$env:PX_PASSWORD = [Net.NetworkCredential]::new('', (Read-Host -AsSecureString)).Password"
    else:
        ask = "read -rs PX_PASSWORD; export PX_PASSWORD"
    username = invocation.known_settings.username or _USER
    return ask, format_setup(invocation, username=username)


def _quote(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("'", "''") + "'" if os.name == "nt" else shlex.quote(word)
