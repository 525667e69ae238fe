"""Ways to an origin: directly, or through an upstream proxy; and how upstreams are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from px.core.host import parse_host_port
from px.core.secret import Secret

#: Scheme of an upstream -> its port where none is written.
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks4": 1080}
#: Other programs tell by these who resolves names; with Px it is always the upstream.
_SPELLINGS: Final = {"socks5h": "socks5", "socks4a": "socks4"}
#: Of a user name, and of a password: RFC 1929 2.
MAX_SOCKS_LOGIN_BYTES: Final = 255
_FORM = "an upstream is [http://|https://|socks5://|socks4://]host[:port]"


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """One parent proxy, as configured or found.

    Attributes:
        scheme: ``http``, ``https`` (TLS to the upstream), ``socks5`` or ``socks4``.
        host: Name or IP address as the user wrote it (an SPN needs it so); IPv6 without brackets.
        port: TCP port, 1 to 65535.
        username: This upstream's own identity; empty: the one of the settings.
        password: The password that belongs to `username`, or None.
        is_found: Whether a PAC script named it, and no person: a password never goes to it in clear.
    """

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: Secret | None = field(default=None, repr=False)
    is_found: bool = False

    @property
    def authority(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it carries bytes to the origin and knows no HTTP."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Direct:
    """Straight to the origin.

    Attributes:
        why: For the log.
        trouble: Why it is not known whether there is an upstream to go through; empty: it is known.
    """

    why: str = field(default="", compare=False)
    trouble: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "direct"


@dataclass(frozen=True, slots=True)
class Via:
    """Through an upstream."""

    upstream: UpstreamAddress

    def __str__(self) -> str:
        return str(self.upstream)


Route = Direct | Via


def parse_upstreams(text: str, *, with_identity: bool = True) -> tuple[UpstreamAddress, ...]:
    """Return the upstreams of a comma list of ``[scheme://][user[:password]@]host[:port]``, in order.

    User and password are percent-decoded; a comma in them has to be written ``%2C``. A repeated
    upstream counts once.

    Args:
        text: The list; empty entries are skipped, so that an empty text gives an empty tuple.
        with_identity: Whether ``user:password@`` may stand there (not on a command line, which every
            user of the machine can read).

    Raises:
        ValueError: An entry cannot be read. The message names it, unless a secret may stand in it.
    """
    if "@" in text and not with_identity:
        raise ValueError(
            "a login has no place on the command line, where other users can read it: "
            "use --username and PX_PASSWORD, or write the upstream in px.ini or PX_PROXY"
        )
    entries = [entry.strip() for entry in text.split(",")]
    # A password with a raw comma is cut in two: then no entry is fit to be shown.
    shown = [f"entry {n}" if "@" in text else repr(entry) for n, entry in enumerate(entries, start=1)]
    upstreams = (_parse_upstream(entry, name) for entry, name in zip(entries, shown, strict=True) if entry)
    return tuple(dict.fromkeys(upstreams))


def _parse_upstream(entry: str, shown: str) -> UpstreamAddress:
    """Return one upstream; `shown` is what errors may call it."""
    scheme, found, rest = entry.partition("://")
    if not found:
        scheme, rest = "http", entry
    scheme = _known_scheme(scheme.lower(), shown)
    if re.search(r"[\s/?#]", rest.removesuffix("/").rpartition("@")[2]):
        raise ValueError(
            f"{shown}: a space, path or comment; {_FORM},"
            " several are separated by commas, and a comment stands on a line of its own"
        )
    userinfo, _, authority = rest.rpartition("@")
    host, port = parse_host_port(authority.removesuffix("/"), shown)
    username, password = _parse_userinfo(userinfo, shown) if "@" in rest else ("", None)
    if scheme.startswith("socks"):
        _check_socks_login(scheme, username, password, shown)
    return UpstreamAddress(scheme, host, port or DEFAULT_PORTS[scheme], username, password)


def _known_scheme(scheme: str, shown: str) -> str:
    scheme = _SPELLINGS.get(scheme, scheme)
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"{shown}: unknown scheme; {_FORM}")
    return scheme


def _parse_userinfo(userinfo: str, shown: str) -> tuple[str, Secret | None]:
    username, colon, password = userinfo.partition(":")
    if not username:
        raise ValueError(f"{shown}: no user name before the @")
    if any("\ud800" <= char <= "\udfff" for char in userinfo):
        raise ValueError(f"{shown}: user or password is no text in this locale's encoding; percent-encode it")
    return unquote(username), Secret(unquote(password)) if colon else None


def _check_socks_login(scheme: str, username: str, password: Secret | None, shown: str) -> None:
    """Refuse what the protocol has no place for."""
    if scheme == "socks4" and password is not None:
        raise ValueError(f"{shown}: SOCKS4 knows user names, but no passwords; use socks5://")
    if scheme == "socks4" and "\0" in username:
        raise ValueError(f"{shown}: SOCKS4 has no user names with a NUL")
    longest = max(len(text.encode()) for text in (username, password.reveal() if password else ""))
    if longest > MAX_SOCKS_LOGIN_BYTES:
        raise ValueError(f"{shown}: SOCKS takes user and password of {MAX_SOCKS_LOGIN_BYTES} bytes at most")
