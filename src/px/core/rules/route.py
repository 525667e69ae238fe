"""Routes to an origin: directly, or through an upstream proxy; and how upstreams are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote

from px.core.host import parse_host_port
from px.core.printable import has_control
from px.core.rules.upstream_list import FORM, ListedUpstream, split_upstreams
from px.core.secret import Secret

#: Scheme of an upstream -> its default port.
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks4": 1080}
#: The schemes of URLs that have upstreams of their own: ftp and ws count as http, a CONNECT as https.
URL_SCHEMES: Final = ("http", "https")
#: Other programs choose with these whether the proxy resolves names. For Px, the upstream always does.
_SPELLINGS: Final = {"socks5h": "socks5", "socks4a": "socks4"}
#: The longest user name, and the longest password (RFC 1929 2).
MAX_SOCKS_LOGIN_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """One parent proxy, as configured or discovered.

    Attributes:
        scheme: ``http``, ``https`` (TLS to the upstream), ``socks5`` or ``socks4``.
        host: The name or IP address as the user wrote it, which an SPN needs; IPv6 without brackets.
        port: The TCP port, 1 to 65535.
        username: This upstream's own identity; empty for the one of the settings.
        password: The password that belongs to `username`, or None.
        urls: The scheme of the URLs that the upstream is for, ``http`` or ``https`` (a CONNECT), or empty.
        is_found: Whether a PAC script named the upstream. Px then sends it no password in clear text.
    """

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: Secret | None = field(default=None, repr=False)
    urls: str = ""
    is_found: bool = False

    @property
    def authority(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether the upstream speaks SOCKS: it carries bytes to the origin and knows no HTTP."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Direct:
    """The direct route to the origin.

    Attributes:
        why: The reason, for the log.
        trouble: Why Px does not know whether an upstream should be used; empty if it knows.
    """

    why: str = field(default="", compare=False)
    trouble: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "direct"


@dataclass(frozen=True, slots=True)
class Via:
    """The route through an upstream."""

    upstream: UpstreamAddress

    def __str__(self) -> str:
        return str(self.upstream)


Route = Direct | Via


def parse_upstreams(text: str, *, with_identity: bool = True) -> tuple[UpstreamAddress, ...]:
    """Return the upstreams of a list of ``[scheme://][user[:password]@]host[:port]``, in order.

    The list may also have the forms of other programs; see `px.core.rules.upstream_list`. User and password
    are percent-decoded; write a comma in them as ``%2C``. A repeated upstream counts once.

    Args:
        text: The list; empty entries are skipped, so that an empty text gives an empty tuple.
        with_identity: Whether ``user:password@`` is allowed (not on a command line, which every user of the
            machine can read).

    Raises:
        ValueError: An entry cannot be read. The message names the entry unless it may contain a secret.
    """
    if "@" in text and not with_identity:
        raise ValueError(
            "other users can read a login on the command line: "
            "use --username and PX_PASSWORD, or write the upstream in px.ini or PX_PROXY"
        )
    listed = [(entry.urls, _parse_upstream(entry)) for entry in split_upstreams(text)]
    lists = {urls: [upstream for key, upstream in listed if key == urls] for urls, _ in listed}
    if not lists.keys() - {""}:
        return tuple(dict.fromkeys(lists.get("", ())))
    named = dict.fromkeys(upstream for _, upstream in listed)
    return tuple(narrowed for upstream in named for narrowed in _narrow(upstream, lists))


def _narrow(
    upstream: UpstreamAddress, lists: Mapping[str, Sequence[UpstreamAddress]]
) -> Iterable[UpstreamAddress]:
    """Yield an upstream with the URLs it is for; nothing if other lists cover all of them."""
    urls = [scheme for scheme in URL_SCHEMES if upstream in lists.get(scheme, lists.get("", ()))]
    if urls:
        yield upstream if len(urls) == len(URL_SCHEMES) else replace(upstream, urls=urls[0])


def upstreams_for(upstreams: Iterable[UpstreamAddress], scheme: str) -> tuple[UpstreamAddress, ...]:
    """Return the upstreams for URLs of a scheme, one of `URL_SCHEMES`."""
    return tuple(upstream for upstream in upstreams if upstream.urls in {"", scheme})


def format_upstreams(upstreams: Iterable[UpstreamAddress]) -> str:
    """Return upstreams for people, with the URLs they are for unless that is all."""
    return ", ".join(f"{each} for {each.urls} URLs" if each.urls else str(each) for each in upstreams)


def _parse_upstream(entry: ListedUpstream) -> UpstreamAddress:
    scheme, found, rest = entry.text.partition("://")
    shown = entry.shown
    if not found:
        scheme, rest = "http", entry.text
    scheme = _known_scheme(scheme.lower(), shown)
    if re.search(r"[\s/?#]", rest.removesuffix("/").rpartition("@")[2]):
        raise entry.refuse_as_list()
    userinfo, _, authority = rest.rpartition("@")
    host, port = parse_host_port(authority.removesuffix("/"), shown)
    username, password = _parse_userinfo(userinfo, shown) if "@" in rest else ("", None)
    if scheme.startswith("socks"):
        _check_socks_login(scheme, username, password, shown)
    return UpstreamAddress(scheme, host, port or DEFAULT_PORTS[scheme], username, password)


def _known_scheme(scheme: str, shown: str) -> str:
    scheme = _SPELLINGS.get(scheme, scheme)
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"{shown}: unknown scheme; {FORM}")
    return scheme


def _parse_userinfo(userinfo: str, shown: str) -> tuple[str, Secret | None]:
    username, colon, password = userinfo.partition(":")
    if not username:
        raise ValueError(f"{shown}: no user name before the @")
    if any("\ud800" <= char <= "\udfff" for char in userinfo):
        raise ValueError(f"{shown}: user or password is not in this locale's encoding; percent-encode it")
    if has_control(unquote(username)):
        raise ValueError(f"{shown}: control characters in the user name")
    return unquote(username), Secret(unquote(password)) if colon else None


def _check_socks_login(scheme: str, username: str, password: Secret | None, shown: str) -> None:
    """Raise ValueError for a login that the protocol cannot carry."""
    if scheme == "socks4" and password is not None:
        raise ValueError(f"{shown}: SOCKS4 knows user names, but no passwords; use socks5://")
    longest = max(len(text.encode()) for text in (username, password.reveal() if password else ""))
    if longest > MAX_SOCKS_LOGIN_BYTES:
        raise ValueError(f"{shown}: SOCKS allows user and password {MAX_SOCKS_LOGIN_BYTES} bytes at most")
