"""Looks passwords of clients up in the keyring, where ``client_username`` names no client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from px.core.auth.secret_store import CLIENT_SERVICE, SecretStore, SecretStoreError
from px.core.client_login.password_lookup import ClientName, ClientSecret
from px.core.errors import LoginUnusableError

if TYPE_CHECKING:
    from px.io.thread_lane import RunInThread

#: How long an answer of the keyring is remembered: Digest and Basic ask for each request.
REMEMBER_SECONDS = 10.0
#: Most names remembered: any caller may send any name.
MAX_NAMES = 256


class StoredClients:
    """Implements `ClientSecrets`: clients are the users with a password under the service ``PxClient``.

    Args:
        store: The keyring.
        run_in_thread: Runs the calls of the keyring.
        now: Seconds that never go back.
    """

    def __init__(self, store: SecretStore, run_in_thread: RunInThread, now: Callable[[], float]) -> None:
        self._store = store
        self._run_in_thread = run_in_thread
        self._now = now
        self._found: dict[ClientName, tuple[float, ClientSecret | None]] = {}

    async def find(self, name: ClientName) -> ClientSecret | None:
        """Return the secret of a client; see `ClientSecrets.find`.

        Raises:
            TimeoutError: The keyring failed.
        """
        asked_at, secret = self._found.get(name, (None, None))
        if asked_at is None or self._now() - asked_at > REMEMBER_SECONDS:
            secret = await self._run_in_thread(self._load, name)
            self._found.pop(name, None)
            self._found[name] = self._now(), secret
            if len(self._found) > MAX_NAMES:
                del self._found[next(iter(self._found))]
        return secret

    def _load(self, name: ClientName) -> ClientSecret | None:
        """Return the password of a client, under any spelling of the name; runs in a thread."""
        with_domain = [str(name), f"{name.user}@{name.domain}"] if name.domain else []
        try:
            for spelling in [*with_domain, name.user]:
                if spelling and (password := self._store.load_password(CLIENT_SERVICE, spelling)):
                    return ClientSecret(password)
        except (SecretStoreError, LoginUnusableError) as error:
            raise TimeoutError(str(error)) from error
        return None

    def __repr__(self) -> str:
        return f"<StoredClients {len(self._found)} names asked for>"
