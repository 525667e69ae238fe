"""The Kerberos principals that a user name may mean."""

from __future__ import annotations

from typing import NamedTuple


class PrincipalName(NamedTuple):
    """A name to ask a KDC for; a KDC of the default realm resolves an enterprise name (RFC 6806 5)."""

    text: str
    is_enterprise: bool


def candidates_of(username: str) -> list[PrincipalName]:
    r"""Return the principals that a user name may mean, the likeliest first.

    All are spellings of what the user wrote. Px tries the next one only if a KDC does not know the one
    before, and a KDC says so before it looks at the password. ``DOMAIN\user`` means a principal only if the
    domain is a DNS name: the realm of a NetBIOS name would be a guess.
    """
    domain, separator, user = username.rpartition("\\")
    if separator:
        return [PrincipalName(f"{user}@{domain.upper()}", is_enterprise=False)] if "." in domain else []
    user, separator, suffix = username.rpartition("@")
    if not separator:
        return [PrincipalName(username, is_enterprise=False)] if username else []
    principal = PrincipalName(f"{user}@{suffix.upper()}", is_enterprise=False)
    enterprise = PrincipalName(username, is_enterprise=True)
    # A suffix in capitals is a realm. Any other is more likely that of a UPN, which need not name a realm.
    return [principal, enterprise] if suffix == suffix.upper() else [enterprise, principal]


def is_ticket_of(username: str, principal: str) -> bool:
    """Whether a ticket of `principal` belongs to the user; case is ignored, as no secret is at risk."""
    wanted, (user, _, realm) = username.casefold(), principal.casefold().rpartition("@")
    if "\\" in wanted:
        domain, _, name = wanted.rpartition("\\")
        return name == user and ("." not in domain or domain == realm)
    return wanted in ("", user, f"{user}@{realm}")
