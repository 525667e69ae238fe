"""Proxy settings of macOS, of the network service that is first now: ``scutil --proxy``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself, SettingsDraft, to_exact_rule
from px.system.tool_output import read_tool

#: Prefix of the keys -> scheme of the URLs they are for, and that of the upstream.
_KINDS: Final = {"HTTP": ("http", "http"), "HTTPS": ("https", "http"), "SOCKS": ("", "socks5")}
_ENTRY: Final = re.compile(r"(\S+) : (.*)")

#: A dictionary, as the one whose keys are Apple's kSCPropNetProxies...; the keys of an array are 0, 1, 2...
Entries = Mapping[str, "str | Entries"]


def load_macos(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return what the network settings say; None: they cannot be read."""
    output = read_tool("scutil", "--proxy", environ=environ)
    return interpret_entries(parse_scutil(output), is_px_itself) if output else None


def parse_scutil(output: str) -> Entries:
    """Return the dictionary that ``scutil`` prints."""
    lines = iter(output.splitlines())
    return _parse_block(lines) if "{" in next(lines, "") else {}


def _parse_block(lines: Iterator[str]) -> Entries:
    """Read on to the brace that closes a dictionary or an array."""
    entries: dict[str, str | Entries] = {}
    for line in map(str.strip, lines):
        if line == "}":
            break
        found = _ENTRY.fullmatch(line)
        if found:
            is_block = found[2].endswith("> {")
            entries[found[1]] = _parse_block(lines) if is_block else found[2].strip()
    return entries


def interpret_entries(entries: Entries, is_px_itself: IsPxItself) -> ProxySettings:
    """Return what the entries say."""
    draft = SettingsDraft("macOS network settings", is_px_itself)
    draft.is_auto_detected = entries.get("ProxyAutoDiscoveryEnable") == "1"
    if entries.get("ProxyAutoConfigEnable") == "1":
        draft.set_pac(_text(entries, "ProxyAutoConfigURLString"), "ProxyAutoConfigURLString")
    for kind, (scheme, default) in _KINDS.items():
        if entries.get(f"{kind}Enable") == "1":
            host, port = _text(entries, f"{kind}Proxy"), _text(entries, f"{kind}Port")
            draft.add_host(scheme, host, port, f"{kind}Proxy", default=default)
    exceptions = entries.get("ExceptionsList", {})
    if isinstance(exceptions, Mapping):
        rules = [to_exact_rule(str(exception)) for exception in exceptions.values()]
        draft.add_bypass(rules, "ExceptionsList")
    if entries.get("ExcludeSimpleHostnames") == "1":
        draft.add_bypass(["<local>"], "ExcludeSimpleHostnames")
    return draft.finish()


def _text(entries: Entries, key: str) -> str:
    value = entries.get(key, "")
    return value if isinstance(value, str) else ""
