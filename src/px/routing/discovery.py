"""Follows what names the way: looks at the start, every so often, and at once when the network changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from px.core.errors import RoutingError
from px.core.head import RequestHead
from px.core.route import Direct, Route, Via
from px.routing.finding import Finding, Script, scheme_of, url_for_script
from px.routing.health import UpstreamHealth
from px.routing.router import find_name_rule, forbid

#: How long a request waits for the way to be found in a network that is new; then it goes the way of before.
FOLLOW_SECONDS = 1.0
#: When it is looked again for what could not be had or is not there; twice as long after each time.
RETRY_SECONDS = 1.0
#: How often in a row a look begins anew as the network has changed again. Then it ends, and another follows:
#: where the network changes all the time something has to be found as well.
MAX_RESTARTS = 3

#: Returns what there is now. Told what there was, and whether the network is another one than then.
Look = Callable[[Finding, bool], Awaitable[Finding]]

_LOGGER = logging.getLogger("px.discovery")
_NONE = Finding()
_MEND = "Try again in a moment, or name the upstream with --proxy=HOST:PORT."


class Discovery:
    """The guide where the way has to be found. Implements `px.routing.router.Guide`.

    Args:
        look: Looks around.
        reload_seconds: How often.
        health: Of the upstreams.
        is_all_direct: Whether all is reached directly where nothing names a proxy; else it is refused until
            one was found for the first time.
    """

    def __init__(
        self, look: Look, reload_seconds: float, health: UpstreamHealth, *, is_all_direct: bool
    ) -> None:
        self._look = look
        self._reload_seconds = reload_seconds
        self._health = health
        self._may_be_direct = is_all_direct
        self._network_changed = asyncio.Event()
        self._is_settled = asyncio.Event()
        self.finding = _NONE

    @property
    def is_lost(self) -> bool:
        """Whether it knows that there is no way at all."""
        return self._is_settled.is_set() and not self.finding.source and not self._may_be_direct

    async def run(self) -> None:
        """Look for ever."""
        is_new, pause, restarts = False, RETRY_SECONDS, 0
        while True:
            self._network_changed.clear()
            if restarts < MAX_RESTARTS and not await self._look_unless_changed(is_new=is_new):
                is_new, restarts = True, restarts + 1
                continue
            if restarts == MAX_RESTARTS:
                self._settle(await self._look(self.finding, is_new))
            restarts = 0
            # A network that has just come up may have its name server a moment later.
            is_unsure = bool(self.finding.trouble) or self.finding.is_vain
            pause = min(2 * pause, self._reload_seconds) if is_unsure and not is_new else RETRY_SECONDS
            is_new = await self._sleep(pause if is_unsure else self._reload_seconds)

    async def look(self) -> None:
        """Look once."""
        self._settle(await self._look(self.finding, False))

    async def _look_unless_changed(self, *, is_new: bool) -> bool:
        """Look, and return whether that came to an end before the network changed again."""
        looking = asyncio.ensure_future(self._look(self.finding, is_new))
        changed = asyncio.ensure_future(self._network_changed.wait())
        try:
            await asyncio.wait((looking, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            if not looking.done():
                looking.cancel()
        if not looking.done():
            return False
        self._settle(looking.result())
        return True

    def _settle(self, finding: Finding) -> None:
        if str(finding) != str(self.finding) or not self._is_settled.is_set():
            _LOGGER.log(logging.WARNING if finding.trouble else logging.INFO, "the way: %s", finding)
        self.finding = finding
        self._may_be_direct = self._may_be_direct or bool(finding.source)
        self._is_settled.set()

    async def _sleep(self, seconds: float) -> bool:
        """Return whether the network has changed in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._network_changed.wait()
        except TimeoutError:
            return False
        return True

    def notice_network_change(self) -> None:
        """Look again now; requests wait for that, but not for long."""
        self._network_changed.set()
        if self.finding.script is not None:
            self.finding.script.forget()
        if self._is_settled.is_set():
            self._is_settled.clear()
            asyncio.get_running_loop().call_later(FOLLOW_SECONDS, self._is_settled.set)

    async def routes_for(self, request: RequestHead) -> Sequence[Route]:
        """Return the routes to try. See `Guide`.

        Raises:
            ForbiddenError: Nothing names a proxy, nor ever did.
            RoutingError: What may name one has not told yet.
            PacError: The PAC script failed.
        """
        if not self._is_settled.is_set():
            await self._is_settled.wait()
        finding = self.finding
        if finding.script is not None:
            return await self._ask_script(finding.script, request)
        if not finding.source and finding.trouble:
            raise RoutingError(f"Where to send it is not known yet: {finding.trouble}.", _MEND)
        if self.is_lost:
            raise forbid(request)
        settings = finding.settings
        if settings is None:
            return (self._direct(),)
        if why := find_name_rule(settings.bypass, request.authority, settings.source):
            return (Direct(why),)
        upstreams = settings.upstreams_for(scheme_of(request))
        return [Via(each) for each in self._health.order(upstreams)] or (self._direct(),)

    def _direct(self) -> Direct:
        return Direct(str(self.finding), self.finding.trouble)

    async def _ask_script(self, script: Script, request: RequestHead) -> Sequence[Route]:
        answer = await script.find_routes(url_for_script(request), request.authority.host)
        routes = list(answer.routes)
        if self.finding.is_left_behind and not any(isinstance(route, Direct) for route in routes):
            routes.append(self._direct())
        return self._health.order_listed(routes)

    def __repr__(self) -> str:
        return f"<Discovery {self.finding}>"
