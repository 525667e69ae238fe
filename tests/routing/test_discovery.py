"""When discovery looks for a proxy, and which routes requests get meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from px.core.errors import ForbiddenError, PacError, RoutingError
from px.core.http.request_head import RequestHead, parse_request
from px.core.rules.host_rules import HostRules
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import Direct, Route, Via, parse_upstreams
from px.routing import discovery as discovery_module
from px.routing.discovered_proxy import DiscoveredProxy
from px.routing.discovery import Discovery
from px.routing.health import UpstreamHealth
from px.routing.pac.engine import PacAnswer
from px.routing.pac.source import LoadedPac
from tests.scripted_upstream import until

A, B = (Via(each) for each in parse_upstreams("a,b"))


def get(url: str = "http://www.test/") -> RequestHead:
    return parse_request(f"GET {url} HTTP/1.1\r\nHost: www.test\r\n\r\n".encode())


def tunnel(authority: str = "www.test:443") -> RequestHead:
    return parse_request(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())


class FakeScript:
    """Gives every URL the same answer, and records the URLs."""

    def __init__(self, *routes: Route, fault: str = "", text: str = "") -> None:
        self._routes = routes
        self._fault = fault
        self._text = text
        self.asked: list[tuple[str, str]] = []
        self.forgotten = 0
        self.closed = 0
        self.prepared = 0

    async def prepare(self) -> None:
        self.prepared += 1

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        self.asked.append((url, host))
        if self._fault:
            raise PacError(self._fault)
        return PacAnswer(self._routes, self._text, url, host)

    def forget(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.closed += 1


class ControlledReader:
    """A source reader whose results and times a test controls."""

    def __init__(self, *results: DiscoveredProxy) -> None:
        self.results = list(results)
        self.calls: list[bool] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    def has_looked(self, times: int) -> bool:
        return len(self.calls) == times

    async def read(self, previous: DiscoveredProxy, is_network_new: bool) -> DiscoveredProxy:
        self.calls.append(is_network_new)
        await self.may_end.wait()
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


@asynccontextmanager
async def discovery_of(
    reader: ControlledReader, *, reload_seconds: float = 3600.0, is_all_direct: bool = True
) -> AsyncIterator[Discovery]:
    health = UpstreamHealth(lambda: 0.0, lambda: None)
    discovery = Discovery(reader.read, reload_seconds, health, is_all_direct=is_all_direct)
    discovery.health = health  # type: ignore[attr-defined]  # for the tests
    running = asyncio.create_task(discovery.run())
    try:
        yield discovery
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def by_script(*routes: Route, fault: str = "", **more: object) -> DiscoveredProxy:
    return DiscoveredProxy(source="--pac", script=FakeScript(*routes, fault=fault), **more)  # type: ignore[arg-type]


def by_settings(**fields: object) -> DiscoveredProxy:
    settings = ProxySettings(source="GNOME settings", **fields)  # type: ignore[arg-type]
    return DiscoveredProxy(source=settings.source, settings=settings)


async def test_the_first_requests_wait_until_discovery_has_ended() -> None:
    reader = ControlledReader(by_script(A))
    reader.may_end.clear()
    async with discovery_of(reader) as discovery:
        asking = asyncio.create_task(discovery.routes_for(get()))
        await until(lambda: reader.calls)
        assert not asking.done()
        reader.may_end.set()
        assert await asking == [A]


async def test_a_new_script_is_loaded_before_it_replaces_the_old_one_which_is_then_closed() -> None:
    old, new = by_script(A), by_script(B)
    reader = ControlledReader(old, new)
    prepare = asyncio.Event()

    async def wait() -> None:
        await prepare.wait()

    new.script.prepare = wait  # type: ignore[union-attr, method-assign]
    async with discovery_of(reader, reload_seconds=0.01) as discovery:
        await until(lambda: reader.has_looked(2))
        assert await discovery.routes_for(get()) == [A]
        assert isinstance(old.script, FakeScript)
        assert (old.script.prepared, old.script.closed) == (1, 0)
        prepare.set()
        await until(lambda: discovery.discovered is new)
        assert await discovery.routes_for(get()) == [B]
        assert old.script.closed == 1
        discovery.close()
    assert isinstance(new.script, FakeScript)
    assert (old.script.closed, new.script.closed) == (1, 1)


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
async def test_the_script_gets_the_url(request_head: RequestHead, url: str) -> None:
    script = FakeScript(A)
    async with discovery_of(ControlledReader(DiscoveredProxy(source="--pac", script=script))) as discovery:
        assert await discovery.routes_for(request_head) == [A]
    assert script.asked == [(url, request_head.authority.host)]


async def test_dead_upstreams_of_a_script_come_last_and_the_others_keep_their_order() -> None:
    async with discovery_of(ControlledReader(by_script(A, B, Direct()))) as discovery:
        health: UpstreamHealth = discovery.health  # type: ignore[attr-defined]
        # B is not better than A, so the script's order counts.
        health.report(B.upstream, is_reachable=True)
        assert await discovery.routes_for(get()) == [A, B, Direct()]
        health.report(A.upstream, is_reachable=False)
        assert await discovery.routes_for(get()) == [B, Direct(), A]


async def test_a_failing_script_fails_the_request() -> None:
    async with discovery_of(ControlledReader(by_script(fault="line 3"))) as found:
        with pytest.raises(PacError, match="line 3"):
            await found.routes_for(get())


async def test_a_failing_discovered_script_means_a_direct_route(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ProxySettings(source="GNOME settings", is_auto_detected=True)
    discovered = DiscoveredProxy(
        source=settings.source, settings=settings, script=FakeScript(fault="Broken in line 7.")
    )
    async with discovery_of(ControlledReader(discovered)) as discovery:
        (route,) = [await discovery.routes_for(get()) for _ in range(2)][-1]
    assert isinstance(route, Direct)
    assert route.trouble == "Broken in line 7"
    warnings = [record.message for record in caplog.records if "line 7" in record.message]
    assert warnings == ["Broken in line 7. Px goes on as if there were no script."] * 2


async def test_if_a_discovered_script_fails_the_upstreams_of_the_settings_are_used() -> None:
    settings = ProxySettings(source="GNOME settings", pac="http://h/", upstreams={"": (A.upstream,)})
    discovered = DiscoveredProxy(
        source=settings.source, settings=settings, script=FakeScript(fault="It is broken.")
    )
    async with discovery_of(ControlledReader(discovered)) as discovery:
        assert await discovery.routes_for(get()) == [A]


LOCAL = ["localhost", "LOCALHOST.", "a.localhost", "127.9.9.9", "169.254.1.2", "[::1]", "[fe80::1]"]
LOCAL_RESULTS = [by_script(A), by_settings(upstreams={"": (A.upstream,)})]


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("discovered", LOCAL_RESULTS, ids=["script", "settings"])
async def test_local_targets_go_directly_and_no_script_runs(host: str, discovered: DiscoveredProxy) -> None:
    async with discovery_of(ControlledReader(discovered)) as discovery:
        for request in (get(f"http://{host}:8080/"), tunnel(f"{host}:443")):
            assert await discovery.routes_for(request, is_from_here=True) == (Direct(),)
    assert discovered.script is None or discovered.script.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("discovered", LOCAL_RESULTS, ids=["script", "settings"])
async def test_a_client_on_another_computer_reaches_no_local_target_of_this_one(
    host: str, discovered: DiscoveredProxy
) -> None:
    async with discovery_of(ControlledReader(discovered)) as discovery:
        for request in (get(f"http://{host}:8080/"), tunnel(f"{host}:443")):
            assert await discovery.routes_for(request, is_from_here=False) == [A]
            assert await discovery.routes_for(request) == [A]


@pytest.mark.parametrize(
    "host", ["localhost6", "localhost.test", "128.0.0.1", "0.0.0.0", "[::]", "[fec0::1]"]
)
async def test_the_script_runs_for_targets_that_only_look_local(host: str) -> None:
    async with discovery_of(ControlledReader(by_script(A))) as discovery:
        assert await discovery.routes_for(get(f"http://{host}/"), is_from_here=True) == [A]


@pytest.mark.parametrize("discovered", LOCAL_RESULTS, ids=["script", "settings"])
async def test_local_targets_are_no_exception_if_the_user_says_so(discovered: DiscoveredProxy) -> None:
    health = UpstreamHealth(lambda: 0.0, lambda: None)
    discovery = Discovery(
        ControlledReader(discovered).read, 3600, health, is_all_direct=True, is_local_direct=False
    )
    await discovery.refresh()
    assert await discovery.routes_for(get("http://localhost/"), is_from_here=True) == [A]


async def test_local_targets_are_no_exception_if_the_settings_say_so() -> None:
    bypass = HostRules.parse("<-loopback>", names=True)
    found = by_settings(upstreams={"": (A.upstream,)}, bypass=bypass)
    async with discovery_of(ControlledReader(found)) as discovery:
        assert await discovery.routes_for(get("http://localhost/"), is_from_here=True) == [A]


async def test_an_unusable_entry_of_an_answer_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = FakeScript(A, text="PROXY a; PROXY bad.test:99999")
    async with discovery_of(ControlledReader(DiscoveredProxy(source="--pac", script=script))) as discovery:
        for _ in range(2):
            assert await discovery.routes_for(get()) == [A]
    warnings = [record.message for record in caplog.records if "bad.test" in record.message]
    assert len(warnings) == 1
    assert warnings[0].endswith("left out: 'PROXY bad.test:99999'")


async def test_a_script_of_another_network_has_a_direct_route_at_the_end() -> None:
    by_old_script = by_script(A, is_from_other_network=True, trouble="no answer")
    async with discovery_of(ControlledReader(by_old_script)) as discovery:
        assert await discovery.routes_for(get()) == [A, Direct()]
    async with discovery_of(
        ControlledReader(by_script(A, Direct(), is_from_other_network=True))
    ) as discovery:
        assert await discovery.routes_for(get()) == [A, Direct()]


async def test_settings_have_upstreams_for_each_scheme_and_targets_that_they_do_not_name() -> None:
    upstreams = {"https": (A.upstream,), "ftp": (B.upstream,)}
    bypass = HostRules.parse("*.corp.test", names=True)
    async with discovery_of(ControlledReader(by_settings(upstreams=upstreams, bypass=bypass))) as discovery:
        assert await discovery.routes_for(tunnel()) == [A]
        assert await discovery.routes_for(get()) == (Direct(),)
        assert await discovery.routes_for(tunnel("a.corp.test:443")) == (Direct(),)


async def test_upstreams_for_every_scheme_are_tried_like_named_ones() -> None:
    async with discovery_of(
        ControlledReader(by_settings(upstreams={"": (A.upstream, B.upstream)}))
    ) as discovery:
        discovery.health.report(A.upstream, is_reachable=False)  # type: ignore[attr-defined]
        assert await discovery.routes_for(get()) == [B, A]


async def test_with_noproxy_other_targets_are_refused_until_the_first_proxy_is_found() -> None:
    reader = ControlledReader(
        DiscoveredProxy(), by_settings(upstreams={"": (A.upstream,)}), DiscoveredProxy()
    )
    async with discovery_of(reader, is_all_direct=False) as discovery:
        with pytest.raises(ForbiddenError, match="noproxy"):
            await discovery.routes_for(get())
        assert discovery.has_no_route
        for routes in ([A], (Direct(),)):
            discovery.notice_network_change()
            assert await discovery.routes_for(get()) == routes
            assert not discovery.has_no_route


async def test_without_noproxy_all_targets_are_direct_if_no_proxy_is_named() -> None:
    async with discovery_of(ControlledReader(DiscoveredProxy())) as discovery:
        assert await discovery.routes_for(get()) == (Direct(),)


async def test_discovery_follows_a_change_of_the_network_at_once_and_requests_wait_for_it() -> None:
    reader = ControlledReader(by_script(A), by_script(B))
    async with discovery_of(reader) as discovery:
        assert await discovery.routes_for(get()) == [A]
        script = discovery.discovered.script
        discovery.notice_network_change()
        assert await discovery.routes_for(get()) == [B]
        assert script.forgotten == 1  # type: ignore[union-attr]
    assert reader.calls == [False, True]


async def test_a_request_does_not_wait_for_long_in_a_new_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "FOLLOW_SECONDS", 0.01)
    reader = ControlledReader(by_script(A), by_script(B))
    async with discovery_of(reader) as discovery:
        assert await discovery.routes_for(get()) == [A]
        reader.may_end.clear()
        discovery.notice_network_change()
        assert await discovery.routes_for(get()) == [A]
        reader.may_end.set()
        await until(lambda: discovery.discovered.script is reader.results[0].script)


class Timers:
    """The timers that are set while a test runs, none of which ends by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        self.handles: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def note(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
            self.seconds.append(seconds)
            self.handles.append(call_later(3600, callback))
            return self.handles[-1]

        monkeypatch.setattr(loop, "call_later", note)


async def test_a_second_change_of_the_network_gets_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ControlledReader(by_script(A), by_script(B))
    async with discovery_of(reader) as discovery:
        assert await discovery.routes_for(get()) == [A]
        reader.may_end.clear()
        timers = Timers(monkeypatch)
        for _ in range(2):
            discovery.notice_network_change()
        assert timers.seconds == [discovery_module.FOLLOW_SECONDS] * 2
        assert [handle.cancelled() for handle in timers.handles] == [True, False]
        asking = asyncio.create_task(discovery.routes_for(get()))
        reader.may_end.set()
        assert await asking == [B]


async def test_a_look_that_ends_early_cancels_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the timer would end the wait for the look at the next network."""
    reader = ControlledReader(by_script(A), by_script(B))
    async with discovery_of(reader) as discovery:
        assert await discovery.routes_for(get()) == [A]
        timers = Timers(monkeypatch)
        discovery.notice_network_change()
        assert await discovery.routes_for(get()) == [B]
        assert [handle.cancelled() for handle in timers.handles] == [True]


async def test_a_look_at_a_network_that_is_gone_is_cancelled() -> None:
    reader = ControlledReader(by_script(A))
    reader.may_end.clear()
    async with discovery_of(reader) as discovery:
        await until(lambda: reader.calls)
        discovery.notice_network_change()
        await until(lambda: len(reader.calls) == 2)
        reader.may_end.set()
        assert await discovery.routes_for(get()) == [A]
    assert reader.calls == [False, True]


async def test_discovery_looks_again_at_intervals() -> None:
    reader = ControlledReader(by_script(A), by_script(B))
    async with discovery_of(reader, reload_seconds=0.02) as discovery:
        await until(lambda: discovery.discovered is reader.results[0])
        assert await discovery.routes_for(get()) == [B]
    assert set(reader.calls) == {False}


@pytest.mark.parametrize(
    "make",
    [lambda: DiscoveredProxy(source="x", trouble="no answer"), lambda: by_settings(is_auto_detected=True)],
)
async def test_after_a_failed_look_px_looks_again_soon_and_then_less_often(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], DiscoveredProxy]
) -> None:
    monkeypatch.setattr(discovery_module, "RETRY_SECONDS", 0.01)
    pauses: list[float] = []
    reader = ControlledReader(make())
    async with discovery_of(reader, reload_seconds=0.05) as discovery:
        sleep = discovery._sleep

        async def note_pause(seconds: float) -> bool:
            pauses.append(seconds)
            return await sleep(seconds)

        monkeypatch.setattr(discovery, "_sleep", note_pause)
        await until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.05]


@pytest.mark.parametrize(
    ("results", "network_changes", "pauses"),
    [
        ([False, False, False, False], [], [1, 2, 4, 8]),
        ([False, False, True, False, False], [], [1, 2, 60, 1, 2]),
        ([True, False, False], [], [60, 1, 2]),
        ([False, False, False, False], [2], [1, 2, 1, 2]),
        ([False] * 8, [], [1, 2, 4, 8, 16, 32, 60, 60]),
    ],
    ids=["from the start", "after a success", "later", "in a new network", "up to the interval"],
)
async def test_retries_begin_after_a_second_and_double(
    results: list[bool], network_changes: list[int], pauses: list[float]
) -> None:
    reader = ControlledReader(
        *(by_script(A) if each else DiscoveredProxy(trouble="no answer") for each in results)
    )
    seen: list[float] = []
    all_seen = asyncio.Event()

    async def note_pause(seconds: float) -> bool:
        """Return at once: whether the network changed in this pause."""
        seen.append(seconds)
        if len(seen) == len(pauses):
            all_seen.set()
            await asyncio.Event().wait()
        return len(seen) in network_changes

    discovery = Discovery(reader.read, 60, UpstreamHealth(lambda: 0.0, lambda: None), is_all_direct=True)
    discovery._sleep = note_pause  # type: ignore[method-assign]
    running = asyncio.create_task(discovery.run())
    await all_seen.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert seen == pauses


def test_the_location_of_a_script_is_shown_without_secrets_and_without_the_script() -> None:
    locations = ("http://u:secret@h/p.pac", "data:,secret")
    texts = [str(by_script(loaded=LoadedPac("", location, "auto"))) for location in locations]
    assert texts == ["--pac: PAC script http://h/p.pac", "--pac: PAC script in the data: URL"]


async def test_settings_that_could_not_be_read_do_not_count_as_no_proxy() -> None:
    async with discovery_of(ControlledReader(DiscoveredProxy(trouble="it is silent"))) as discovery:
        with pytest.raises(RoutingError, match="not known yet: it is silent"):
            await discovery.routes_for(get())


async def test_requests_get_routes_even_if_the_network_keeps_changing() -> None:
    reader = ControlledReader(by_script(A))
    reader.may_end.clear()
    async with discovery_of(reader) as discovery:
        for number in range(1, 2 + discovery_module.MAX_RESTARTS):
            await until(partial(reader.has_looked, number))
            discovery.notice_network_change()
        reader.may_end.set()
        async with asyncio.timeout(5):
            assert await discovery.routes_for(get()) == [A]
        await until(lambda: len(reader.calls) == 2 + discovery_module.MAX_RESTARTS)
    assert reader.calls[0] is False
    assert all(reader.calls[1:])


async def test_a_route_may_still_exist_before_the_first_look_has_ended() -> None:
    """A name that only the upstream can resolve would otherwise be an error until the script is loaded."""
    reader = ControlledReader(by_script(A))
    reader.may_end.clear()
    async with discovery_of(reader, is_all_direct=False) as discovery:
        assert not discovery.has_no_route
        reader.results = [DiscoveredProxy()]
        reader.may_end.set()
        with pytest.raises(ForbiddenError):
            await discovery.routes_for(get())
        assert discovery.has_no_route
