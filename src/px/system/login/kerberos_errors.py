"""The meaning of Kerberos' error numbers for a person: a plain sentence, and what to do.

The numbers are those of com_err, the same in MIT krb5 and Heimdal. Each is a base plus a code: up to 127 an
error code of RFC 4120 7.5.9, from 128 on a number of the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from px.core.auth.password_advice import advise_correction
from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError

if TYPE_CHECKING:
    from px.system.login.gssapi import GssapiError

_BASE = -1765328384

_CLIENT_UNKNOWN, _SERVICE_UNKNOWN, _NO_COMMON_ETYPE = 6, 7, 14
_CLIENT_REVOKED, _PASSWORD_EXPIRED, _PREAUTH_FAILED = 18, 23, 24
_BAD_INTEGRITY, _TICKET_EXPIRED, _CLOCK_SKEW, _WRONG_REALM = 31, 32, 37, 68
_REALM_UNKNOWN, _REALM_UNRESOLVED, _KDC_UNREACHABLE = 154, 155, 156
_NO_DEFAULT_REALM, _PREAUTH_GAVE_UP = 224, 210

_CHECK_KDC = "Check the network or VPN, and the KDC's address in krb5.conf or DNS."


class _Meaning(NamedTuple):
    """A class of `LoginError`, the cause and the hint; ``{user}`` and the like are filled in."""

    error: type[LoginError]
    cause: str
    hint: str


_WRONG_PASSWORD = _Meaning(
    LoginRefusedError,
    "The Kerberos KDC refused the password of {user}",
    "{correction}",
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
        "Name the upstream by its full host name, or ask its administrator to register that SPN.",
    ),
    _NO_COMMON_ETYPE: _Meaning(
        LoginUnusableError,
        "The Kerberos KDC shares no encryption type with this computer for {user}",
        "Ask the administrator to enable AES for the account, or allow RC4 in krb5.conf.",
    ),
    _CLIENT_REVOKED: _Meaning(
        LoginRefusedError,
        "The Kerberos KDC says that the account {user} is locked or disabled",
        "Ask the administrator to unlock the account, then run: px --reload",
    ),
    _PASSWORD_EXPIRED: _Meaning(
        LoginRefusedError,
        "The Kerberos KDC says that the password of {user} has expired",
        "Change the password of the account. {correction}",
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
#: Texts of codes 24 and 31: a library with more mechanisms (gssproxy, gss-ntlmssp) may renumber them.
_REFUSALS = ("Preauthentication failed", "Decrypt integrity check failed", "Password incorrect")
#: With these codes the KDC has not looked at a password, or was not asked.
_NOT_THIS_NAME = frozenset(
    {_CLIENT_UNKNOWN, _WRONG_REALM, _REALM_UNKNOWN, _REALM_UNRESOLVED, _NO_DEFAULT_REALM}
)


def explain_failure(error: GssapiError, user: str, host: str, place: str = "") -> LoginError:
    """Return the error for a failed call.

    Args:
        error: From the library.
        user: The user of the credential, for the text.
        host: The host of the wanted service, or empty.
        place: Where the password was set, or empty.
    """
    meaning = _MEANINGS.get(error.code - _BASE)
    if meaning is None and str(error).startswith(_REFUSALS):
        meaning = _WRONG_PASSWORD
    if meaning is None:
        return LoginUnusableError(f"Kerberos failed for {user or 'the logged-in user'}: {error}")
    fill = {
        "user": user or "the logged-in user",
        "host": host,
        "text": str(error),
        "correction": advise_correction(place),
    }
    return meaning.error(meaning.cause.format(**fill), meaning.hint.format(**fill))


def may_try_next_name(error: GssapiError) -> bool:
    """Whether another spelling of the user's name may be tried: the KDC has not looked at the password."""
    return error.code - _BASE in _NOT_THIS_NAME or error.is_bad_name


def explain_no_ticket(username: str, *, has_password: bool, has_expired: bool = False) -> LoginUnusableError:
    """Return the error for a user who has no ticket, or an expired one, and for whom Px can ask no KDC."""
    if has_expired and not has_password:
        meaning = _MEANINGS[_TICKET_EXPIRED]
        user = _principal_hint(username)
        return LoginUnusableError(
            meaning.cause.format(user=username or "the logged-in user"),
            meaning.hint.format(user=user).rstrip(),
        )
    if not username:
        cause = "There is no valid Kerberos ticket"
        return LoginUnusableError(cause, "Run kinit, or set --username and its password.")
    if not has_password:
        cause = f"There is no valid Kerberos ticket of {username}, and no password"
        return LoginUnusableError(cause, f"Run kinit {_principal_hint(username)}, or set PX_PASSWORD.")
    cause = f"There is no valid Kerberos ticket of {username}, and its realm is not known"
    return LoginUnusableError(cause, f"Set the user name to {_principal_hint(username)}, or run kinit.")


def _principal_hint(username: str) -> str:
    """Return the principal that the user name suggests."""
    domain, separator, user = username.rpartition("\\")
    if separator:
        return f"{user}@{domain.upper() if '.' in domain else 'REALM'}"
    user, separator, realm = username.rpartition("@")
    return f"{user}@{realm.upper()}" if separator else username
