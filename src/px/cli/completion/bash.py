"""The completion script for bash, also for version 3.2 of macOS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from px.cli.completion.flags import Flag

_SCRIPT: Final = r"""# Completions of px for bash. For every new shell, write them to a file:
#   mkdir -p ~/.local/share/bash-completion/completions
#   px --completions=bash > ~/.local/share/bash-completion/completions/px
# Without the package bash-completion (macOS), add this line to ~/.bashrc instead:
#   eval "$(px --completions=bash)"

_px_values() {
    case $1 in
@VALUES@
    esac
}

# Offers those of the words that begin with what is typed: - and _ are the same, and so are A and a.
_px_offer() {
    local typed=$1 each restore
    shift
    restore=$(shopt -p nocasematch)
    shopt -s nocasematch
    for each in "$@"; do
        [[ ${each//-/_} == "${typed//-/_}"* ]] && COMPREPLY+=("$each")
    done
    $restore
}

_px_offer_values() {
    case $1 in
    @PATHS@)
        # With bash 4 or later readline completes the path, which also quotes it.
        compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$2"))
        return ;;
    esac
    _px_offer "$2" $(_px_values "$1")
}

_px_offer_flags() {
    local each action= IFS=$' \t\n'
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case ${each//-/_} in
        @ACTIONS@) action=$each ;;
        esac
    done
    if [[ -z $action ]]; then
        _px_offer "$1" @ACTION_FLAGS@
    fi
    case ${action//-/_} in
@SWITCHES@
    esac
    _px_offer "$1" @OPTION_FLAGS@
    if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

_px() {
    local word=${COMP_LINE:0:COMP_POINT} previous=${COMP_WORDS[COMP_CWORD-1]} i
    # Not the last of COMP_WORDS: bash also splits at = and : there.
    word=${word##*[[:space:]]}
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            _px_program "$word" $((i + 1))
            return
        fi
    done
    if [[ $word == --*=* ]]; then
        local flag=${word%%=*} value=${word#*=} stays=
        flag=${flag#--}
        _px_offer_values "${flag//-/_}" "$value"
        # Readline replaces only what stands behind the last : or =.
        [[ $COMP_WORDBREAKS == *:* && $value == *:* ]] && stays=${value%"${value##*:}"}
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"$stays"}
        done
        return
    fi
    previous=${previous#--}
    case ${previous//-/_} in
    @NEEDY@)
        if [[ $word != -* && ${COMP_WORDS[COMP_CWORD-1]} == --* ]]; then
            _px_offer_values "${previous//-/_}" "$word"
            return
        fi ;;
    esac
    _px_offer_flags "$word"
}

# Completes the program of --run, with its own completions where bash has them.
_px_program() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$2"
    elif [[ $COMP_CWORD == "$2" ]]; then
        COMPREPLY=($(compgen -c -- "$1"))
    else
        compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$1"))
    fi
}

complete -F _px px
"""


def format_bash(flags: Sequence[Flag]) -> str:
    """Return the script."""
    actions = [flag for flag in flags if flag.is_action]
    parts = {
        "VALUES": "\n".join(
            f"    {flag.key}) echo '{' '.join(flag.values)}' ;;" for flag in flags if flag.values
        ),
        "PATHS": "|".join(flag.key for flag in flags if flag.is_path),
        "ACTIONS": "|".join(f"__{flag.key}" for flag in actions),
        "ACTION_FLAGS": _join_words(actions),
        "SWITCHES": "\n".join(
            f'    {flag.owner.replace("-", "_")}) _px_offer "$1" {flag.text} ;;'
            for flag in flags
            if flag.owner
        ),
        "OPTION_FLAGS": _join_words(flag for flag in flags if not flag.is_action and not flag.owner),
        "NEEDY": "|".join(flag.key for flag in flags if flag.is_value_needed),
    }
    script = _SCRIPT
    for name, text in parts.items():
        script = script.replace(f"@{name}@", text)
    return script


def _join_words(flags: Iterable[Flag]) -> str:
    return " ".join(word for flag in flags for word in _words_of(flag))


def _words_of(flag: Flag) -> list[str]:
    """Return the flag as it can begin: alone, or with ``=`` and a value to follow."""
    alone = [] if flag.is_value_needed else [flag.text]
    return alone + ([f"{flag.text}="] if flag.metavar and (flag.is_value_needed or flag.is_action) else [])
