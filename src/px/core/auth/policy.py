"""Which login schemes the user allows: the options `auth` and `client_auth`.

A policy is a set of login methods, out of five. Kerberos travels only inside Negotiate (RFC 4559), NTLM
inside Negotiate or under its own name::

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

``ONLYx`` is x alone, ``NOx`` is ANY without x, ``SAFENOx`` is ANYSAFE without x. ``NONTLM`` also takes away
NTLM inside Negotiate: a user who forbids NTLM does not want it in another wrapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

Scheme = Literal["negotiate", "kerberos", "ntlm", "digest", "basic"]

_KERBEROS, _NEGOTIATE_NTLM, _NTLM, _DIGEST, _BASIC = "kerberos", "negotiate-ntlm", "ntlm", "digest", "basic"
_ANY: Final = frozenset({_KERBEROS, _NEGOTIATE_NTLM, _NTLM, _DIGEST, _BASIC})
_ANYSAFE: Final = _ANY - {_BASIC}

#: Name -> the methods that it allows.
_MEANT: Final = {
    "NEGOTIATE": frozenset({_KERBEROS, _NEGOTIATE_NTLM}),
    "KERBEROS": frozenset({_KERBEROS}),
    "NTLM": frozenset({_NTLM}),
    "DIGEST": frozenset({_DIGEST}),
    "BASIC": frozenset({_BASIC}),
}
#: Name -> the methods that ``NOx`` takes away.
_TAKEN: Final = _MEANT | {"NTLM": frozenset({_NTLM, _NEGOTIATE_NTLM})}

#: Name of each policy -> the methods that it allows.
_METHODS: Final[dict[str, frozenset[str]]] = {
    "ANY": _ANY,
    "ANYSAFE": _ANYSAFE,
    **_MEANT,
    "NONE": frozenset(),
    **{f"ONLY{name}": methods for name, methods in _MEANT.items()},
    **{f"NO{name}": _ANY - methods for name, methods in _TAKEN.items()},
    **{f"SAFENO{name}": _ANYSAFE - methods for name, methods in _TAKEN.items()},
}
POLICY_NAMES: Final = tuple(_METHODS)


@cache
def _methods_of(name: str) -> frozenset[str]:
    return frozenset().union(*(_METHODS[part] for part in name.split(",")))


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """The login schemes that may be used; made by `parse` or `parse_list`.

    Attributes:
        name: The name that the user gave, in upper case; for a list, the names with commas between them.
        is_for_untrusted: Whether Px took Basic out of what the user allows: see `for_untrusted`.
    """

    name: str = "ANY"
    is_for_untrusted: bool = False

    @classmethod
    def parse(cls, text: str) -> AuthPolicy:
        """Return the policy of that name, in any case.

        Raises:
            ValueError: There is no such policy.
        """
        name = text.strip().upper()
        if name not in _METHODS:
            raise ValueError(f"unknown login policy {text!r}")
        return cls(name)

    @classmethod
    def parse_list(cls, text: str) -> AuthPolicy:
        """Return the policy of that name, or the one that allows all of several schemes.

        Raises:
            ValueError: There is no such policy, or a list has an entry that is not the name of a scheme.
        """
        names = [name.strip() for name in text.upper().split(",")]
        if len(names) == 1:
            return cls.parse(text)
        for name in names:
            if name not in _MEANT:
                raise ValueError(f"unknown login scheme {name!r} in a list")
        return cls(",".join(dict.fromkeys(names)))

    def allows(self, scheme: Scheme) -> bool:
        """Whether the user allows a scheme.

        Args:
            scheme: ``negotiate``: answer a Negotiate challenge at all; ``kerberos``: Kerberos inside it;
                ``ntlm``, ``digest``, ``basic``: the scheme of that name. For NTLM inside Negotiate see
                `allows_ntlm_in_negotiate`.
        """
        methods = _methods_of(self.name)
        if scheme == "negotiate":
            return not methods.isdisjoint(_MEANT["NEGOTIATE"])
        return scheme in methods

    @property
    def allows_ntlm_in_negotiate(self) -> bool:
        """Whether SPNEGO may carry NTLM where Kerberos is not usable."""
        return _NEGOTIATE_NTLM in _methods_of(self.name)

    @property
    def is_none(self) -> bool:
        """Whether the client logs in end to end, without Px."""
        return not _methods_of(self.name)

    @property
    def basic_in_clear(self) -> bool:
        """Whether the user asked for Basic by name, so that it may go unencrypted to any upstream."""
        return _methods_of(self.name) == _MEANT["BASIC"]

    @property
    def for_untrusted(self) -> AuthPolicy:
        """The policy for an untrusted upstream, which must not see the password in clear."""
        if _BASIC not in _methods_of(self.name) or self.basic_in_clear:
            return self
        name = "ANYSAFE" if self.name == "ANY" else f"SAFE{self.name}"
        return AuthPolicy(name, is_for_untrusted=True)

    def __str__(self) -> str:
        return self.name
