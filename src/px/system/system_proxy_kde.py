"""Proxy settings of KDE: the file kioslaverc, which KIO reads.

::

    [Proxy Settings]
    ProxyType=1                             0 none, 1 these, 2 a script, 3 WPAD, 4 variables
    httpProxy=http://proxy.corp.example 8080
    NoProxyFor=localhost,.corp.example
    Proxy Config Script=http://intranet/proxy.pac

With type 4 the keys hold the names of variables of the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself, SettingsDraft, split_entries

_FILE: Final = "kioslaverc"
_GROUP: Final = "Proxy Settings"
_NONE, _MANUAL, _SCRIPT, _DETECTED, _VARIABLES = "0", "1", "2", "3", "4"
#: Key -> scheme of the URLs it is for, and that of the upstream.
_KEYS: Final = {
    "httpProxy": ("http", "http"),
    "httpsProxy": ("https", "http"),
    "socksProxy": ("", "socks5"),
}
#: ``key[$e]``: what follows in brackets are a language, or options such as "expand variables".
_ENTRY: Final = re.compile(r"(?P<key>[^=\[\]]+?)\s*(?:\[\$(?P<options>[a-z]+)\])?\s*=\s*(?P<value>.*)")
_ESCAPES: Final = {"s": " ", "t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\([stnr\\])")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def load_kde(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return what KDE's settings say; None: there are none here."""
    entries: dict[str, str] = {}
    for path in _files(environ):
        try:
            entries |= parse_kioslaverc(path.read_text("utf-8", errors="replace"), environ)
        except FileNotFoundError:
            continue
        except OSError as error:
            SettingsDraft("KDE settings", is_px_itself).skip(str(path), error.strerror or str(error))
    return interpret_entries(entries, environ, is_px_itself) if entries else None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield where the file may be: what comes later, the user's own last, is in place of what came before."""
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield Path(directory) / _FILE
    home = environ.get("HOME")
    own = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if own:
        yield Path(own) / _FILE


def parse_kioslaverc(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of the group, with the variables they name where they ask for that."""
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
    """Return what the entries say."""
    draft = SettingsDraft("KDE settings", is_px_itself)
    kind = entries.get("ProxyType", _NONE)
    if kind == _SCRIPT:
        draft.set_pac(entries.get("Proxy Config Script", ""), "Proxy Config Script")
    elif kind == _DETECTED:
        draft.is_auto_detected = True
    elif kind == _MANUAL:
        _add_upstreams(draft, entries, lambda key: entries.get(key, ""))
    elif kind == _VARIABLES:
        _add_upstreams(draft, entries, lambda key: _named_variable(entries.get(key, ""), environ))
    elif kind != _NONE:
        draft.skip("ProxyType", f"{kind!r} is not 0 to 4")
    return draft.finish()


def _named_variable(names: str, environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in split_entries(names) if environ.get(name)), "")


def _add_upstreams(draft: SettingsDraft, entries: Mapping[str, str], value_of: Callable[[str], str]) -> None:
    for key, (scheme, default) in _KEYS.items():
        host, _, port = value_of(key).strip().partition(" ")
        draft.add_host(scheme, host, port.strip(), key, default=default)
    if entries.get("ReversedException", "").lower() in {"true", "1"}:
        draft.skip("ReversedException", "Px knows no list of the only targets that go through a proxy")
    else:
        # A name there means all that ends with it, as in no_proxy.
        draft.add_bypass(split_entries(value_of("NoProxyFor")), "NoProxyFor")
