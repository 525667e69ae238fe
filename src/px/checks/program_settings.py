"""Settings of programs that name a proxy: the variables of this shell, and the files of git, npm and pip."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Final, NamedTuple

from px.system.process.command_output import read_command_output

#: The variables of proxies, as they are in lower case. Some programs read only the one or the other case.
PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")
#: The keys in the settings of git, as a regular expression of git's.
_GIT_KEYS: Final = r"^https?\.(.*\.)?proxy$"
_GIT_SECONDS: Final = 1.0
_NPM_LINE: Final = re.compile(r"\s*(proxy|https?-proxy)\s*=\s*(.*?)\s*", re.IGNORECASE)
#: Values that mean "no proxy".
_NONE: Final = frozenset(("", "null", "none", "false"))
PIP_FILE: Final = Path("/etc/pip.conf")
_MAX_FILE_BYTES: Final = 256 * 1024


class ProxySetting(NamedTuple):
    """A setting that names a proxy.

    Attributes:
        program: ``git``, ``npm`` or ``pip``; empty: any program of this shell.
        name: The name of the setting, for people.
        value: The URL of the proxy as it is written.
    """

    program: str
    name: str
    value: str


def find_variables(environ: Mapping[str, str]) -> Iterator[ProxySetting]:
    """Yield the variables that name a proxy, in both cases where they differ."""
    for lower in PROXY_VARIABLES:
        for name in dict.fromkeys((lower, lower.upper())):
            if value := dict(environ).get(name):
                yield ProxySetting("", name, value)


def find_tool_settings(environ: Mapping[str, str]) -> Iterator[ProxySetting]:
    """Yield the proxies in the settings of git, npm and pip themselves.

    Blocks while git runs and files are read. A setting that cannot be read is left out.

    Args:
        environ: Says where the settings are.
    """
    yield from _find_git_settings(environ)
    if home := environ.get("HOME") or environ.get("USERPROFILE"):
        yield from _find_npm_settings(Path(environ.get("NPM_CONFIG_USERCONFIG") or Path(home, ".npmrc")))
        yield from _find_pip_settings(environ, Path(home))


def _find_git_settings(environ: Mapping[str, str]) -> Iterator[ProxySetting]:
    if "PATH" not in environ:
        return
    command = ("git", "config", "--get-regexp", _GIT_KEYS)
    try:
        output = read_command_output(*command, environ=environ, timeout_seconds=_GIT_SECONDS)
    except TimeoutError:
        return
    for line in (output or "").splitlines():
        name, _, value = line.partition(" ")
        if value.strip():
            yield ProxySetting("git", name, value.strip())


def _find_npm_settings(path: Path) -> Iterator[ProxySetting]:
    for line in _read(path).splitlines():
        if (found := _NPM_LINE.fullmatch(line)) and found[2].strip("\"'").lower() not in _NONE:
            yield ProxySetting("npm", found[1], found[2].strip("\"'"))


def _find_pip_settings(environ: Mapping[str, str], home: Path) -> Iterator[ProxySetting]:
    if value := environ.get("PIP_PROXY"):
        yield ProxySetting("pip", "PIP_PROXY", value)
        return
    for path in _pip_files(environ, home):
        parser = ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(_read(path))
        except Error:
            continue
        for section in parser.sections():
            if value := parser.get(section, "proxy", fallback="").strip():
                yield ProxySetting("pip", f"{section}.proxy", value)
                return


def _pip_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the places of pip's settings, the first that pip would read last and so prefer."""
    if named := environ.get("PIP_CONFIG_FILE"):
        yield Path(named)
    yield from _user_pip_files(environ, home)


if sys.platform == "win32":

    def _user_pip_files(environ: Mapping[str, str], _home: Path) -> Iterator[Path]:
        yield Path(environ.get("APPDATA", ""), "pip", "pip.ini")

else:

    def _user_pip_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"  # macOS
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
        yield home / ".pip" / "pip.conf"
        yield PIP_FILE


def _read(path: Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
