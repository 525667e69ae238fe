"""The completion script for a shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from px.cli.completion.bash import format_bash
from px.cli.completion.fish import format_fish
from px.cli.completion.flags import Flag, list_flags
from px.cli.completion.powershell import format_powershell
from px.cli.completion.zsh import format_zsh

_FORMATS: Final[dict[str, Callable[[Sequence[Flag]], str]]] = {
    "bash": format_bash,
    "fish": format_fish,
    "powershell": format_powershell,
    "zsh": format_zsh,
}


def format_script(shell: str) -> str:
    """Return the script for one of the shells of ``--completions``."""
    return _FORMATS[shell](list_flags()).rstrip()
