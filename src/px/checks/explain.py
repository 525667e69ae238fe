"""The route that a request would take, and the reason, step by step: for ``px --explain`` and Px's page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from px.app.proxy_discovery import make_discovery, make_px_check, planned_addresses, script_maker
from px.checks.target import parse_url
from px.core.errors import PacError, PxError, UnreachableError
from px.core.host import to_address
from px.core.http.request_head import RequestHead
from px.core.http.target import hide_login
from px.core.rules.host_rule_parser import split_rules
from px.core.rules.host_rules import HostRules
from px.core.rules.pac_answer import find_unusable
from px.core.rules.pac_lines import find_line, mark_returns
from px.core.rules.route import Route, Via, format_upstreams
from px.io.io_loop import IoLoop
from px.io.thread_lane import ThreadLane
from px.routing.discovered_proxy import DiscoveredProxy, Script, scheme_of
from px.routing.health import UpstreamHealth
from px.routing.router import NamedUpstreams, Router, find_name_rule
from px.upstream.connections.dial import Dialer
from px.upstream.connections.resolver import Resolver

if TYPE_CHECKING:
    from px.config.settings import Settings
    from px.core.rules.proxy_settings import ProxySettings
    from px.routing.pac.engine import PacAnswer
    from px.routing.pac.source import LoadedPac


class _Witness:
    """A PAC script that keeps its answer, so that --explain shows the answer behind the routes.

    A second call could return another answer: scripts read the clock or use random numbers.
    Implements `px.routing.discovered_proxy.Script`.

    Attributes:
        answer: The answer of the script; None if the script failed or was not called.
        error: The error of the script, or None.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.answer: PacAnswer | None = None
        self.error: PacError | None = None

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        """Call the script and keep its answer or error; see `Script`."""
        try:
            self.answer = await self._script.find_routes(url, host)
        except PacError as error:
            self.error = error
            raise
        return self.answer

    async def prepare(self) -> None:
        """Load the script; see `Script`."""
        await self._script.prepare()

    def forget(self) -> None:
        """Forget cached answers of the script; see `Script`."""
        self._script.forget()

    def close(self) -> None:
        """Release the engine of the script; see `Script`."""
        self._script.close()


class Explainer:
    """Describes the route of a request; create it inside the event loop.

    Args:
        settings: The settings of Px.
        tell: Takes the name and the text of each line; a line that goes on with the one before has no name.
    """

    def __init__(self, settings: Settings, tell: Callable[[str, str], object]) -> None:
        self._settings = settings
        self._tell = tell
        io_loop = IoLoop()
        threads = ThreadLane("px-names", settings.threads, settings.socktimeout)
        self._resolver = Resolver(threads.run, io_loop.now)
        self._is_px = make_px_check(planned_addresses(settings))
        self._dialer = Dialer(io_loop, self._resolver, settings.socktimeout, self._is_px)
        self._health = UpstreamHealth(io_loop.now, lambda: None)
        self._discovery = make_discovery(
            settings, self._is_px, self._resolver.resolve, self._health, io_loop.now
        )
        self._make_script = script_maker(self._resolver.resolve, io_loop.now)
        self.close = self._discovery.close
        route_provider = NamedUpstreams(settings.proxy, self._health) if settings.proxy else self._discovery
        self._router = Router(settings.noproxy, route_provider, self._resolver.resolve, self._health)

    async def explain(self, request: RequestHead) -> bool:
        """Describe the route of a request; return whether Px would send the request on."""
        self._tell(
            "request", f"{request.method.decode('ascii')} {hide_login(request.target).decode('ascii')}"
        )
        target = request.authority
        if self._is_px(target):
            self._tell("result", "refused, 508: that is where Px itself listens")
            return False
        await self._tell_addresses(target.host)
        is_named = await self._tell_noproxy(request)
        witness = None if self._settings.proxy else await self._look()
        routes: Sequence[Route] = ()
        refusal: PxError | None = None
        try:
            routes = await self._router.routes_for(request, is_from_here=True)
        except PxError as error:
            refusal = error
        if self._settings.proxy:
            self._tell("proxy", f"given: {format_upstreams(self._settings.proxy)}")
        else:
            unused = "noproxy decides" if is_named else self._discovery.explain_local(request)
            await self._tell_discovered(request, witness, unused)
        if refusal is not None:
            self._tell("result", f"refused, {refusal.status}: {refusal.cause} {refusal.hint}".rstrip())
            return False
        return await self._tell_routes(request, routes)

    async def _look(self) -> _Witness | None:
        """Look for the source of upstreams; return its PAC script, or None without one."""
        await self._discovery.refresh()
        discovered = self._discovery.discovered
        if discovered.script is None:
            return None
        witness = _Witness(discovered.script)
        self._discovery.discovered = replace(discovered, script=witness)
        return witness

    async def _tell_addresses(self, host: str) -> None:
        if to_address(host) is not None:
            return
        try:
            addresses = await self._resolver.resolve(host)
        except UnreachableError as error:
            self._tell("addresses", f"none: {error.cause} An upstream may know more.")
        else:
            self._tell("addresses", ", ".join(addresses))

    async def _tell_noproxy(self, request: RequestHead) -> bool:
        """Tell which rule of noproxy names the target, and return whether one does."""
        rules = self._settings.noproxy
        if not rules:
            self._tell("noproxy", "<-loopback>" if rules.subtracts_loopback else "none")
            self._tell_skipped(rules.skipped)
            return False
        why = ""
        with contextlib.suppress(UnreachableError):  # `_tell_addresses` has shown this error
            why = await self._router.find_rule(request.authority)
        await self._tell_rule("noproxy", rules, why, request)
        self._tell_skipped(rules.skipped)
        return bool(why)

    def _tell_skipped(self, reasons: Sequence[str]) -> None:
        for reason in reasons:
            self._tell("", f"left out: {reason}")

    async def _tell_rule(self, name: str, rules: HostRules, why: str, request: RequestHead) -> None:
        """Tell which rule matches; tell all rules if no single one matches."""
        if not why:
            self._tell(name, f"no rule of {rules}")
            return
        target = request.authority
        addresses: Sequence[str] = ()
        with contextlib.suppress(UnreachableError):  # a rule about names still matches
            addresses = await self._resolver.resolve(target.host)
        for text in split_rules(rules.text):
            rule = HostRules.parse_readable(text)
            if rule.matches_name(*target) or any(map(rule.matches_address, addresses)):
                self._tell(name, f"{why}: {text}")
                return
        self._tell(name, f"{why}: {rules}")

    async def _tell_discovered(self, request: RequestHead, witness: _Witness | None, unused: str) -> None:
        """Tell the source of upstreams; `unused` is the reason not to use the source here, or empty."""
        discovered = self._discovery.discovered
        self._tell("discovered", str(discovered))
        if not discovered.source and not self._settings.noproxy:
            self._tell("", "so Px does not start: see px --help=proxy and px --help=pac")
        if unused and discovered.source:
            self._tell("", f"not used: {unused}")
        elif witness is None:
            await self._tell_settings(discovered.settings, request)
        elif witness.answer is not None:
            await self._tell_answer(discovered, witness.answer)
        elif witness.error is not None and not discovered.is_named:  # else the result has it
            self._tell("script", witness.error.cause)
            self._tell("", "the script was found, not named with --pac, so Px goes on without it")
            await self._tell_settings(discovered.settings, request)

    async def _tell_answer(self, discovered: DiscoveredProxy, answer: PacAnswer) -> None:
        self._tell("script", f"FindProxyForURL({answer.url!r}, {answer.host!r})")
        for name, addresses in answer.names.items():
            self._tell("", f"it looks up {name}: {', '.join(addresses) or 'no such name'}")
        for alert in answer.alerts:
            self._tell("", f"it says: {alert}")
        self._tell("", f"answers {answer.text!r}" if answer.text else "answers nothing, which means directly")
        for entry in find_unusable(answer.text):
            self._tell("", f"of that {entry!r} is left out: it names no proxy that Px can use")
        await self._tell_source_line(discovered.loaded, answer)

    async def _tell_settings(self, settings: ProxySettings | None, request: RequestHead) -> None:
        if settings is None:
            return
        self._tell_skipped(settings.skipped)
        if not settings.upstreams_for(scheme := scheme_of(request)):
            self._tell("", f"none of that is for {scheme}:")
        elif settings.bypass:
            why = find_name_rule(settings.bypass, request.authority, settings.source)
            await self._tell_rule("bypass", settings.bypass, why, request)

    async def _tell_source_line(self, loaded: LoadedPac | None, answer: PacAnswer) -> None:
        """Tell which line of the script returned an answer, if Px can find that line."""
        if loaded is None:
            return
        script = self._make_script(replace(loaded, text=mark_returns(loaded.text)))
        with contextlib.suppress(PxError), contextlib.closing(script):
            marked = await script.find_routes(answer.url, answer.host)
            line = find_line(marked.alerts) if marked.text == answer.text else None
            if line:
                self._tell(f"line {line}", loaded.text.splitlines()[line - 1].strip())

    async def _tell_routes(self, request: RequestHead, routes: Sequence[Route]) -> bool:
        result = ""
        for route in routes:
            if isinstance(route, Via):
                name, hop, way = "upstream", str(route), f"through {route}"
                host, port = route.upstream.host, route.upstream.port
            else:
                name, hop, way = "directly", str(request.authority), "directly to the origin"
                host, port = request.authority
            if request.needs_http_proxy and not (isinstance(route, Via) and not route.upstream.is_socks):
                self._tell(name, f"{hop} cannot be asked: Px does not speak {scheme_of(request)} itself")
                continue
            said, is_open = await self._try(host, port)
            self._tell(name, f"{hop} {said}")
            if is_open and not result:
                result = f"goes {way}"
        if any(isinstance(route, Via) and not route.upstream.is_socks for route in routes):
            self._tell("login", "none: --explain only connects; px --test makes a login")
        self._tell("result", result or "fails: nothing named above can be reached")
        return bool(result)

    async def _try(self, host: str, port: int) -> tuple[str, bool]:
        """Connect; return a text about the result, and whether the connection succeeded."""
        begun = time.monotonic()
        try:
            stream = await self._dialer.connect(host, port)
        except PxError as error:
            return f"cannot be reached: {error.cause}", False
        stream.close()
        return f"accepts connections ({(time.monotonic() - begun) * 1000:.0f} ms)", True


async def explain(
    settings: Settings, url: str, tell: Callable[[str, str], object], option: str = "--explain"
) -> bool:
    """Tell which route a request for a URL would take, and why; return whether Px would send it on.

    Args:
        settings: The settings of Px.
        url: A URL or host; see `px.checks.target.parse_url`.
        tell: Takes the name and the text of each line; see `Explainer`.
        option: What has the URL, for an error about it.

    Raises:
        ConfigError: Px cannot read the URL.
    """
    with contextlib.closing(Explainer(settings, tell)) as explainer:
        return await explainer.explain(parse_url(url, option))
