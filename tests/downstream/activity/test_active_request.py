from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from functools import partial
from typing import Any

import psutil
import pytest

from px.core.secret import Secret
from px.downstream import listener
from px.downstream.activity.active_request import MAX_METHOD_CHARS, shorten
from tests.proxy.running_px import RunningPx, connect, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, until

LOGIN = b"Proxy-Authorization: Basic " + b64encode(b"u:p")
CLIENT: Any = {"client_auth": "BASIC", "client_username": "u", "client_password": Secret("p")}


def own_program() -> str:
    """Return the name of the program of this test; empty on Windows, which Px does not ask."""
    return "" if sys.platform == "win32" else psutil.Process().name()


async def tell(px: RunningPx) -> dict[str, Any]:
    await px.px.find_programs()
    return px.px.report()


async def test_a_request_and_a_tunnel_are_listed_while_they_are_under_way() -> None:
    told = asyncio.Event()

    async def hold(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())
        await wire.read_head()
        await told.wait()  # Windows takes long to name programs
        await wire.expect_end()

    async def tunnel(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await wire.read_exactly(1000)
        await told.wait()
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
        told.set()
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


def lists(px: RunningPx, count: int) -> bool:
    return px.px.report()["active_total"] == count


async def test_the_newest_are_listed_first_and_long_texts_are_shortened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_ACTIVE", 2)

    async def hold(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect_end()

    async with ScriptedUpstream(hold, hold, hold) as upstream, running_px(upstream) as px:
        for number in range(3):
            client = await px.connect()
            method = b"%d" % number + b"M" * 60_000
            await client.send(get(b"http://a.test/", method=method))
            await until(partial(lists, px, number + 1))
        report: Any = px.px.report()
    assert [each["method"][0] for each in report["active"]] == ["2", "1"]
    assert all(len(each["method"]) == MAX_METHOD_CHARS + 3 for each in report["active"])


def test_a_long_text_is_shortened() -> None:
    assert (shorten("abc", 3), shorten("abcd", 3)) == ("abc", "abc...")
