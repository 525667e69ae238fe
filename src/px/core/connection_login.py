"""Logins of clients to origins that hold for a connection, not for a request: NTLM and Negotiate.

Over a connection that others use, too, they would act as whoever logged in first (RFC 4559 6).
"""

from __future__ import annotations

from px.core.challenge import parse_challenges
from px.core.fields import Fields

_SCHEMES = (b"ntlm", b"negotiate")
_SCHEME_NAMES = frozenset(name.decode("ascii") for name in _SCHEMES)


def carries_connection_login(head: Fields) -> bool:
    """Whether a request logs its connection in to the origin."""
    return any(value.lower().startswith(_SCHEMES) for value in head.notable.get(b"authorization", ()))


def offers_connection_login(head: Fields) -> bool:
    """Whether an answer asks for a login of the connection."""
    return any(each.scheme in _SCHEME_NAMES for each in parse_challenges(head.values(b"www-authenticate")))
