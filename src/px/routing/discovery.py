"""Keeps the discovered proxy current: reads the sources at the start, at intervals, and in a new network."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from px.core.errors import PacError, RoutingError
from px.core.host import is_local_target
from px.core.http.request_head import RequestHead
from px.core.rules.pac_answer import find_unusable
from px.core.rules.route import Direct, Route, Via
from px.routing.discovered_proxy import DiscoveredProxy, Script, scheme_of, url_for_script
from px.routing.health import UpstreamHealth
from px.routing.router import find_name_rule, forbid

#: How long a request waits for discovery in a new network. After that it takes the route found before.
FOLLOW_SECONDS = 1.0
#: Pause before Px reads the sources again if they could not be read, or if detection found nothing. Each
#: further pause is twice as long as the one before, up to the usual interval. In a new network, and after a
#: clear result, the pauses begin anew.
RETRY_SECONDS = 1.0
#: How often in a row a network change may restart the reading of the sources. After that the reading goes on
#: to its end, so that Px finds a route even where the network changes all the time.
MAX_RESTARTS = 3

#: Returns the proxy discovered now, given the one discovered before and whether the network has changed.
ReadSources = Callable[[DiscoveredProxy, bool], Awaitable[DiscoveredProxy]]

_LOGGER = logging.getLogger("px.discovery")
_NONE = DiscoveredProxy()
_HINT = "Try again in a moment, or name the upstream with --proxy=HOST:PORT."


class Discovery:
    """Finds the routes where the user names no upstream. Implements `px.routing.router.RouteProvider`.

    Args:
        read_sources: Returns the proxy that the sources name now.
        reload_seconds: The interval at which the sources are read.
        health: The health of the upstreams.
        is_all_direct: Whether requests go directly where nothing names a proxy. Otherwise Px refuses them
            until discovery has found a proxy for the first time.
        is_local_direct: Whether requests of programs on this computer go directly to local targets
            (`px.core.host.is_local_target`), whatever names the upstreams.
    """

    def __init__(
        self,
        read_sources: ReadSources,
        reload_seconds: float,
        health: UpstreamHealth,
        *,
        is_all_direct: bool,
        is_local_direct: bool = True,
    ) -> None:
        self._read_sources = read_sources
        self._reload_seconds = reload_seconds
        self._health = health
        self._retry_seconds = RETRY_SECONDS
        self._may_be_direct = is_all_direct
        self._is_local_direct = is_local_direct
        self._network_changed = asyncio.Event()
        self._is_settled = asyncio.Event()
        #: Ends the wait of requests after a network change.
        self._wait_timer: asyncio.TimerHandle | None = None
        self.discovered = _NONE
        #: Called with a text about each proxy that is found.
        self.on_found: Callable[[str], object] = _LOGGER.debug

    @property
    def has_no_route(self) -> bool:
        """Whether discovery has ended without a proxy, and direct connections are not allowed."""
        return self._is_settled.is_set() and not self.discovered.source and not self._may_be_direct

    async def run(self) -> None:
        """Refresh the discovered proxy again and again, until cancelled."""
        is_network_new, restarts = False, 0
        while True:
            self._network_changed.clear()
            if restarts == MAX_RESTARTS:
                await self.refresh(is_network_new=is_network_new)
            elif not await self._refresh_unless_changed(is_network_new=is_network_new):
                is_network_new, restarts = True, restarts + 1
                continue
            restarts = 0
            is_network_new = await self._sleep(self._next_pause(is_network_new=is_network_new))

    def _next_pause(self, *, is_network_new: bool) -> float:
        """Return the seconds until the sources are to be read again.

        In a network that has just come up, the name server may start to answer a moment later.
        """
        is_unsure = bool(self.discovered.trouble) or self.discovered.is_detection_empty
        if is_network_new or not is_unsure:
            self._retry_seconds = RETRY_SECONDS
        if not is_unsure:
            return self._reload_seconds
        pause = self._retry_seconds
        self._retry_seconds = min(2 * pause, self._reload_seconds)
        return pause

    async def refresh(self, *, is_network_new: bool = False) -> None:
        """Read the sources, and use the proxy that they name."""
        self._settle(await self._discover(is_network_new=is_network_new))

    async def _discover(self, *, is_network_new: bool) -> DiscoveredProxy:
        """Read the sources, and load a new script while requests still use the old one."""
        discovered = await self._read_sources(self.discovered, is_network_new)
        script = discovered.script
        if script is not None and script is not self.discovered.script:
            try:
                await script.prepare()
            except asyncio.CancelledError:
                script.close()
                raise
        return discovered

    async def _refresh_unless_changed(self, *, is_network_new: bool) -> bool:
        """Do as `refresh`; return False, without a result, if the network changed meanwhile."""
        discovering = asyncio.ensure_future(self._discover(is_network_new=is_network_new))
        changed = asyncio.ensure_future(self._network_changed.wait())
        try:
            await asyncio.wait((discovering, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            if not discovering.done():
                discovering.cancel()
        if not discovering.done():
            return False
        self._settle(discovering.result())
        return True

    def _settle(self, discovered: DiscoveredProxy) -> None:
        if str(discovered) != str(self.discovered) or not self._is_settled.is_set():
            _LOGGER.info("the route: %s", discovered)
        self._tell_of(discovered)
        before, self.discovered = self.discovered.script, discovered
        if before is not None and before is not discovered.script:
            before.close()
        self._may_be_direct = self._may_be_direct or bool(discovered.source)
        self._end_wait()

    def _tell_of(self, discovered: DiscoveredProxy) -> None:
        if discovered.trouble:
            hint = f"{discovered.remedy} {discovered.describe_meanwhile()}".lstrip()
            _LOGGER.warning("%s.", discovered.trouble.rstrip("."), extra={"hint": hint})
        elif not (discovered.source or self._may_be_direct):
            _LOGGER.warning("No proxy is set anywhere.", extra={"hint": _HINT})
        else:
            self.on_found(discovered.describe())

    def _end_wait(self) -> None:
        if self._wait_timer is not None:
            self._wait_timer.cancel()
            self._wait_timer = None
        self._is_settled.set()

    async def _sleep(self, seconds: float) -> bool:
        """Return whether the network changed while sleeping."""
        try:
            async with asyncio.timeout(seconds):
                await self._network_changed.wait()
        except TimeoutError:
            return False
        return True

    def notice_network_change(self) -> None:
        """Read the sources again now. Requests wait for the result, but at most `FOLLOW_SECONDS`."""
        self._network_changed.set()
        if self.discovered.script is not None:
            self.discovered.script.forget()
        if self._wait_timer is not None:
            self._wait_timer.cancel()
        elif not self._is_settled.is_set():
            return  # the sources have not been read yet: requests wait for that anyway
        self._is_settled.clear()
        self._wait_timer = asyncio.get_running_loop().call_later(FOLLOW_SECONDS, self._end_wait)

    def close(self) -> None:
        """Release the current script's process. Px is ending."""
        if self.discovered.script is not None:
            self.discovered.script.close()

    async def settle(self) -> DiscoveredProxy:
        """Return the discovered proxy, once the sources have been read."""
        if not self._is_settled.is_set():
            await self._is_settled.wait()
        return self.discovered

    async def routes_for(self, request: RequestHead, *, is_from_here: bool = False) -> Sequence[Route]:
        """Return the routes to try. See `RouteProvider`.

        Raises:
            ForbiddenError: Nothing names a proxy, and nothing has named one before.
            RoutingError: The source that may name a proxy has not answered yet.
            PacError: The PAC script named by the user failed.
        """
        discovered = await self.settle()
        if is_from_here and (why := self.explain_local(request)):
            return (Direct(why),)
        if discovered.script is not None:
            try:
                return await self._ask_script(discovered.script, request)
            except PacError as error:
                if discovered.is_named:
                    raise
                _LOGGER.warning(
                    "%s Px goes on as if there were no script.", error.cause, extra={"hint": error.hint}
                )
                discovered = replace(discovered, script=None, loaded=None, trouble=error.cause.rstrip("."))
        if not discovered.source and discovered.trouble:
            raise RoutingError(f"The route of this request is not known yet: {discovered.trouble}.", _HINT)
        if self.has_no_route:
            raise forbid(request)
        return self._routes_by_settings(discovered, request)

    def explain_local(self, request: RequestHead) -> str:
        """Return why a request from a program on this computer goes directly; empty if it does not.

        Only programs on this computer get this exception: a client on another computer would otherwise reach
        services that listen on the loopback interface alone.
        """
        settings = self.discovered.settings
        if not self.discovered.source or not self._is_local_direct:
            return ""
        if settings is not None and settings.bypass.subtracts_loopback:
            return ""
        host = request.authority.host
        return f"{host} is on this computer or its own link" if is_local_target(host) else ""

    def _routes_by_settings(self, discovered: DiscoveredProxy, request: RequestHead) -> Sequence[Route]:
        settings = discovered.settings
        if settings is None:
            return (_direct(discovered),)
        if why := find_name_rule(settings.bypass, request.authority, settings.source):
            return (Direct(why),)
        upstreams = settings.upstreams_for(scheme_of(request))
        return [Via(each) for each in self._health.order(upstreams)] or (_direct(discovered),)

    async def _ask_script(self, script: Script, request: RequestHead) -> Sequence[Route]:
        answer = await script.find_routes(url_for_script(request), request.authority.host)
        _warn_of_unusable(answer.text)
        routes = list(answer.routes)
        if self.discovered.is_from_other_network and not any(isinstance(route, Direct) for route in routes):
            routes.append(_direct(self.discovered))
        return self._health.order_listed(routes)

    def __repr__(self) -> str:
        return f"<Discovery {self.discovered}>"


def _direct(discovered: DiscoveredProxy) -> Direct:
    return Direct(str(discovered), discovered.trouble)


@lru_cache(maxsize=256)
def _warn_of_unusable(answer: str) -> None:
    """Log the entries that Px skips, once for each answer: scripts give the same few answers many times."""
    if skipped := find_unusable(answer):
        entries = ", ".join(map(repr, skipped))
        _LOGGER.warning("the PAC script's answer names proxies that Px cannot use, left out: %s", entries)
