"""The variables of the environment, in the languages of shells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from px.cli.env.endpoint import ProxyValues, make_variables
from px.cli.env.kind import Kind

#: Their names: those that `make_variables` gives.
_NAMES: Final = tuple(make_variables("", ""))


def _set_posix(shell: str, values: ProxyValues) -> Iterator[str]:
    for name, value in values.variables.items():
        yield f'export {name}="{value}"'
    yield f'# to use it: eval "$({values.command(shell)})"'


def _unset_posix(shell: str) -> Iterator[str]:
    yield f"unset {' '.join(_NAMES)}"
    yield f'# to use it: eval "$(px --env={shell}:undo)"'


def _set_fish(values: ProxyValues) -> Iterator[str]:
    for name, value in values.variables.items():
        yield f'set -gx {name} "{value}"'
    yield f"# to use it: {values.command('fish')} | source"


def _unset_fish() -> Iterator[str]:
    for name in _NAMES:
        yield f"set -eg {name}"
    yield "# to use it: px --env=fish:undo | source"


def _set_powershell(values: ProxyValues) -> Iterator[str]:
    for name, value in values.variables.items():
        yield f"$env:{name} = '{value}'"
    yield f"# to use it: {values.command('powershell')} | Out-String | Invoke-Expression"


def _unset_powershell() -> Iterator[str]:
    for name in _NAMES:
        yield f"$env:{name} = $null"
    yield "# to use it: px --env=powershell:undo | Out-String | Invoke-Expression"


def _set_cmd(values: ProxyValues) -> Iterator[str]:
    for name, value in values.variables.items():
        if name.isupper():  # cmd ignores the case of variable names
            yield f'set "{name}={value}"'
    yield _format_use_in_cmd(values.command("cmd"))


def _unset_cmd() -> Iterator[str]:
    for name in filter(str.isupper, _NAMES):
        yield f'set "{name}="'
    yield _format_use_in_cmd("px --env=cmd:undo")


def _format_use_in_cmd(command: str) -> str:
    return f"rem to use it: for /f \"delims=\" %i in ('{command}') do @%i"


#: Sets ``px_host`` in WSL 2. Windows is the gateway there, or, with mirrored networking, the same computer.
_FIND_WINDOWS: Final = (
    'if [ "$(wslinfo --networking-mode 2>/dev/null)" = mirrored ]; then px_host=127.0.0.1',
    "else px_host=$(ip route show default | awk '{print $3; exit}'); fi",
)


def _set_wsl(values: ProxyValues) -> Iterator[str]:
    url = values.url_at(f"$px_host:{values.port}")
    yield from _FIND_WINDOWS
    for name, value in make_variables(url, values.no_proxy_list).items():
        yield f'export {name}="{value}"'
    yield "unset px_host"
    command = values.command("wsl").replace("px ", "px.exe ", 1)
    yield f'# to use it, in WSL: eval "$({command})", or copy these lines'


def _unset_wsl() -> Iterator[str]:
    yield f"unset {' '.join(_NAMES)}"


def _posix(shell: str) -> Kind:
    use: Callable[[ProxyValues], Iterable[str]] = partial(_set_posix, shell)
    return Kind(use, partial(_unset_posix, shell))


SHELLS: Final = {
    "sh": _posix("sh"),
    "bash": _posix("bash"),
    "zsh": _posix("zsh"),
    "fish": Kind(_set_fish, _unset_fish),
    "powershell": Kind(_set_powershell, _unset_powershell, has_native_lines=True),
    "cmd": Kind(_set_cmd, _unset_cmd, has_native_lines=True),
    "wsl": Kind(_set_wsl, _unset_wsl, is_elsewhere=True),
}
