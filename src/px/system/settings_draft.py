"""What has been read so far of a place where proxy settings are kept."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from px.core.host import to_address
from px.core.hostrules import HostRules
from px.core.proxy_settings import ProxySettings
from px.core.route import DEFAULT_PORTS, UpstreamAddress, parse_upstreams

#: ``host, port``, the host as written, IPv6 without brackets -> whether Px itself listens there.
IsPxItself = Callable[[str, int], bool]

_LOGGER: Final = logging.getLogger("px.system_proxy")
#: How others spell the two versions of SOCKS; who resolves names (the ``h`` and ``a``) is not theirs to say.
#: Without a version curl means 4; the desktops, which write it most, mean 5.
_SOCKS: Final = {"socks": "socks5", "socks5h": "socks5", "socks4a": "socks4"}
#: A name or IPv4 address, with or without a port.
_PLAIN_NAME: Final = re.compile(r"(?P<host>[^*<>/\[\]:.][^*<>/\[\]:]*)(?::[0-9]+)?")
_WITH_PORT: Final = re.compile(r"(?:^[^:]*|\]):[0-9]+$")
_SEPARATORS: Final = re.compile(r"[,;\s]+")


class SettingsDraft:
    """Collects the entries of one place; one that cannot be right is skipped, with a warning.

    Args:
        source: The place, for people.
        is_px_itself: What points there is no way to anywhere, and dropped.
    """

    def __init__(self, source: str, is_px_itself: IsPxItself) -> None:
        self._source = source
        self._is_px_itself = is_px_itself
        self._pac = ""
        self._upstreams: dict[str, tuple[UpstreamAddress, ...]] = {}
        self._bypass: list[str] = []
        #: Whether a PAC script is to be looked for in the network.
        self.is_auto_detected = False

    def set_pac(self, location: str, entry: str) -> None:
        """Take a PAC script by its location; empty: none.

        Args:
            location: A URL, or the path of a file.
            entry: How the place calls this entry.
        """
        try:
            url = urlsplit(location.strip())
            host, port = url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 0)
        except ValueError:  # its text may hold a password
            self.skip(entry, "not a valid URL")
            return
        if host and self._is_px_itself(host, port):
            _LOGGER.debug("%s: %s is Px itself, left out", self._source, entry)
        else:
            self._pac = location.strip()

    def add_upstream(self, scheme: str, text: str, entry: str, *, default: str = "http") -> None:
        """Take upstreams for the URLs of a scheme, after those that it has already.

        Args:
            scheme: Of URLs; empty: of all that have none of their own.
            text: As in `px.core.route.parse_upstreams`, and the other spellings of SOCKS; empty: none.
            entry: How the place calls this entry; it holds no secret.
            default: Scheme of an upstream where none is written.
        """
        upstream = _respell(text.strip(), default)
        try:
            found = parse_upstreams(upstream)
        except ValueError as error:
            # Not the text itself: in "http://alice:secret", where the @ is missing, it is a password.
            self.skip(entry, str(error).replace(f"{upstream!r}: ", ""))
            return
        self._add(scheme, found, entry)

    def add_host(
        self, scheme: str, host: str, port: str, entry: str, *, default: str = "http", login: str = ""
    ) -> None:
        """Take an upstream whose host and port stand in fields of their own.

        Args:
            scheme: As in `add_upstream`.
            host: IPv6 in brackets or not; people write a whole URL there too, which says all. Empty: none.
            port: ``0`` or empty: the one of the scheme.
            entry: As in `add_upstream`.
            default: As in `add_upstream`.
            login: ``user:password``, percent-encoded; empty: the one of the settings.
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
        """Take rules of the language of `px.core.hostrules`."""
        for rule in rules:
            try:
                HostRules.parse(rule, names=True)
            except ValueError as error:
                self.skip(entry, str(error))
            else:
                self._bypass.append(rule)

    def skip(self, entry: str, reason: str) -> None:
        """Leave an entry out, and say so.

        Args:
            entry: How the place calls it.
            reason: What is wrong; it holds no secret.
        """
        _warn_once(f"{self._source}: {entry} is left out: {reason}")

    def finish(self) -> ProxySettings:
        """Return what has been read."""
        return ProxySettings(
            source=self._source,
            is_auto_detected=self.is_auto_detected,
            pac=self._pac,
            upstreams=self._upstreams,
            bypass=HostRules.parse(" ".join(dict.fromkeys(self._bypass)), names=True),
        )

    def __repr__(self) -> str:
        return f"<SettingsDraft {self._source}>"


def split_entries(text: str) -> list[str]:
    """Split a list at ``,``, ``;`` and white space."""
    return [entry for entry in _SEPARATORS.split(text) if entry]


def to_exact_rule(text: str) -> str:
    """Return a rule of `px.core.hostrules` that means what Windows and macOS mean: a name alone."""
    found = _PLAIN_NAME.fullmatch(text)
    return f"={text}" if found and to_address(found["host"]) is None else text


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    """Settings are read again and again, and what is wrong with them stays so for long."""
    _LOGGER.warning("%s", message)


def _respell(text: str, default: str) -> str:
    scheme, found, rest = text.partition("://")
    if not text:
        return ""
    if not found:
        return f"{default}://{text}"
    return f"{_SOCKS.get(scheme.lower(), scheme)}://{rest}"
