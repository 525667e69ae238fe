"""The access log: one line per request.

Columns are separated by one space and never empty (``-`` for no value), so that awk, sort and people can read
them. `COLUMNS` has their names, and docs/logs.md their meanings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from px.core.http.target import hide_login

#: The longest target that is written in full; readers seldom need the rest.
MAX_TARGET_CHARS: Final = 1024

COLUMNS: Final = (
    "time client user method target status up down ms first_ms route login 407s connection end id"
)


@dataclass(slots=True)
class AccessRecord:
    """The values of one request.

    Attributes:
        id: The request's id in its process.
        client: The client's IP address.
        user: The user that the client logged in as at Px; empty without a login.
        method: The method as sent; empty if none could be read.
        target: ``host:port`` of a CONNECT, else the URL without its query, which may contain tokens.
        status: The status of the answer to the client; 0 if it got none.
        up: Bytes from the client for the request, heads included.
        down: Bytes to the client for the request, heads included.
        seconds: The time from the request's head to its end.
        first_seconds: The time from the request's head to the first byte of its answer; None without one.
        route: ``direct``, or the upstream used last; empty if Px answered itself.
        login: The method by which the upstream accepted or refused Px; empty for none.
        challenges: The number of 407s that the request got.
        is_kept: Whether the connection to the next hop was a kept one; None without a connection.
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
    """Return the line of a request, in columns.

    Args:
        record: The values.
        time: When the request ended.
        process: The process ID, which makes the id unique among all processes.
    """
    first = "-" if record.first_seconds is None else _format_ms(record.first_seconds)
    connection = "-" if record.is_kept is None else "kept" if record.is_kept else "new"
    return (
        f"{time} {record.client or '-'} {_escape(record.user)} {record.method or '-'} {record.target or '-'}"
        f" {record.status or '-'} {record.up} {record.down} {_format_ms(record.seconds)} {first}"
        f" {record.route or '-'} {record.login or '-'} {record.challenges} {connection} {record.end}"
        f" {full_id(record, process) or '-'}\n"
    )


def full_id(record: AccessRecord, process: int) -> str:
    """Return the id of a request among all processes; empty if it has none."""
    return f"{process}.{record.id}" if record.id else ""


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _escape(text: str) -> str:
    """Return a text with characters that would end a column percent-encoded, as in URLs."""
    return "".join(char if char.isprintable() and char != " " else quote(char) for char in text) or "-"


def show_target(target: bytes) -> str:
    """Return a request-target for a log: without query and login, and shortened if it is long."""
    shown = hide_login(target.partition(b"?")[0]).decode("ascii", "replace")
    return shown if len(shown) <= MAX_TARGET_CHARS else f"{shown[:MAX_TARGET_CHARS]}..."
