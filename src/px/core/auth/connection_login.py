"""Logins of clients at origins that belong to the connection, not to a request: NTLM and Negotiate.

If several clients shared such a connection, all would act as the client that logged in (RFC 4559 6).
"""

from __future__ import annotations

from px.core.auth.challenge import parse_challenges
from px.core.http.fields import Fields

_SCHEMES = (b"ntlm", b"negotiate")
_SCHEME_NAMES = frozenset(name.decode("ascii") for name in _SCHEMES)


def carries_connection_login(head: Fields) -> bool:
    """Whether a request logs its connection in at the origin."""
    return any(value.lower().startswith(_SCHEMES) for value in head.notable.get(b"authorization", ()))


def offers_connection_login(head: Fields) -> bool:
    """Whether an answer asks for a login of the connection."""
    return any(each.scheme in _SCHEME_NAMES for each in parse_challenges(head.values(b"www-authenticate")))
