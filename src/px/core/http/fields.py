"""The fields of a head: the block of field lines as received, and the notable ones among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from px.core.http.framing import list_members
from px.core.http.grammar import OWS, TOKEN

#: The fields that Px looks for in every head, lower-case: framing, hop-by-hop, and those that Px may replace.
#: They are found and edited without parsing the other lines.
NOTABLE_FIELDS = frozenset(
    b"authorization connection content-length expect host keep-alive max-forwards proxy-authenticate"
    b" proxy-authentication-info proxy-authorization proxy-connection proxy-status te trailer"
    b" transfer-encoding upgrade user-agent via".split()
)
# Sorted by first letters, so that most lines of other fields fail at their first octet.
_NOTABLE_LINE = re.compile(
    rb"\n((?:[Aa](?i:uthorization)|[Cc](?i:on(?:nection|tent-length))|[Hh](?i:ost)|[Uu](?i:ser-agent|pgrade)"
    rb"|[Pp](?i:roxy-(?:connection|status|auth(?:orization|enticat(?:e|ion-info))))"
    rb"|[Tt](?i:e|ransfer-encoding|railer)|[Ee](?i:xpect)|[Kk](?i:eep-alive)|[Mm](?i:ax-forwards)|[Vv](?i:ia))):"
    rb"([^\r]*+)"
)
_ANY_LINE = re.compile(rb"\n(" + TOKEN + rb"):([^\r]*+)")

_NO_OPTIONS: frozenset[bytes] = frozenset()
# Nearly all values of Connection in use, parsed in advance.
_USUAL_OPTIONS = {
    value: frozenset((value.lower(),))
    for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade")
}

#: A field line: the octets before its colon, and those after it up to the CRLF.
FieldLine = tuple[bytes, bytes]


@dataclass(slots=True, repr=False, eq=False)
class Fields:
    """The fields of a head. They are not changed once parsed.

    Attributes:
        block: The field lines as received, each ended by CRLF, without the empty line.
        lines: The lines of `block` that are in `NOTABLE_FIELDS`, in order.
        notable: The values of these lines by lower-case name, without OWS.
        connection_options: Members of Connection, lower-case.
    """

    block: bytes
    lines: list[FieldLine]
    notable: dict[bytes, list[bytes]]
    connection_options: frozenset[bytes]

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of a field; `name` in lower case."""
        values = self.values(name)
        return values[0] if values else None

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a field, in order; `name` in lower case."""
        if name in NOTABLE_FIELDS:
            return list(self.notable.get(name, ()))
        return [value.strip(OWS) for line_name, value in self.all_lines() if line_name.lower() == name]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """Return the lower-case members of a field with a comma-separated list; `name` in lower case."""
        return frozenset(list_members(self.values(name)))

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Return the names, as received, and the values of all fields, in order."""
        return [(name, value.strip(OWS)) for name, value in self.all_lines()]

    def all_lines(self) -> list[FieldLine]:
        """Return the lines of all fields, in the form of `lines`."""
        return _ANY_LINE.findall(b"\n" + self.block)


def find_notable_lines(text: bytes, start: int = 0) -> list[FieldLine]:
    """Return the notable lines of a valid text; the LF before the first is at `start` or later."""
    return _NOTABLE_LINE.findall(text, start)


def group_values(lines: list[FieldLine]) -> dict[bytes, list[bytes]]:
    """Return the stripped values of each name; the names are in lower case."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        lower_name = name.lower()
        if lower_name in found:
            found[lower_name].append(value.strip(OWS))
        else:
            found[lower_name] = [value.strip(OWS)]
    return found


def parse_options(found: Mapping[bytes, list[bytes]], name: bytes) -> frozenset[bytes]:
    """Return the lower-case members of Connection or a similar field; `name` in lower case."""
    values = found.get(name)
    if values is None:
        return _NO_OPTIONS
    usual = _USUAL_OPTIONS.get(values[0]) if len(values) == 1 else None
    return frozenset(list_members(values)) if usual is None else usual
