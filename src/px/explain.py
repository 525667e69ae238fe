"""``px --explain=URL``: which way a request would take, and why, step by step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from px.core.errors import PxError, UnreachableError
from px.core.head import RequestHead, parse_request
from px.core.host import to_address
from px.core.hostrule_parser import split_rules
from px.core.hostrules import HostRules
from px.core.pac_lines import find_line, mark_returns
from px.core.pac_location import shorten_location
from px.core.route import Route, UpstreamAddress, Via
from px.core.startup_errors import ConfigError
from px.net.dial import Dialer
from px.net.io_loop import IoLoop
from px.net.offload import Offload
from px.net.resolver import Resolver
from px.routing.finding import scheme_of, url_for_script
from px.routing.health import UpstreamHealth
from px.routing.router import NamedUpstreams, Router, find_name_rule
from px.way_finding import make_discovery, px_check, script_maker

if TYPE_CHECKING:
    from px.config import Settings
    from px.core.proxy_settings import ProxySettings
    from px.routing.pac_engine import PacAnswer
    from px.routing.pac_source import LoadedPac

_MARGIN: Final = 12


def parse_url(text: str) -> RequestHead:
    """Return the request that a client would send for a URL; without a scheme it is one of https.

    Raises:
        ConfigError: No client would send it to a proxy.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "https", text
    authority = rest.partition("/")[0].partition("?")[0]
    is_tunnel = scheme.lower() in {"https", "wss"}
    if not is_tunnel and scheme.lower() not in {"http", "ws"}:
        raise ConfigError(f"--explain: {shorten_location(text)} is no URL of http or https")
    has_port = ":" in authority.rpartition("]")[2]
    target = (authority if has_port else f"{authority}:443") if is_tunnel else text
    method = "CONNECT" if is_tunnel else "GET"
    try:
        return parse_request(f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("ascii"))
    except (PxError, UnicodeEncodeError) as error:
        reason = str(error) if isinstance(error, PxError) else "It has characters that no URL has."
        raise ConfigError(
            f"--explain={shorten_location(text)}: {reason} Valid is: an http: or https: URL, or a host."
        ) from None


class Explainer:
    """Tells the way of a request; made inside the event loop.

    Args:
        settings: Those of Px.
        tell: Takes each line.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], object]) -> None:
        self._settings = settings
        self._tell_line = tell
        io_loop = IoLoop()
        threads = Offload("px-names", settings.threads, settings.socktimeout)
        self._resolver = Resolver(threads.run, io_loop.now)
        self._is_px = px_check(settings)
        self._dialer = Dialer(io_loop, self._resolver, settings.socktimeout, lambda at: self._is_px(*at))
        self._health = UpstreamHealth(io_loop.now, lambda: None)
        self._discovery = make_discovery(settings, self._resolver.resolve, self._health, io_loop.now)
        self._make_script = script_maker(settings, self._resolver.resolve, io_loop.now)
        guide = NamedUpstreams(settings.proxy, self._health) if settings.proxy else self._discovery
        self._router = Router(settings.noproxy, guide, self._resolver.resolve, self._health)

    def _tell(self, name: str, text: str) -> None:
        self._tell_line(f"{name:<{_MARGIN}}{text}")

    async def explain(self, request: RequestHead) -> bool:
        """Tell the way of a request, and return whether it leads anywhere."""
        self._tell("request", f"{request.method.decode('ascii')} {request.target.decode('ascii')}")
        target = request.authority
        if self._is_px(target.host, target.port):
            self._tell("result", "refused, 508: that is where Px itself listens")
            return False
        await self._tell_addresses(target.host)
        await self._tell_noproxy(request)
        if self._settings.proxy:
            self._tell("proxy", f"given: {_join(self._settings.proxy)}")
        else:
            await self._discovery.look()
            await self._tell_finding(request)
        try:
            routes = await self._router.routes_for(request)
        except PxError as error:
            self._tell("result", f"refused, {error.status}: {error.cause} {error.mend}".rstrip())
            return False
        return await self._tell_routes(request, routes)

    async def _tell_addresses(self, host: str) -> None:
        if to_address(host) is not None:
            return
        try:
            addresses = await self._resolver.resolve(host)
        except UnreachableError as error:
            self._tell("addresses", f"none: {error.cause} An upstream may know more.")
        else:
            self._tell("addresses", ", ".join(addresses))

    async def _tell_noproxy(self, request: RequestHead) -> None:
        rules = self._settings.noproxy
        if not rules:
            self._tell("noproxy", "none")
            return
        why = ""
        with contextlib.suppress(UnreachableError):  # which was told already
            why = await self._router.find_rule(request.authority)
        await self._tell_rule("noproxy", rules, why, request)

    async def _tell_rule(self, name: str, rules: HostRules, why: str, request: RequestHead) -> None:
        """Tell which rule matches; all of them where it took several, and where none does."""
        if not why:
            self._tell(name, f"no rule of {rules}")
            return
        target = request.authority
        addresses: Sequence[str] = ()
        with contextlib.suppress(UnreachableError):  # a rule about names matches all the same
            addresses = await self._resolver.resolve(target.host)
        for text in split_rules(rules.text):
            rule = HostRules.parse(text, names=True)
            if rule.matches_name(*target) or any(map(rule.matches_address, addresses)):
                self._tell(name, f"{why}: {text}")
                return
        self._tell(name, f"{why}: {rules}")

    async def _tell_finding(self, request: RequestHead) -> None:
        finding = self._discovery.finding
        self._tell("way", str(finding))
        if not finding.source and not self._settings.noproxy:
            self._tell("", "so Px does not start: see px --help=proxy and px --help=pac")
        if finding.script is None:
            await self._tell_settings(finding.settings, request)
            return
        try:
            answer = await finding.script.find_routes(url_for_script(request), request.authority.host)
        except PxError:
            return  # the result says so
        for name, addresses in answer.names.items():
            self._tell("", f"it looks up {name}: {', '.join(addresses) or 'no such name'}")
        for alert in answer.alerts:
            self._tell("", f"it says: {alert}")
        self._tell("script", f"FindProxyForURL({answer.url!r}, {answer.host!r})")
        self._tell("", f"answers {answer.text!r}" if answer.text else "answers nothing, which means directly")
        await self._tell_source_line(finding.loaded, answer)

    async def _tell_settings(self, settings: ProxySettings | None, request: RequestHead) -> None:
        if settings is None:
            return
        if not settings.upstreams_for(scheme := scheme_of(request)):
            self._tell("", f"none of that is for {scheme}:")
        elif settings.bypass:
            why = find_name_rule(settings.bypass, request.authority, settings.source)
            await self._tell_rule("bypass", settings.bypass, why, request)

    async def _tell_source_line(self, loaded: LoadedPac | None, answer: PacAnswer) -> None:
        """Tell which line of the script gave an answer, where that can be found out."""
        if loaded is None:
            return
        script = self._make_script(replace(loaded, text=mark_returns(loaded.text)))
        with contextlib.suppress(PxError):
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
            said, is_open = await self._try(host, port)
            self._tell(name, f"{hop} {said}")
            if is_open and not result:
                result = f"goes {way}"
        self._tell("result", result or "fails: nothing named above can be reached")
        return bool(result)

    async def _try(self, host: str, port: int) -> tuple[str, bool]:
        """Connect; return what came of it, and whether it stood."""
        begun = time.monotonic()
        try:
            stream = await self._dialer.connect(host, port)
        except PxError as error:
            return f"cannot be reached: {error.cause}", False
        stream.close()
        return f"accepts connections ({(time.monotonic() - begun) * 1000:.0f} ms)", True


def _join(upstreams: Sequence[UpstreamAddress]) -> str:
    return ", ".join(map(str, upstreams))


async def explain(settings: Settings, url: str, tell: Callable[[str], object]) -> bool:
    """Tell which way a request for a URL would take, and why; return whether it leads anywhere.

    Args:
        settings: Those of Px.
        url: As `parse_url` takes it.
        tell: Takes each line.

    Raises:
        ConfigError: It is no URL.
    """
    return await Explainer(settings, tell).explain(parse_url(url))
