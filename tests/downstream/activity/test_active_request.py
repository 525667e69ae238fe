from __future__ import annotations

from base64 import b64encode
from typing import Any

import psutil

from px.core.secret import Secret
from px.downstream.activity.active_request import (
    MAX_LISTED,
    MAX_TARGET_CHARS,
    ActiveRequest,
    list_newest,
    shorten_target,
)
from tests.proxy.running_px import RunningPx, connect, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, until

LOGIN = b"Proxy-Authorization: Basic " + b64encode(b"u:p")
CLIENT: Any = {"client_auth": "BASIC", "client_username": "u", "client_password": Secret("p")}


def own_program() -> str:
    """Return the name of the program of this test; empty if the system does not tell, as Wine."""
    try:
        return psutil.Process().name()
    except OSError:
        return ""


async def tell(px: RunningPx) -> dict[str, Any]:
    await px.px.find_programs()
    return px.px.report()


async def test_a_request_and_a_tunnel_are_listed_while_they_are_under_way() -> None:
    async def hold(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())
        await wire.read_head()
        await wire.expect_end()

    async def tunnel(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await wire.read_exactly(1000)
        await wire.expect_end()

    async with ScriptedUpstream(hold, tunnel) as upstream, running_px(upstream, **CLIENT) as px:
        first, second = await px.connect(), await px.connect()
        await first.send(get(b"http://a.test/1", LOGIN))
        await first.expect(answer())
        assert (await tell(px))["active_total"] == 0
        asked = get(b"http://a.test/2?secret", LOGIN)
        await first.send(asked)
        await until(lambda: px.px.report()["active_total"] == 1)
        await second.send(connect(b"site.test:443", LOGIN) + b"x" * 1000)
        opened = await second.read_head() + await second.read_exactly(5)
        report = await tell(px)
    tunnelled, requested = report["active"]
    common = {
        "route": f"http://{upstream.authority}",
        "client": "127.0.0.1",
        "program": own_program(),
        "user": "u",
    }
    assert 0 < requested.pop("since") <= tunnelled.pop("since")
    assert requested == {
        **common,
        "kind": "request",
        "method": "GET",
        "target": "http://a.test/2",
        "up": len(asked),
        "down": 0,
    }
    assert tunnelled == {
        **common,
        "kind": "tunnel",
        "method": "CONNECT",
        "target": "site.test:443",
        "up": len(connect(b"site.test:443", LOGIN)) + 1000,
        "down": len(opened),
    }
    assert report["active_total"] == 2
    sizes = report["counters"]
    assert sum(report["traffic"]["up"]) == sizes["received_bytes"]
    assert sum(report["traffic"]["down"]) == sizes["sent_bytes"]
    assert sum(report["traffic"]["requests"]) == 3
    (shown,) = report["upstreams"]
    assert 0 < shown["latency_ms"] < 1000
    assert shown["why"] == "It served the last request. Px stays with it while it can be reached."


def active(since: float, target: str = "a.test:1") -> ActiveRequest:
    return ActiveRequest(
        kind="tunnel",
        method="CONNECT",
        target=target,
        route="direct",
        client="::1",
        program="",
        user="",
        since=since,
        up=0,
        down=0,
    )


def test_the_newest_are_listed_first_and_the_oldest_left_out() -> None:
    listed = list_newest(active(since) for since in range(MAX_LISTED + 5))
    assert [each["since"] for each in listed] == [*range(MAX_LISTED + 4, 4, -1)]


def test_a_long_target_is_shortened_in_the_list() -> None:
    short = "http://a.test/".ljust(MAX_TARGET_CHARS, "x")
    assert (shorten_target(short), shorten_target(f"{short}yz")) == (short, f"{short}...")
