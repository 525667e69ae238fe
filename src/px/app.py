"""The composition root: settings in, a running Px out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from px.access_log import AccessLog, Sink, open_sink
from px.core.access import IsOwn, is_px_itself
from px.core.errors import ExhaustedError, UnreachableError
from px.core.host import to_address
from px.core.lockout import LockoutGuard
from px.core.route import Route, UpstreamAddress, Via
from px.core.startup_errors import ConfigError
from px.core.target import Authority
from px.core.upstream_login import UpstreamLogin
from px.net.connection import Hop
from px.net.dial import Dialer
from px.net.exchanger import Exchanger
from px.net.hop_dialer import HopDialer
from px.net.io_loop import IoLoop
from px.net.listener import DRAIN_SECONDS, Listener, open_listening_sockets
from px.net.login_turn import LoginTurns
from px.net.offload import Offload
from px.net.outbound import Outbound
from px.net.pool import Pool
from px.net.refusals import Refusals
from px.net.resolver import Resolver
from px.net.service import Service
from px.routing.health import UpstreamHealth
from px.routing.router import Router
from px.stored_passwords import LOAD_SECONDS, add_stored_passwords
from px.system.channel_bindings import tls_server_end_point
from px.system.client_logins import make_client_auth
from px.system.credentials import Keyring
from px.system.installation import load_installation, state_directory
from px.system.interfaces import OwnAddresses
from px.system.lockout_file import LockoutFile
from px.system.ticket_renewal import TicketRenewal
from px.system.tokens import make_token_source

if TYPE_CHECKING:
    from px.config import Settings
    from px.core.client_auth import ClientAuth
    from px.core.secret import Secret
    from px.core.token_source import TokenSource

#: Threads for KDC and keyring at most; the others are for DNS (SPEC 1, ``threads``).
MAX_LOGIN_THREADS = 2
#: Threads for checking the logins of clients: of their own, so that strangers cannot hold up Px's own logins.
CLIENT_THREADS = 1
#: A stop that takes longer is announced.
ANNOUNCE_SECONDS = 0.3
#: How often it is looked whether a dead upstream is due for a probe.
PROBE_TICK_SECONDS = 0.5

_LOGGER = logging.getLogger("px.app")


def run(settings: Settings, announce: Callable[[str], object]) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code.

    Args:
        settings: What Px shall do.
        announce: Called with a line for the person who started it, once Px listens.

    Raises:
        StartupError: Px cannot listen.
    """
    addresses = settings.access.listen
    listening = {(str(address), settings.port) for address in addresses}
    is_own = OwnAddresses(time.monotonic).has
    for upstream in settings.proxy:
        if is_px_itself(Authority(upstream.host.lower(), upstream.port), listening=listening, is_own=is_own):
            raise ConfigError(f"--proxy={upstream}: that is where this Px itself listens")
    access_sink = open_sink(settings.accesslog, Path.cwd(), state_directory())
    sockets = open_listening_sockets(addresses, settings.port)
    settings = add_stored_passwords(settings, Keyring(LOAD_SECONDS), announce)
    load_client_auth(settings)  # what cannot work is said before anybody is served
    with asyncio.Runner() as runner:
        runner.run(_serve_until_stopped(settings, sockets, access_sink, announce))
    return 0


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


async def _serve_until_stopped(
    settings: Settings,
    sockets: list[socket.socket],
    access_sink: Sink | None,
    announce: Callable[[str], object],
) -> None:
    px = Px(settings, sockets, state_directory(), access_sink)
    stopped, hurried = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (hurried if stopped.is_set() else stopped).set()

    _on_stop_signals(stop)
    announce(_say_listening(settings, sockets))
    serving = asyncio.create_task(px.serve())
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not serving.done():
        await _stop(px, hurried, announce)
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _stop(px: Px, hurried: asyncio.Event, announce: Callable[[str], object]) -> None:
    """Let requests under way end, unless the person who waits for it is in a hurry."""
    both = {asyncio.create_task(px.stop()), asyncio.create_task(hurried.wait())}
    done, _ = await asyncio.wait(both, timeout=ANNOUNCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        announce(f"Px ends; what is under way has {DRAIN_SECONDS:g} s. Ctrl-C again ends it now.")
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in both:
        task.cancel()


def _on_stop_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        else:
            loop.add_signal_handler(number, stop)


def _say_listening(settings: Settings, sockets: list[socket.socket]) -> str:
    where = ", ".join(str(Authority(*sock.getsockname()[:2])) for sock in sockets)
    ways = ", ".join(str(upstream) for upstream in settings.proxy) or "none, direct connections only"
    return f"Px listens on {where} for {settings.access.who}. Upstream: {ways}. Ctrl-C ends it."


class Px:
    """A running Px: made inside the event loop it runs on.

    Args:
        settings: What it shall do.
        sockets: Where it listens.
        state: Directory for what it remembers over restarts; made when there is something to remember.
        access_sink: Where the access log goes; None: there is none.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: list[socket.socket],
        state: Path,
        access_sink: Sink | None = None,
    ) -> None:
        self._settings = settings
        self._installation = load_installation(state)
        io_loop = IoLoop()
        self._client_auth = load_client_auth(settings)
        taken = MAX_LOGIN_THREADS + (CLIENT_THREADS if self._client_auth is not None else 0)
        name_threads = Offload("px-names", max(1, settings.threads - taken), settings.socktimeout)
        self._login_threads = Offload("px-login", MAX_LOGIN_THREADS, settings.socktimeout)
        self._resolver = Resolver(name_threads.run, io_loop.now)
        dialer = Dialer(io_loop, self._resolver, settings.socktimeout)
        self._hop_dialer = HopDialer(dialer, settings.socktimeout, self._make_channel_bindings)
        self._some_are_dead = asyncio.Event()
        self._health = UpstreamHealth(io_loop.now, self._some_are_dead.set)
        self._guard = LockoutGuard(LockoutFile(state / "lockout.json"), time.time)
        self._turns = LoginTurns(settings.socktimeout)
        self._sources: dict[tuple[str, Secret | None], TokenSource] = {}
        self._hops = {upstream: self._make_hop(upstream, io_loop) for upstream in settings.proxy}
        self._renewals = [
            self._make_renewal(source) for source in self._sources.values() if source.own_ticket
        ]
        self._pool = Pool(io_loop)
        ways = ", ".join(map(str, settings.proxy)) or "none"
        _LOGGER.info(
            "px.ini: %s; upstreams: %s; noproxy: %s",
            settings.config or "none",
            ways,
            settings.noproxy or "none",
        )
        self._access_log = AccessLog(access_sink) if access_sink is not None else None
        is_own = OwnAddresses(time.monotonic).has
        service = self._make_service(io_loop, {sock.getsockname()[:2] for sock in sockets}, is_own)
        admits = partial(settings.access.admits, is_own=is_own)
        refusals = Refusals(io_loop, settings.access.mend, service.log_access)
        self._listener = Listener(sockets, service, admits, refusals)

    def _make_service(self, io_loop: IoLoop, listening: set[tuple[str, int]], is_own: IsOwn) -> Service:
        settings = self._settings
        exchanger = Exchanger(io_loop, self._pool, self._hop_dialer.dial, self._turns, settings.socktimeout)
        router = Router(settings.proxy, settings.noproxy, self._resolver.resolve, self._health)
        return Service(
            io_loop=io_loop,
            outbound=Outbound(router, exchanger, self._pool, self._hop_of),
            pseudonym=self._installation.pseudonym.encode("ascii"),
            sends_via=settings.via,
            useragent=settings.useragent.encode("latin-1"),
            idle_seconds=settings.idle,
            logs_in=not settings.auth.is_none,
            is_own=partial(is_px_itself, listening=listening, is_own=is_own),
            client_auth=self._client_auth,
            log_access=self._access_log.write if self._access_log is not None else None,
        )

    def _hop_of(self, route: Route) -> Hop:
        assert isinstance(route, Via)  # noqa: S101 - Outbound asks for upstreams only
        return self._hops[route.upstream]

    def _make_hop(self, upstream: UpstreamAddress, io_loop: IoLoop) -> Hop:
        settings = self._settings
        login = None
        if not settings.auth.is_none:
            login = UpstreamLogin(
                str(upstream),
                upstream.host,
                source=self._source_of(upstream),
                policy=settings.auth,
                guard=self._guard,
                now=io_loop.now,
                make_cnonce=partial(secrets.token_hex, 16),
            )
        return Hop(
            name=f"upstream {upstream}",
            key=str(upstream),
            host=upstream.host,
            port=upstream.port,
            is_upstream=True,
            is_tls=upstream.scheme == "https",
            login=login,
        )

    async def _make_channel_bindings(self, certificate: bytes) -> bytes | None:
        return await self._login_threads.run(tls_server_end_point, certificate)

    def _source_of(self, upstream: UpstreamAddress) -> TokenSource:
        """Return the source of tokens of the identity for an upstream, the same for all of one identity."""
        identity = (upstream.username, upstream.password)
        if identity not in self._sources:
            self._sources[identity] = self._make_source(upstream)
        return self._sources[identity]

    def _make_source(self, upstream: UpstreamAddress) -> TokenSource:
        settings = self._settings
        own = bool(upstream.username)
        password = upstream.password if own else settings.password
        nt_hash = None if own or settings.nthash is None else bytes.fromhex(settings.nthash.reveal())
        return make_token_source(
            username=upstream.username or settings.username,
            password=password.reveal() if password is not None else None,
            nt_hash=nt_hash,
            offload=self._login_threads.run,
            workstation=settings.workstation,
            mark_salt=self._installation.mark_salt,
            keeps_own_ticket=settings.kerberos,
        )

    def _make_renewal(self, source: TokenSource) -> TicketRenewal:
        hosts = {hop.host for hop in self._hops.values() if hop.login and hop.login.source is source}
        names = sorted(host for host in hosts if to_address(host) is None)
        return TicketRenewal(source, names, self._guard, self._turns.for_identity(source.identity.key))

    async def serve(self) -> None:
        """Serve clients until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.serve())
            group.create_task(self._probe_dead_upstreams())
            for renewal in self._renewals:
                group.create_task(renewal.run())

    async def _probe_dead_upstreams(self) -> None:
        while await self._some_are_dead.wait():
            self._some_are_dead.clear()
            while self._health.dead:
                await asyncio.sleep(PROBE_TICK_SECONDS)
                await asyncio.gather(*(self._probe(upstream) for upstream in self._health.due_probes()))

    async def _probe(self, upstream: UpstreamAddress) -> None:
        try:
            connection = await self._hop_dialer.dial(self._hops[upstream])
        except UnreachableError as error:
            _LOGGER.debug("probe: %s", error.cause)
            self._health.report(upstream, is_reachable=False)
        except (OSError, ExhaustedError) as error:  # this computer's own trouble: no descriptor, no thread
            _LOGGER.warning("probe of %s: %s", upstream, error)
        else:
            connection.close()
            self._health.revive(upstream)
            _LOGGER.info("%s accepts connections again", upstream)

    async def stop(self) -> None:
        """Accept nobody more, let what is under way end, and close everything."""
        await self._listener.stop()
        self._pool.clear()
        if self._access_log is not None:
            self._access_log.close()
