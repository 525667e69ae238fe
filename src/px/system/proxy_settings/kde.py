"""Reads the proxy settings of KDE from the file kioslaverc.

::

    [Proxy Settings]
    ProxyType=1                             0 none, 1 manual, 2 script, 3 WPAD, 4 variables
    httpProxy=http://proxy.corp.example 8080
    NoProxyFor=localhost,.corp.example
    Proxy Config Script=http://intranet/proxy.pac

With type 4 the keys hold the names of environment variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from px.core.rules.host_rule_parser import split_rules
from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder, split_entries

_FILE: Final = "kioslaverc"
_GROUP: Final = "Proxy Settings"
_NONE, _MANUAL, _SCRIPT, _DETECTED, _VARIABLES = "0", "1", "2", "3", "4"
#: Key -> scheme of the URLs that use the upstream, and default scheme of the upstream.
_KEYS: Final = {
    "httpProxy": ("http", "http"),
    "httpsProxy": ("https", "http"),
    "socksProxy": ("", "socks5"),
}
#: ``key[$e]``: the brackets hold options such as ``e``, which expands variables in the value.
_ENTRY: Final = re.compile(r"(?P<key>[^=\[\]]+?)\s*(?:\[\$(?P<options>[a-z]+)\])?\s*=\s*(?P<value>.*)")
_ESCAPES: Final = {"s": " ", "t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\([stnr\\])")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def load_kde(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return KDE's settings; None if this user and system have none."""
    entries: dict[str, str] = {}
    for path in _files(environ):
        try:
            entries |= parse_kioslaverc(path.read_text("utf-8", errors="replace"), environ)
        except FileNotFoundError:
            continue
        except OSError as error:
            ProxySettingsBuilder("KDE settings", is_px_itself).skip(str(path), error.strerror or str(error))
    return interpret_entries(entries, environ, is_px_itself) if entries else None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the possible paths of the file. Later files override earlier ones; the user's own is last."""
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield Path(directory) / _FILE
    home = environ.get("HOME")
    own = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if own:
        yield Path(own) / _FILE


def parse_kioslaverc(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of the group; those with the option ``e`` have their variables expanded."""
    entries = {}
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.partition("]")[0].removeprefix("[")
        found = _ENTRY.fullmatch(line)
        if found and group == _GROUP and not line.startswith("#"):
            value = found["value"]
            if "e" in (found["options"] or ""):
                value = _VARIABLE.sub(lambda name: environ.get(name[1] or name[2], ""), value)
            entries[found["key"]] = _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], value)
    return entries


def interpret_entries(
    entries: Mapping[str, str], environ: Mapping[str, str], is_px_itself: IsPxItself
) -> ProxySettings:
    """Return the settings that the entries describe."""
    builder = ProxySettingsBuilder("KDE settings", is_px_itself)
    kind = entries.get("ProxyType", _NONE)
    if kind == _SCRIPT:
        builder.set_pac(entries.get("Proxy Config Script", ""), "Proxy Config Script")
    elif kind == _DETECTED:
        builder.is_auto_detected = True
    elif kind == _MANUAL:
        _add_upstreams(builder, entries, lambda key: entries.get(key, ""))
    elif kind == _VARIABLES:
        _add_upstreams(builder, entries, lambda key: _named_variable(entries.get(key, ""), environ))
    elif kind != _NONE:
        builder.skip("ProxyType", f"{kind!r} is not 0 to 4")
    return builder.finish()


def _named_variable(names: str, environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in split_entries(names) if environ.get(name)), "")


def _add_upstreams(
    builder: ProxySettingsBuilder, entries: Mapping[str, str], value_of: Callable[[str], str]
) -> None:
    for key, (scheme, default) in _KEYS.items():
        host, _, port = value_of(key).strip().partition(" ")
        builder.add_host(scheme, host, port.strip(), key, default=default)
    if entries.get("ReversedException", "").lower() in {"true", "1"}:
        builder.skip("ReversedException", "Px does not support a list of the only targets that use the proxy")
    else:
        # As in no_proxy, a name includes everything that ends with it.
        builder.add_bypass(split_rules(value_of("NoProxyFor")), "NoProxyFor")
