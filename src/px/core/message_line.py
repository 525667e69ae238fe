"""Messages between the processes of Px: JSON objects, one a line."""

from __future__ import annotations

import json
from collections.abc import Mapping

#: Longer lines are not read.
MAX_LINE_BYTES = 1024 * 1024


def format_line(message: Mapping[str, object]) -> bytes:
    """Return a message as a line, its end included."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def parse_line(line: bytes) -> dict[str, object]:
    """Return the message of a line.

    Raises:
        ValueError: It is none, or not complete.
    """
    if not line.endswith(b"\n"):
        raise ValueError("the line has no end")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for all that is not a message
    return message
