"""How clients log in at this Px: what the user allows, as far as this computer can check it.

===================  ==================================  ============================  ==============
known                Negotiate                           NTLM                          Digest, Basic
===================  ==================================  ============================  ==============
Windows              by SSPI                             by SSPI                       -
a keytab             Kerberos (not on Windows)           -                             -
a password           NTLM inside, unless by SSPI         `NtlmAcceptor`, unless SSPI   yes
a keyring, no name   likewise                            likewise                      yes
===================  ==================================  ============================  ==============

A keyring cannot be asked whose passwords it has: where no client is named, it is asked for each that comes.
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from px.core.client_acceptor import NtlmAcceptor, OpenAcceptor
from px.core.client_auth import ClientAuth
from px.core.client_secrets import ClientName, ClientSecrets, OneClientSecret, SecretBook
from px.core.digest_verify import DigestNonces
from px.core.errors import LoginUnusableError
from px.core.secret_store import SecretStore, SecretStoreError
from px.core.spnego import NTLM
from px.core.startup_errors import ConfigError
from px.system.client_acceptors import find_keytab, find_sspi
from px.system.gssapi import GssapiError
from px.system.stored_clients import StoredClients

if TYPE_CHECKING:
    from px.core.auth_policy import AuthPolicy
    from px.core.secret import Secret
    from px.system.offload import Offload

_LOGGER = logging.getLogger("px.client_logins")


# Excepted: four options, and what they are used with.
def make_client_auth(  # noqa: PLR0913
    *,
    policy: AuthPolicy,
    username: str,
    password: Secret | None,
    keyring: SecretStore,
    nosspi: bool,
    offload: Offload,
    platform: str = sys.platform,
) -> ClientAuth | None:
    """Return how clients log in; None: they need not.

    Args:
        policy: What the user allows.
        username: The only client; empty: any.
        password: Of that client, or of every one; None: none is known.
        keyring: Asked about every client that comes, where neither of the two is given.
        nosspi: Whether Windows is not to be asked.
        offload: Runs what asks the operating system, with a timeout.
        platform: As `sys.platform`.

    Raises:
        ConfigError: No client could log in.
    """
    if policy.is_none:
        return None
    only = ClientName.parse(username) if username else None
    acceptors, lack = _find_acceptors(policy, offload, platform, nosspi=nosspi)
    store = _open_store(password, only)
    if store is None and only is None and _needs_passwords(policy, acceptors):
        store = _open_keyring(keyring, offload)
    book = SecretBook(store, only, secrets.token_bytes) if store is not None else None
    if book is not None:
        acceptors.setdefault(NTLM, partial(NtlmAcceptor, book, secrets.token_bytes, time.time))
    nonces = DigestNonces(secrets.token_bytes(32), secrets.token_bytes, time.time)
    auth = ClientAuth(policy, only, acceptors, book, nonces)
    if not auth.schemes:
        raise ConfigError(_explain_lack(policy, lack))
    _LOGGER.debug("clients log in by %s%s", ", ".join(auth.schemes), f" ({lack})" if lack else "")
    return auth


def _open_store(password: Secret | None, only: ClientName | None) -> ClientSecrets | None:
    if password is None:
        return None
    try:
        return OneClientSecret(password, only)
    except LoginUnusableError as error:
        raise ConfigError(f"PX_CLIENT_PASSWORD: {error.cause}. {error.mend}") from None


def _needs_passwords(policy: AuthPolicy, acceptors: Mapping[str, OpenAcceptor]) -> bool:
    by_ntlm = policy.allows("ntlm") or policy.allows_ntlm_in_negotiate
    return policy.allows("digest") or policy.allows("basic") or (by_ntlm and NTLM not in acceptors)


def _open_keyring(keyring: SecretStore, offload: Offload) -> ClientSecrets | None:
    try:
        _LOGGER.info("clients are looked up in %s", keyring.name)
    except SecretStoreError as error:
        _LOGGER.info("clients are not looked up in a keyring: %s", error.cause)
        return None
    return StoredClients(keyring, offload, time.monotonic)


def _find_acceptors(
    policy: AuthPolicy, offload: Offload, platform: str, *, nosspi: bool
) -> tuple[dict[str, OpenAcceptor], str]:
    """Return what the operating system verifies, and why that is not more."""
    if platform == "win32":
        return ({}, "--client_nosspi") if nosspi else (find_sspi(offload), "")
    if not policy.allows("kerberos"):
        return {}, ""
    try:
        return find_keytab(offload), ""
    except (GssapiError, LoginUnusableError) as error:
        return {}, f"no Kerberos: {error}"


def _explain_lack(policy: AuthPolicy, lack: str) -> str:
    mend = "name a user with --client_username and store its password with px --client-password, or set"
    mend += " PX_CLIENT_PASSWORD"
    if policy.allows("kerberos") and lack != "--client_nosspi":
        mend += f", or KRB5_KTNAME to a keytab with HTTP/<this host> ({lack})"
    elif lack:
        mend += f", or leave out {lack}"
    return f"--client_auth={policy}: there is nothing to check the logins of clients against; {mend}"
