"""What all sessions of a Px share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from px.core.target import Authority
from px.net.io_loop import IoLoop
from px.net.outbound import Outbound


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions share.

    Attributes:
        io_loop: Of the streams.
        outbound: Where requests go.
        pseudonym: Of this Px in Via (RFC 9110 7.6.3); also how a loop is noticed.
        sends_via: Whether Via is added.
        useragent: Takes the place of each client's User-Agent; empty: none does.
        idle_seconds: How long a tunnel may be silent; 0: for ever.
        logs_in: Whether Px logs in upstream; else (auth=NONE) clients do, end to end.
        is_own: Whether an authority is an address that Px itself listens on.
    """

    io_loop: IoLoop
    outbound: Outbound
    pseudonym: bytes
    sends_via: bool
    useragent: bytes
    idle_seconds: float
    logs_in: bool
    is_own: Callable[[Authority], bool]
