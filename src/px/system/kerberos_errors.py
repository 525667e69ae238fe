"""What Kerberos' error numbers mean for a person: a plain sentence, and the mend.

The numbers are com_err's, the same in MIT krb5 and Heimdal: a base, plus the error code of RFC 4120 7.5.9
up to 127, plus a number of the library's from 128 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError

if TYPE_CHECKING:
    from px.system.gssapi import GssapiError

_BASE = -1765328384

_CLIENT_UNKNOWN, _SERVICE_UNKNOWN, _NO_COMMON_ETYPE = 6, 7, 14
_CLIENT_REVOKED, _PASSWORD_EXPIRED, _PREAUTH_FAILED = 18, 23, 24
_BAD_INTEGRITY, _TICKET_EXPIRED, _CLOCK_SKEW, _WRONG_REALM = 31, 32, 37, 68
_REALM_UNKNOWN, _REALM_UNRESOLVED, _KDC_UNREACHABLE = 154, 155, 156
_NO_DEFAULT_REALM, _PREAUTH_GAVE_UP = 224, 210

_CHECK_KDC = "Check the network or VPN, and the KDC's address in krb5.conf or DNS."


class _Meaning(NamedTuple):
    """A class of `LoginError`, cause and mend; ``{user}``, ``{host}`` and ``{text}`` are filled in."""

    error: type[LoginError]
    cause: str
    mend: str


_WRONG_PASSWORD = _Meaning(
    LoginRefusedError,
    "The Kerberos KDC refused the password of {user}",
    "Store the right password with: px --password",
)
_MEANINGS = {
    _CLIENT_UNKNOWN: _Meaning(
        LoginUnusableError,
        "The Kerberos KDC does not know the user {user}",
        "Check the user name; it is written user@REALM.",
    ),
    _SERVICE_UNKNOWN: _Meaning(
        LoginUnusableError,
        "The Kerberos KDC knows no service HTTP/{host}",
        "Name the upstream by its full host name; or its administrator has to register that SPN.",
    ),
    _NO_COMMON_ETYPE: _Meaning(
        LoginUnusableError,
        "The Kerberos KDC shares no encryption type with this computer for {user}",
        "Ask the administrator to enable AES for the account, or allow RC4 in krb5.conf.",
    ),
    _CLIENT_REVOKED: _Meaning(
        LoginRefusedError,
        "The account {user} is locked or disabled (says the Kerberos KDC)",
        "Have the account unlocked, then run: px --reload",
    ),
    _PASSWORD_EXPIRED: _Meaning(
        LoginRefusedError,
        "The password of {user} has expired (says the Kerberos KDC)",
        "Change the password, then store it with: px --password",
    ),
    _PREAUTH_FAILED: _WRONG_PASSWORD,
    _BAD_INTEGRITY: _WRONG_PASSWORD,
    _PREAUTH_GAVE_UP: _WRONG_PASSWORD,
    _TICKET_EXPIRED: _Meaning(
        LoginUnusableError, "The Kerberos ticket of {user} has expired", "Run: kinit {user}"
    ),
    _CLOCK_SKEW: _Meaning(
        LoginUnusableError,
        "This computer's clock and the Kerberos KDC's differ by more than five minutes",
        "Set this computer's clock (NTP).",
    ),
    _REALM_UNKNOWN: _Meaning(
        LoginUnusableError,
        "No Kerberos KDC is known for the realm of {user} ({text})",
        "Name the realm's KDC in krb5.conf, or use a DNS server of that network.",
    ),
    _REALM_UNRESOLVED: _Meaning(
        LoginUnusableError, "The Kerberos KDC's name for {user} cannot be resolved ({text})", _CHECK_KDC
    ),
    _KDC_UNREACHABLE: _Meaning(LoginUnusableError, "The Kerberos KDC cannot be reached ({text})", _CHECK_KDC),
    _NO_DEFAULT_REALM: _Meaning(
        LoginUnusableError,
        "Kerberos has no default realm here, and {user} names none",
        "Write the user name as user@REALM, or set default_realm in krb5.conf.",
    ),
}
#: Texts of 24 and 31: a library with more mechanisms (gssproxy, gss-ntlmssp) may renumber a minor status.
_REFUSALS = ("Preauthentication failed", "Decrypt integrity check failed", "Password incorrect")
#: The KDC has not judged a password when it answers so, or has not been asked.
_NOT_THIS_NAME = frozenset(
    {_CLIENT_UNKNOWN, _WRONG_REALM, _REALM_UNKNOWN, _REALM_UNRESOLVED, _NO_DEFAULT_REALM}
)


def explain_failure(error: GssapiError, user: str, host: str) -> LoginError:
    """Return what a failed call means.

    Args:
        error: As the library reported it.
        user: Whom the credential is of, for the text.
        host: Whose service a ticket was wanted for, or empty.
    """
    meaning = _MEANINGS.get(error.code - _BASE)
    if meaning is None and str(error).startswith(_REFUSALS):
        meaning = _WRONG_PASSWORD
    if meaning is None:
        return LoginUnusableError(f"Kerberos failed for {user or 'the logged-in user'}: {error}")
    fill = {"user": user or "the logged-in user", "host": host, "text": str(error)}
    return meaning.error(meaning.cause.format(**fill), meaning.mend.format(**fill))


def may_try_next_name(error: GssapiError) -> bool:
    """Tell whether another spelling of the user's name may be tried without a second guess at a password."""
    return error.code - _BASE in _NOT_THIS_NAME or error.is_bad_name


def explain_no_ticket(username: str, *, has_password: bool) -> LoginUnusableError:
    """Return the error for a user without a ticket whom no KDC can be asked for either."""
    if not username:
        cause = "There is no valid Kerberos ticket"
        return LoginUnusableError(cause, "Run kinit, or set --username and store a password: px --password")
    if not has_password:
        cause = f"There is no valid Kerberos ticket of {username}, and no password"
        return LoginUnusableError(cause, f"Run kinit {_principal_hint(username)}, or set PX_PASSWORD.")
    cause = f"There is no valid Kerberos ticket of {username}, and its realm is not known"
    return LoginUnusableError(cause, f"Set the user name to {_principal_hint(username)}, or run kinit.")


def _principal_hint(username: str) -> str:
    """Return how the user's principal is written, as far as the name tells."""
    domain, separator, user = username.rpartition("\\")
    if separator:
        return f"{user}@{domain.upper() if '.' in domain else 'REALM'}"
    user, separator, realm = username.rpartition("@")
    return f"{user}@{realm.upper()}" if separator else username
