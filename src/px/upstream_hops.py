"""The upstreams of a worker as hops, made when they are first needed, and who logs in there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from px.core.host import to_address
from px.core.lockout import REFUSALS_BEFORE_BLOCK, LockoutGuard
from px.core.socks_login import SocksLogin
from px.core.upstream_login import UpstreamLogin
from px.net.connection import Hop
from px.net.login_turn import LoginTurns
from px.system.lockout_file import LOCKOUT_NAME, LockoutFile
from px.system.login_slot import make_login_slots
from px.system.ticket_renewal import TicketRenewal
from px.system.tokens import make_token_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from px.config import Settings
    from px.core.route import UpstreamAddress
    from px.core.secret import Secret
    from px.core.token_source import TokenSource
    from px.net.offload import Offload
    from px.system.installation import Installation

#: A PAC script may name any number. The one that was met first is forgotten, with what was learnt of it.
MAX_HOPS = 256
#: Hosts whose service tickets are got together with a new ticket of Px's own: each is a question to the KDC,
#: and all are in the time of one login. The others get theirs when they are needed.
MAX_TICKET_HOSTS = 16


class UpstreamHops:
    """The hops of upstreams.

    Args:
        settings: Who logs in, and how.
        state: The state directory, with the lock-out memory that all processes share.
        installation: Its random values.
        threads: For what blocks in a login.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        installation: Installation,
        threads: Offload,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._threads = threads
        self._now = now
        self.guard = LockoutGuard(LockoutFile(state / LOCKOUT_NAME), time.time)
        make_slots = partial(make_login_slots, state, installation.mark_salt, REFUSALS_BEFORE_BLOCK)
        self.turns = LoginTurns(settings.socktimeout, make_slots)
        self._sources: dict[tuple[str, Secret | None], TokenSource] = {}
        self._ticket_hosts: dict[TokenSource, set[str]] = {}
        self._hops: dict[UpstreamAddress, Hop] = {}
        for upstream in settings.proxy:
            self.hop_of(upstream)
        if settings.kerberos and not settings.proxy:  # the upstreams have to be found, the ticket need not
            self._source_of("", None)
        owners = [source for source in self._sources.values() if source.own_ticket]
        self._renewals = {source: self._make_renewal(source) for source in owners}

    @property
    def known(self) -> Mapping[UpstreamAddress, Hop]:
        """The hops there are, the one met first at the beginning."""
        return self._hops

    @property
    def renewals(self) -> Collection[TicketRenewal]:
        """Of the tickets that Px gets itself."""
        return self._renewals.values()

    def hop_of(self, upstream: UpstreamAddress) -> Hop:
        """Return the hop of an upstream, always the same."""
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
            policy=policy.for_strangers if upstream.is_found and not is_tls else policy,
            guard=self.guard,
            now=self._now,
            make_cnonce=partial(secrets.token_hex, 16),
        )

    def socks_login_of(self, upstream: UpstreamAddress) -> SocksLogin:
        """Return how Px logs in at a SOCKS upstream, as nobody but the user of its own."""
        source = self._source_of(upstream.username, upstream.password)
        make_turn = partial(self.turns.for_identity, source.identity.key)
        return SocksLogin(upstream, source, self.guard, make_turn)

    def _source_of(self, username: str, password: Secret | None) -> TokenSource:
        """Return the source of tokens of an identity, the same for all its upstreams.

        Args:
            username: Of the identity; empty: the one of the settings.
            password: That belongs to the name.
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
            offload=self._threads.run,
            workstation=settings.workstation,
            mark_salt=self._installation.mark_salt,
            keeps_own_ticket=settings.kerberos,
        )
        self._ticket_hosts[source] = set()
        return source

    def _make_renewal(self, source: TokenSource) -> TicketRenewal:
        hosts = self._ticket_hosts[source]
        return TicketRenewal(source, hosts, self.guard, self.turns.for_identity(source.identity.key))

    def say_ticket(self, login: UpstreamLogin) -> str:
        """Return how the ticket that Px gets for a login stands, for people; empty: it gets none."""
        renewal = self._renewals.get(login.source)
        return renewal.state if renewal else ""

    def __repr__(self) -> str:
        return f"<UpstreamHops {[str(upstream) for upstream in self._hops]}>"
