"""Reads the proxy settings of GNOME by ``gsettings``: the schema ``org.gnome.system.proxy``.

Cinnamon, Budgie, Unity and other desktops keep their settings in the same schema. ``gsettings`` works even
when no desktop runs. Px interprets the values as GLib does (GProxyResolver).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from px.core.rules.proxy_settings import ProxySettings
from px.system.process.command_output import read_command_output
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder

_SCHEMA: Final = "org.gnome.system.proxy"
#: ``schema key value``, the value in GVariant's text form.
_LINE: Final = re.compile(rf"{re.escape(_SCHEMA)}\.?(\S*) (\S+) (?:@as )?(.+)")
_WORDS: Final = {"true": True, "false": False}

#: ``mode``, ``http.host``... -> value.
Values = Mapping[str, object]


def load_gnome(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return GNOME's settings; None if this system has none."""
    output = read_command_output("gsettings", "list-recursively", _SCHEMA, environ=environ)
    return interpret_values(parse_gsettings(output), is_px_itself) if output else None


def parse_gsettings(output: str) -> Values:
    """Return the keys of the schema and its children from the output of ``gsettings list-recursively``."""
    values = {}
    for child, key, text in _LINE.findall(output):
        try:
            values[f"{child}.{key}" if child else key] = _parse_value(text)
        except (SyntaxError, ValueError):
            continue  # no key that Px uses has such a type
    return values


def _parse_value(text: str) -> object:
    """Parse a text, number, boolean or list of texts; except for booleans the syntax is that of Python."""
    return _WORDS[text] if text in _WORDS else ast.literal_eval(text)


def interpret_values(values: Values, is_px_itself: IsPxItself) -> ProxySettings:
    """Return the settings that the keys describe."""
    builder = ProxySettingsBuilder("GNOME settings", is_px_itself)
    mode = values.get("mode")
    script = _text(values, "autoconfig-url")
    if mode == "auto":
        builder.is_auto_detected = not script
        builder.set_pac(script, "autoconfig-url")
    if mode == "manual":
        _add_upstreams(builder, values)
        hosts = values.get("ignore-hosts")
        # To GLib ``*.corp.example`` includes corp.example itself.
        rules = [re.sub(r"^\*\.", ".", str(host)) for host in hosts] if isinstance(hosts, list) else []
        builder.add_bypass(rules, "ignore-hosts")
    return builder.finish()


def _add_upstreams(builder: ProxySettingsBuilder, values: Values) -> None:
    """Add the hosts. The http proxy also serves https if that has none, and other schemes if so set."""
    has_https, has_socks = bool(_text(values, "https.host")), bool(_text(values, "socks.host"))
    is_for_all = values.get("use-same-proxy") is True and not has_socks
    for scheme in ("http", *(() if has_https else ("https",)), *(("",) if is_for_all else ())):
        _add_host(builder, values, "http", scheme, login=_login(values))
    _add_host(builder, values, "https", "https")
    _add_host(builder, values, "socks", "", default="socks5")


def _add_host(
    builder: ProxySettingsBuilder,
    values: Values,
    child: str,
    scheme: str,
    *,
    default: str = "http",
    login: str = "",
) -> None:
    host, port = _text(values, f"{child}.host"), _text(values, f"{child}.port")
    builder.add_host(scheme, host, port, f"the {child} proxy", default=default, login=login)


def _login(values: Values) -> str:
    if values.get("http.use-authentication") is not True:
        return ""
    user, password = (_text(values, f"http.authentication-{part}") for part in ("user", "password"))
    return f"{quote(user, safe='')}:{quote(password, safe='')}" if user else ""


def _text(values: Values, key: str) -> str:
    return str(values.get(key, "")).strip()
