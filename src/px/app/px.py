"""The composition root of a worker: settings in, a running Px out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from px.app.client_programs import ClientPrograms
from px.app.hops import UpstreamHops
from px.app.own_pages import OwnPages, PageQuestions
from px.app.proxy_discovery import PAC_THREADS, make_discovery, make_px_check, planned_addresses
from px.app.upstream_probes import UpstreamProbes
from px.core.host import to_address
from px.core.http.target import Authority
from px.core.login.upstream_state import UpstreamLogin
from px.core.rules.route import UpstreamAddress
from px.core.startup_errors import ConfigError
from px.downstream.activity.counters import Counters
from px.downstream.front_end import FrontEndKind
from px.downstream.http_front_end import HttpFrontEnd
from px.downstream.listener import Listener
from px.downstream.page_answer import answer_no_page
from px.downstream.refusals import Refusals
from px.downstream.service import Service
from px.downstream.tunnels.socks_front_end import SocksPort
from px.downstream.tunnels.static_tunnel import StaticTunnel
from px.io.io_loop import IoLoop
from px.io.listening_socket import DRAIN_SECONDS
from px.io.thread_lane import ThreadLane
from px.logs.access_log import AccessLog, Sink
from px.routing.router import NamedUpstreams, Router
from px.system.client_login.logins import make_client_auth
from px.system.login.channel_bindings import tls_server_end_point
from px.system.login.keyring import Keyring
from px.system.network_change.interfaces import OwnAddresses
from px.system.network_change.watcher import NetworkChanges
from px.system.process.open_files import raise_limit
from px.system.state.instance import Instance
from px.upstream.connections.dial import Dialer
from px.upstream.connections.hop_dialer import HopDialer
from px.upstream.connections.pool import MAX_IDLE, Pool
from px.upstream.connections.resolver import Resolver
from px.upstream.exchanger import Exchanger
from px.upstream.forwarder import Forwarder
from px.upstream.prewarmed import MAX_PREWARMED

if TYPE_CHECKING:
    from px.config.settings import Settings
    from px.core.client_login.login import ClientAuth
    from px.core.login.unrecorded_login import UnrecordedLogin
    from px.downstream.pages.pages import PageSources
    from px.routing.discovery import Discovery
    from px.system.state.installation import Installation

#: The most threads for the KDC and the keyring; the other threads of ``--threads`` are for name look-ups.
MAX_LOGIN_THREADS = 2
#: Separate threads check the logins of clients, so that clients cannot hold up the logins of Px.
CLIENT_THREADS = 1
#: At most one in this many of the process's file descriptors holds an idle connection.
FILES_A_KEPT_CONNECTION = 4

_LOGGER = logging.getLogger("px.app")


def load_client_auth(settings: Settings) -> ClientAuth | None:
    """Return how clients log in at this Px; None: clients need not log in.

    Raises:
        ConfigError: No client could log in, or no client of ``--socks``.
    """
    auth = make_client_auth(
        policy=settings.client_auth,
        username=settings.client_username,
        password=settings.client_password,
        keyring=Keyring(settings.socktimeout),
        nosspi=settings.client_nosspi,
        run_in_thread=ThreadLane("px-clients", CLIENT_THREADS, settings.socktimeout).run,
    )
    if settings.socks and auth is not None and "basic" not in auth.password_schemes:
        raise ConfigError(
            f"--socks={settings.socks}: Px knows no password to verify the logins of SOCKS5 clients with;"
            " store one with px --client-password, or set PX_CLIENT_PASSWORD"
        )
    return auth


def _make_name_threads(settings: Settings, *, has_client_auth: bool) -> ThreadLane:
    """Return the threads that look names up: those of ``--threads`` that nothing else takes, at least one."""
    taken = MAX_LOGIN_THREADS + (CLIENT_THREADS if has_client_auth else 0)
    taken += 0 if settings.proxy else PAC_THREADS
    return ThreadLane("px-names", max(1, settings.threads - taken), settings.socktimeout)


def _choose_kinds(settings: Settings, sockets: Sequence[socket.socket]) -> dict[socket.socket, FrontEndKind]:
    """Return the protocol that Px speaks on each listening socket: its port decides."""
    kinds: dict[int, FrontEndKind] = {each.port: StaticTunnel(each.target) for each in settings.tunnel}
    if settings.socks:
        kinds[settings.socks] = SocksPort(settings.port)
    return {sock: kinds.get(sock.getsockname()[1], HttpFrontEnd) for sock in sockets}


def _make_listener(
    settings: Settings, sockets: Sequence[socket.socket], service: Service, is_own: Callable[[str], bool]
) -> Listener:
    access = settings.access
    return Listener(
        _choose_kinds(settings, sockets),
        service,
        partial(access.admits, is_own=is_own),
        partial(access.is_from_here, is_own=is_own),
        Refusals(service.io_loop, access.hint, service.log_access),
    )


def _is_other_px(at: Authority, *, state: Path, is_own: Callable[[str], bool]) -> bool:
    """Return whether another Px of this user listens at an IP address, as the locks in its state tell."""
    address = to_address(at.host)
    if address is None or not (address.is_unspecified or is_own(at.host)):
        return False
    try:
        return Instance(state, at.port).is_running()
    except OSError:
        return True


class PxParts(NamedTuple):
    """The parts of a `Px` in the order in which a request meets them.

    Attributes:
        resolver: Resolves names.
        router: Chooses the routes.
        discovery: Finds the upstreams; None if the user names them.
        hop_dialer: Connects to hops.
        hops: The hops of the upstreams, with the logins there.
        exchanger: Sends requests to hops.
    """

    resolver: Resolver
    router: Router
    discovery: Discovery | None
    hop_dialer: HopDialer
    hops: UpstreamHops
    exchanger: Exchanger


class Px:
    """A running Px: made inside the event loop it runs on.

    Args:
        settings: The settings.
        sockets: Listening sockets; closed when Px stops.
        state: The directory of what Px remembers over restarts; made when first needed.
        installation: The random values of this installation.
        access_sink: Receives the access log; None: there is no access log.
        unrecorded: The right, shared by all workers, to log in where the lock-out record cannot be kept.
        page_questions: What the pages ask; None: Px has no pages.
    """

    def __init__(  # noqa: PLR0913 - what a worker gets from its process
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        state: Path,
        installation: Installation,
        access_sink: Sink | None = None,
        unrecorded: UnrecordedLogin | None = None,
        *,
        page_questions: PageQuestions | None = None,
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._renews_tickets = True
        io_loop = self._io_loop = IoLoop()
        self._client_auth = load_client_auth(settings)
        name_threads = _make_name_threads(settings, has_client_auth=self._client_auth is not None)
        self._login_threads = ThreadLane("px-login", MAX_LOGIN_THREADS, settings.socktimeout)
        self._resolver = Resolver(name_threads.run, io_loop.now)
        is_own = OwnAddresses(time.monotonic).has
        listening = {sock.getsockname()[:2] for sock in sockets} | planned_addresses(settings)
        self._is_px = make_px_check(listening, is_own)
        dialer = Dialer(io_loop, self._resolver, settings.socktimeout, self._is_px)
        self._hops = UpstreamHops(settings, state, installation, self._login_threads, io_loop.now, unrecorded)
        self._hop_dialer = HopDialer(
            dialer,
            settings.socktimeout,
            self._hops.socks_login_of,
            tls_server_end_point,
            partial(_is_other_px, state=state, is_own=is_own),
        )
        self._probes = UpstreamProbes(self._hop_dialer.dial, self._hops.hop_of, io_loop.now)
        self._health = self._probes.health
        self._discovery = self._make_discovery(io_loop)
        self._pool = Pool(io_loop, max_idle=min(MAX_IDLE, raise_limit() // FILES_A_KEPT_CONNECTION))
        _LOGGER.info(
            "px.ini: %s; upstreams: %s; noproxy: %s",
            settings.config or "none",
            ", ".join(map(str, settings.proxy)) or "none given",
            settings.noproxy or "none",
        )
        self._access_log = (
            AccessLog(access_sink, settings.accesslog_format) if access_sink is not None else None
        )
        self._own_pages = OwnPages(self._make_page_sources, self._is_px)
        self._page_questions = page_questions
        service = self._make_service(io_loop)
        self._forwarder = service.forwarder
        self._client_programs = ClientPrograms(io_loop.now)
        self._listener = _make_listener(settings, sockets, service, is_own)

    def _make_discovery(self, io_loop: IoLoop) -> Discovery | None:
        """Return the discovery of upstreams; None if the user names the upstreams."""
        if self._settings.proxy:
            return None
        resolve = self._resolver.resolve
        return make_discovery(self._settings, self._is_px, resolve, self._health, io_loop.now)

    def _make_service(self, io_loop: IoLoop) -> Service:
        settings = self._settings
        exchanger = self._exchanger = Exchanger(
            io_loop, self._pool, self._hop_dialer.dial, self._hops.login_gates, settings.socktimeout
        )
        route_provider = self._discovery or NamedUpstreams(settings.proxy, self._health)
        self._router = Router(settings.noproxy, route_provider, self._resolver.resolve, self._health)
        return Service(
            io_loop=io_loop,
            forwarder=Forwarder(
                self._router,
                exchanger,
                self._pool,
                self._hops.hop_of,
                self._hop_dialer,
                MAX_PREWARMED // settings.workers,
            ),
            pseudonym=self._installation.pseudonym.encode("ascii"),
            sends_via=settings.via,
            useragent=settings.useragent.encode("latin-1"),
            idle_seconds=settings.idle,
            logs_in=not settings.auth.is_none,
            is_own=self._is_px,
            client_auth=self._client_auth,
            answer_page=answer_no_page if self._page_questions is None else self._own_pages.answer,
            check_page_request=self._own_pages.check_request,
            counters=Counters(),
            log_access=self._access_log.write if self._access_log is not None else None,
        )

    def _make_page_sources(self) -> PageSources:
        from px.downstream.pages.pages import PageSources  # noqa: PLC0415 - only once somebody asks
        from px.system.process.socket_user import is_of_another_user  # noqa: PLC0415

        assert self._page_questions is not None  # noqa: S101 - else Px has no pages
        return PageSources(
            ask_status=self._page_questions.ask_status,
            explain=self._page_questions.explain,
            noproxy=self._settings.noproxy,
            metrics_allow=self._settings.metrics_allow,
            is_px=self._is_px,
            is_of_another_user=is_of_another_user,
        )

    def follow_proxy(self, on_found: Callable[[str], object]) -> None:
        """Have a function called with a text about each proxy that is discovered.

        Call this before `serve`.
        """
        if self._discovery is not None and not self._settings.noproxy.matches_everything:
            self._discovery.on_found = on_found

    async def serve(self) -> None:
        """Serve clients until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.serve())
            group.create_task(self._probes.run())
            for renewal in self._hops.renewals if self._renews_tickets else ():
                group.create_task(renewal.run())
            if self._discovery is not None:
                group.create_task(self._discovery.run())
            group.create_task(self._follow_network())

    async def _follow_network(self) -> None:
        """Forget connections, addresses and dead upstreams each time the network changes."""
        with contextlib.closing(NetworkChanges()) as changes:
            while True:
                await changes.wait()
                self._forwarder.forget_connections()
                self._hop_dialer.lose_stranded()
                self._resolver.forget()
                self._router.start_new_network()
                if self._discovery is not None:
                    self._discovery.notice_network_change()

    async def find_programs(self) -> None:
        """Find the programs of the clients, for the next `report`."""
        await self._client_programs.find(self._listener.active_clients)

    def report(self) -> dict[str, object]:
        """Return the state of this worker as JSON; see `px.processes.status`."""
        listener = self._listener
        return {
            "discovered_proxy": str(self._discovery.discovered) if self._discovery is not None else "",
            "open_connections": listener.open_connections,
            "open_tunnels": listener.open_tunnels,
            "counters": {
                **listener.count().to_dict(),
                "logins_accepted": self._hops.guard.acceptances,
                "logins_refused": self._hops.guard.refusals,
            },
            **listener.report_active(),
            "traffic": listener.traffic.report(),
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
            "method": login.accepted_method.value if login and login.accepted_method else "",
            "blocked": login.guard.describe_block(login.source) if login else "",
            "ticket": self._hops.describe_ticket(login) if login else "",
            "latency_ms": self._hop_dialer.connect_times.median_ms(str(upstream)),
            "offers": login.offered_names if login else [],
            "why": self._health.explain(upstream),
        }

    @property
    def parts(self) -> PxParts:
        """The parts that a check looks at."""
        return PxParts(
            self._resolver, self._router, self._discovery, self._hop_dialer, self._hops, self._exchanger
        )

    def limit_failed_logins(self, count: int) -> None:
        """Send no further login once this many logins were refused, or got no verdict.

        Call this before `serve`. Px then renews no ticket by itself, so that the failure appears at the
        request.
        """
        self._hops.guard.failures_left = count
        self._renews_tickets = False

    async def stop(self, drain_seconds: float | None = DRAIN_SECONDS) -> None:
        """Stop listening, let open requests and tunnels end, and close everything. See `Listener.stop`."""
        self._own_pages.close()
        await self._listener.stop(drain_seconds)
        self._forwarder.forget_connections()
        if self._discovery is not None:
            self._discovery.close()
        self._io_loop.pipes.close()
        if self._access_log is not None:
            self._access_log.close()
