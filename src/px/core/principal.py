"""What a user name means to Kerberos."""

from __future__ import annotations

from typing import NamedTuple


class PrincipalName(NamedTuple):
    """A name to ask a KDC for; an enterprise name is resolved by the default realm (RFC 6806 5)."""

    text: str
    is_enterprise: bool


def candidates_of(username: str) -> list[PrincipalName]:
    r"""Return the principals that a user name may mean, the likeliest first.

    All are spellings of what the user wrote; the next is tried only if a KDC does not know the one before,
    which it says before it judges a password. ``DOMAIN\user`` means a principal only if the domain is
    written by its DNS name; what realm a NetBIOS name belongs to would be a guess.
    """
    domain, separator, user = username.rpartition("\\")
    if separator:
        return [PrincipalName(f"{user}@{domain.upper()}", is_enterprise=False)] if "." in domain else []
    user, separator, suffix = username.rpartition("@")
    if not separator:
        return [PrincipalName(username, is_enterprise=False)] if username else []
    principal = PrincipalName(f"{user}@{suffix.upper()}", is_enterprise=False)
    enterprise = PrincipalName(username, is_enterprise=True)
    # In capitals it is a Kerberos principal, else rather a UPN, whose suffix need not name a realm.
    return [principal, enterprise] if suffix == suffix.upper() else [enterprise, principal]


def is_ticket_of(username: str, principal: str) -> bool:
    """Tell whether a ticket of `principal` is one of the user; no secret is at stake, so case is ignored."""
    wanted, (user, _, realm) = username.casefold(), principal.casefold().rpartition("@")
    if "\\" in wanted:
        domain, _, name = wanted.rpartition("\\")
        return name == user and ("." not in domain or domain == realm)
    return wanted in ("", user, f"{user}@{realm}")
