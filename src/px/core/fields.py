"""The fields of a head: the block of their lines as received, and the notable ones found in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from px.core.framing import list_members
from px.core.grammar import OWS, TOKEN

#: Fields that every head is searched for, lower-case: framing, hop-by-hop, and those that Px may replace.
#: They are looked up, and edited, without taking the other lines apart.
NOTABLE_FIELDS = frozenset(
    b"authorization connection content-length expect host keep-alive max-forwards proxy-authenticate"
    b" proxy-authentication-info proxy-authorization proxy-connection te trailer transfer-encoding upgrade"
    b" user-agent via".split()
)
# Sorted by first letters, so that most lines of other fields are passed over at their first octet.
_NOTABLE_LINE = re.compile(
    rb"\n((?:[Aa](?i:uthorization)|[Cc](?i:on(?:nection|tent-length))|[Hh](?i:ost)|[Uu](?i:ser-agent|pgrade)"
    rb"|[Pp](?i:roxy-(?:connection|auth(?:orization|enticat(?:e|ion-info))))"
    rb"|[Tt](?i:e|ransfer-encoding|railer)|[Ee](?i:xpect)|[Kk](?i:eep-alive)|[Mm](?i:ax-forwards)|[Vv](?i:ia))):"
    rb"([^\r]*+)"
)
_ANY_LINE = re.compile(rb"\n(" + TOKEN + rb"):([^\r]*+)")

#: A field line: the octets before its colon and those behind it, up to the CRLF.
FieldLine = tuple[bytes, bytes]


@dataclass(slots=True, repr=False, eq=False)
class Fields:
    """The fields of a head. They are not changed once parsed.

    Attributes:
        block: The field lines as received, each ended by CRLF, without the empty line.
        lines: Those of `block` that are in `NOTABLE_FIELDS`, in order.
        notable: The values of these lines by lower-case name, OWS stripped.
        connection_options: Members of Connection, lower-case.
    """

    block: bytes
    lines: list[FieldLine]
    notable: dict[bytes, list[bytes]]
    connection_options: frozenset[bytes]

    def value(self, name: bytes) -> bytes | None:
        """The first value of a field; `name` in lower case."""
        values = self.values(name)
        return values[0] if values else None

    def values(self, name: bytes) -> list[bytes]:
        """The values of all lines of a field, in order; `name` in lower case."""
        if name in NOTABLE_FIELDS:
            return list(self.notable.get(name, ()))
        return [value.strip(OWS) for line_name, value in self.all_lines() if line_name.lower() == name]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The members of a field that is a comma-separated list, lower-case; `name` in lower case."""
        return frozenset(list_members(self.values(name)))

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Names as received and values, in order."""
        return [(name, value.strip(OWS)) for name, value in self.all_lines()]

    def all_lines(self) -> list[FieldLine]:
        """As `lines`, of all fields."""
        return _ANY_LINE.findall(b"\n" + self.block)


def find_notable_lines(text: bytes, start: int = 0) -> list[FieldLine]:
    """Those of valid lines that are in `NOTABLE_FIELDS`; the LF before the first is at `start` or later."""
    return _NOTABLE_LINE.findall(text, start)


def group_values(lines: list[FieldLine]) -> dict[bytes, list[bytes]]:
    """The stripped values of each name, the names in lower case."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        lower_name = name.lower()
        if lower_name in found:
            found[lower_name].append(value.strip(OWS))
        else:
            found[lower_name] = [value.strip(OWS)]
    return found
