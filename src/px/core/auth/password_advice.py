"""Advice about a password, depending on which secret Px has and where it was set."""

from __future__ import annotations

from px.core.auth.token_source import TokenSource

#: The places where a secret can be set, in the words of `TokenSource.secret_place`.
IN_KEYRING = "the keyring"
IN_ENVIRONMENT = "PX_PASSWORD"
AS_TYPED = "the keyboard"
AS_HASH = "PX_NTHASH or nthash in px.ini"
WITH_UPSTREAM = "px.ini or PX_PROXY"

_CORRECTIONS = {
    IN_KEYRING: "Store the right password with px --password.",
    AS_TYPED: "Try again with the right password.",
    IN_ENVIRONMENT: "Correct PX_PASSWORD, then run px --restart.",
    AS_HASH: "Correct PX_NTHASH, or nthash in px.ini (px --hash prints it), then run px --restart.",
    WITH_UPSTREAM: "Correct the password in px.ini or PX_PROXY, then run px --restart.",
}
#: A shell removes a backslash outside quotes: CORP\alice becomes CORPalice.
_BARE_NAME = "No \\ or @ in the user name; did the shell eat it? Use quotes."
_NO_PASSWORD = "Get a new ticket, or log in to this computer again."  # noqa: S105 - advice, not a password


def advise_correction(place: str) -> str:
    """Return what to do where a secret may be wrong.

    Args:
        place: Where the secret was set; empty: Px has no secret, and logs in as the system does.
    """
    return _CORRECTIONS.get(place, _NO_PASSWORD)


def advise_check(source: TokenSource) -> str:
    """Return what to check after an identity was refused."""
    if not source.secret_place:
        return "Check that the ticket is a new one, and that the account is not locked or expired."
    advice = (
        f"Check the user name and the password (it comes from {source.secret_place}),"
        " and that the account is not locked or expired."
    )
    name = source.identity.name
    is_bare = source.identity.is_named and not ("\\" in name or "@" in name)
    return f"{advice} {_BARE_NAME}" if is_bare else advice


def advise_missing(source: TokenSource) -> str:
    """Return what to do when Px lacks what a login needs."""
    name, place = source.identity.name, source.secret_place
    if not source.identity.is_named:
        if place:
            return f"Give --username: a secret is set ({place}), but no user name."
        return "Give --username, and its password by px --password or in PX_PASSWORD."
    if place == AS_HASH:
        return "Set the password in PX_PASSWORD: Px has only an NT hash, which works only for NTLM."
    if place:
        return "Ask the administrator of the upstream for another login scheme, or see --auth."
    return f"Store the password of {name} with px --password, or set PX_PASSWORD."


def describe_secret(source: TokenSource) -> str:
    """Return why Px cannot use the offered schemes, as a clause."""
    if source.secret_place == AS_HASH:
        return "but only the NT hash of the password is set"
    if source.secret_place and source.identity.is_named:
        return "but Px cannot use the password for these schemes"
    return "but Px has no password or ticket for these schemes"
