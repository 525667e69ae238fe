"""One line a request: what the access log says, and how.

Columns are separated by one space and never empty (``-`` where there is nothing to say), so that awk, sort
and people can read them. `COLUMNS` has their names, and docs/logs.md what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

#: Longest target that is written whole; what would follow is seldom what one looks for.
MAX_TARGET_CHARS: Final = 1024

COLUMNS: Final = (
    "time client user method target status up down ms first_ms route login 407s connection end id"
)


@dataclass(slots=True)
class AccessRecord:
    """What is to be said about one request.

    Attributes:
        id: Of the request, in its process.
        client: IP address.
        user: Whom the client logged in as at Px; empty: it did not.
        method: As sent; empty when there was none to be read.
        target: ``host:port`` of a CONNECT, else the URL without its query: tokens stand there.
        status: Of the answer to the client; 0: it got none.
        up: Bytes that came from the client for it, heads included.
        down: Bytes that went to the client for it, heads included.
        seconds: From its head to its end.
        first_seconds: From its head to the first byte of its answer; None: there was none.
        route: ``direct``, or the upstream that was used last; empty: Px answered itself.
        login: By what the upstream let Px in, or refused; empty: by nothing.
        challenges: The 407s that it cost.
        is_kept: Whether the connection to the next hop was there already; None: there was none.
        end: ``ok``, ``cut`` (by the next hop), ``left`` (by the client), ``idle`` (a tunnel, for too long),
            ``stopped`` (Px ended).
    """

    id: str = ""
    client: str = ""
    user: str = ""
    method: str = ""
    target: str = ""
    status: int = 0
    up: int = 0
    down: int = 0
    seconds: float = 0.0
    first_seconds: float | None = None
    route: str = ""
    login: str = ""
    challenges: int = 0
    is_kept: bool | None = None
    end: str = "ok"


def format_record(record: AccessRecord, time: str, process: int) -> str:
    """Return the line.

    Args:
        record: What to say.
        time: When the request ended.
        process: Its number, which makes the id one of all processes.
    """
    first = "-" if record.first_seconds is None else _format_ms(record.first_seconds)
    connection = "-" if record.is_kept is None else "kept" if record.is_kept else "new"
    return (
        f"{time} {record.client or '-'} {_escape(record.user)} {record.method or '-'} {record.target or '-'}"
        f" {record.status or '-'} {record.up} {record.down} {_format_ms(record.seconds)} {first}"
        f" {record.route or '-'} {record.login or '-'} {record.challenges} {connection} {record.end}"
        f" {f'{process}.{record.id}' if record.id else '-'}\n"
    )


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _escape(text: str) -> str:
    """Write what would end a column in the way of URLs."""
    return "".join(char if char.isprintable() and char != " " else quote(char) for char in text) or "-"


def show_target(target: bytes) -> str:
    """Return a request-target for a log: without its query, and not longer than it helps."""
    shown = target.partition(b"?")[0].decode("ascii", "replace")
    return shown if len(shown) <= MAX_TARGET_CHARS else f"{shown[:MAX_TARGET_CHARS]}..."
