"""The errors for logins that Px does not send, so that no account is locked."""

from __future__ import annotations

from px.core.auth.password_advice import advise_correction
from px.core.auth.token_source import TokenSource
from px.core.errors import LoginBlockedError
from px.core.login.token_budget import AccountRecord

#: The Retry-After of these errors. Not the length of the block: curl and pip would sleep for that long
#: without a word, even after the user has corrected the password. Asking again costs no token.
RETRY_AFTER_SECONDS = 5


def make_blocked_error(
    record: AccountRecord, source: TokenSource, seconds: float, *, may_retry: bool
) -> LoginBlockedError:
    """Return the error for a login that must wait until a block is over.

    Args:
        record: The record of the account.
        source: Makes the token that is not sent.
        seconds: How long the block lasts.
        may_retry: Whether ``px --reload`` lets one token go at once.
    """
    name, wait = source.identity.name, _format_minutes(seconds)
    if source.secret_mark in record.stale:
        return LoginBlockedError(
            f"{record.upstream} refused this password of {name}, and has accepted another one since then.",
            advise_correction(source.secret_place),
            retry_after=RETRY_AFTER_SECONDS,
        )
    if record.is_used_up_by_refusals:
        what = f"refused {name} {record.refusals} times in a row"
        by_hand = (
            "px --reload tries once more; Px does by itself" if may_retry else "Px tries again by itself"
        )
        hint = f"{advise_correction(source.secret_place)} If it was right: {by_hand} in {wait}."
    else:
        refused = f"refused {name} once and " if record.refusals else ""
        what = f"{refused}neither accepted nor refused {_format_logins(record.lost)} of {name}"
        by_hand = ", and at once after px --reload" if may_retry else ""
        hint = f"Check that the upstream works. Px tries once more in {wait}{by_hand}."
    return LoginBlockedError(
        f"{record.upstream} {what}. Px sends no more logins for now, so that the account is not locked.",
        hint,
        retry_after=RETRY_AFTER_SECONDS,
    )


def make_unrecorded_error(source: TokenSource) -> LoginBlockedError:
    """Return the error for a login where Px cannot keep the record of refused logins."""
    return LoginBlockedError(
        "Px cannot write its record of refused logins, so it risks only one login after each start."
        f" The upstream did not accept that login, so Px does not log in as {source.identity.name} now.",
        "Make room on the disk of Px's state directory, or make it writable, and run px --restart.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def make_limit_error(source: TokenSource) -> LoginBlockedError:
    """Return the error for a login in a test that has had one login without success."""
    return LoginBlockedError(
        f"A test makes only one login that fails, so Px sends no further login of {source.identity.name}.",
        "Correct what made the first login fail, and test again.",
    )


def _format_logins(count: int) -> str:
    return "a login" if count == 1 else f"{count} logins"


def _format_minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
