"""The composition root of a worker: settings in, a running Px out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from px.access_log import AccessLog, Sink
from px.core.access import is_px_itself
from px.core.errors import ExhaustedError, UnreachableError
from px.core.route import UpstreamAddress
from px.core.upstream_login import UpstreamLogin
from px.net.counters import Counters
from px.net.dial import Dialer
from px.net.exchanger import Exchanger
from px.net.hop_dialer import HopDialer
from px.net.io_loop import IoLoop
from px.net.listener import Listener
from px.net.listening_socket import DRAIN_SECONDS
from px.net.offload import Offload
from px.net.outbound import Outbound
from px.net.pool import MAX_IDLE, Pool
from px.net.refusals import Refusals
from px.net.resolver import Resolver
from px.net.service import Service
from px.net.spare_logins import MAX_SPARES
from px.routing.health import UpstreamHealth
from px.routing.router import NamedUpstreams, Router
from px.system.channel_bindings import tls_server_end_point
from px.system.client_logins import make_client_auth
from px.system.credentials import Keyring
from px.system.interfaces import OwnAddresses
from px.system.network_change import NetworkChanges
from px.system.open_files import raise_limit
from px.upstream_hops import UpstreamHops
from px.way_finding import PAC_THREADS

if TYPE_CHECKING:
    from px.config import Settings
    from px.core.client_auth import ClientAuth
    from px.routing.discovery import Discovery
    from px.system.installation import Installation

#: Threads for KDC and keyring at most; the others are for DNS (SPEC 1, ``threads``).
MAX_LOGIN_THREADS = 2
#: Threads for checking the logins of clients: of their own, so that strangers cannot hold up Px's own logins.
CLIENT_THREADS = 1
#: Of the files that may be open, one of so many is for a connection that nobody uses now.
FILES_A_KEPT_CONNECTION = 4
#: How often it is looked whether a dead upstream is due for a probe.
PROBE_TICK_SECONDS = 0.5

_LOGGER = logging.getLogger("px.app")


def load_client_auth(settings: Settings) -> ClientAuth | None:
    """Return how clients log in at this Px; None: they need not.

    Raises:
        ConfigError: No client could.
    """
    return make_client_auth(
        policy=settings.client_auth,
        username=settings.client_username,
        password=settings.client_password,
        keyring=Keyring(settings.socktimeout),
        nosspi=settings.client_nosspi,
        offload=Offload("px-clients", CLIENT_THREADS, settings.socktimeout).run,
    )


class Px:
    """A running Px: made inside the event loop it runs on.

    Args:
        settings: What it shall do.
        sockets: Where it listens; closed when it stops.
        state: Directory for what it remembers over restarts; made when there is something to remember.
        installation: Its random values.
        access_sink: Where the access log goes; None: there is none.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        state: Path,
        installation: Installation,
        access_sink: Sink | None = None,
    ) -> None:
        self._settings = settings
        self._installation = installation
        io_loop = self._io_loop = IoLoop()
        self._client_auth = load_client_auth(settings)
        taken = MAX_LOGIN_THREADS + (CLIENT_THREADS if self._client_auth is not None else 0)
        taken += 0 if settings.proxy else PAC_THREADS
        name_threads = Offload("px-names", max(1, settings.threads - taken), settings.socktimeout)
        self._login_threads = Offload("px-login", MAX_LOGIN_THREADS, settings.socktimeout)
        self._resolver = Resolver(name_threads.run, io_loop.now)
        is_own = OwnAddresses(time.monotonic).has
        listening = {sock.getsockname()[:2] for sock in sockets}
        self._is_px = partial(is_px_itself, listening=listening, is_own=is_own)
        dialer = Dialer(io_loop, self._resolver, settings.socktimeout, self._is_px)
        self._some_are_dead = asyncio.Event()
        self._health = UpstreamHealth(io_loop.now, self._some_are_dead.set)
        self._hops = UpstreamHops(settings, state, installation, self._login_threads, io_loop.now)
        self._hop_dialer = HopDialer(
            dialer, settings.socktimeout, self._hops.socks_login_of, self._make_channel_bindings
        )
        self._discovery = self._make_discovery(io_loop)
        self._pool = Pool(io_loop, max_idle=min(MAX_IDLE, raise_limit() // FILES_A_KEPT_CONNECTION))
        _LOGGER.info(
            "px.ini: %s; upstreams: %s; noproxy: %s",
            settings.config or "none",
            ", ".join(map(str, settings.proxy)) or "none given",
            settings.noproxy or "none",
        )
        self._access_log = AccessLog(access_sink) if access_sink is not None else None
        service = self._make_service(io_loop)
        self._outbound = service.outbound
        admits = partial(settings.access.admits, is_own=is_own)
        refusals = Refusals(io_loop, settings.access.mend, service.log_access)
        self._listener = Listener(sockets, service, admits, refusals)

    def _make_discovery(self, io_loop: IoLoop) -> Discovery | None:
        """Return what finds the upstreams, unless the user names them."""
        if self._settings.proxy:
            return None
        from px.way_finding import make_discovery  # noqa: PLC0415 - most users name their upstream

        return make_discovery(self._settings, self._resolver.resolve, self._health, io_loop.now)

    def _make_service(self, io_loop: IoLoop) -> Service:
        settings = self._settings
        exchanger = Exchanger(
            io_loop, self._pool, self._hop_dialer.dial, self._hops.turns, settings.socktimeout
        )
        guide = self._discovery or NamedUpstreams(settings.proxy, self._health)
        self._router = Router(settings.noproxy, guide, self._resolver.resolve, self._health)
        return Service(
            io_loop=io_loop,
            outbound=Outbound(
                self._router,
                exchanger,
                self._pool,
                self._hops.hop_of,
                self._hop_dialer,
                MAX_SPARES // settings.workers,
            ),
            pseudonym=self._installation.pseudonym.encode("ascii"),
            sends_via=settings.via,
            useragent=settings.useragent.encode("latin-1"),
            idle_seconds=settings.idle,
            logs_in=not settings.auth.is_none,
            is_own=self._is_px,
            client_auth=self._client_auth,
            counters=Counters(),
            log_access=self._access_log.write if self._access_log is not None else None,
        )

    async def _make_channel_bindings(self, certificate: bytes) -> bytes | None:
        return await self._login_threads.run(tls_server_end_point, certificate)

    async def serve(self) -> None:
        """Serve clients until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.serve())
            group.create_task(self._probe_dead_upstreams())
            for renewal in self._hops.renewals:
                group.create_task(renewal.run())
            if self._discovery is not None:
                group.create_task(self._discovery.run())
            group.create_task(self._follow_network())

    async def _follow_network(self) -> None:
        """Begin anew in each network that this computer comes into."""
        with contextlib.closing(NetworkChanges()) as changes:
            while True:
                await changes.wait()
                self._outbound.forget_connections()
                self._hop_dialer.lose_stranded()
                self._resolver.forget()
                self._router.begin_anew()
                if self._discovery is not None:
                    self._discovery.notice_network_change()

    async def _probe_dead_upstreams(self) -> None:
        while await self._some_are_dead.wait():
            self._some_are_dead.clear()
            while self._health.dead:
                await asyncio.sleep(PROBE_TICK_SECONDS)
                await asyncio.gather(*(self._probe(upstream) for upstream in self._health.due_probes()))

    async def _probe(self, upstream: UpstreamAddress) -> None:
        try:
            connection = await self._hop_dialer.dial(self._hops.hop_of(upstream))
        except UnreachableError as error:
            _LOGGER.debug("probe: %s", error.cause)
            self._health.report(upstream, is_reachable=False)
        except (OSError, ExhaustedError) as error:  # this computer's own trouble: no descriptor, no thread
            _LOGGER.warning("probe of %s: %s", upstream, error)
        else:
            connection.close()
            self._health.revive(upstream)
            _LOGGER.info("%s accepts connections again", upstream)

    def report(self) -> dict[str, object]:
        """Return what there is to tell of it, as JSON."""
        listener = self._listener
        return {
            "way": str(self._discovery.finding) if self._discovery is not None else "",
            "open_connections": listener.open_connections,
            "open_tunnels": listener.open_tunnels,
            "counters": {
                **listener.count().to_dict(),
                "logins_accepted": self._hops.guard.acceptances,
                "logins_refused": self._hops.guard.refusals,
            },
            "upstreams": [
                self._report_upstream(upstream, hop.login) for upstream, hop in self._hops.known.items()
            ],
        }

    def _report_upstream(self, upstream: UpstreamAddress, login: UpstreamLogin | None) -> dict[str, object]:
        return {
            "upstream": str(upstream),
            "state": self._health.state_of(upstream),
            "identity": login.source.identity.name if login else "",
            "has_logged_in": login is not None and login.has_logged_in,
            "blocked": login.guard.say_blocked(login.source) if login else "",
            "ticket": self._hops.say_ticket(login) if login else "",
        }

    async def stop(self, drain_seconds: float | None = DRAIN_SECONDS) -> None:
        """Accept nobody more, let what is under way end, and close everything. See `Listener.stop`."""
        await self._listener.stop(drain_seconds)
        self._outbound.forget_connections()
        self._io_loop.pipes.close()
        if self._access_log is not None:
            self._access_log.close()
