"""The passwords in the user's keyring: storing one, removing one, and adding them to settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from px.config.settings import Settings
from px.core.auth.principal import candidates_of
from px.core.auth.secret_store import CLIENT_SERVICE, UPSTREAM_SERVICE, SecretStore, SecretStoreError
from px.core.rules.route import UpstreamAddress
from px.core.secret import Secret
from px.core.startup_errors import ConfigError

_LOGGER = logging.getLogger("px.secrets")

#: How long Px waits for a keyring when it starts: clients wait for Px meanwhile.
LOAD_SECONDS: Final = 10.0
#: How long ``px --password`` waits for a keyring: the user may have to unlock the keyring first.
STORE_SECONDS: Final = 60.0

#: Service -> advice on other ways to set its password.
_OTHERWISE: Final = {
    UPSTREAM_SERVICE: (
        "set PX_PASSWORD, or for NTLM alone PX_NTHASH (or nthash in px.ini) to what px --hash prints"
    ),
    CLIENT_SERVICE: "set PX_CLIENT_PASSWORD",
}

#: Passwords by service and user name; None: the store has none.
_Found = dict[tuple[str, str], Secret | None]


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login whose password an action stores.

    Attributes:
        action: The flag of the action.
        service: The service name in the keyring; see `px.core.auth.secret_store`.
        username: The name as the user wrote it; may be empty.
        user_option: The name of the option for the user name.
        overriding: The names of given settings that Px uses instead of a stored password.
    """

    action: str
    service: str
    username: str
    user_option: str
    overriding: tuple[str, ...]


def upstream_account(settings: Settings) -> StoredLogin:
    """Return the login of Px at the upstreams."""
    overriding = [name for name, secret in _given_secrets(settings) if secret]
    return StoredLogin("--password", UPSTREAM_SERVICE, settings.username, "username", tuple(overriding))


def client_account(settings: Settings) -> StoredLogin:
    """Return the login of clients at Px."""
    overriding = ("PX_CLIENT_PASSWORD",) if settings.client_password else ()
    return StoredLogin(
        "--client-password", CLIENT_SERVICE, settings.client_username, "client_username", overriding
    )


def _given_secrets(settings: Settings) -> list[tuple[str, Secret | None]]:
    return [("PX_PASSWORD", settings.password), ("PX_NTHASH or nthash", settings.nthash)]


def _format_failure(error: SecretStoreError, service: str) -> str:
    """Return what failed and what to do, with other ways to set the password."""
    return f"{error.cause}; {', or '.join(filter(None, [error.hint, _OTHERWISE[service]]))}"


def change_password(
    account: StoredLogin,
    store: SecretStore,
    read_secret: Callable[[str], Secret],
    tell: Callable[[str], object],
) -> None:
    """Ask for a password and store it, or remove the stored one when the answer is empty.

    Args:
        account: The login that the password belongs to.
        store: The store to change.
        read_secret: Shows a prompt and returns the answer.
        tell: Called with each line for the user.

    Raises:
        ConfigError: No user is named, the store does not work, or the typed text cannot be stored.
    """
    username, option = account.username, account.user_option
    if not username:
        raise ConfigError(
            f"{account.action}: no user is named; give --{option}=USER, or set {option} in px.ini"
            f" or PX_{option.upper()}"
        )
    try:
        place = store.name  # may fail; ask the user only after that
        password = read_secret(f"Password of {username} (empty: remove the stored one): ")
        change = _store_password if password else _remove_password
        tell(change(account, store, place, password))
    except SecretStoreError as error:
        raise ConfigError(f"{account.action}: {_format_failure(error, account.service)}") from None
    for name in account.overriding if password else ():
        tell(f"But {name} is also set, and Px uses it instead.")


def keep_password(store: SecretStore, service: str, username: str, place: str, password: Secret) -> None:
    """Store a password, and make sure that it is there.

    Args:
        store: The store.
        service: ``UPSTREAM_SERVICE`` or ``CLIENT_SERVICE``.
        username: The user, as `Settings` name it.
        place: The name of the store, for the error.
        password: The password.

    Raises:
        SecretStoreError: The store does not work.
    """
    store.store_password(service, username, password)
    if store.load_password(service, username) != password:
        raise SecretStoreError(f"{place} did not keep the password", "choose another keyring")


def _store_password(account: StoredLogin, store: SecretStore, place: str, password: Secret) -> str:
    keep_password(store, account.service, account.username, place, password)
    return (
        f'The password of {account.username} is stored in {place}, as service "{account.service}".'
        f" To remove it, run px {account.action} again and enter an empty password."
    )


def _remove_password(account: StoredLogin, store: SecretStore, place: str, _: Secret) -> str:
    if store.remove_password(account.service, account.username):
        return f"The password of {account.username} is removed from {place}."
    return f"No password of {account.username} was stored in {place}."


class StoredPasswords:
    """Adds stored passwords to the settings of Px, at its start and at each reload.

    If the store is locked during a reload, the passwords of the previous load stay in use.

    Args:
        store: The store of passwords.
        warn: Called with one line if the store fails.
    """

    def __init__(self, store: SecretStore, warn: Callable[[str], object]) -> None:
        self._store = store
        self._warn = warn
        self._found: _Found = {}

    def add_to(self, settings: Settings) -> Settings:
        """Return the settings with a stored password for each user, or client user, without a given secret.

        Blocks while the store does. Asks the store once for each user, and stops asking after the first
        failure.

        Raises:
            ConfigError: ``kerberos`` is set without a user name, a realm or a password.
        """
        clients = (CLIENT_SERVICE, settings.client_username)
        wanted = [(UPSTREAM_SERVICE, user) for user in _users_without_secret(settings)]
        found = self._load([*wanted, *([clients] if _wants_client_password(settings) else [])])
        proxy = tuple(_with_password(upstream, found) for upstream in settings.proxy)
        password = settings.password
        if not _has_secret(settings):
            password = found.get((UPSTREAM_SERVICE, settings.username))
        if settings.kerberos:
            _check_ticket_can_be_got(settings, password)
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
        self._warn(f"warning: no stored password of {user}: {_format_failure(error, service)}.")

    def __repr__(self) -> str:
        return f"<StoredPasswords of {', '.join(user for _, user in self._found) or 'nobody yet'}>"


def _check_ticket_can_be_got(settings: Settings, password: Secret | None) -> None:
    username = settings.username
    if not username:
        raise ConfigError("--kerberos: Px must know whose ticket to get; give --username=USER@REALM")
    if not candidates_of(username):
        raise ConfigError(f"--kerberos: --username={username} names no realm; write it as USER@REALM")
    if not password and settings.nthash:
        raise ConfigError(
            f"--kerberos: only the NT hash of {username} is set, which works only for NTLM; set PX_PASSWORD"
        )
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
