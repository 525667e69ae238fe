"""Kerberos tokens by GSSAPI: which credential to use, when to ask the KDC, and what its errors mean.

Px uses the first of these credentials that it can get:

1. a ticket of the wanted user in a ticket cache (kinit, PAM, SSSD);
2. a ticket that Px gets with the password, keeps in memory, and replaces before it expires.

With ``--kerberos`` Px uses only the second one, and `px.system.login.ticket_renewal` gets that ticket before
a request needs it, so that no request waits for a KDC.

The password goes to a KDC only for a name that the user wrote, see `candidates_of`. A failed
pre-authentication raises `LoginRefusedError`, and this module does not try again: the lock-out guard of the
caller decides when the secret may be sent once more. One call runs at a time (`px.system.login.call_gate`),
so that a silent KDC holds one thread.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from px.core.auth.principal import candidates_of, is_ticket_of
from px.core.auth.token_source import Ticket
from px.core.errors import LoginError, LoginUnusableError
from px.system.login.call_gate import CallGate
from px.system.login.gssapi import Credential, Gssapi, GssapiError, load_gssapi
from px.system.login.kerberos_errors import explain_failure, explain_no_ticket, may_try_next_name
from px.system.login.spnego_frame import frame_kerberos
from px.system.login.ticket_cache import mark_cache, stamp_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from px.core.secret import Secret
    from px.io.thread_lane import RunInThread

#: Px stops using a ticket when less than this is left of it; one that Px got by password, when less than this
#: part of its life is left, if that is shorter.
_MARGIN_SECONDS = 60
_MARGIN_PART = 1 / 10
#: Px renews a ticket by password after this part of its life, so that the KDC may be away for a while.
_RENEWAL_PART = 2 / 3
#: A failure that took at least this long (a KDC in trouble) is remembered, so that not every request waits.
_SLOW_SECONDS = 0.1
_REMEMBER_SECONDS = 10


class KerberosLogin:
    r"""Makes the Kerberos sessions of one user.

    Args:
        username: ``user@REALM``, a UPN, ``DOMAIN\user``, a bare user; empty: the user of any ticket.
        password: Or None: only a ticket cache is used.
        run_in_thread: Runs the calls that may wait for a KDC.
        keeps_own_ticket: Whether to use only the password, and no ticket cache.
        load: Loads the library; called in a thread, when the library is needed.
        clock: Seconds that never go back.
        wall_clock: Seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - the last three are for tests
        self,
        username: str,
        password: Secret | None,
        run_in_thread: RunInThread,
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
        self._gate = CallGate(run_in_thread, lambda: _explain_silence(username))
        self._renewal_gate = CallGate(run_in_thread, lambda: _explain_silence(username))
        self._tickets = _Tickets(username, password, wall_clock, uses_cache=not keeps_own_ticket)
        self._gssapi: Gssapi | None = None
        self._failures: dict[tuple[str, object], tuple[float, LoginUnusableError]] = {}

    def open_session(self, host: str, channel_bindings: bytes | None) -> KerberosSession:
        """Begin a login at the upstream `host`, a name."""
        return KerberosSession(self, host, channel_bindings)

    def mark_tickets(self) -> str:
        """Return a text that changes with the ticket file, for `TokenSource.secret_mark`; empty: unknown."""
        if self._gssapi is None:
            return ""
        name = self._gssapi.find_ticket_cache()
        return mark_cache(name)

    @property
    def ticket(self) -> Ticket | None:
        """The ticket in use; see `px.core.auth.token_source.TokenSource`."""
        kept = self._tickets.kept
        return Ticket(kept.name, kept.expires_at) if kept is not None else None

    @property
    def renew_at(self) -> float | None:
        """When to renew the ticket by password; see `px.core.auth.token_source.OwnTicket`."""
        return self._tickets.renew_at

    async def renew(self, hosts: Iterable[str]) -> str:
        """Get a ticket by password, and with it service tickets for these hosts; see `OwnTicket`.

        Meanwhile requests use the old ticket; if there is none, they wait.
        """
        gate = self._gate if self.renew_at is None else self._renewal_gate
        return await gate.run(self._renew, hosts)

    def _renew(self, hosts: Iterable[str]) -> str:
        gssapi = self._gssapi = self._gssapi or self._load()
        fresh = self._tickets.ask_kdc(gssapi)
        for host in hosts:
            with contextlib.suppress(GssapiError):  # the request that needs this service reports the error
                gssapi.make_token(fresh, host, None)
        self._tickets.keep(fresh)
        return fresh.name

    async def make_token(self, host: str, channel_bindings: bytes | None) -> bytes:
        """Return a token for ``HTTP/host`` in its SPNEGO frame.

        Raises:
            LoginUnusableError: No ticket, no KDC, no such service.
            LoginRefusedError: The KDC refused the password, now or in an earlier call without a caller.
        """
        return await self._gate.run(self._make_token, host, channel_bindings)

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
            raise LoginUnusableError(error.cause, error.hint)


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
        """Return the only token; see `px.core.auth.token_source.TokenSession`."""
        if challenge is not None or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} asked for a second Kerberos token")
        token = await self._login.make_token(self._host, self._channel_bindings)
        self.is_complete = True
        return token


class _Tickets:
    """Finds the credential to use, and keeps it while it can be used.

    Attributes:
        kept: The credential; None: there is none yet.
        renew_at: When to renew the ticket by password, on the wall clock; None: there is no such ticket.
    """

    def __init__(
        self, username: str, password: Secret | None, wall_clock: Callable[[], float], *, uses_cache: bool
    ) -> None:
        self._username = username
        self._password = password
        self._wall_clock = wall_clock
        self._uses_cache = uses_cache
        self.kept: Credential | None = None
        self._margin_seconds = 0.0
        self._has_expired = False  # the ticket cache holds an expired ticket
        #: State of the ticket cache that `kept` came from; None: `kept` came from the password.
        self._kept_stamp: object = None
        self.renew_at: float | None = None

    def find(self, gssapi: Gssapi, stamp: object) -> Credential:
        """Return a credential that does not expire soon.

        Args:
            gssapi: The library.
            stamp: State of the default ticket cache now, see `stamp_cache`.

        Raises:
            LoginUnusableError: No ticket, or the KDC could not be asked.
            LoginRefusedError: The KDC refused the password.
        """
        if self.kept is not None and self._is_kept_good(self.kept, stamp):
            return self.kept
        ticket = self._find_ticket(gssapi) if self._uses_cache else None
        if ticket is None:
            return self.keep(self.ask_kdc(gssapi))
        self._has_expired = False
        self.kept, self._kept_stamp, self._margin_seconds = ticket, stamp, _MARGIN_SECONDS
        return ticket

    def keep(self, ticket: Credential) -> Credential:
        """Use a ticket by password from now on, and return it."""
        now = self._wall_clock()
        life = ticket.expires_at - now
        self._margin_seconds = min(_MARGIN_SECONDS, life * _MARGIN_PART)
        self.renew_at = now + life * _RENEWAL_PART
        self.kept, self._kept_stamp = ticket, None
        return ticket

    def _is_kept_good(self, kept: Credential, stamp: object) -> bool:
        if kept.expires_at - self._wall_clock() < self._margin_seconds:
            return False
        return self._kept_stamp is None or self._kept_stamp == stamp

    def _find_ticket(self, gssapi: Gssapi) -> Credential | None:
        """Return the credential of the wanted user from a ticket cache; None: there is none."""
        try:
            ticket = gssapi.acquire_ticket()
            if is_ticket_of(self._username, ticket.name):
                return ticket
        except GssapiError as error:
            if not error.is_no_ticket:
                raise explain_failure(error, self._username, "") from error
            self._has_expired = error.is_expired
        for name in candidates_of(self._username):
            # A collection (DIR, KEYRING, KCM) may have it besides the default ticket. This sends no secret.
            with contextlib.suppress(GssapiError):
                return gssapi.acquire_ticket(name.text)
        return None

    def ask_kdc(self, gssapi: Gssapi) -> Credential:
        """Return a ticket by password, for the first spelling of the name that a KDC knows.

        Raises:
            LoginUnusableError: There is no password, or the KDC could not be asked.
            LoginRefusedError: The KDC refused the password.
        """
        names = candidates_of(self._username)
        if self._password is None or not names:
            raise explain_no_ticket(
                self._username, has_password=self._password is not None, has_expired=self._has_expired
            )
        failures: list[LoginError] = []
        for principal, is_enterprise in names:
            try:
                return gssapi.acquire_by_password(
                    principal, self._password.reveal(), is_enterprise=is_enterprise
                )
            except GssapiError as error:
                failures.append(explain_failure(error, principal, "", self._password.place))
                if not may_try_next_name(error):
                    raise failures[-1] from error
        raise failures[0]


def _explain_silence(username: str) -> LoginUnusableError:
    whose = f" for {username}" if username else ""
    cause = f"The Kerberos KDC{whose} does not answer"
    return LoginUnusableError(cause, "Check the network or VPN, and the KDC's address in krb5.conf or DNS.")
