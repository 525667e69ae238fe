"""How the way is followed: when it is looked for, and what a request is told meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from px.core.errors import ForbiddenError, PacError, RoutingError
from px.core.head import RequestHead, parse_request
from px.core.hostrules import HostRules
from px.core.proxy_settings import ProxySettings
from px.core.route import Direct, Route, Via, parse_upstreams
from px.routing import discovery as discovery_module
from px.routing.discovery import Discovery
from px.routing.finding import Finding
from px.routing.health import UpstreamHealth
from px.routing.pac_engine import PacAnswer
from px.routing.pac_source import LoadedPac
from tests.scripted_upstream import until

A, B = (Via(each) for each in parse_upstreams("a,b"))


def get(url: str = "http://www.test/") -> RequestHead:
    return parse_request(f"GET {url} HTTP/1.1\r\nHost: www.test\r\n\r\n".encode())


def tunnel(authority: str = "www.test:443") -> RequestHead:
    return parse_request(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())


class FakeScript:
    """Says the same of every URL, and notes which they were."""

    def __init__(self, *routes: Route, fault: str = "") -> None:
        self._routes = routes
        self._fault = fault
        self.asked: list[tuple[str, str]] = []
        self.forgotten = 0

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        self.asked.append((url, host))
        if self._fault:
            raise PacError(self._fault)
        return PacAnswer(self._routes, "", url, host)

    def forget(self) -> None:
        self.forgotten += 1


class Lookout:
    """Finds what a test says, when it says so."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)
        self.calls: list[bool] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    def has_looked(self, times: int) -> bool:
        return len(self.calls) == times

    async def look(self, previous: Finding, is_new_network: bool) -> Finding:
        self.calls.append(is_new_network)
        await self.may_end.wait()
        return self.findings.pop(0) if len(self.findings) > 1 else self.findings[0]


@asynccontextmanager
async def discovery_of(
    lookout: Lookout, *, reload_seconds: float = 3600.0, is_all_direct: bool = True
) -> AsyncIterator[Discovery]:
    health = UpstreamHealth(lambda: 0.0, lambda: None)
    discovery = Discovery(lookout.look, reload_seconds, health, is_all_direct=is_all_direct)
    discovery.health = health  # type: ignore[attr-defined]  # for the tests
    running = asyncio.create_task(discovery.run())
    try:
        yield discovery
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def by_script(*routes: Route, fault: str = "", **more: object) -> Finding:
    return Finding(source="--pac", script=FakeScript(*routes, fault=fault), **more)  # type: ignore[arg-type]


def by_settings(**fields: object) -> Finding:
    settings = ProxySettings(source="GNOME settings", **fields)  # type: ignore[arg-type]
    return Finding(source=settings.source, settings=settings)


async def test_the_first_requests_wait_until_the_way_is_found() -> None:
    lookout = Lookout(by_script(A))
    lookout.may_end.clear()
    async with discovery_of(lookout) as discovery:
        asking = asyncio.create_task(discovery.routes_for(get()))
        await until(lambda: lookout.calls)
        assert not asking.done()
        lookout.may_end.set()
        assert await asking == [A]


@pytest.mark.parametrize(
    ("request_head", "url"),
    [
        (get("http://www.test/a?b=c"), "http://www.test/a?b=c"),
        (get("http://www.test:8080"), "http://www.test:8080/"),
        (get("http://www.test:80/"), "http://www.test/"),
        (tunnel(), "https://www.test/"),
        (tunnel("www.test:8443"), "https://www.test:8443/"),
        (tunnel("[2001:db8::1]:443"), "https://[2001:db8::1]/"),
        (parse_request(b"OPTIONS http://www.test HTTP/1.1\r\nHost: x\r\n\r\n"), "http://www.test/"),
    ],
    ids=str,
)
async def test_a_script_is_asked_for_the_url(request_head: RequestHead, url: str) -> None:
    script = FakeScript(A)
    async with discovery_of(Lookout(Finding(source="--pac", script=script))) as discovery:
        assert await discovery.routes_for(request_head) == [A]
    assert script.asked == [(url, request_head.authority.host)]


async def test_dead_upstreams_of_a_script_come_last_and_the_others_keep_their_order() -> None:
    async with discovery_of(Lookout(by_script(A, B, Direct()))) as discovery:
        health: UpstreamHealth = discovery.health  # type: ignore[attr-defined]
        health.report(B.upstream, is_reachable=True)  # which is no reason to prefer it to A
        assert await discovery.routes_for(get()) == [A, B, Direct()]
        health.report(A.upstream, is_reachable=False)
        assert await discovery.routes_for(get()) == [B, Direct(), A]


async def test_a_script_that_fails_costs_the_request_an_error() -> None:
    async with discovery_of(Lookout(by_script(fault="line 3"))) as found:
        with pytest.raises(PacError, match="line 3"):
            await found.routes_for(get())


async def test_a_script_of_another_network_leads_to_the_origin_at_last() -> None:
    async with discovery_of(Lookout(by_script(A, is_left_behind=True, trouble="no answer"))) as discovery:
        assert await discovery.routes_for(get()) == [A, Direct()]
    async with discovery_of(Lookout(by_script(A, Direct(), is_left_behind=True))) as discovery:
        assert await discovery.routes_for(get()) == [A, Direct()]


async def test_settings_have_upstreams_for_each_scheme_and_targets_that_they_do_not_name() -> None:
    upstreams = {"https": (A.upstream,), "ftp": (B.upstream,)}
    bypass = HostRules.parse("*.corp.test", names=True)
    async with discovery_of(Lookout(by_settings(upstreams=upstreams, bypass=bypass))) as discovery:
        assert await discovery.routes_for(tunnel()) == [A]
        assert await discovery.routes_for(get()) == (Direct(),)
        assert await discovery.routes_for(tunnel("a.corp.test:443")) == (Direct(),)


async def test_upstreams_for_every_scheme_are_tried_as_named_ones_are() -> None:
    async with discovery_of(Lookout(by_settings(upstreams={"": (A.upstream, B.upstream)}))) as discovery:
        discovery.health.report(A.upstream, is_reachable=False)  # type: ignore[attr-defined]
        assert await discovery.routes_for(get()) == [B, A]


async def test_with_noproxy_all_else_is_refused_until_a_proxy_was_found_for_the_first_time() -> None:
    lookout = Lookout(Finding(), by_settings(upstreams={"": (A.upstream,)}), Finding())
    async with discovery_of(lookout, is_all_direct=False) as discovery:
        with pytest.raises(ForbiddenError, match="noproxy"):
            await discovery.routes_for(get())
        assert discovery.is_lost
        for routes in ([A], (Direct(),)):
            discovery.notice_network_change()
            assert await discovery.routes_for(get()) == routes
            assert not discovery.is_lost


async def test_without_noproxy_all_is_direct_where_no_proxy_is_named() -> None:
    async with discovery_of(Lookout(Finding())) as discovery:
        assert await discovery.routes_for(get()) == (Direct(),)


async def test_a_change_of_the_network_is_followed_at_once_and_requests_wait_for_that() -> None:
    lookout = Lookout(by_script(A), by_script(B))
    async with discovery_of(lookout) as discovery:
        assert await discovery.routes_for(get()) == [A]
        script = discovery.finding.script
        discovery.notice_network_change()
        assert await discovery.routes_for(get()) == [B]
        assert script.forgotten == 1  # type: ignore[union-attr]
    assert lookout.calls == [False, True]


async def test_a_request_does_not_wait_for_long_in_a_new_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "FOLLOW_SECONDS", 0.01)
    lookout = Lookout(by_script(A), by_script(B))
    async with discovery_of(lookout) as discovery:
        assert await discovery.routes_for(get()) == [A]
        lookout.may_end.clear()
        discovery.notice_network_change()
        assert await discovery.routes_for(get()) == [A]
        lookout.may_end.set()
        await until(lambda: discovery.finding.script is lookout.findings[0].script)


async def test_a_look_at_a_network_that_has_gone_is_given_up() -> None:
    lookout = Lookout(by_script(A))
    lookout.may_end.clear()
    async with discovery_of(lookout) as discovery:
        await until(lambda: lookout.calls)
        discovery.notice_network_change()
        await until(lambda: len(lookout.calls) == 2)
        lookout.may_end.set()
        assert await discovery.routes_for(get()) == [A]
    assert lookout.calls == [False, True]


async def test_it_looks_again_every_so_often() -> None:
    lookout = Lookout(by_script(A), by_script(B))
    async with discovery_of(lookout, reload_seconds=0.02) as discovery:
        await until(lambda: discovery.finding is lookout.findings[0])
        assert await discovery.routes_for(get()) == [B]
    assert set(lookout.calls) == {False}


@pytest.mark.parametrize(
    "make", [lambda: Finding(source="x", trouble="no answer"), lambda: by_settings(is_auto_detected=True)]
)
async def test_what_could_not_be_had_is_looked_for_again_soon_and_then_less_often(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Finding]
) -> None:
    monkeypatch.setattr(discovery_module, "RETRY_SECONDS", 0.01)
    pauses: list[float] = []
    lookout = Lookout(make())
    async with discovery_of(lookout, reload_seconds=0.05) as discovery:
        sleep = discovery._sleep

        async def note_pause(seconds: float) -> bool:
            pauses.append(seconds)
            return await sleep(seconds)

        monkeypatch.setattr(discovery, "_sleep", note_pause)
        await until(lambda: len(pauses) >= 4)
    assert pauses[0] in {0.01, 0.02}
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.05


def test_where_a_script_is_from_is_told_without_secrets_and_without_the_script() -> None:
    locations = ("http://u:secret@h/p.pac", "data:,secret")
    told = [str(by_script(loaded=LoadedPac("", location, "auto"))) for location in locations]
    assert told == ["--pac: PAC script http://h/p.pac", "--pac: PAC script in the data: URL"]


async def test_what_the_system_does_not_tell_is_not_taken_for_no_proxy() -> None:
    async with discovery_of(Lookout(Finding(trouble="it is silent"))) as discovery:
        with pytest.raises(RoutingError, match="not known yet: it is silent"):
            await discovery.routes_for(get())


async def test_a_network_that_changes_all_the_time_has_a_way_too() -> None:
    lookout = Lookout(by_script(A))
    lookout.may_end.clear()
    async with discovery_of(lookout) as discovery:
        for number in range(1, 2 + discovery_module.MAX_RESTARTS):
            await until(partial(lookout.has_looked, number))
            discovery.notice_network_change()
        lookout.may_end.set()
        async with asyncio.timeout(5):
            assert await discovery.routes_for(get()) == [A]
        await until(lambda: len(lookout.calls) == 2 + discovery_module.MAX_RESTARTS)
    assert lookout.calls[0] is False
    assert all(lookout.calls[1:])


async def test_nothing_is_lost_before_it_was_looked_for() -> None:
    """Else a name that only the upstream knows is an error until the script has come."""
    lookout = Lookout(by_script(A))
    lookout.may_end.clear()
    async with discovery_of(lookout, is_all_direct=False) as discovery:
        assert not discovery.is_lost
        lookout.findings = [Finding()]
        lookout.may_end.set()
        with pytest.raises(ForbiddenError):
            await discovery.routes_for(get())
        assert discovery.is_lost
