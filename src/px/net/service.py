"""What all sessions of a Px share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from px.core.access_record import AccessRecord
from px.core.client_auth import ClientAuth
from px.core.target import Authority
from px.net.client_door import ClientDoor
from px.net.counters import Counters
from px.net.io_loop import IoLoop
from px.net.outbound import Outbound
from px.net.stream import Stream


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
        counters: Of what they do.
        client_auth: How clients log in at Px; None: they need not.
        log_access: Called with each request that has ended; None: there is no access log.
    """

    io_loop: IoLoop
    outbound: Outbound
    pseudonym: bytes
    sends_via: bool
    useragent: bytes
    idle_seconds: float
    logs_in: bool
    is_own: Callable[[Authority], bool]
    counters: Counters
    client_auth: ClientAuth | None = None
    log_access: Callable[[AccessRecord], None] | None = None

    @property
    def set_fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Fields that take the place of every client's own."""
        return ((b"User-Agent", self.useragent),) if self.useragent else ()

    def format_via(self, minor_version: int) -> bytes | None:
        """Return the value of Via for a message received as HTTP/1.`minor_version`; None: there is none."""
        return b"1.%d %b" % (minor_version, self.pseudonym) if self.sends_via else None

    def open_door(self, client: Stream) -> ClientDoor | None:
        """Return what has a client log in; None: it need not."""
        if self.client_auth is None:
            return None
        return ClientDoor(client, self.io_loop, self.client_auth)
