"""The completion script for fish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from px.cli.completion.flags import Flag

_SCRIPT: Final = r"""# Completions of px for fish. For every new shell, write them to a file:
#   px --completions=fish > ~/.config/fish/completions/px.fish

# Whether one of the flags is given before the cursor.
function __px_has
    for word in (commandline -opc)
        contains -- (string replace -r '=.*' '' -- $word) $argv; and return
    end
    return 1
end

# The completions of the program of --run.
function __px_program
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words); or return
    complete -C(string join ' ' -- (string escape -- $words[(math $at + 1)..-1]) (commandline -ct))
end

set -l actions @ACTIONS@
complete -c px -f
complete -c px -n '__px_has --run' -a '(__px_program)'
@FLAGS@
"""


def format_fish(flags: Sequence[Flag]) -> str:
    """Return the script."""
    actions = " ".join(flag.text for flag in flags if flag.is_action)
    return _SCRIPT.replace("@ACTIONS@", actions).replace("@FLAGS@", "\n".join(map(_format_flag, flags)))


def _format_flag(flag: Flag) -> str:
    words = ["complete -c px -l", flag.text.removeprefix("--")]
    if flag.is_action:
        words.append('-n "not __px_has $actions"')
    if flag.owner:
        words.append(f"-n '__px_has {flag.owner}'")
    if flag.is_value_needed:
        words.append("-r")
    words.append("-F" if flag.is_path else "-f")
    if flag.values:
        words.append(f"-a '{' '.join(flag.values)}'")
    return " ".join([*words, "-d", _quote(flag.summary)])


def _quote(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"
