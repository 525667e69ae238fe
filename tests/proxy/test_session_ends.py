"""Clients that leave, close one direction, pipeline or flood: how Px ends their connections and upstreams."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time

import pytest

from px.downstream import client_end, http_front_end, session
from tests.proxy.running_px import as_user, connect, get, running_px
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    digest_challenge,
    field_of,
    login_required,
    until,
)


async def test_bytes_after_a_failed_connect_are_not_read_as_a_request() -> None:
    refused = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await refused.wait()
        await wire.send(answer(403, b"no"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:443"))
        await until(lambda: upstream.connections)
        await client.send(get(b"http://smuggled.test/"))
        refused.set()
        head, body = await client.read_answer()
        assert (b" 403 " in head, body) == (True, b"no")
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()


async def test_the_clients_connection_stays_open_after_a_407_to_a_connect() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(login_required(b"NTLM"))
        await wire.expect(connect(b"origin.test:443", b"Proxy-Authorization: NTLM TlRMTVNTUAAB"))
        await wire.send(answer(403, b"no"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:443"))
        assert b" 407 " in (await client.read_answer())[0]
        await client.send(connect(b"origin.test:443", b"Proxy-Authorization: NTLM TlRMTVNTUAAB"))
        assert b" 403 " in (await client.read_answer())[0]


@pytest.mark.parametrize("ahead", [b"", b"G", get(b"http://next.test/")], ids=["", "a byte", "a request"])
async def test_px_notices_that_a_client_hangs_up_behind_pipelined_bytes(
    monkeypatch: pytest.MonkeyPatch, ahead: bytes
) -> None:
    monkeypatch.setattr(session, "HANG_UP_SECONDS", 0.05)
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        asked.set()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await asked.wait()
        await client.send(ahead)
        client.close()
        await upstream.finish()


async def test_px_serves_pipelined_requests_in_order_even_after_the_client_has_ended() -> None:
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        asked.set()
        await until(lambda: ended)
        await wire.send(answer(200, b"first"))
        assert (await wire.read_head()).startswith(b"GET http://second.test/")
        await wire.send(answer(200, b"second"))

    ended: list[bool] = []
    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://first.test/"))
        await asked.wait()
        await client.send(get(b"http://second.test/"))
        client.half_close()
        ended.append(True)
        assert (await client.read_answer())[1] == b"first"
        assert (await client.read_answer())[1] == b"second"


@pytest.mark.parametrize(
    "head",
    [b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"Content-Length: 10\r\n\r\na", b"\r\na"],
    ids=["chunked", "length", "until close"],
)
async def test_a_client_that_leaves_while_the_body_stalls_frees_the_upstream(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(http_front_end, "HANG_UP_STALL_SECONDS", 0.05)

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + head)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_until(b"a")
        client.close()
        await upstream.finish()


async def test_a_failed_session_ends_even_if_its_log_line_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the session would count as open, and a stopping Px would wait for it."""

    async def fail(_: object) -> bool:
        raise RuntimeError("a fault of Px")

    def fail_to_log(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    monkeypatch.setattr(session.Session, "_serve_next", fail)
    monkeypatch.setattr(session._LOGGER, "error", fail_to_log)
    async with running_px() as px:
        await (await px.connect()).expect_end()
        await until(lambda: failures)
        assert not px.px._listener.open_connections


async def test_endless_interim_answers_instead_of_a_100_become_a_502() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(digest_challenge("n1"), body=b""))
        await wire.read_head()
        with contextlib.suppress(OSError, TimeoutError):
            while True:
                await wire.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        url = b"http://origin.test/"
        await client.send(get(url, b"Content-Length: 1000000", method=b"POST"))
        await client.send(b"a" * 300_000)
        received = await client.read_until(b"without end.\n")
        assert received.count(b" 102 ") <= 100


async def test_px_cuts_off_a_client_that_floods_during_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_end, "LINGER_SECONDS", 0.2)
    async with running_px("127.0.0.1:9") as px:
        client = await px.connect()
        await client.send(b"nonsense\r\n\r\n")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 4:
                await client.send(bytes(100_000))
        assert time.monotonic() - begun < 3


async def test_a_half_closed_client_gets_the_error_if_no_answer_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "HANG_UP_SECONDS", 0.05)

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        client.half_close()
        head, _ = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 504 ")
        await client.expect_end()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EMFILE, "Too many open files"), b"503"),
        (MemoryError(), b"503"),
        (ImportError("no module named spnego"), b"502"),
        (OSError(errno.EIO, "Input/output error"), b"502"),
    ],
    ids=repr,
)
async def test_px_does_not_take_its_own_failure_for_a_client_that_has_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, status: bytes
) -> None:
    """An example is the first import of a module when no descriptor is left."""

    async def fail(*_: object) -> None:
        raise error

    async with running_px("127.0.0.1:1") as px:
        monkeypatch.setattr(type(px.px._listener._service.forwarder), "send", fail)
        # `running_px` would fail for each logged error.
        monkeypatch.setattr(session, "_LOGGER", logging.getLogger("test"))
        client = await px.connect()
        for _ in range(2):  # the connection still works
            await client.send(get(b"http://origin.test/"))
            head, _ = await client.read_answer()
            assert head.split()[1] == status
            assert (field_of(head, b"retry-after") is not None) == (status == b"503")
    faults = [record for record in caplog.records if record.name == "test"]
    assert len(faults) == (0 if status == b"503" else 2)
