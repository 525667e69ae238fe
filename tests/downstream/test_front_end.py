"""A front end beside HTTP gets the same service: access rules, login, routes, traces, tunnels and errors."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Awaitable
from typing import Any

import pytest

from px.core.http.target import Authority
from px.core.secret import Secret
from px.core.trace.access_record import COLUMNS
from px.downstream import authenticator
from px.downstream.http_front_end import HttpFrontEnd
from px.downstream.tunnels.socks_front_end import SocksPort
from px.downstream.tunnels.static_tunnel import StaticTunnel
from tests.downstream.socks_client import (
    CHOSEN,
    CHOSEN_LOGIN,
    GREETING,
    GREETING_WITH_LOGIN,
    LOGGED_IN,
    NO_METHOD,
    NOT_LOGGED_IN,
    OPENED,
    login,
    reply,
    request,
)
from tests.proxy.running_px import as_user, connect, listening, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, until, verify_basic

USER, PASSWORD = "alice", "clear-Pässword"
CLIENT: dict[str, Any] = {
    "client_auth": "BASIC",
    "client_username": USER,
    "client_password": Secret(PASSWORD),
    "client_nosspi": True,
}
SOCKS, TUNNEL = SocksPort(3128), StaticTunnel(Authority("origin.test", 443))


class Lines:
    """The access log of a test."""

    def __init__(self) -> None:
        self.text = ""

    def append(self, lines: bytes) -> None:
        self.text += lines.decode()

    async def read(self, *names: str) -> list[tuple[str, ...]]:
        """Wait for a line; return these columns of each line."""
        await until(lambda: self.text)
        at = [COLUMNS.split().index(name) for name in names]
        lines = [line.split(" ") for line in self.text.splitlines() if not line.startswith("#")]
        return [tuple(line[n] for n in at) for line in lines]


async def serve_tunnel(wire: Wire) -> None:
    await wire.expect(connect(b"origin.test:443"))
    await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await wire.expect(b"hello")
    await wire.send(b"world")
    await wire.expect_end()


async def test_a_tunnel_of_another_front_end_is_routed_and_has_a_line_in_the_access_log() -> None:
    lines = Lines()
    async with (
        ScriptedUpstream(serve_tunnel) as upstream,
        running_px(upstream, access_sink=lines) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING + request())
        await client.expect(CHOSEN + OPENED)
        await client.send(b"hello")
        await client.expect(b"world")
        client.half_close()
        await client.expect_end()
        columns = ("client", "method", "target", "status", "down", "route", "connection", "end")
        (line,) = await lines.read(*columns)
    route = f"http://{upstream.authority}"
    assert line == ("127.0.0.1", "CONNECT", "origin.test:443", "200", "17", route, "new", "ok")
    assert http.px._listener.count().tunnels == 1


async def test_the_debug_log_has_the_same_steps_as_for_http(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "px.request")
    async with (
        ScriptedUpstream(serve_tunnel) as upstream,
        running_px(upstream) as http,
        listening(TUNNEL, http) as px,
    ):
        client = await px.connect()
        await client.send(b"hello")
        await client.expect(b"world")
        client.half_close()
        await client.expect_end()
    messages = [record.getMessage() for record in caplog.records if record.name == "px.request"]
    assert messages[0] == "CONNECT origin.test:443 from 127.0.0.1"
    assert messages[1] == f"route: http://{upstream.authority}"
    assert messages[-1].startswith("ended after ")


async def test_px_logs_in_upstream_for_a_client_of_any_front_end() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(answer(407, b"", b'Proxy-Authenticate: Basic realm="up"'))
        verify_basic(await wire.read_head())
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect_end()

    async with (
        ScriptedUpstream(script) as upstream,
        running_px(upstream, auth="BASIC", **as_user()) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING + request())
        await client.expect(CHOSEN + OPENED)
        client.half_close()
        await client.expect_end()


async def test_the_access_rules_refuse_a_client_in_the_words_of_its_protocol() -> None:
    lines = Lines()
    async with (
        ScriptedUpstream() as upstream,
        running_px(upstream, allow="192.0.2.1", access_sink=lines) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.expect(NO_METHOD)
        await client.expect_end()
        assert await lines.read("client", "status") == [("127.0.0.1", "403")]
        assert upstream.connections == 0


async def test_a_client_of_another_front_end_logs_in_with_the_same_password() -> None:
    lines = Lines()
    async with (
        ScriptedUpstream(serve_tunnel) as upstream,
        running_px(upstream, access_sink=lines, **CLIENT) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING_WITH_LOGIN + login(USER, PASSWORD) + request())
        await client.expect(CHOSEN_LOGIN + LOGGED_IN + OPENED)
        await client.send(b"hello")
        await client.expect(b"world")
        client.half_close()
        await client.expect_end()
        assert await lines.read("user", "status") == [(USER, "200")]


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (GREETING_WITH_LOGIN + login(USER, "wrong") + request(), CHOSEN_LOGIN + NOT_LOGGED_IN),
        (GREETING_WITH_LOGIN + login("bob", PASSWORD) + request(), CHOSEN_LOGIN + NOT_LOGGED_IN),
        (GREETING + request(), NO_METHOD),
    ],
)
async def test_a_client_without_the_right_password_is_refused_and_nothing_goes_upstream(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, answers: bytes
) -> None:
    monkeypatch.setattr(authenticator, "WRONG_LOGIN_SECONDS", 0)
    lines = Lines()
    async with (
        ScriptedUpstream() as upstream,
        running_px(upstream, access_sink=lines, **CLIENT) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(sent)
        await client.expect(answers)
        await client.expect_end()
        assert await lines.read("user", "status") == [("-", "407")]
        assert upstream.connections == 0
        assert http.px._listener.count().errors == 1


async def test_a_front_end_without_logins_refuses_all_clients_if_clients_must_log_in() -> None:
    lines = Lines()
    async with (
        ScriptedUpstream() as upstream,
        running_px(upstream, access_sink=lines, **CLIENT) as http,
        listening(TUNNEL, http) as px,
    ):
        client = await px.connect()
        await client.send(b"hello")
        await client.expect_end()
        assert await lines.read("user", "status") == [("-", "407")]
        assert upstream.connections == 0


async def test_an_answer_of_the_upstream_that_opens_no_tunnel_is_a_refusal() -> None:
    async def refuse(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(answer(403, b"not that site"))
        await wire.expect_cut()

    lines = Lines()
    async with (
        ScriptedUpstream(refuse) as upstream,
        running_px(upstream, access_sink=lines) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING + request())
        await client.expect(CHOSEN + reply(2))
        await client.expect_end()
        assert await lines.read("target", "status") == [("origin.test:443", "403")]


async def test_errors_before_a_request_also_have_the_form_of_the_front_end() -> None:
    lines = Lines()
    async with running_px("127.0.0.1:1", access_sink=lines) as http, listening(SOCKS, http) as px:
        for sent, received in ((GREETING + request(), CHOSEN + reply(1)), (b"\5\1\1", NO_METHOD)):
            client = await px.connect()
            await client.send(sent)
            await client.expect(received)
            await client.expect_end()
        await until(lambda: lines.text.count("\n") == 2)
        assert await lines.read("method", "status") == [("CONNECT", "502"), ("-", "400")]
    assert http.px._listener.count().errors == 2


async def test_a_tunnel_to_px_itself_is_a_loop_for_every_front_end() -> None:
    lines = Lines()
    async with (
        ScriptedUpstream() as upstream,
        running_px(upstream, access_sink=lines) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING + request(b"\x09127.0.0.1", http.port))
        await client.expect(CHOSEN + reply(2))
        await client.expect_end()
        assert await lines.read("status") == [("508",)]


class PagesFrontEnd(HttpFrontEnd):
    """HTTP with a page of Px for every request, to show when Px asks for the page."""

    __slots__ = ()

    async def check_sender(self) -> None:
        """Its pages have another name than Px itself."""

    def answer_here(self) -> Awaitable[bool] | None:
        return self._write_own(answer(200, b"page"), keep=True)


@pytest.mark.parametrize("url", [b"http://px.test/", b"/status"])
async def test_px_serves_its_own_pages_only_after_access_rules_and_client_login(url: bytes) -> None:
    asked = b"GET %b HTTP/1.1\r\nHost: px.test\r\n" % url
    is_proxied = url.startswith(b"http")
    credentials = b"Proxy-Authorization: Basic " + b64encode(f"{USER}:{PASSWORD}".encode())
    async with running_px(allow="192.0.2.1") as http, listening(PagesFrontEnd, http) as px:
        client = await px.connect()
        assert b" 403 " in await client.read_head()
    async with running_px() as http, listening(PagesFrontEnd, http) as px:
        client = await px.connect()
        await client.send(asked + b"\r\n")
        await client.expect(answer(200, b"page"))
    async with running_px(**CLIENT) as http, listening(PagesFrontEnd, http) as px:
        client = await px.connect()
        await client.send(asked + b"\r\n")
        head, body = await client.read_answer()
        assert (b" 407 " if is_proxied else b" 401 ") in head
        assert b"page" not in body.split(b"Log in to the page")[0]
        login = credentials if is_proxied else credentials.removeprefix(b"Proxy-")
        await client.send(asked + login + b"\r\n\r\n")
        await client.expect(answer(200, b"page"))
