"""The routes of a request: noproxy rules, look-ups, named upstreams."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from px.core.errors import ForbiddenError, UnreachableError
from px.core.http.request_head import RequestHead, parse_request
from px.core.rules.host_rules import HostRules
from px.core.rules.route import Direct, Via, parse_upstreams
from px.routing import router as router_module
from px.routing.health import UpstreamHealth
from px.routing.router import NamedUpstreams, Router

UPSTREAMS = parse_upstreams("a,b")


class Names:
    def __init__(self, *addresses: str, silent: bool = False) -> None:
        self.addresses = addresses
        self.silent = silent
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if self.silent:
            await asyncio.Event().wait()
        if not self.addresses:
            raise UnreachableError("no such name", proxy_status="dns_error")
        return self.addresses


def make(noproxy: str = "", names: Names | None = None, upstreams=UPSTREAMS) -> Router:
    health = UpstreamHealth(lambda: 0.0, lambda: None)
    rules = HostRules.parse(noproxy, names=True)
    return Router(rules, NamedUpstreams(upstreams, health), (names or Names()).resolve, health)


def tunnel_to(host: str) -> RequestHead:
    authority = f"[{host}]:443" if ":" in host else f"{host}:443"
    return parse_request(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())


REQUEST = tunnel_to("www.test")


async def test_without_rules_all_goes_through_the_upstreams_in_order() -> None:
    names = Names()
    assert await make(names=names).routes_for(REQUEST) == [Via(each) for each in UPSTREAMS]
    assert names.asked == []


async def test_an_upstream_may_be_for_some_urls_only() -> None:
    page = parse_request(b"GET http://www.test/ HTTP/1.1\r\nHost: www.test\r\n\r\n")
    both = make(upstreams=parse_upstreams("http=a:1;https=b:2,http=c:3"))
    assert [str(route) for route in await both.routes_for(page)] == ["http://a:1", "http://c:3"]
    assert [str(route) for route in await both.routes_for(REQUEST)] == ["http://b:2"]
    one = make(upstreams=parse_upstreams("http=a:1"))
    assert [str(route) for route in await one.routes_for(page)] == ["http://a:1"]
    assert list(await one.routes_for(REQUEST)) == [Direct()]


async def test_a_matching_name_is_direct_without_a_lookup() -> None:
    names = Names()
    assert list(await make(".test, 10.0.0.0/8", names).routes_for(REQUEST)) == [Direct()]
    assert names.asked == []


@pytest.mark.parametrize("everything", ["*", "0.0.0.0/0", "*.*.*.*"])
async def test_a_rule_for_all_hosts_needs_no_lookup(everything: str) -> None:
    names = Names()
    for host in ("www.test", "::1", "1.2.3.4"):
        assert list(await make(everything, names).routes_for(tunnel_to(host))) == [Direct()]
    assert names.asked == []


@pytest.mark.parametrize(("addresses", "is_direct"), [(("1.1.1.1", "10.1.1.1"), True), (("1.1.1.1",), False)])
async def test_any_address_of_the_target_may_match(addresses: tuple[str, ...], *, is_direct: bool) -> None:
    routes = await make("10.0.0.0/8", Names(*addresses)).routes_for(REQUEST)
    assert (list(routes) == [Direct()]) is is_direct


async def test_a_failed_lookup_leads_to_the_upstream() -> None:
    assert isinstance((await make("10.0.0.0/8").routes_for(REQUEST))[0], Via)


async def test_a_slow_lookup_leads_to_the_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_module, "LOOK_UP_SECONDS", 0.01)
    assert isinstance((await make("10.0.0.0/8", Names(silent=True)).routes_for(REQUEST))[0], Via)


async def test_without_an_upstream_a_failed_lookup_is_a_dns_error() -> None:
    with pytest.raises(UnreachableError) as caught:
        await make("10.0.0.0/8", upstreams=()).routes_for(REQUEST)
    assert caught.value.proxy_status == "dns_error"


async def test_without_an_upstream_a_target_without_a_matching_rule_is_forbidden() -> None:
    with pytest.raises(ForbiddenError, match="noproxy"):
        await make("10.0.0.0/8", Names("1.1.1.1"), upstreams=()).routes_for(REQUEST)


async def test_reports_change_the_order() -> None:
    router = make()
    router.report(Via(UPSTREAMS[0]), is_reachable=False)
    router.report(Direct(), is_reachable=False)
    assert await router.routes_for(REQUEST) == [Via(UPSTREAMS[1]), Via(UPSTREAMS[0])]
