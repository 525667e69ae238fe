"""The formats of the access log: columns, JSON, and the Combined Log Format of web servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from px.core.trace.access_record import COLUMNS, AccessRecord, format_record, full_id

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class AccessFormat:
    """A format of the access log.

    Attributes:
        format_line: Returns the line of a request; as `px.core.trace.access_record.format_record`.
        header: The first line of a file; empty: there is none.
    """

    format_line: Callable[[AccessRecord, str, int], str]
    header: str = ""


def _format_json(record: AccessRecord, time: str, process: int) -> str:
    """Return one JSON object; its names are those of the columns, and null stands for no value."""
    connection = None if record.is_kept is None else "kept" if record.is_kept else "new"
    values = (
        *(time, record.client or None, record.user or None, record.method or None, record.target or None),
        *(
            record.status or None,
            record.up,
            record.down,
            _to_ms(record.seconds),
            _to_ms(record.first_seconds),
        ),
        *(record.route or None, record.login or None, record.challenges, connection, record.end),
        full_id(record, process) or None,
    )
    return json.dumps(dict(zip(COLUMNS.split(" "), values, strict=True))) + "\n"


def _to_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _format_combined(record: AccessRecord, time: str, _process: int) -> str:
    """Return a line of Apache's Combined Log Format. Px does not log the fields Referer and User-Agent."""
    request = f"{_quote(record.method)} {_quote(record.target)} HTTP/1.1" if record.method else "-"
    return (
        f"{record.client or '-'} - {_quote(record.user) or '-'} [{_format_clf_time(time)}]"
        f' "{request}" {record.status or "-"} {record.down} "-" "-"\n'
    )


def _quote(text: str) -> str:
    """Return a text with characters that would end a field percent-encoded, as in URLs."""
    return "".join(char if char.isprintable() and char not in ' "\\' else quote(char) for char in text)


def _format_clf_time(time: str) -> str:
    """Return ``2026-03-02T08:59:01.842+0100`` as ``02/Mar/2026:08:59:01 +0100``."""
    date, _, clock = time.partition("T")
    year, month, day = date.split("-")
    return f"{day}/{_MONTHS[int(month) - 1]}/{year}:{clock[:8]} {clock[-5:]}"


#: The formats by the values of ``--accesslog_format``.
FORMATS: Final = {
    "px": AccessFormat(format_record, f"# {COLUMNS}\n"),
    "json": AccessFormat(_format_json),
    "combined": AccessFormat(_format_combined),
}
