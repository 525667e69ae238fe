"""Builds the discovery of upstreams for a Px whose user names no upstream."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from px.core.http.target import Authority
from px.core.rules.access import IsOwn, is_px_itself
from px.core.rules.pac_location import shorten_location
from px.core.rules.route import DEFAULT_PORTS, format_upstreams
from px.core.startup_errors import ConfigError
from px.system.network_change.interfaces import OwnAddresses, find_own_addresses
from px.system.proxy_settings.environment import SCHEMES, load_environment
from px.system.proxy_settings.reader import load_proxy_settings

if TYPE_CHECKING:
    from px.config.settings import Settings
    from px.routing.discovery import Discovery
    from px.routing.health import UpstreamHealth
    from px.routing.pac.engine import PacScript
    from px.routing.pac.source import LoadedPac
    from px.routing.router import Resolve

#: Threads that start the processes in which PAC scripts run.
PAC_THREADS: Final = 1
START_SECONDS: Final = 15.0
#: Longer than the limit of a download (`px.routing.pac.download`): that limit gives the better message.
LOAD_SECONDS: Final = 25.0
#: The search for the PAC location gets this share of the time, so that its own, better message comes first.
DETECT_SHARE: Final = 0.9

_NO_PROXY: Final = (
    "no upstream proxy is known, so there is nothing to do: none is given, and neither the system's proxy "
    "settings nor the environment name one; give --proxy=HOST:PORT or --pac=URL, or --noproxy=0.0.0.0/0 to "
    "connect to everything directly"
)


#: Whether Px itself listens at a host and port.
IsPx = Callable[[Authority], bool]


def make_px_check(listening: Collection[tuple[str, int]], is_own: IsOwn | None = None) -> IsPx:
    """Return a function that tells whether an address is that of Px itself.

    Args:
        listening: The addresses and ports where Px listens or will listen.
        is_own: Whether an address belongs to this computer; None: ask the system.
    """
    return partial(is_px_itself, listening=listening, is_own=is_own or OwnAddresses(time.monotonic).has)


def planned_addresses(settings: Settings) -> set[tuple[str, int]]:
    """Return the addresses and ports where a Px with these settings listens."""
    return {(str(address), port) for address in settings.access.listen for port, _ in settings.ports}


def check_routes(settings: Settings) -> None:
    """Return if these settings lead to an upstream, or connect directly; raise if they lead nowhere.

    Blocks as `load_proxy_settings` does.

    Raises:
        ConfigError: An upstream, PAC location or tunnel leads to this Px itself, or no source names an
            upstream.
    """
    is_px = make_px_check(planned_addresses(settings))
    for upstream in settings.proxy:
        if is_px(Authority(upstream.host, upstream.port)):
            raise ConfigError(f"--proxy={upstream}: this Px itself listens there")
    for tunnel in settings.tunnel:
        if is_px(tunnel.target):
            raise ConfigError(f"--tunnel={tunnel}: this Px itself listens there")
    if _is_pac_at(settings.pac, is_px):
        raise ConfigError(f"--pac={shorten_location(settings.pac)}: this Px itself listens there")
    is_given = settings.proxy or settings.pac or settings.noproxy
    if not is_given and not _is_proxy_named(is_px):
        own = [name for name in os.environ if name.lower() in SCHEMES and os.environ[name]]
        hint = (
            f"; Px does not use {' and '.join(own)} of the environment: Px itself, or no proxy" if own else ""
        )
        raise ConfigError(_NO_PROXY + hint)


def describe_upstreams(settings: Settings) -> str:
    """Return a text for users about the source of the upstreams."""
    if settings.proxy:
        return format_upstreams(settings.proxy)
    if settings.noproxy.matches_everything:
        return "none, direct connections only"
    if settings.pac:
        return f"from the PAC script {shorten_location(settings.pac)}"
    return "from the system's proxy settings or the environment; px --status shows them"


def _is_pac_at(location: str, is_px: IsPx) -> bool:
    pac = urlsplit(location)
    if pac.scheme not in {"http", "https"}:
        return False
    return is_px(Authority(pac.hostname or "", pac.port or DEFAULT_PORTS[pac.scheme]))


def _as_written(is_px: IsPx) -> Callable[[str, int], bool]:
    """Return the same function for hosts that a person wrote, in upper or lower case."""
    return lambda host, port: is_px(Authority(host.lower(), port))


def _is_proxy_named(is_px: IsPx) -> bool:
    try:
        return bool(load_proxy_settings(os.environ, _as_written(is_px)))
    except TimeoutError:  # unknown: the source may name a proxy later
        return True


def import_discovery() -> None:
    """Import what `make_discovery` needs, for processes that are forked later."""
    import px.routing.discovery  # noqa: PLC0415
    import px.routing.pac.engine  # noqa: PLC0415
    import px.routing.pac.source  # noqa: PLC0415
    import px.routing.source_reader  # noqa: PLC0415
    import px.system.proxy_settings.wpad  # noqa: F401, PLC0415


def make_discovery(
    settings: Settings, is_px: IsPx, resolve: Resolve, health: UpstreamHealth, now: Callable[[], float]
) -> Discovery:
    """Return the discovery that finds the upstreams and follows their changes.

    Args:
        settings: The settings of Px, with the sources to read.
        is_px: Whether an address is that of Px itself, which is never an upstream.
        resolve: Returns the addresses of a host; raises UnreachableError.
        health: The health of the upstreams.
        now: Returns monotonic seconds.
    """
    # Imported here: a supervisor uses only the functions above.
    from px.io.thread_lane import ThreadLane  # noqa: PLC0415
    from px.routing.discovery import Discovery  # noqa: PLC0415
    from px.routing.pac.source import PacLoader  # noqa: PLC0415
    from px.routing.source_reader import SourceReader  # noqa: PLC0415
    from px.system.proxy_settings.wpad import detect_pac_url  # noqa: PLC0415
    from px.upstream.connections.tls import make_tls_context  # noqa: PLC0415

    is_px_as_written = _as_written(is_px)
    loader = PacLoader(ThreadLane("px-pac-load", 1, LOAD_SECONDS).run, make_tls_context)
    # A thread lane of its own: a source that does not answer must not delay look-ups of names.
    run = ThreadLane("px-discovery", 1, settings.socktimeout).run

    async def load_pac(location: str, known: LoadedPac | None) -> LoadedPac:
        return await loader.load(location, settings.pac_encoding, known)

    source_reader = SourceReader(
        pac=settings.pac,
        load_settings=partial(run, load_proxy_settings, os.environ, is_px_as_written),
        detect_pac=partial(run, detect_pac_url, DETECT_SHARE * settings.socktimeout),
        load_pac=load_pac,
        make_script=script_maker(resolve, now),
        environment=load_environment(os.environ, is_px_as_written),
    )
    return Discovery(
        source_reader.read,
        settings.proxyreload,
        health,
        is_all_direct=not settings.noproxy or settings.noproxy.matches_everything,
        is_local_direct=not settings.noproxy.subtracts_loopback,
    )


def script_maker(resolve: Resolve, now: Callable[[], float]) -> Callable[[LoadedPac], PacScript]:
    """Return a function that makes a callable PAC script of a loaded one; see `make_discovery`."""
    from px.io.thread_lane import ThreadLane  # noqa: PLC0415
    from px.routing.pac.engine import PacScript  # noqa: PLC0415
    from px.routing.pac.process import PacProcess  # noqa: PLC0415
    from px.system.process.bare_process import start_bare_process  # noqa: PLC0415
    from px.system.process.child_command import PAC_ARGUMENT  # noqa: PLC0415

    start = partial(start_bare_process, PAC_ARGUMENT)
    run = ThreadLane("px-pac", PAC_THREADS, START_SECONDS).run

    def make(loaded: LoadedPac) -> PacScript:
        process = PacProcess(loaded.text, start, run, now)
        return PacScript(process, loaded.location, resolve=resolve, my_addresses=find_own_addresses, now=now)

    return make
