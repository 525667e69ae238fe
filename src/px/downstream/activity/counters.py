"""Counts what a Px has done so far."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from px.io.stream import Stream


@dataclass(slots=True)
class Counters:
    """Plain numbers that only grow, for one worker; ``px --status`` shows their sums.

    Attributes:
        connections: Client connections accepted.
        requests: Requests read.
        tunnels: Tunnels opened (CONNECT, WebSocket).
        errors: Requests that Px itself answered with an error, or whose answer it had to cut off. A 407 that
            asks a client for a login, or goes on with one, does not count; one that refuses a login does.
        received_bytes: Bytes from clients, heads included, over connections that have ended.
        sent_bytes: Bytes to them, likewise.
        pages: Requests for Px's own pages, which `requests` has, too.
        page_bytes: Bytes of the answers to these, which `sent_bytes` has, too.
    """

    connections: int = 0
    requests: int = 0
    tunnels: int = 0
    errors: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    pages: int = 0
    page_bytes: int = 0

    def add_traffic(self, stream: Stream) -> None:
        """Count the bytes of a client's connection."""
        self.received_bytes += stream.received_bytes
        self.sent_bytes += stream.sent_bytes

    def to_dict(self) -> dict[str, int]:
        """Return all of them by name."""
        return asdict(self)
