"""Proxy settings of GNOME and its relatives, by ``gsettings``: the schema ``org.gnome.system.proxy``.

Cinnamon, Budgie, Unity and others keep theirs in the same place. Nothing needs to run for them to be read.
What they mean is what GLib makes of them (GProxyResolver).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself, SettingsDraft
from px.system.tool_output import read_tool

_SCHEMA: Final = "org.gnome.system.proxy"
#: ``schema key value``, the value in GVariant's text form.
_LINE: Final = re.compile(rf"{re.escape(_SCHEMA)}\.?(\S*) (\S+) (?:@as )?(.+)")
_WORDS: Final = {"true": True, "false": False}

#: ``mode``, ``http.host``... -> value.
Values = Mapping[str, object]


def load_gnome(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return what GNOME's settings say; None: there are none here."""
    output = read_tool("gsettings", "list-recursively", _SCHEMA, environ=environ)
    return interpret_values(parse_gsettings(output), is_px_itself) if output else None


def parse_gsettings(output: str) -> Values:
    """Return the keys of the schema and of its children, from what ``gsettings list-recursively`` prints."""
    values = {}
    for child, key, text in _LINE.findall(output):
        try:
            values[f"{child}.{key}" if child else key] = _parse_value(text)
        except (SyntaxError, ValueError):
            continue  # of a type that no key in use here has
    return values


def _parse_value(text: str) -> object:
    """Read a text, number, truth value or list of texts, which are written nearly as in Python."""
    return _WORDS[text] if text in _WORDS else ast.literal_eval(text)


def interpret_values(values: Values, is_px_itself: IsPxItself) -> ProxySettings:
    """Return what the keys say."""
    draft = SettingsDraft("GNOME settings", is_px_itself)
    mode = values.get("mode")
    script = _text(values, "autoconfig-url")
    if mode == "auto":
        draft.is_auto_detected = not script
        draft.set_pac(script, "autoconfig-url")
    if mode == "manual":
        _add_upstreams(draft, values)
        hosts = values.get("ignore-hosts")
        # GLib's ``*.corp.example`` means the name itself too.
        rules = [re.sub(r"^\*\.", ".", str(host)) for host in hosts] if isinstance(hosts, list) else []
        draft.add_bypass(rules, "ignore-hosts")
    return draft.finish()


def _add_upstreams(draft: SettingsDraft, values: Values) -> None:
    """Take the hosts: that of http is the one of https too where that has none, and mostly of all others."""
    has_https, has_socks = bool(_text(values, "https.host")), bool(_text(values, "socks.host"))
    is_for_all = values.get("use-same-proxy") is True and not has_socks
    for scheme in ("http", *(() if has_https else ("https",)), *(("",) if is_for_all else ())):
        _add_host(draft, values, "http", scheme, login=_login(values))
    _add_host(draft, values, "https", "https")
    _add_host(draft, values, "socks", "", default="socks5")


def _add_host(
    draft: SettingsDraft, values: Values, child: str, scheme: str, *, default: str = "http", login: str = ""
) -> None:
    host, port = _text(values, f"{child}.host"), _text(values, f"{child}.port")
    draft.add_host(scheme, host, port, f"the {child} proxy", default=default, login=login)


def _login(values: Values) -> str:
    if values.get("http.use-authentication") is not True:
        return ""
    user, password = (_text(values, f"http.authentication-{part}") for part in ("user", "password"))
    return f"{quote(user, safe='')}:{quote(password, safe='')}" if user else ""


def _text(values: Values, key: str) -> str:
    return str(values.get(key, "")).strip()
