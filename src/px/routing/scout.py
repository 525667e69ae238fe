"""Looks where a proxy may be named: in the PAC script of the user, else in the system's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from px.core.errors import PacError
from px.core.proxy_settings import ProxySettings
from px.routing.finding import Finding, Script
from px.routing.pac_source import LoadedPac


class Scout:
    """Finds the way; what it found before helps.

    Args:
        pac: Location of the user's PAC script; empty: the system's settings decide.
        load_settings: Reads the settings of the system, or the environment; raises TimeoutError.
        detect_pac: Looks for the location of a PAC script in the network (WPAD); raises TimeoutError.
        load_pac: Loads the script of a location, given the one loaded before or None; raises PacError.
        make_script: Makes a script ready to be asked; raises PacError.
        environment: What the environment says, where the system's settings come to nothing in this network.
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

    async def look(self, previous: Finding, is_new_network: bool) -> Finding:  # noqa: FBT001 - of `Look`
        """Return what names the way now. Where a PAC script cannot be had, the one of before has its say.

        Args:
            previous: What was found the last time.
            is_new_network: Whether the network has changed since.
        """
        try:
            settings = None if self._pac else await self._load_settings()
        except TimeoutError as error:
            return replace(previous, trouble=_explain("the system does not tell its proxy settings", error))
        if not self._pac and not settings:
            return Finding()
        here = Finding(source=settings.source if settings else "--pac", settings=settings)
        troubles: list[str] = []
        async for location in self._locations(settings, troubles):
            try:
                return await self._follow(here, location)
            except PacError as error:
                troubles.append(str(error))
        here = replace(here, trouble="; ".join(troubles))
        return self._ask_environment(_fall_back(here, previous, is_new_network=is_new_network))

    def _ask_environment(self, here: Finding) -> Finding:
        """Return what the environment says where a proxy is looked for, as by default on Windows, in vain."""
        settings = here.settings
        is_known = here.script is not None or here.trouble or settings is None or settings.upstreams
        if is_known or not self._environment:
            return here
        return Finding(source=self._environment.source, settings=self._environment)

    async def _locations(self, settings: ProxySettings | None, troubles: list[str]) -> AsyncIterator[str]:
        """Yield where a PAC script may be, in the order in which to try; add what could not be found out."""
        if settings is None:
            yield self._pac
            return
        if settings.is_auto_detected:
            try:
                detected = await self._detect_pac()
            except TimeoutError as error:
                troubles.append(_explain("the network does not tell whether it has a PAC script", error))
            else:
                if detected:
                    yield detected
        if settings.pac:
            yield settings.pac

    async def _follow(self, here: Finding, location: str) -> Finding:
        known = self._loaded if self._loaded is not None and self._loaded.location == location else None
        loaded = await self._load_pac(location, known)
        if self._script is None or loaded is not self._loaded:
            self._script, self._loaded = self._make_script(loaded), loaded
        return replace(here, script=self._script, loaded=loaded)

    def __repr__(self) -> str:
        return f"<Scout {self._pac or 'of the system'}>"


def _explain(what: str, error: TimeoutError) -> str:
    return f"{what}: {error}" if str(error) else what


def _fall_back(here: Finding, previous: Finding, *, is_new_network: bool) -> Finding:
    """Return what to do where a PAC script is wanted, perhaps, and not to be had."""
    settings = here.settings
    is_wanted = settings is None or settings.is_auto_detected or bool(settings.pac)
    if not is_wanted or previous.script is None or previous.source != here.source:
        return here
    if not is_new_network:
        return replace(previous, trouble=here.trouble or "no PAC script is found in the network any more")
    # A network that has none of its own is one without a proxy. Where the script is elsewhere, who knows?
    return replace(previous, trouble=here.trouble, is_left_behind=True) if here.trouble else here
