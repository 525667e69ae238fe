"""Builds `ProxySettings` from the entries of one source, such as GNOME or the environment."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from px.core.host import to_address
from px.core.rules.host_rules import HostRules
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import DEFAULT_PORTS, UpstreamAddress, parse_upstreams

#: Takes a host as written (IPv6 without brackets) and a port; returns whether Px itself listens there.
IsPxItself = Callable[[str, int], bool]

_LOGGER: Final = logging.getLogger("px.system_proxy")
#: Other spellings of the two versions of SOCKS. Px always lets the proxy resolve names, so ``h`` and ``a``
#: add nothing. ``socks`` means 4 to curl and 5 to the desktops; most such entries come from desktops.
_SOCKS: Final = {"socks": "socks5", "socks5h": "socks5", "socks4a": "socks4"}
#: A name or IPv4 address, with or without a port.
_PLAIN_NAME: Final = re.compile(r"(?P<host>[^*<>/\[\]:.][^*<>/\[\]:]*)(?::[0-9]+)?")
#: A text of only these characters is an IPv4 address or the start of one.
_NUMBERS: Final = frozenset("0123456789.")
_WITH_PORT: Final = re.compile(r"(?:^[^:]*|\]):[0-9]+$")
_SEPARATORS: Final = re.compile(r"[,;\s]+")


class ProxySettingsBuilder:
    """Collects the entries of one source; skips an entry that is wrong, and logs a warning.

    Args:
        source: Name of the source, for messages.
        is_px_itself: Whether an address is that of Px: such entries are dropped.
    """

    def __init__(self, source: str, is_px_itself: IsPxItself) -> None:
        self._source = source
        self._is_px_itself = is_px_itself
        self._pac = ""
        self._upstreams: dict[str, tuple[UpstreamAddress, ...]] = {}
        self._bypass: list[str] = []
        self._skipped: list[str] = []
        #: Whether to look for a PAC script in the network (WPAD).
        self.is_auto_detected = False

    def set_pac(self, location: str, entry: str) -> None:
        """Set the location of the PAC script.

        Args:
            location: A URL, or the path of a file; empty: no script.
            entry: Name of this entry in the source.
        """
        try:
            url = urlsplit(location.strip())
            host, port = url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 0)
        except ValueError:  # the error quotes the URL, which may hold a password
            self.skip(entry, "not a valid URL")
            return
        if host and self._is_px_itself(host, port):
            _LOGGER.debug("%s: %s is Px itself, left out", self._source, entry)
        else:
            self._pac = location.strip()

    def add_upstream(self, scheme: str, text: str, entry: str, *, default: str = "http") -> None:
        """Add upstreams for the URLs of a scheme, after those that the scheme has already.

        Args:
            scheme: Scheme of the URLs; empty: all schemes without upstreams of their own.
            text: As for `px.core.rules.route.parse_upstreams`, also with other spellings of SOCKS.
            entry: Name of this entry in the source; it holds no secret.
            default: Scheme of an upstream that is written without one.
        """
        upstream = _respell(text.strip(), default)
        try:
            found = parse_upstreams(upstream)
        except ValueError as error:
            if "," in text and "@" not in text:  # a password may have a comma
                for each in text.split(","):
                    self.add_upstream(scheme, each, entry, default=default)
                return
            # Do not log the text: in "http://alice:secret", which lacks the @, it is a password.
            self.skip(entry, str(error).replace(f"{upstream!r}: ", ""))
            return
        self._add(scheme, found, entry)

    def add_host(
        self, scheme: str, host: str, port: str, entry: str, *, default: str = "http", login: str = ""
    ) -> None:
        """Add an upstream whose host and port are separate fields.

        Args:
            scheme: As in `add_upstream`.
            host: IPv6 with or without brackets. Some users enter a whole URL here; its port then wins. Empty:
                no upstream.
            port: ``0`` or empty: the default port of the scheme.
            entry: As in `add_upstream`.
            default: As in `add_upstream`.
            login: ``user:password``, percent-encoded; empty: the upstream has no login of its own.
        """
        kind, found, rest = host.strip().rpartition("://")
        rest = rest.removesuffix("/")
        if rest.count(":") > 1 and not rest.startswith("["):
            rest = f"[{rest}]"
        if rest and port not in {"", "0"} and not _WITH_PORT.search(rest):
            rest = f"{rest}:{port}"
        kind = f"{kind}://" if found else ""
        self.add_upstream(
            scheme, f"{kind}{login}@{rest}" if login and rest else f"{kind}{rest}", entry, default=default
        )

    def _add(self, scheme: str, upstreams: Iterable[UpstreamAddress], entry: str) -> None:
        for upstream in upstreams:
            if self._is_px_itself(upstream.host, upstream.port):
                _LOGGER.debug("%s: %s is Px itself, left out", self._source, entry)
            elif upstream not in self._upstreams.get(scheme, ()):
                self._upstreams[scheme] = (*self._upstreams.get(scheme, ()), upstream)

    def add_bypass(self, rules: Iterable[str], entry: str) -> None:
        """Add rules in the language of `px.core.rules.host_rules` for what Px reaches directly."""
        for rule in rules:
            try:
                HostRules.parse(rule, names=True)
            except ValueError as error:
                self.skip(entry, str(error))
            else:
                self._bypass.append(rule)

    def skip(self, entry: str, reason: str) -> None:
        """Leave an entry out, and log a warning.

        Args:
            entry: Name of the entry in the source.
            reason: What is wrong; holds no secret.
        """
        self._skipped.append(f"{entry}: {reason}")
        _warn_once(f"{self._source}: {entry} is left out: {reason}")

    def finish(self) -> ProxySettings:
        """Return the settings that the entries make."""
        return ProxySettings(
            source=self._source,
            is_auto_detected=self.is_auto_detected,
            pac=self._pac,
            upstreams=self._upstreams,
            bypass=HostRules.parse(" ".join(dict.fromkeys(self._bypass)), names=True),
            skipped=tuple(self._skipped),
        )

    def __repr__(self) -> str:
        return f"<ProxySettingsBuilder {self._source}>"


def split_entries(text: str) -> list[str]:
    """Split a list at ``,``, ``;`` and white space."""
    return [entry for entry in _SEPARATORS.split(text) if entry]


def to_exact_rule(text: str) -> str:
    """Return the host rule for an exception of Windows or macOS, where a name excludes its subdomains."""
    found = _PLAIN_NAME.fullmatch(text)
    is_name = found and not set(found["host"]) <= _NUMBERS and to_address(found["host"]) is None
    return f"={text}" if is_name else text


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    """Log a warning the first time only: Px reads the settings again and again."""
    _LOGGER.warning("%s", message)


def _respell(text: str, default: str) -> str:
    """Return an upstream with a scheme that `parse_upstreams` knows."""
    scheme, found, rest = text.partition("://")
    if not text:
        return ""
    if not found:
        return f"{default}://{text}"
    return f"{_SOCKS.get(scheme.lower(), scheme)}://{rest}"
