"""Reads the proxy settings of macOS, of the network service that has priority: ``scutil --proxy``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from px.core.rules.proxy_settings import ProxySettings
from px.system.process.command_output import read_command_output
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder, to_exact_rule

#: Prefix of the keys -> scheme of the URLs that use the upstream, and default scheme of the upstream.
_KINDS: Final = {"HTTP": ("http", "http"), "HTTPS": ("https", "http"), "SOCKS": ("", "socks5")}
_ENTRY: Final = re.compile(r"(\S+) : (.*)")

#: A dictionary with Apple's keys (kSCPropNetProxies...); an array is a dictionary with the keys 0, 1, 2...
Entries = Mapping[str, "str | Entries"]


def load_macos(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return the network settings; None if they cannot be read."""
    output = read_command_output("scutil", "--proxy", environ=environ)
    return interpret_entries(parse_scutil(output), is_px_itself) if output else None


def parse_scutil(output: str) -> Entries:
    """Return the dictionary in the output of ``scutil``."""
    lines = iter(output.splitlines())
    return _parse_block(lines) if "{" in next(lines, "") else {}


def _parse_block(lines: Iterator[str]) -> Entries:
    """Parse the lines up to the brace that closes this dictionary or array."""
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
    """Return the settings that the entries describe."""
    builder = ProxySettingsBuilder("macOS network settings", is_px_itself)
    builder.is_auto_detected = entries.get("ProxyAutoDiscoveryEnable") == "1"
    if entries.get("ProxyAutoConfigEnable") == "1":
        builder.set_pac(_text(entries, "ProxyAutoConfigURLString"), "ProxyAutoConfigURLString")
    for kind, (scheme, default) in _KINDS.items():
        if entries.get(f"{kind}Enable") == "1":
            host, port = _text(entries, f"{kind}Proxy"), _text(entries, f"{kind}Port")
            builder.add_host(scheme, host, port, f"{kind}Proxy", default=default)
    exceptions = entries.get("ExceptionsList", {})
    if isinstance(exceptions, Mapping):
        rules = [to_exact_rule(str(exception)) for exception in exceptions.values()]
        builder.add_bypass(rules, "ExceptionsList")
    if entries.get("ExcludeSimpleHostnames") == "1":
        builder.add_bypass(["<local>"], "ExcludeSimpleHostnames")
    return builder.finish()


def _text(entries: Entries, key: str) -> str:
    value = entries.get(key, "")
    return value if isinstance(value, str) else ""
