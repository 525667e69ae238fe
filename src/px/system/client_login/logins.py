"""How clients log in at this Px: the schemes that the user allows and this computer can verify.

===================  ==================================  ============================  ==============
known                Negotiate                           NTLM                          Digest, Basic
===================  ==================================  ============================  ==============
Windows              by SSPI                             by SSPI                       -
a keytab             Kerberos (not on Windows)           -                             -
a password           NTLM inside, unless by SSPI         `NtlmAcceptor`, unless SSPI   yes
a keyring, no name   likewise                            likewise                      yes
===================  ==================================  ============================  ==============

A keyring cannot list its users. Where no client is named, Px asks the keyring about each client that comes.
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from px.core.auth.secret_store import SecretStore, SecretStoreError
from px.core.auth.spnego import NTLM
from px.core.client_login.acceptor import NtlmAcceptor, OpenAcceptor
from px.core.client_login.digest_verifier import DigestNonces
from px.core.client_login.login import ClientAuth
from px.core.client_login.password_lookup import ClientName, ClientSecrets, OneClientSecret, PasswordLookup
from px.core.errors import LoginUnusableError
from px.core.startup_errors import ConfigError
from px.system.client_login.acceptors import find_keytab, find_sspi
from px.system.client_login.stored_clients import StoredClients
from px.system.login.gssapi import GssapiError

if TYPE_CHECKING:
    from px.core.auth.policy import AuthPolicy
    from px.core.secret import Secret
    from px.io.thread_lane import RunInThread

_LOGGER = logging.getLogger("px.client_logins")


# Excepted: four options, and what they need.
def make_client_auth(  # noqa: PLR0913
    *,
    policy: AuthPolicy,
    username: str,
    password: Secret | None,
    keyring: SecretStore,
    nosspi: bool,
    run_in_thread: RunInThread,
    platform: str = sys.platform,
) -> ClientAuth | None:
    """Return how clients log in; None: they need no login.

    Args:
        policy: The schemes that the user allows.
        username: The only client; empty: any.
        password: Of that client, or of all clients; None: not known.
        keyring: Asked about every client that comes, if neither user nor password is given.
        nosspi: Whether Windows must not verify logins.
        run_in_thread: Runs what asks the operating system, with a timeout.
        platform: As `sys.platform`.

    Raises:
        ConfigError: No client could log in.
    """
    if policy.is_none:
        return None
    only = ClientName.parse(username) if username else None
    acceptors, lack = _find_acceptors(policy, run_in_thread, platform, nosspi=nosspi)
    store = _open_store(password, only)
    if store is None and only is None and _needs_passwords(policy, acceptors):
        store = _open_keyring(keyring, run_in_thread)
    passwords = PasswordLookup(store, only, secrets.token_bytes) if store is not None else None
    if passwords is not None:
        acceptors.setdefault(NTLM, partial(NtlmAcceptor, passwords, secrets.token_bytes, time.time))
    nonces = DigestNonces(secrets.token_bytes(32), secrets.token_bytes, time.time)
    auth = ClientAuth(policy, only, acceptors, passwords, nonces)
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
        raise ConfigError(f"PX_CLIENT_PASSWORD: {error.cause}. {error.hint}") from None


def _needs_passwords(policy: AuthPolicy, acceptors: Mapping[str, OpenAcceptor]) -> bool:
    by_ntlm = policy.allows("ntlm") or policy.allows_ntlm_in_negotiate
    return policy.allows("digest") or policy.allows("basic") or (by_ntlm and NTLM not in acceptors)


def _open_keyring(keyring: SecretStore, run_in_thread: RunInThread) -> ClientSecrets | None:
    try:
        _LOGGER.info("clients are looked up in %s", keyring.name)
    except SecretStoreError as error:
        _LOGGER.info("clients are not looked up in a keyring: %s", error.cause)
        return None
    return StoredClients(keyring, run_in_thread, time.monotonic)


def _find_acceptors(
    policy: AuthPolicy, run_in_thread: RunInThread, platform: str, *, nosspi: bool
) -> tuple[dict[str, OpenAcceptor], str]:
    """Return what the operating system verifies, and what keeps it from verifying more."""
    if platform == "win32":
        return ({}, "--client_nosspi") if nosspi else (find_sspi(run_in_thread), "")
    if not policy.allows("kerberos"):
        return {}, ""
    try:
        return find_keytab(run_in_thread), ""
    except (GssapiError, LoginUnusableError) as error:
        return {}, f"no Kerberos: {error}"


def _explain_lack(policy: AuthPolicy, lack: str) -> str:
    hint = "name a user with --client_username and store its password with px --client-password, or set"
    hint += " PX_CLIENT_PASSWORD"
    if policy.allows("kerberos") and lack != "--client_nosspi":
        hint += f", or KRB5_KTNAME to a keytab with HTTP/<this host> ({lack})"
    elif lack:
        hint += f", or leave out {lack}"
    return f"--client_auth={policy}: Px has nothing to verify the logins of clients with; {hint}"
