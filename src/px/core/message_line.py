"""Messages between the processes of Px: JSON objects, one per line."""

from __future__ import annotations

import json
from collections.abc import Mapping

#: Longer lines are refused.
MAX_LINE_BYTES = 1024 * 1024


def format_line(message: Mapping[str, object]) -> bytes:
    """Return a message as a line with its line end.

    In UTF-8 a character takes at most 4 bytes; escaped it would take up to 12.
    """
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def parse_line(line: bytes) -> dict[str, object]:
    """Return the message of a line.

    Raises:
        ValueError: The line is not a message, or not complete.
    """
    if not line.endswith(b"\n"):
        raise ValueError("the line has no end")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for every bad message
    return message
