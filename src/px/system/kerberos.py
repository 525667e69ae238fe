"""Kerberos tokens by GSSAPI: which credential to use, when to ask the KDC, and what its errors mean.

Where the credential comes from, in this order:

1. a ticket cache that holds a ticket of the wanted user (kinit, PAM, SSSD);
2. the password: a ticket of our own, held in memory and got anew before it expires.

A login that keeps a ticket of its own (``--kerberos``) leaves out the first, and its ticket is got ahead of
need by `px.system.ticket_renewal`, so that no request waits for a KDC.

The password goes to a KDC only for a name that the user wrote, see `candidates_of`. A failed
pre-authentication raises `LoginRefusedError` and is not tried again here: whether and when the secret is
used once more is for the caller's lock-out guard to say. One call runs at a time (`px.system.turn`), so that
a silent KDC holds one thread.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from px.core.errors import LoginError, LoginUnusableError
from px.core.principal import candidates_of, is_ticket_of
from px.system.gssapi import Credential, Gssapi, GssapiError, load_gssapi
from px.system.kerberos_errors import explain_failure, explain_no_ticket, may_try_next_name
from px.system.spnego_frame import frame_kerberos
from px.system.ticket_cache import mark_cache, stamp_cache
from px.system.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from px.core.secret import Secret
    from px.system.offload import Offload

#: A credential is not used any more when less than this is left of it, or than this part of a shorter life.
_SPARE_SECONDS = 60
_SPARE_PART = 1 / 10
#: A ticket by password is due to be renewed after this part of its life: the rest is for a KDC that is away.
_RENEWAL_PART = 2 / 3
#: An answer that took at least this long (a KDC in trouble) is remembered, so that not every request waits.
_SLOW_SECONDS = 0.1
_REMEMBER_SECONDS = 10


class KerberosLogin:
    r"""Makes the Kerberos sessions of one user.

    Args:
        username: ``user@REALM``, a UPN, ``DOMAIN\user``, a bare user; empty: whose ticket there is.
        password: Or None: only a ticket cache is used.
        offload: Runs what may wait for a KDC.
        keeps_own_ticket: Whether to use the password alone, and no ticket cache.
        load: Loads the library; called in a thread, once it is needed.
        clock: Seconds that never go back.
        wall_clock: Seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - the last three for tests
        self,
        username: str,
        password: Secret | None,
        offload: Offload,
        *,
        keeps_own_ticket: bool = False,
        load: Callable[[], Gssapi] = load_gssapi,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._username = username
        self._password = password
        self._load = load
        self._clock = clock
        self._turn = Turn(offload, lambda: _explain_silence(username))
        self._renewal_turn = Turn(offload, lambda: _explain_silence(username))
        self._tickets = _Tickets(username, password, wall_clock, uses_cache=not keeps_own_ticket)
        self._gssapi: Gssapi | None = None
        self._failures: dict[tuple[str, object], tuple[float, LoginUnusableError]] = {}

    def open_session(self, host: str, channel_bindings: bytes | None) -> KerberosSession:
        """Begin a login at the upstream `host`, a name."""
        return KerberosSession(self, host, channel_bindings)

    def mark_tickets(self) -> str:
        """Return a text that changes with a ticket file, for `TokenSource.secret_mark`; empty: not known."""
        if self._gssapi is None:
            return ""
        name = self._gssapi.find_ticket_cache()
        return mark_cache(name)

    @property
    def renew_at(self) -> float | None:
        """When the ticket by password is due to be renewed; see `px.core.token_source.OwnTicket`."""
        return self._tickets.renew_at

    async def renew(self, hosts: Iterable[str]) -> str:
        """Get a ticket by password, and with it those for ``HTTP`` at these hosts; see `OwnTicket`.

        Requests use the ticket that there is meanwhile; without one they wait.
        """
        turn = self._turn if self.renew_at is None else self._renewal_turn
        return await turn.run(self._renew, hosts)

    def _renew(self, hosts: Iterable[str]) -> str:
        gssapi = self._gssapi = self._gssapi or self._load()
        fresh = self._tickets.ask_kdc(gssapi)
        for host in hosts:
            with contextlib.suppress(GssapiError):  # the request that needs it will say so
                gssapi.make_token(fresh, host, None)
        self._tickets.keep(fresh)
        return fresh.name

    async def make_token(self, host: str, channel_bindings: bytes | None) -> bytes:
        """Return a token for ``HTTP/host`` in its SPNEGO frame.

        Raises:
            LoginUnusableError: No ticket, no KDC, no such service.
            LoginRefusedError: The KDC refused the password, now or in a call that nobody waited for.
        """
        return await self._turn.run(self._make_token, host, channel_bindings)

    def _make_token(self, host: str, channel_bindings: bytes | None) -> bytes:
        gssapi = self._gssapi = self._gssapi or self._load()
        stamp = stamp_cache(gssapi.find_ticket_cache(), self._clock())
        self._raise_remembered(host, stamp)
        started = self._clock()
        try:
            credential = self._tickets.find(gssapi, stamp)
            return frame_kerberos(self._ask(gssapi, credential, host, channel_bindings))
        except LoginUnusableError as error:
            if self._clock() - started >= _SLOW_SECONDS:
                self._failures[host, stamp] = (self._clock() + _REMEMBER_SECONDS, error)
            raise

    def _ask(
        self, gssapi: Gssapi, credential: Credential, host: str, channel_bindings: bytes | None
    ) -> bytes:
        try:
            return gssapi.make_token(credential, host, channel_bindings)
        except GssapiError as error:
            raise explain_failure(error, credential.name or self._username, host) from error

    def _raise_remembered(self, host: str, stamp: object) -> None:
        now = self._clock()
        self._failures = {key: value for key, value in self._failures.items() if value[0] > now}
        if (host, stamp) in self._failures:
            error = self._failures[host, stamp][1]
            raise LoginUnusableError(error.cause, error.mend)


class KerberosSession:
    """A Kerberos login on one connection (a `TokenSession`): one token, then a verdict."""

    mechanism = "kerberos"

    def __init__(self, login: KerberosLogin, host: str, channel_bindings: bytes | None) -> None:
        self._login = login
        self._host = host
        self._channel_bindings = channel_bindings
        self.is_complete = False

    def __repr__(self) -> str:
        return f"<KerberosSession {'complete' if self.is_complete else 'new'} to {self._host}>"

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the only token; see `px.core.token_source.TokenSession`."""
        if challenge is not None or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} asked for a second Kerberos token")
        token = await self._login.make_token(self._host, self._channel_bindings)
        self.is_complete = True
        return token


class _Tickets:
    """Finds the credential to use, and keeps it while it is good.

    Attributes:
        renew_at: When a ticket by password is due to be renewed, on the wall clock; None: there is none.
    """

    def __init__(
        self, username: str, password: Secret | None, wall_clock: Callable[[], float], *, uses_cache: bool
    ) -> None:
        self._username = username
        self._password = password
        self._wall_clock = wall_clock
        self._uses_cache = uses_cache
        self._kept: Credential | None = None
        self._spare_seconds = 0.0
        #: State of the ticket cache that `_kept` came from; None: it came from the password.
        self._kept_stamp: object = None
        self.renew_at: float | None = None

    def find(self, gssapi: Gssapi, stamp: object) -> Credential:
        """Return a credential with a life ahead of it.

        Args:
            gssapi: The library.
            stamp: State of the default ticket cache now, see `stamp_cache`.

        Raises:
            LoginUnusableError: No ticket, or the KDC could not be asked.
            LoginRefusedError: The KDC refused the password.
        """
        if self._kept is not None and self._is_kept_good(self._kept, stamp):
            return self._kept
        ticket = self._find_ticket(gssapi) if self._uses_cache else None
        if ticket is None:
            return self.keep(self.ask_kdc(gssapi))
        self._kept, self._kept_stamp, self._spare_seconds = ticket, stamp, _SPARE_SECONDS
        return ticket

    def keep(self, ticket: Credential) -> Credential:
        """Use a ticket by password from now on; returns it."""
        now = self._wall_clock()
        life = ticket.expires_at - now
        self._spare_seconds = min(_SPARE_SECONDS, life * _SPARE_PART)
        self.renew_at = now + life * _RENEWAL_PART
        self._kept, self._kept_stamp = ticket, None
        return ticket

    def _is_kept_good(self, kept: Credential, stamp: object) -> bool:
        if kept.expires_at - self._wall_clock() < self._spare_seconds:
            return False
        return self._kept_stamp is None or self._kept_stamp == stamp

    def _find_ticket(self, gssapi: Gssapi) -> Credential | None:
        """Return a ticket cache's credential of the wanted user, if there is one."""
        try:
            ticket = gssapi.acquire_ticket()
            if is_ticket_of(self._username, ticket.name):
                return ticket
        except GssapiError as error:
            if not error.is_no_ticket:
                raise explain_failure(error, self._username, "") from error
        for name in candidates_of(self._username):
            # A collection (DIR, KEYRING, KCM) may hold it beside the default one; no secret is involved.
            with contextlib.suppress(GssapiError):
                return gssapi.acquire_ticket(name.text)
        return None

    def ask_kdc(self, gssapi: Gssapi) -> Credential:
        """Get a ticket with the password, for the first of the names that a KDC knows.

        Raises:
            LoginUnusableError: There is no password, or the KDC could not be asked.
            LoginRefusedError: The KDC refused the password.
        """
        names = candidates_of(self._username)
        if self._password is None or not names:
            raise explain_no_ticket(self._username, has_password=self._password is not None)
        failures: list[LoginError] = []
        for principal, is_enterprise in names:
            try:
                return gssapi.acquire_by_password(
                    principal, self._password.reveal(), is_enterprise=is_enterprise
                )
            except GssapiError as error:
                failures.append(explain_failure(error, principal, ""))
                if not may_try_next_name(error):
                    raise failures[-1] from error
        raise failures[0]


def _explain_silence(username: str) -> LoginUnusableError:
    whose = f" for {username}" if username else ""
    cause = f"The Kerberos KDC{whose} does not answer"
    return LoginUnusableError(cause, "Check the network or VPN, and the KDC's address in krb5.conf or DNS.")
