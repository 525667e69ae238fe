"""Clients' passwords looked up in the keyring, where ``client_username`` does not say whose it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from px.core.client_secrets import ClientName, ClientSecret
from px.core.errors import LoginUnusableError
from px.core.secret_store import CLIENT_SERVICE, SecretStore, SecretStoreError

if TYPE_CHECKING:
    from px.system.offload import Offload

#: How long what the keyring said is remembered: Digest and Basic ask for each request.
REMEMBER_SECONDS = 10.0
#: Names remembered at most, for anybody may ask for any.
MAX_NAMES = 256


class StoredClients:
    """A `px.core.client_secrets.ClientSecrets`: whoever has a password under the service ``PxClient``.

    Args:
        store: The keyring.
        offload: Runs what asks it.
        now: Seconds that never go back.
    """

    def __init__(self, store: SecretStore, offload: Offload, now: Callable[[], float]) -> None:
        self._store = store
        self._offload = offload
        self._now = now
        self._found: dict[ClientName, tuple[float, ClientSecret | None]] = {}

    async def find(self, name: ClientName) -> ClientSecret | None:
        """See `px.core.client_secrets.ClientSecrets.find`; raises TimeoutError where the keyring fails."""
        asked_at, secret = self._found.get(name, (None, None))
        if asked_at is None or self._now() - asked_at > REMEMBER_SECONDS:
            secret = await self._offload(self._load, name)
            self._found.pop(name, None)
            self._found[name] = self._now(), secret
            if len(self._found) > MAX_NAMES:
                del self._found[next(iter(self._found))]
        return secret

    def _load(self, name: ClientName) -> ClientSecret | None:
        """Ask the keyring for the name as it may have been stored; runs in a thread."""
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
