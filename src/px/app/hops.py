"""The hops of a worker's upstreams, created at the first use, and the identities that log in there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from px.core.auth.password_advice import AS_HASH, IN_ENVIRONMENT, WITH_UPSTREAM
from px.core.host import to_address
from px.core.login.lockout import LockoutGuard
from px.core.login.upstream_state import UpstreamLogin
from px.core.socks.login import SocksLogin
from px.io.thread_lane import ThreadLane
from px.system.login.ticket_renewal import TicketRenewal
from px.system.login.tokens import make_token_source
from px.system.process.process_name import has_process_ended, make_process_name
from px.system.state.installation import memory_directory
from px.system.state.lockout_file import LOCK_SECONDS, LOCKOUT_NAME, LockoutFile
from px.upstream.connections.connection import Hop
from px.upstream.login_gate import LoginGates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from px.config.settings import Settings
    from px.core.auth.token_source import TokenSource
    from px.core.login.unrecorded_login import UnrecordedLogin
    from px.core.rules.route import UpstreamAddress
    from px.core.secret import Secret
    from px.system.state.installation import Installation

#: A PAC script may name any number of upstreams. Beyond this limit Px drops the oldest hop and its state.
MAX_HOPS = 256
#: For this many hosts Px requests service tickets together with a new ticket of its own: each is one request
#: to the KDC, and all share the time limit of one login. Px requests tickets for other hosts on demand.
MAX_TICKET_HOSTS = 16
#: For the thread that waits for the lock-out file: longer than its own limit.
LOCK_WAIT_SECONDS = 2 * LOCK_SECONDS


class UpstreamHops:
    """The hops of upstreams.

    Args:
        settings: The settings of Px, with the identity and method of logins.
        state: The state directory, with the lock-out memory that all processes share.
        installation: The random values of this installation.
        threads: Runs the blocking parts of a login.
        now: Returns monotonic seconds.
        unrecorded: See `px.core.login.lockout.LockoutGuard`.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        installation: Installation,
        threads: ThreadLane,
        now: Callable[[], float],
        unrecorded: UnrecordedLogin | None = None,
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._threads = threads
        self._now = now
        lane = ThreadLane("px-lockout", 1, LOCK_WAIT_SECONDS)
        memory = LockoutFile(state / LOCKOUT_NAME, run_in_thread=lane.run, fallback=memory_directory())
        self.guard = LockoutGuard(memory, time.time, make_process_name(), has_process_ended, unrecorded)
        self.login_gates = LoginGates(settings.socktimeout)
        self._sources: dict[tuple[str, Secret | None], TokenSource] = {}
        self._ticket_hosts: dict[TokenSource, set[str]] = {}
        self._hops: dict[UpstreamAddress, Hop] = {}
        for upstream in settings.proxy:
            self.hop_of(upstream)
        if settings.kerberos and not settings.proxy:  # Px can get the ticket before it knows an upstream
            self._source_of("", None)
        owners = [source for source in self._sources.values() if source.own_ticket]
        self._renewals = {source: self._make_renewal(source) for source in owners}

    @property
    def known(self) -> Mapping[UpstreamAddress, Hop]:
        """The existing hops, the oldest first."""
        return self._hops

    @property
    def renewals(self) -> Collection[TicketRenewal]:
        """The renewals of the tickets that Px gets itself."""
        return self._renewals.values()

    def hop_of(self, upstream: UpstreamAddress) -> Hop:
        """Return the hop of an upstream: the same object for each call while Px keeps the hop."""
        hop = self._hops.get(upstream)
        if hop is None:
            if len(self._hops) >= MAX_HOPS:
                del self._hops[next(iter(self._hops))]
            hop = self._hops[upstream] = self._make_hop(upstream)
        return hop

    def _make_hop(self, upstream: UpstreamAddress) -> Hop:
        is_tls = upstream.scheme == "https"
        logs_in = not (self._settings.auth.is_none or upstream.is_socks)
        return Hop(
            name=f"upstream {upstream}",
            key=str(upstream),
            host=upstream.host,
            port=upstream.port,
            is_upstream=True,
            is_tls=is_tls,
            login=self._make_login(upstream, is_tls=is_tls) if logs_in else None,
        )

    def _make_login(self, upstream: UpstreamAddress, *, is_tls: bool) -> UpstreamLogin:
        source = self._source_of(upstream.username, upstream.password)
        hosts = self._ticket_hosts[source]
        if len(hosts) < MAX_TICKET_HOSTS and to_address(upstream.host) is None:
            hosts.add(upstream.host)
        policy = self._settings.auth
        return UpstreamLogin(
            str(upstream),
            upstream.host,
            source=source,
            policy=policy.for_untrusted if upstream.is_found and not is_tls else policy,
            is_tls=is_tls,
            guard=self.guard,
            now=self._now,
            make_cnonce=partial(secrets.token_hex, 16),
        )

    def socks_login_of(self, upstream: UpstreamAddress) -> SocksLogin:
        """Return the login at a SOCKS upstream, only with the user name of the upstream itself."""
        source = self._source_of(upstream.username, upstream.password)
        make_gate = partial(self.login_gates.for_account, source.identity.account)
        return SocksLogin(upstream, source, self.guard, make_gate)

    def _source_of(self, username: str, password: Secret | None) -> TokenSource:
        """Return the token source of an identity: all upstreams of the identity share one source.

        Args:
            username: The user name of the identity; empty means the user of the settings.
            password: The password that belongs to the user name.
        """
        identity = (username, password)
        if identity not in self._sources:
            self._sources[identity] = self._make_source(username, password)
        return self._sources[identity]

    def _make_source(self, username: str, password: Secret | None) -> TokenSource:
        settings = self._settings
        own = bool(username)
        password = password if own else settings.password
        nt_hash = None if own or settings.nthash is None else bytes.fromhex(settings.nthash.reveal())
        source = make_token_source(
            username=username or settings.username,
            password=password.reveal() if password is not None else None,
            nt_hash=nt_hash,
            run_in_thread=self._threads.run,
            workstation=settings.workstation,
            mark_salt=self._installation.mark_salt,
            keeps_own_ticket=settings.kerberos,
            secret_place=self._place_of(password, is_own=own),
        )
        self._ticket_hosts[source] = set()
        return source

    def _place_of(self, password: Secret | None, *, is_own: bool) -> str:
        """Return the place where the user set the secret of an identity."""
        if password:
            return password.place or (WITH_UPSTREAM if is_own else IN_ENVIRONMENT)
        return AS_HASH if self._settings.nthash and not is_own else ""

    def _make_renewal(self, source: TokenSource) -> TicketRenewal:
        hosts = self._ticket_hosts[source]
        return TicketRenewal(source, hosts, self.guard, self.login_gates.for_account(source.identity.account))

    def describe_ticket(self, login: UpstreamLogin) -> str:
        """Return the state of the ticket that Px gets for a login, for users; empty: Px gets no ticket."""
        renewal = self._renewals.get(login.source)
        return renewal.state if renewal else ""

    def __repr__(self) -> str:
        return f"<UpstreamHops {[str(upstream) for upstream in self._hops]}>"
