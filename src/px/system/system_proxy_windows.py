"""Windows' Internet Options, by WinHTTP, and what stands in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from px.core.proxy_settings import ProxySettings
from px.core.route import DEFAULT_PORTS
from px.system.settings_draft import IsPxItself, SettingsDraft, split_entries, to_exact_rule

SOURCE: Final = "Windows Internet Options"
_SERVER: Final = "the proxy server"
_BYPASS: Final = "the list of exceptions"
#: What is reached directly unless ``<-loopback>`` is among the exceptions.
_IMPLICIT: Final = ("=localhost", "*.localhost", "127.0.0.0/8", "169.254.0.0/16", "::1", "fe80::/10")
#: Key of a list of servers -> scheme of the URLs; of ``socks`` those that no other key is for.
_KEYS: Final = {"http": "http", "https": "https", "socks": ""}
#: Keys of what never comes to an HTTP proxy, or is the same as http.
_OTHER_KEYS: Final = {"ftp", "gopher", "ws", "wss"}
#: Numbers, the last of them begun: ``172.1*``, all that is written so.
_BEGUN_ADDRESS: Final = re.compile(r"((?:[0-9]{1,3}\.){1,3})([0-9]{1,2})\*")
_MAX_OCTET: Final = 255
_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class InternetOptions:
    """WINHTTP_CURRENT_USER_IE_PROXY_CONFIG.

    Attributes:
        is_auto_detected: Whether a PAC script is to be looked for in the network.
        pac: Its URL, where it is known.
        servers: ``host:port``, or a list of ``key=host:port``.
        exceptions: What is reached directly.
    """

    is_auto_detected: bool
    pac: str
    servers: str
    exceptions: str


def parse_internet_options(options: InternetOptions, is_px_itself: IsPxItself) -> ProxySettings:
    """Return what Internet Options say."""
    draft = SettingsDraft(SOURCE, is_px_itself)
    draft.is_auto_detected = options.is_auto_detected
    draft.set_pac(options.pac, "the address of the script")
    for entry in split_entries(options.servers):
        _add_server(draft, entry)
    if options.servers:
        draft.add_bypass(_bypass_rules(options.exceptions), _BYPASS)
    return draft.finish()


def _add_server(draft: SettingsDraft, entry: str) -> None:
    key, found, server = entry.rpartition("=")
    scheme = _KEYS.get(key.lower()) if found else ""
    if scheme is not None:
        # Windows has SOCKS since version 4 was all there was, and has stayed with it.
        draft.add_upstream(scheme, server, _SERVER, default="socks4" if key.lower() == "socks" else "http")
    elif key.lower() not in _OTHER_KEYS:
        draft.skip(_SERVER, f"{key!r} is not http, https or socks")


def _bypass_rules(text: str) -> Iterator[str]:
    exceptions = split_entries(text)
    if "<-loopback>" not in exceptions:
        yield from _IMPLICIT
    for exception in exceptions:
        yield from translate_exception(exception)


def translate_exception(exception: str) -> Iterator[str]:
    """Yield one of Windows' exceptions as rules of `px.core.hostrules`.

    A name means that name alone there, and stars stand for any text, in addresses too. After a scheme,
    which the rules do not have, it is for the port of that scheme.
    """
    scheme, found, rest = exception.rpartition("://")
    if found and ":" not in rest.rpartition("]")[2]:
        rest = f"{rest}:{DEFAULT_PORTS.get(scheme.lower(), DEFAULT_PORTS['http'])}"
    begun = _BEGUN_ADDRESS.fullmatch(rest)
    if begun:
        yield from _complete_address(begun[1], begun[2])
    else:
        yield to_exact_rule(rest)


def _complete_address(start: str, digits: str) -> Iterator[str]:
    """Yield ranges of the addresses that begin like this; `digits` are the first of an octet."""
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
        """WINHTTP_CURRENT_USER_IE_PROXY_CONFIG of winhttp.h; its strings are to be freed."""

        _fields_ = (
            ("auto_detect", wintypes.BOOL),
            ("auto_config_url", ctypes.c_void_p),
            ("proxy", ctypes.c_void_p),
            ("proxy_bypass", ctypes.c_void_p),
        )

    def load_windows(is_px_itself: IsPxItself) -> ProxySettings | None:
        """Return what the user's Internet Options say; None: there are none, as in a service."""
        options = load_internet_options()
        return parse_internet_options(options, is_px_itself) if options else None

    def load_internet_options() -> InternetOptions | None:
        """Return the Internet Options of the user, or None where there are none, as in a service."""
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
        """Return a string that WinHTTP made, and free it; NULL is the empty one."""
        if not pointer:
            return ""
        try:
            return ctypes.wstring_at(pointer)
        finally:
            kernel32 = ctypes.WinDLL("kernel32")
            kernel32.GlobalFree.argtypes = [ctypes.c_void_p]
            kernel32.GlobalFree.restype = ctypes.c_void_p
            kernel32.GlobalFree(pointer)
