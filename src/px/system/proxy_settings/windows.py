"""Reads Windows' Internet Options by WinHTTP, and translates their syntax."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from px.core.rules.host_rule_parser import split_rules
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import DEFAULT_PORTS
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder, split_entries, to_exact_rule

SOURCE: Final = "Windows Internet Options"
_SERVER: Final = "the proxy server"
_BYPASS: Final = "the list of exceptions"
#: Windows reaches these directly unless ``<-loopback>`` is among the exceptions.
_IMPLICIT: Final = ("=localhost", "*.localhost", "127.0.0.0/8", "169.254.0.0/16", "::1", "fe80::/10")
#: Key in the list of servers -> scheme of the URLs that use the server; empty: all other schemes.
_KEYS: Final = {"http": "http", "https": "https", "socks": ""}
#: Other keys that Windows accepts: clients of an HTTP proxy do not use these schemes.
_OTHER_KEYS: Final = {"ftp", "gopher", "ws", "wss"}
#: An address with an incomplete last number, such as ``172.1*``: all addresses that start with this text.
_BEGUN_ADDRESS: Final = re.compile(r"((?:[0-9]{1,3}\.){1,3})([0-9]{1,2})\*")
_MAX_OCTET: Final = 255
_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class InternetOptions:
    """The fields of WINHTTP_CURRENT_USER_IE_PROXY_CONFIG.

    Attributes:
        is_auto_detected: Whether to look for a PAC script in the network (WPAD).
        pac: URL of the PAC script; empty if none is set.
        servers: ``host:port``, or a list of ``key=host:port``.
        exceptions: The hosts that are reached directly.
    """

    is_auto_detected: bool
    pac: str
    servers: str
    exceptions: str


def parse_internet_options(options: InternetOptions, is_px_itself: IsPxItself) -> ProxySettings:
    """Return the settings in the Internet Options."""
    builder = ProxySettingsBuilder(SOURCE, is_px_itself)
    builder.is_auto_detected = options.is_auto_detected
    builder.set_pac(options.pac, "the address of the script")
    for entry in split_entries(options.servers):
        _add_server(builder, entry)
    if options.servers:
        builder.add_bypass(_bypass_rules(options.exceptions), _BYPASS)
    return builder.finish()


def _add_server(builder: ProxySettingsBuilder, entry: str) -> None:
    key, found, server = entry.rpartition("=")
    scheme = _KEYS.get(key.lower()) if found else ""
    if scheme is not None:
        # Windows speaks only version 4 of SOCKS.
        builder.add_upstream(scheme, server, _SERVER, default="socks4" if key.lower() == "socks" else "http")
    elif key.lower() not in _OTHER_KEYS:
        builder.skip(_SERVER, f"{key!r} is not http, https or socks")


def _bypass_rules(text: str) -> Iterator[str]:
    exceptions = split_rules(text)
    if "<-loopback>" not in exceptions:
        yield from _IMPLICIT
    for exception in exceptions:
        yield from translate_exception(exception)


def translate_exception(exception: str) -> Iterator[str]:
    """Yield one of Windows' exceptions as rules of `px.core.rules.host_rules`.

    In an exception, a name does not include its subdomains, and a star matches any text, also in addresses.
    An exception with a scheme covers the port of that scheme, because host rules have no schemes.
    """
    scheme, found, rest = exception.rpartition("://")
    if found:
        rest = rest.removesuffix("/")
    if found and ":" not in rest.rpartition("]")[2]:
        rest = f"{rest}:{DEFAULT_PORTS.get(scheme.lower(), DEFAULT_PORTS['http'])}"
    begun = _BEGUN_ADDRESS.fullmatch(rest)
    if begun:
        yield from _complete_address(begun[1], begun[2])
    else:
        yield to_exact_rule(rest)


def _complete_address(start: str, digits: str) -> Iterator[str]:
    """Yield the ranges of all addresses with this start; `digits` are the first digits of an octet."""
    left = _OCTETS - 1 - start.count(".")
    octets = [f"{digits}{more}" for more in ("", *range(10), *range(100)) if len(f"{digits}{more}") <= 3]  # noqa: PLR2004
    for octet in sorted({int(octet) for octet in octets if int(octet) <= _MAX_OCTET}):
        yield start + str(octet) + (".*" if left else "")


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _LOGGER: Final = logging.getLogger("px.system_proxy")
    _ERROR_FILE_NOT_FOUND: Final = 2

    class _CurrentUserConfig(ctypes.Structure):
        """WINHTTP_CURRENT_USER_IE_PROXY_CONFIG of winhttp.h; the caller frees its strings."""

        _fields_ = (
            ("auto_detect", wintypes.BOOL),
            ("auto_config_url", ctypes.c_void_p),
            ("proxy", ctypes.c_void_p),
            ("proxy_bypass", ctypes.c_void_p),
        )

    def load_windows(is_px_itself: IsPxItself) -> ProxySettings | None:
        """Return the settings in the user's Internet Options; None if the user has none, as a service."""
        options = load_internet_options()
        return parse_internet_options(options, is_px_itself) if options else None

    def load_internet_options() -> InternetOptions | None:
        """Return the Internet Options of the user; None if the user has none, as a service."""
        winhttp = ctypes.WinDLL("winhttp", use_last_error=True)
        winhttp.WinHttpGetIEProxyConfigForCurrentUser.argtypes = [ctypes.POINTER(_CurrentUserConfig)]
        config = _CurrentUserConfig()
        if not winhttp.WinHttpGetIEProxyConfigForCurrentUser(ctypes.byref(config)):
            error = ctypes.get_last_error()
            if error != _ERROR_FILE_NOT_FOUND:
                _LOGGER.warning("%s cannot be read: %s", SOURCE, ctypes.FormatError(error))
            return None
        return InternetOptions(
            is_auto_detected=bool(config.auto_detect),
            pac=take_string(config.auto_config_url),
            servers=take_string(config.proxy),
            exceptions=take_string(config.proxy_bypass),
        )

    def take_string(pointer: int | None) -> str:
        """Return a string that WinHTTP allocated, and free it; NULL gives an empty string."""
        if not pointer:
            return ""
        try:
            return ctypes.wstring_at(pointer)
        finally:
            kernel32 = ctypes.WinDLL("kernel32")
            kernel32.GlobalFree.argtypes = [ctypes.c_void_p]
            kernel32.GlobalFree.restype = ctypes.c_void_p
            kernel32.GlobalFree(pointer)
