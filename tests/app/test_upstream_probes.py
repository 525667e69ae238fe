from __future__ import annotations

import asyncio
import socket

import pytest

from px.app import upstream_probes
from tests.proxy.running_px import running_px
from tests.scripted_upstream import until

URL = b"http://origin.test/"


async def test_a_failed_probe_does_not_end_px(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_probes, "TICK_SECONDS", 0.01)
    monkeypatch.setattr("px.routing.health.FIRST_PROBE_SECONDS", 0.01)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # does not listen
        async with running_px(f"127.0.0.1:{sock.getsockname()[1]}") as px:
            for _ in range(3):
                head, _ = await px.get(URL)
                assert b" 502 " in head
                await asyncio.sleep(0.05)


async def test_a_probe_notices_that_an_upstream_is_reachable_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_probes, "TICK_SECONDS", 0.01)
    monkeypatch.setattr("px.routing.health.FIRST_PROBE_SECONDS", 0.01)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # does not listen yet
        async with running_px(f"127.0.0.1:{sock.getsockname()[1]}") as px:
            await px.get(URL)
            assert px.px._health.dead
            sock.listen()
            await until(lambda: not px.px._health.dead)
