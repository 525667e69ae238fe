"""A request or tunnel under way, as ``px --status --json`` and the status page show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The longest texts that the list shows in full: clients choose some of them, and the list must stay small.
MAX_TARGET_CHARS: Final = 200
MAX_TEXT_CHARS: Final = 100
MAX_METHOD_CHARS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRequest:
    """One request or tunnel.

    Attributes:
        kind: ``tunnel`` (CONNECT, WebSocket) once it is open, else ``request``.
        method: The method as sent, shortened if it is long, as are the other texts.
        target: As in the access log, without query and login.
        route: ``direct`` or the upstream; empty before Px has chosen.
        client: The client's IP address.
        program: The name of the client's program; empty where the system does not tell.
        user: The user that the client logged in as at Px; empty without a login.
        since: Unix seconds.
        up: Bytes from the client for it, heads included.
        down: Bytes to the client, likewise.
    """

    kind: str
    method: str
    target: str
    route: str
    client: str
    program: str
    user: str
    since: float
    up: int
    down: int


def shorten(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return a text that is not too long for a list."""
    return text if len(text) <= max_chars else f"{text[:max_chars]}..."
