"""Reads the places that may name a proxy: the user's PAC script, otherwise the system's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from px.core.errors import PacError
from px.core.rules.pac_location import shorten_location
from px.core.rules.proxy_settings import ProxySettings
from px.routing.discovered_proxy import DiscoveredProxy, Script
from px.routing.pac.source import LoadedPac

_GONE = "the network no longer names a PAC script"
_SILENT = "Px tries again; to do without it, name the upstream with --proxy=HOST:PORT."


class SourceReader:
    """Returns the proxy that is named now; the last result helps where a place cannot be read.

    Args:
        pac: The location of the user's PAC script; empty if the system's settings decide.
        load_settings: Reads the settings of the system, or the environment; raises TimeoutError.
        detect_pac: Asks the network for the location of a PAC script (WPAD); raises TimeoutError.
        load_pac: Loads the script at a location, given the one loaded before or None; raises PacError.
        make_script: Makes a script that can answer requests; raises PacError.
        environment: The environment's settings, used where the system's settings lead to no proxy in this
            network.
    """

    def __init__(
        self,
        *,
        pac: str,
        load_settings: Callable[[], Awaitable[ProxySettings | None]],
        detect_pac: Callable[[], Awaitable[str | None]],
        load_pac: Callable[[str, LoadedPac | None], Awaitable[LoadedPac]],
        make_script: Callable[[LoadedPac], Script],
        environment: ProxySettings | None,
    ) -> None:
        self._pac = pac
        self._load_settings = load_settings
        self._detect_pac = detect_pac
        self._load_pac = load_pac
        self._make_script = make_script
        self._environment = environment
        self._loaded: LoadedPac | None = None
        self._script: Script | None = None

    async def read(self, previous: DiscoveredProxy, is_network_new: bool) -> DiscoveredProxy:  # noqa: FBT001 - of `ReadSources`
        """Return the proxy that is named now. If a PAC script cannot be loaded, the last one stays in use.

        Args:
            previous: The last result.
            is_network_new: Whether the network has changed since.
        """
        try:
            settings = None if self._pac else await self._load_settings()
        except TimeoutError as error:
            trouble = _explain("the system did not report its proxy settings", error)
            return replace(previous, trouble=trouble, remedy=_SILENT)
        if not self._pac and not settings:
            return DiscoveredProxy()
        here = DiscoveredProxy(source=settings.source if settings else "--pac", settings=settings)
        troubles: list[PacError] = []
        async for location in self._locations(settings, troubles):
            try:
                return await self._follow(here, location)
            except PacError as error:
                troubles.append(error)
        remedies = dict.fromkeys(error.hint for error in troubles)
        here = replace(here, trouble="; ".join(map(str, troubles)), remedy=" ".join(remedies))
        return self._ask_environment(_fall_back(here, previous, is_network_new=is_network_new))

    def _ask_environment(self, here: DiscoveredProxy) -> DiscoveredProxy:
        """Return the environment's proxy where automatic detection, the default on Windows, finds none."""
        settings = here.settings
        is_known = here.script is not None or here.trouble or settings is None or settings.upstreams
        if is_known or not self._environment:
            return here
        return DiscoveredProxy(source=self._environment.source, settings=self._environment)

    async def _locations(
        self, settings: ProxySettings | None, troubles: list[PacError]
    ) -> AsyncIterator[str]:
        """Yield the locations to try for a PAC script, in order; append what failed to `troubles`."""
        if settings is None:
            yield self._pac
            return
        if settings.is_auto_detected:
            try:
                detected = await self._detect_pac()
            except TimeoutError as error:
                trouble = _explain("the network did not say whether it has a PAC script", error)
                troubles.append(PacError(trouble, _SILENT))
            else:
                if detected:
                    yield detected
        if settings.pac:
            yield settings.pac

    async def _follow(self, here: DiscoveredProxy, location: str) -> DiscoveredProxy:
        known = self._loaded if self._loaded is not None and self._loaded.location == location else None
        loaded = await self._load_pac(location, known)
        if self._script is None or loaded is not self._loaded:
            self._script, self._loaded = self._make_script(loaded), loaded
        return replace(here, script=self._script, loaded=loaded)

    def __repr__(self) -> str:
        return f"<SourceReader {shorten_location(self._pac) or 'of the system'}>"


def _explain(what: str, error: TimeoutError) -> str:
    return f"{what}: {error}" if str(error) else what


def _fall_back(here: DiscoveredProxy, previous: DiscoveredProxy, *, is_network_new: bool) -> DiscoveredProxy:
    """Return what to use where the settings may ask for a PAC script and none could be loaded."""
    settings = here.settings
    is_wanted = settings is None or settings.is_auto_detected or bool(settings.pac)
    if not is_wanted or previous.script is None or previous.source != here.source:
        return here
    if not is_network_new:
        return replace(previous, trouble=here.trouble or _GONE, remedy=here.remedy)
    if not here.trouble:  # a network that answers "no script" has no proxy
        return here
    # Reading failed: the old script may still be right.
    return replace(previous, trouble=here.trouble, remedy=here.remedy, is_from_other_network=True)
