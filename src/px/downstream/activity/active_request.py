"""A request or tunnel under way, as ``px --status --json`` and the status page show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from heapq import nlargest
from operator import attrgetter
from typing import Final

#: The most entries that a worker lists.
MAX_LISTED: Final = 200
#: The longest target that the list shows in full.
MAX_TARGET_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRequest:
    """One request or tunnel.

    Attributes:
        kind: ``tunnel`` (CONNECT, WebSocket) once it is open, else ``request``.
        method: The method as sent.
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


def list_newest(active: Iterable[ActiveRequest]) -> list[dict[str, object]]:
    """Return the newest ones as JSON, the newest first, at most `MAX_LISTED`."""
    return [asdict(each) for each in nlargest(MAX_LISTED, active, key=attrgetter("since"))]


def shorten_target(target: str) -> str:
    """Return a target that is not too long for a list."""
    return target if len(target) <= MAX_TARGET_CHARS else f"{target[:MAX_TARGET_CHARS]}..."
