"""Puts together what finds the upstreams where the user names none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from px.core.access import is_px_itself
from px.core.pac_location import shorten_location
from px.core.route import DEFAULT_PORTS
from px.core.startup_errors import ConfigError
from px.core.target import Authority
from px.system.interfaces import OwnAddresses, find_own_addresses
from px.system.system_proxy import load_proxy_settings
from px.system.system_proxy_environment import SCHEMES, load_environment

if TYPE_CHECKING:
    from px.config import Settings
    from px.routing.discovery import Discovery
    from px.routing.health import UpstreamHealth
    from px.routing.pac_engine import PacScript
    from px.routing.pac_source import LoadedPac
    from px.routing.router import Resolve

#: For PAC scripts, each of which is asked by one thread at a time.
PAC_THREADS: Final = 1
#: Longer than a download may take (`px.routing.pac_download`), which knows better what went wrong.
LOAD_SECONDS: Final = 25.0
#: Likewise for what looks for the location.
DETECT_SHARE: Final = 0.9

_NO_PROXY: Final = (
    "no upstream proxy is known, so there is nothing to do: none is given, and neither the system's proxy "
    "settings nor the environment name one; give --proxy=HOST:PORT or --pac=URL, or --noproxy=0.0.0.0/0 to "
    "connect to everything directly"
)


def px_check(settings: Settings) -> Callable[[str, int], bool]:
    """Return whether a host, as written, and port are where a Px with these settings listens."""
    listening = {(str(address), settings.port) for address in settings.access.listen}
    is_own = OwnAddresses(time.monotonic).has
    return lambda host, port: is_px_itself(Authority(host.lower(), port), listening=listening, is_own=is_own)


def check_way(settings: Settings) -> None:
    """Return if there is something to do: an upstream that is not this Px itself, or a place that names some.

    Blocks as `load_proxy_settings` does.

    Raises:
        ConfigError: There is not.
    """
    is_px = px_check(settings)
    for upstream in settings.proxy:
        if is_px(upstream.host, upstream.port):
            raise ConfigError(f"--proxy={upstream}: that is where this Px itself listens")
    pac = urlsplit(settings.pac)
    if pac.scheme in {"http", "https"} and is_px(pac.hostname or "", pac.port or DEFAULT_PORTS[pac.scheme]):
        raise ConfigError(f"--pac={settings.pac}: that is where this Px itself listens")
    is_given = settings.proxy or settings.pac or settings.noproxy
    if not is_given and not _is_way_named(is_px):
        own = [name for name in os.environ if name.lower() in SCHEMES and os.environ[name]]
        told = (
            f"; {' and '.join(own)} of the environment: Px itself, or nothing that can be used" if own else ""
        )
        raise ConfigError(_NO_PROXY + told)


def say_upstreams(settings: Settings) -> str:
    """Return who names the upstreams, for people."""
    if settings.proxy:
        return ", ".join(map(str, settings.proxy))
    if settings.noproxy.matches_everything:
        return "none, direct connections only"
    if settings.pac:
        return f"as the PAC script {shorten_location(settings.pac)} says"
    return "as the system's settings or the environment say, if they name any: see px --status"


def _is_way_named(is_px: Callable[[str, int], bool]) -> bool:
    try:
        return bool(load_proxy_settings(os.environ, is_px))
    except TimeoutError:  # perhaps; it may tell later
        return True


def make_discovery(
    settings: Settings, resolve: Resolve, health: UpstreamHealth, now: Callable[[], float]
) -> Discovery:
    """Return what finds the upstreams, and follows them.

    Args:
        settings: Where to look.
        resolve: Addresses of a host; raises UnreachableError.
        health: Of the upstreams.
        now: Monotonic seconds.
    """
    # A supervisor needs only what stands above.
    from px.net.offload import Offload  # noqa: PLC0415
    from px.net.tls import make_tls_context  # noqa: PLC0415
    from px.routing.discovery import Discovery  # noqa: PLC0415
    from px.routing.pac_source import PacLoader  # noqa: PLC0415
    from px.routing.scout import Scout  # noqa: PLC0415
    from px.system.wpad import detect_pac_url  # noqa: PLC0415

    is_px = px_check(settings)
    loader = PacLoader(Offload("px-pac-load", 1, LOAD_SECONDS).run, make_tls_context)
    # Of its own: what is silent there shall not hold up the look-ups of names.
    run = Offload("px-way", 1, settings.socktimeout).run

    async def load_pac(location: str, known: LoadedPac | None) -> LoadedPac:
        return await loader.load(location, settings.pac_encoding, known)

    scout = Scout(
        pac=settings.pac,
        load_settings=partial(run, load_proxy_settings, os.environ, is_px),
        detect_pac=partial(run, detect_pac_url, DETECT_SHARE * settings.socktimeout),
        load_pac=load_pac,
        make_script=script_maker(settings, resolve, now),
        environment=load_environment(os.environ, is_px),
    )
    return Discovery(scout.look, settings.proxyreload, health, is_all_direct=not settings.noproxy)


def script_maker(
    settings: Settings, resolve: Resolve, now: Callable[[], float]
) -> Callable[[LoadedPac], PacScript]:
    """Return what makes a PAC script ready to be asked. See `make_discovery`."""
    from px.net.offload import Offload  # noqa: PLC0415
    from px.routing.pac_engine import PacScript  # noqa: PLC0415

    run = Offload("px-pac", PAC_THREADS, settings.socktimeout).run

    def make(loaded: LoadedPac) -> PacScript:
        return PacScript(
            loaded.text, loaded.location, run=run, resolve=resolve, my_addresses=find_own_addresses, now=now
        )

    return make
