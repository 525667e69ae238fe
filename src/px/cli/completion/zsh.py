"""The completion script for zsh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from px.cli.completion.flags import Flag

_SCRIPT: Final = r"""#compdef px
# Completions of px for zsh. For every new shell, write them to a file named _px in a directory of $fpath:
#   mkdir -p ~/.zfunc
#   px --completions=zsh > ~/.zfunc/_px
# and have these lines in ~/.zshrc:
#   fpath=(~/.zfunc $fpath)
#   autoload -Uz compinit && compinit
# Or add this line after compinit:
#   eval "$(px --completions=zsh)"

_px() {
  local -a actions=(@ACTIONS@) specs
  local -i dashes=${words[(i)--]}
  if (( dashes < CURRENT )); then # the program of --run, with its own completions
    shift $dashes words
    (( CURRENT -= dashes ))
    _normal
    return
  fi
  specs=(
@SPECS@
  )
@SWITCHES@
  # - and _ are the same.
  _arguments -M 'm:{_-}={-_} r:|[_-]=* r:|=*' $specs
}

if [[ $funcstack[1] == _px ]]; then
  _px "$@"
else
  compdef _px px
fi
"""


def format_zsh(flags: Sequence[Flag]) -> str:
    """Return the script."""
    specs = [f"    {_format_spec(flag)}" for flag in flags if not flag.owner]
    switches = [
        f"  (( ${{words[(I){flag.owner}*]}} )) && specs+=({_format_spec(flag)})"
        for flag in flags
        if flag.owner
    ]
    return (
        _SCRIPT.replace("@ACTIONS@", " ".join(flag.text for flag in flags if flag.is_action))
        .replace("@SPECS@", "\n".join(specs))
        .replace("@SWITCHES@", "\n".join(switches))
    )


def _format_spec(flag: Flag) -> str:
    """Return what ``_arguments`` wants to know of a flag."""
    excluded = '"($actions)"' if flag.is_action else ""
    summary = flag.summary.replace("[", r"\[").replace("]", r"\]")
    equals = "" if not flag.metavar else "=" if flag.is_value_needed else "=-"
    text = f"{flag.text}{equals}[{summary}]{_format_value(flag)}".replace("'", r"'\''")
    return f"{excluded}'{text}'"


def _format_value(flag: Flag) -> str:
    if not flag.metavar:
        return ""
    name = flag.metavar.replace(":", r"\:")
    return f"{':' if flag.is_value_needed else '::'}{name}:{_format_action(flag)}"


def _format_action(flag: Flag) -> str:
    """Return the command that adds the values."""
    if flag.is_path:
        return "_files"
    values = " ".join(value.replace(":", r"\:") for value in flag.values)
    return rf'compadd -M "m\:{{a-z}}={{A-Z}}" - {values}' if values else " "
