"""Login challenges read from, and credentials written to, header fields (RFC 9110 11.2 to 11.6).

A field line may carry several challenges. Commas separate challenges as well as their parameters::

    Negotiate, Digest realm="a, b", nonce="x", qop="auth", Basic realm="c"

A parameter is ``name = value``; a scheme is a word without ``=`` after it. A scheme may also be followed by
one token68, the form that Negotiate and NTLM use (RFC 4559 4.1).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final, NamedTuple

from px.core.errors import LoginUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: An upstream offers a handful.
MAX_CHALLENGES: Final = 50
#: Schemes and parameters together: a challenge of Digest has about ten.
_MAX_PARTS: Final = 1000
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SEPARATORS = re.compile(rb"[ \t,]*")
_SCHEME = re.compile(rb"(" + _TOKEN + rb")(?:[ \t]+|(?=,)|\Z)")
_TOKEN68 = re.compile(rb"([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|\Z))")
_PARAM_NAME = re.compile(rb"(" + _TOKEN + rb")[ \t]*=[ \t]*")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
#: Wider than a token: upstreams send unquoted nonces that end in "=", and unquoted paths.
_BARE = re.compile(rb'[^\s,"]+')
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
#: Up to the next comma outside of a quoted-string; a quote that never closes takes the rest of the line.
_MALFORMED = re.compile(rb'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))*', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Challenge(NamedTuple):
    """One challenge of an upstream.

    Attributes:
        scheme: Name of the scheme in lower case: ``negotiate``, ``ntlm``, ``digest``, ``basic``, or another.
        token: The decoded token68 (a Negotiate or NTLM message); None: there is none; empty: it cannot be
            decoded.
        params: Parameters, names in lower case, values without quotes and escapes. Bytes that are not UTF-8
            are kept as surrogates (PEP 383), because Digest hashes the realm byte for byte.
    """

    scheme: str
    token: bytes | None
    params: dict[str, str]


def parse_challenges(values: Iterable[bytes]) -> list[Challenge]:
    """Return the challenges of all ``Proxy-Authenticate`` field lines, in their order.

    Never raises. Malformed challenges are left out, but a malformed token keeps its scheme. Of a repeated
    parameter (RFC 9110 11.2 forbids that) the first one is used. Of more challenges than `MAX_CHALLENGES`, or
    very long ones, the rest is left out: the time that they take holds up all clients.

    Args:
        values: Values of the field lines, without line ends.
    """
    found: list[Challenge] = []
    left = _MAX_PARTS
    for value in values:
        left = _parse_line(value, found, left)
    return found[:MAX_CHALLENGES]


def format_token(scheme: bytes, token: bytes) -> bytes:
    """Return the credentials ``scheme token68`` for a raw Negotiate or NTLM message (RFC 4559 4.2)."""
    return scheme + b" " + b64encode(token)


def format_basic(user: str, password: str) -> bytes:
    """Return Basic credentials in UTF-8 (RFC 7617 2).

    Raises:
        LoginUnusableError: The user name holds a colon, or either holds a control character (RFC 7617 2
            forbids both) or a character that UTF-8 does not have.
    """
    if ":" in user:
        cause = "Basic login cannot carry a user name that contains a colon"
        raise LoginUnusableError(cause, "Use another login scheme for this user.")
    pair = f"{user}:{password}"
    if _CONTROL.search(pair):
        raise LoginUnusableError("Basic login cannot carry control characters in the user name or password")
    try:
        return b"Basic " + b64encode(pair.encode())
    except UnicodeEncodeError:
        # `from None`: the exception would carry the password.
        raise LoginUnusableError("The user name or password holds a character that UTF-8 lacks") from None


def is_stale(challenges: Iterable[Challenge]) -> bool:
    """Whether the upstream accepted a Digest except for its old nonce (RFC 7616 3.3)."""
    return any(challenge.params.get("stale", "").lower() == "true" for challenge in challenges)


def _parse_line(value: bytes, found: list[Challenge], left: int) -> int:
    """Append the challenges of one field line; return how many parts may follow.

    Each pass of the loop reads one part: a scheme with its token, a parameter, or what is malformed.

    Args:
        value: The value of the line.
        found: The challenges so far.
        left: The most parts to read.
    """
    current: Challenge | None = None
    position = _skip(_SEPARATORS, value, 0)
    while left and position < len(value):
        left -= 1
        if name := _PARAM_NAME.match(value, position):
            position = _read_param(current, name, value)
        elif scheme := _SCHEME.match(value, position):
            current, position = _read_scheme(scheme, value)
            found.append(current)
        else:
            current, position = None, max(_skip(_MALFORMED, value, position), position + 1)
        position = _skip(_SEPARATORS, value, position)
    return left


def _skip(pattern: re.Pattern[bytes], value: bytes, position: int) -> int:
    match = pattern.match(value, position)
    return match.end() if match else position


def _read_scheme(scheme: re.Match[bytes], value: bytes) -> tuple[Challenge, int]:
    """Return the challenge that begins with this scheme, and the position after it."""
    name = scheme[1].decode("ascii").lower()
    token68 = _TOKEN68.match(value, scheme.end())
    if token68 is None or value[scheme.end() - 1 : scheme.end()] not in b" \t":
        return Challenge(name, None, {}), scheme.end()
    return Challenge(name, _decode_token68(token68[1]), {}), token68.end()


def _decode_token68(text: bytes) -> bytes:
    """Return decoded base64, with or without padding, which some upstreams leave out; empty if it is broken.

    A broken token is still a token: the upstream goes on with the scheme, but Px cannot.
    """
    bare = text.rstrip(b"=")
    try:
        return b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except ValueError:
        return b""


def _read_param(current: Challenge | None, name: re.Match[bytes], value: bytes) -> int:
    """Add a parameter to the challenge before it; return the position after the parameter."""
    start = name.end()
    if quoted := _QUOTED.match(value, start):
        raw, end = _ESCAPE.sub(rb"\1", quoted[1]), quoted.end()
    elif bare := _BARE.match(value, start):
        raw, end = bare[0], bare.end()
    else:
        return max(_skip(_MALFORMED, value, start), start)
    if current is not None and current.token is None:
        current.params.setdefault(name[1].decode("ascii").lower(), raw.decode("utf-8", "surrogateescape"))
    return end
