"""Parses the list of static tunnels: ports of Px that each lead to one target."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from px.core.errors import BadRequestError
from px.core.host import MAX_PORT, parse_host_port, to_plain_name
from px.core.http.target import Authority, parse_authority

_SEPARATORS: Final = re.compile(r"[,;\s]+")


class TunnelPort(NamedTuple):
    """A static tunnel.

    Attributes:
        port: The port on which Px listens for it.
        target: Where it leads.
    """

    port: int
    target: Authority

    def __str__(self) -> str:
        return f"{self.port}:{self.target}"


def parse_tunnels(text: str) -> tuple[TunnelPort, ...]:
    """Return the tunnels of a list ``LPORT:HOST:PORT, ...``.

    Raises:
        ValueError: An entry is not of that form.
    """
    return tuple(_parse_tunnel(entry) for entry in _SEPARATORS.split(text) if entry)


def _parse_tunnel(entry: str) -> TunnelPort:
    own, _, target = entry.partition(":")
    if not (own.isascii() and own.isdigit() and 1 <= int(own) <= MAX_PORT and ":" in target):
        raise ValueError(f"{entry}: a tunnel is LPORT:HOST:PORT, as in 2222:git.example:22")
    host, port = parse_host_port(target, entry)
    if port is None:
        raise ValueError(f"{entry}: a tunnel needs the port of its target")
    return TunnelPort(int(own), _make_target(host, port, entry))


def _make_target(host: str, port: int, entry: str) -> Authority:
    """Return the target in the spelling that requests have."""
    name = to_plain_name(host)
    shown = f"[{name}]" if ":" in name else name
    try:
        return parse_authority(f"{shown}:{port}".encode("ascii"), None, "")
    except (BadRequestError, UnicodeError):
        raise ValueError(f"{entry}: no valid host name or address") from None
