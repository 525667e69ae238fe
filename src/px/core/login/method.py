"""The methods by which Px logs in at an upstream, strongest first.

==================  ===========  =================  ==========================================
method              on the wire  bound to           tokens
==================  ===========  =================  ==========================================
KERBEROS            Negotiate    the connection     one, final
NEGOTIATE_NTLM      Negotiate    the connection     two: type 1, challenge, type 3 (final)
NTLM                NTLM         the connection     two: type 1, challenge, type 3 (final)
DIGEST              Digest       each request       one a request, final; needs a nonce first
BASIC               Basic        each request       one a request, final
==================  ===========  =================  ==========================================
"""

from __future__ import annotations

from enum import Enum

from px.core.auth.policy import AuthPolicy

#: Names of schemes on the wire, lower case -> as they are usually written.
SCHEME_NAMES = {"negotiate": "Negotiate", "ntlm": "NTLM", "digest": "Digest", "basic": "Basic"}


class Method(Enum):
    """A method to log in by; the order is that of strength."""

    KERBEROS = "Negotiate (Kerberos)"
    NEGOTIATE_NTLM = "Negotiate (NTLM)"
    NTLM = "NTLM"
    DIGEST = "Digest"
    BASIC = "Basic"

    def __init__(self, text: str) -> None:
        #: Name of the scheme on the wire, lower case.
        self.scheme = text.split(maxsplit=1)[0].lower()
        #: Name of the scheme as it is usually written.
        self.wire_name = SCHEME_NAMES[self.scheme].encode("ascii")
        #: Which of `TokenSource.mechanisms` makes the tokens.
        self.mechanism = text.partition("(")[2].rstrip(")").lower() or self.scheme
        #: Whether one login serves all requests of a connection.
        self.is_bound_to_connection = self.scheme not in ("digest", "basic")
        #: Whether its final token answers a challenge of the upstream to this very login.
        self.is_challenged = self.mechanism == "ntlm"


def is_allowed(policy: AuthPolicy, method: Method) -> bool:
    """Whether the user allows a method."""
    if method is Method.NEGOTIATE_NTLM:
        return policy.allows_ntlm_in_negotiate
    return policy.allows(method.name.lower())  # type: ignore[arg-type]  # the names are the policy's
