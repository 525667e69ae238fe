"""The passwords that the user has stored: how they get into the keyring, and from there into settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from px.config import Settings
from px.core.principal import candidates_of
from px.core.route import UpstreamAddress
from px.core.secret import Secret
from px.core.secret_store import CLIENT_SERVICE, UPSTREAM_SERVICE, SecretStore, SecretStoreError
from px.core.startup_errors import ConfigError

_LOGGER = logging.getLogger("px.secrets")

#: How long Px waits at its start for a keyring: clients wait for Px meanwhile.
LOAD_SECONDS: Final = 10.0
#: How long ``px --password`` waits for one that its user may have to unlock.
STORE_SECONDS: Final = 60.0

#: Service -> where a password may come from besides.
_OTHERWISE: Final = {
    UPSTREAM_SERVICE: (
        "set PX_PASSWORD, or for NTLM alone PX_NTHASH (or nthash in px.ini) to what px --hash prints"
    ),
    CLIENT_SERVICE: "set PX_CLIENT_PASSWORD",
}

#: By service and user name.
_Found = dict[tuple[str, str], Secret | None]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose password an action stores.

    Attributes:
        action: Flag of the action.
        service: Under which it is stored, see `px.core.secret_store`.
        username: As the user wrote it; may be empty.
        user_option: Name of the option that gives it.
        overriding: Names of settings that are given and that Px takes before a stored password.
    """

    action: str
    service: str
    username: str
    user_option: str
    overriding: tuple[str, ...]


def upstream_account(settings: Settings) -> Account:
    """Return the account that logs in at the upstreams."""
    overriding = [name for name, secret in _given_secrets(settings) if secret]
    return Account("--password", UPSTREAM_SERVICE, settings.username, "username", tuple(overriding))


def client_account(settings: Settings) -> Account:
    """Return the account that clients log in as at Px."""
    overriding = ("PX_CLIENT_PASSWORD",) if settings.client_password else ()
    return Account(
        "--client-password", CLIENT_SERVICE, settings.client_username, "client_username", overriding
    )


def _given_secrets(settings: Settings) -> list[tuple[str, Secret | None]]:
    return [("PX_PASSWORD", settings.password), ("PX_NTHASH or nthash", settings.nthash)]


def _say_failure(error: SecretStoreError, service: str) -> str:
    """Return what failed and what to do; a password may come from elsewhere, too."""
    return f"{error.cause}; {', or '.join(filter(None, [error.mend, _OTHERWISE[service]]))}"


def change_password(
    account: Account,
    store: SecretStore,
    read_secret: Callable[[str], Secret],
    tell: Callable[[str], object],
) -> None:
    """Ask for a password and store it, or remove the stored one when the answer is empty.

    Args:
        account: Whose.
        store: Where.
        read_secret: Called with a prompt.
        tell: Called with each line for the user.

    Raises:
        ConfigError: No user is named, the store does not work, or nothing fit to be stored was typed.
    """
    username, option = account.username, account.user_option
    if not username:
        raise ConfigError(
            f"{account.action}: whose? Give --{option}=USER, or {option} in px.ini or PX_{option.upper()}"
        )
    try:
        place = store.name  # before the question: an answer is not to be lost
        password = read_secret(f"Password of {username} (empty: remove the stored one): ")
        change = _store_password if password else _remove_password
        tell(change(account, store, place, password))
    except SecretStoreError as error:
        raise ConfigError(f"{account.action}: {_say_failure(error, account.service)}") from None
    for name in account.overriding if password else ():
        tell(f"But {name} is set, too, and comes first.")


def _store_password(account: Account, store: SecretStore, place: str, password: Secret) -> str:
    store.store_password(account.service, account.username, password)
    if store.load_password(account.service, account.username) != password:
        raise SecretStoreError(f"{place} has not kept it", "choose another keyring")
    return (
        f'The password of {account.username} is stored in {place}, as service "{account.service}".'
        f" To remove it, run px {account.action} again and give an empty one."
    )


def _remove_password(account: Account, store: SecretStore, place: str, _: Secret) -> str:
    if store.remove_password(account.service, account.username):
        return f"The password of {account.username} is removed from {place}."
    return f"No password of {account.username} was stored in {place}."


class StoredPasswords:
    """What the user has stored, for the settings of a Px at its start and at each reload.

    A reload may come while the store is locked: what was found before is used then.

    Args:
        store: Of passwords.
        warn: Called with the one line that says why the store could not be asked.
    """

    def __init__(self, store: SecretStore, warn: Callable[[str], object]) -> None:
        self._store = store
        self._warn = warn
        self._found: _Found = {}

    def add_to(self, settings: Settings) -> Settings:
        """Return settings with the passwords of those users, clients too, for whom no secret is given.

        Blocks as long as the store does, which is asked once for each user, and no more once it has failed.

        Raises:
            ConfigError: ``kerberos`` is set, and there is no password or no realm for it.
        """
        clients = (CLIENT_SERVICE, settings.client_username)
        wanted = [(UPSTREAM_SERVICE, user) for user in _users_without_secret(settings)]
        found = self._load([*wanted, *([clients] if _wants_client_password(settings) else [])])
        proxy = tuple(_with_password(upstream, found) for upstream in settings.proxy)
        password = settings.password
        if not _has_secret(settings):
            password = found.get((UPSTREAM_SERVICE, settings.username))
        if settings.kerberos:
            _check_ticket_can_be_got(settings.username, password)
        client_password = settings.client_password or found.get(clients)
        return replace(settings, password=password, proxy=proxy, client_password=client_password)

    def _load(self, wanted: list[tuple[str, str]]) -> _Found:
        known, self._found = self._found, {}
        for number, (service, user) in enumerate(wanted):
            try:
                password = self._store.load_password(service, user)
            except SecretStoreError as error:
                self._warn_of(user, service, error)
                self._found |= {each: known.get(each) for each in wanted[number:]}
                break
            self._found[service, user] = password
            _LOGGER.info(
                "%s password of %s is stored, as service %s", "a" if password else "no", user, service
            )
        return self._found

    def _warn_of(self, user: str, service: str, error: SecretStoreError) -> None:
        _LOGGER.info("no stored password of %s: %s", user, error.cause)
        self._warn(f"warning: no stored password of {user}: {_say_failure(error, service)}.")

    def __repr__(self) -> str:
        return f"<StoredPasswords of {', '.join(user for _, user in self._found) or 'nobody yet'}>"


def _check_ticket_can_be_got(username: str, password: Secret | None) -> None:
    if not username:
        raise ConfigError("--kerberos: a ticket of whom? Give --username=USER@REALM")
    if not candidates_of(username):
        raise ConfigError(f"--kerberos: --username={username} names no realm; write it as USER@REALM")
    if not password:
        raise ConfigError(
            f"--kerberos: no password of {username}; store it by px --password, or set PX_PASSWORD"
        )


def _has_secret(settings: Settings) -> bool:
    return any(secret for _, secret in _given_secrets(settings))


def _users_without_secret(settings: Settings) -> list[str]:
    if settings.auth.is_none:
        return []
    users = [settings.username] if settings.username and not _has_secret(settings) else []
    users += [each.username for each in settings.proxy if _wants_password(each)]
    return list(dict.fromkeys(users))


def _wants_password(upstream: UpstreamAddress) -> bool:
    return bool(upstream.username) and upstream.password is None and upstream.scheme != "socks4"


def _wants_client_password(settings: Settings) -> bool:
    is_asked_for = bool(settings.client_username) and not settings.client_auth.is_none
    return is_asked_for and not settings.client_password


def _with_password(upstream: UpstreamAddress, found: _Found) -> UpstreamAddress:
    password = found.get((UPSTREAM_SERVICE, upstream.username))
    if password is None or not _wants_password(upstream):
        return upstream
    return replace(upstream, password=password)
