"""Which login schemes the user allows: the options `auth` and `client_auth`.

A policy is a set of five ways to log in. Kerberos travels only inside Negotiate (RFC 4559), NTLM inside
Negotiate or under its own name::

    name          Negotiate/Kerberos  Negotiate/NTLM  NTLM  Digest  Basic
    ANY                   x                 x          x      x       x
    ANYSAFE               x                 x          x      x
    NEGOTIATE             x                 x
    KERBEROS              x
    NTLM                                               x
    DIGEST                                                    x
    BASIC                                                             x
    NONE          (no login by Px: the client logs in end to end)

For `client_auth` NONE means that clients need no login, and a policy may be a list: ``NTLM,BASIC``.

``ONLYx`` is x alone, ``NOx`` is ANY and ``SAFENOx`` ANYSAFE without x. Without NTLM means without NTLM of
either kind: who forbids NTLM does not want it to come back inside Negotiate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

Scheme = Literal["negotiate", "kerberos", "ntlm", "digest", "basic"]

_KERBEROS, _NEGOTIATE_NTLM, _NTLM, _DIGEST, _BASIC = "kerberos", "negotiate-ntlm", "ntlm", "digest", "basic"
_ANY: Final = frozenset({_KERBEROS, _NEGOTIATE_NTLM, _NTLM, _DIGEST, _BASIC})
_ANYSAFE: Final = _ANY - {_BASIC}

#: Name -> the ways it allows.
_MEANT: Final = {
    "NEGOTIATE": frozenset({_KERBEROS, _NEGOTIATE_NTLM}),
    "KERBEROS": frozenset({_KERBEROS}),
    "NTLM": frozenset({_NTLM}),
    "DIGEST": frozenset({_DIGEST}),
    "BASIC": frozenset({_BASIC}),
}
#: Name -> the ways that "without it" takes away.
_TAKEN: Final = _MEANT | {"NTLM": frozenset({_NTLM, _NEGOTIATE_NTLM})}

#: Every policy there is.
_WAYS: Final[dict[str, frozenset[str]]] = {
    "ANY": _ANY,
    "ANYSAFE": _ANYSAFE,
    **_MEANT,
    "NONE": frozenset(),
    **{f"ONLY{name}": ways for name, ways in _MEANT.items()},
    **{f"NO{name}": _ANY - ways for name, ways in _TAKEN.items()},
    **{f"SAFENO{name}": _ANYSAFE - ways for name, ways in _TAKEN.items()},
}
POLICY_NAMES: Final = tuple(_WAYS)


@cache
def _ways_of(name: str) -> frozenset[str]:
    return frozenset().union(*(_WAYS[part] for part in name.split(",")))


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """The login schemes that may be used; made by `parse` or `parse_list`.

    Attributes:
        name: The name the user gave, upper case; of a list the names with commas between them.
        is_for_strangers: Whether Basic was taken from what the user allows: see `for_strangers`.
    """

    name: str = "ANY"
    is_for_strangers: bool = False

    @classmethod
    def parse(cls, text: str) -> AuthPolicy:
        """Return the policy of that name, in any case.

        Raises:
            ValueError: There is none.
        """
        name = text.strip().upper()
        if name not in _WAYS:
            raise ValueError(f"unknown login policy {text!r}")
        return cls(name)

    @classmethod
    def parse_list(cls, text: str) -> AuthPolicy:
        """Return the policy of that name, or the one that allows all of several schemes.

        Raises:
            ValueError: There is none of that name, or a list holds what is not the name of a scheme.
        """
        names = [name.strip() for name in text.upper().split(",")]
        if len(names) == 1:
            return cls.parse(text)
        for name in names:
            if name not in _MEANT:
                raise ValueError(f"unknown login scheme {name!r} in a list")
        return cls(",".join(dict.fromkeys(names)))

    def allows(self, scheme: Scheme) -> bool:
        """Whether Px may log in so.

        Args:
            scheme: ``negotiate``: answer a Negotiate challenge at all; ``kerberos``: Kerberos inside it;
                ``ntlm``, ``digest``, ``basic``: the scheme of that name. For NTLM inside Negotiate see
                `allows_ntlm_in_negotiate`.
        """
        ways = _ways_of(self.name)
        if scheme == "negotiate":
            return not ways.isdisjoint(_MEANT["NEGOTIATE"])
        return scheme in ways

    @property
    def allows_ntlm_in_negotiate(self) -> bool:
        """Whether SPNEGO may carry NTLM where Kerberos is not usable."""
        return _NEGOTIATE_NTLM in _ways_of(self.name)

    @property
    def is_none(self) -> bool:
        """Whether the client logs in end to end and Px keeps out of it."""
        return not _ways_of(self.name)

    @property
    def basic_in_clear(self) -> bool:
        """Whether the user asked for Basic by name, so that it may go unencrypted to any upstream."""
        return _ways_of(self.name) == _MEANT["BASIC"]

    @property
    def for_strangers(self) -> AuthPolicy:
        """The policy for an upstream in clear that no person named: it is not shown a password."""
        if _BASIC not in _ways_of(self.name) or self.basic_in_clear:
            return self
        name = "ANYSAFE" if self.name == "ANY" else f"SAFE{self.name}"
        return AuthPolicy(name, is_for_strangers=True)

    def __str__(self) -> str:
        return self.name
