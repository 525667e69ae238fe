"""SOCKS5 clients, correct and faulty."""

from __future__ import annotations

import asyncio
import logging
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from px.core.errors import UnreachableError
from px.core.secret import Secret
from px.downstream import authenticator
from px.downstream.tunnels import socks_front_end
from px.downstream.tunnels.socks_front_end import SocksPort
from tests.downstream.socks_client import (
    BIND,
    CHOSEN,
    CHOSEN_LOGIN,
    GREETING,
    GREETING_WITH_LOGIN,
    IPV4,
    IPV6,
    LOGGED_IN,
    NO_METHOD,
    NOT_LOGGED_IN,
    OPENED,
    UDP_ASSOCIATE,
    login,
    reply,
    request,
)
from tests.proxy.running_px import connect, listening, running_px
from tests.scripted_upstream import Script, ScriptedUpstream, Wire, answer

USER, PASSWORD = "alice", "clear-Pässword"
CLIENT: dict[str, Any] = {
    "client_auth": "BASIC",
    "client_username": USER,
    "client_password": Secret(PASSWORD),
    "client_nosspi": True,
}
SOCKS = SocksPort(3128)
HTTP_REQUEST = b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n"


def opening(target: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.expect(connect(target))
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nwelcome")
        await wire.expect(b"hello")
        await wire.expect_end()

    return script


TARGETS = {
    "a name": (request(), b"origin.test:443"),
    "a name in upper case": (request(b"\x0bORIGIN.test", 80), b"origin.test:80"),
    "IPv4": (request(bytes((192, 0, 2, 7)), 22, kind=IPV4), b"192.0.2.7:22"),
    "IPv6": (request(bytes.fromhex("20010db8") + bytes(11) + b"\1", kind=IPV6), b"[2001:db8::1]:443"),
    "IPv6 as a name": (request(b"\x0b2001:db8::1"), b"[2001:db8::1]:443"),
}


@pytest.mark.parametrize("name", TARGETS)
async def test_a_client_that_waits_for_each_answer_gets_its_tunnel(name: str) -> None:
    asked, target = TARGETS[name]
    async with (
        ScriptedUpstream(opening(target)) as upstream,
        running_px(upstream) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING)
        await client.expect(CHOSEN)
        await client.send(asked)
        await client.expect(OPENED + b"welcome")
        await client.send(b"hello")
        client.half_close()
        await client.expect_end()


async def test_a_handshake_may_come_byte_by_byte_and_the_bytes_of_the_tunnel_with_it() -> None:
    sent = GREETING_WITH_LOGIN + login(USER, PASSWORD) + request() + b"hello"
    async with (
        ScriptedUpstream(opening(b"origin.test:443")) as upstream,
        running_px(upstream, **CLIENT) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in sent:
            await client.send(bytes((octet,)))
            await asyncio.sleep(0)
        await client.expect(CHOSEN_LOGIN + LOGGED_IN + OPENED + b"welcome")
        client.half_close()
        await client.expect_end()


async def test_px_accepts_any_login_of_a_client_that_offers_only_logins_if_none_is_needed() -> None:
    async with (
        ScriptedUpstream(opening(b"origin.test:443")) as upstream,
        running_px(upstream) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING_WITH_LOGIN + login("any", "thing") + request() + b"hello")
        await client.expect(CHOSEN_LOGIN + LOGGED_IN + OPENED + b"welcome")
        client.half_close()
        await client.expect_end()


@pytest.mark.parametrize(("needs_login", "chosen"), [(False, CHOSEN), (True, CHOSEN_LOGIN)])
async def test_px_asks_for_a_login_only_where_clients_have_to_log_in(
    needs_login: bool, chosen: bytes
) -> None:
    async with running_px(**(CLIENT if needs_login else {})) as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(b"\5\3\0\1\2")
        await client.expect(chosen)


MALFORMED = {
    "BIND": (GREETING + request(command=BIND), CHOSEN + reply(7), "asks for BIND"),
    "UDP": (GREETING + request(command=UDP_ASSOCIATE), CHOSEN + reply(7), "asks for UDP ASSOCIATE"),
    "unknown command": (GREETING + request(command=9), CHOSEN + reply(7), "the unknown command 9"),
    "unknown kind of address": (GREETING + request(kind=2), CHOSEN + reply(8), "the unknown kind 2"),
    "request of another version": (GREETING + b"\4\1\0\1\0", CHOSEN + reply(1), "begin with its version, 5"),
    "no name": (GREETING + request(b"\0"), CHOSEN + reply(1), "has no host"),
    "no port": (GREETING + request(port=0), CHOSEN + reply(1), "not between 1 and 65535"),
    "a name with a line end": (GREETING + request(b"\5a\r\nbc"), CHOSEN + reply(1), "that no host name has"),
    "a name beyond ASCII": (GREETING + request(b"\2\xc3\xa4"), CHOSEN + reply(1), "that no host name has"),
    "the IPv4 address in another form": (GREETING + request(b"\x05127.1"), CHOSEN + reply(1), "another form"),
    "login of another version": (
        GREETING_WITH_LOGIN + b"\5\1a\1b",
        CHOSEN_LOGIN + NOT_LOGGED_IN,
        "its version, 1",
    ),
    "GSSAPI alone": (b"\5\1\1", NO_METHOD, "no way to go on without a login"),
    "no method": (b"\5\0", NO_METHOD, "no way to go on without a login"),
    "SOCKS 4": (b"\4\1\1\xbb\xc0\0\2\1\0", b"\0\x5b" + bytes(6), "speaks SOCKS4"),
    "TLS": (b"\x16\3\1\2\0\1\0\1\xfc\3\3", b"", "neither SOCKS5 nor HTTP"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_px_refuses_malformed_messages_with_a_reason_and_sends_nothing_upstream(
    caplog: pytest.LogCaptureFixture, name: str
) -> None:
    sent, received, reason = MALFORMED[name]
    caplog.set_level(logging.DEBUG, "px.request")
    async with (
        ScriptedUpstream() as upstream,
        running_px(upstream) as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(sent)
        await client.expect(received)
        await client.expect_end()
        assert upstream.connections == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert reason in warnings[0]


async def test_an_http_client_at_the_socks_port_gets_a_page_that_explains_the_ports() -> None:
    async with running_px() as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(HTTP_REQUEST)
        head, body = await client.read_answer()
        await client.expect_end()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"this port of Px speaks SOCKS5" in body
    assert b"http_proxy and https_proxy to http://127.0.0.1:3128" in body
    assert b"socks5h://127.0.0.1:%d" % px.port in body


@pytest.mark.parametrize(
    ("begun", "received"),
    [(b"", b""), (b"\5\1", b""), (GREETING, CHOSEN), (GREETING + request()[:-1], CHOSEN)],
)
async def test_a_client_that_ends_early_causes_no_error(begun: bytes, received: bytes) -> None:
    async with running_px() as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(begun)
        client.half_close()
        assert await client.read_to_end() == received
        assert http.px._listener.count().errors == 0


async def test_a_client_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks_front_end, "HEAD_SECONDS", 0.05)
    async with running_px() as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(GREETING)
        await client.expect(CHOSEN + reply(1))
        await client.expect_end()
        assert http.px._listener.count().errors == 1


async def test_px_closes_a_client_that_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.downstream.session.HEAD_SECONDS", 0.05)
    async with running_px() as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.expect_end()
        assert http.px._listener.count().errors == 0


async def test_px_delays_the_answer_to_a_wrong_login_and_logs_the_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("px.downstream.authenticator.asyncio", SimpleNamespace(sleep=sleep))
    caplog.set_level(logging.DEBUG, "px.request")
    async with running_px(**CLIENT) as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(GREETING_WITH_LOGIN + login(USER, "wr0ng-secret"))
        await client.expect(CHOSEN_LOGIN + NOT_LOGGED_IN)
        await client.expect_end()
    assert len(waited) == 1
    assert 0 < waited[0] <= authenticator.WRONG_LOGIN_SECONDS
    assert "SOCKS: wrong user or password, as 'alice'" in caplog.text
    assert "wr0ng" not in caplog.text


async def test_a_login_that_cannot_be_checked_now_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("px.core.client_login.password_lookup.OneClientSecret.find", find)
    async with running_px(**CLIENT) as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(GREETING_WITH_LOGIN + login(USER, PASSWORD))
        await client.expect(CHOSEN_LOGIN + NOT_LOGGED_IN)
        await client.expect_end()


@pytest.mark.parametrize("policy", ["DIGEST", "NTLM", "ANYSAFE"])
async def test_px_accepts_no_password_if_clients_may_not_log_in_by_basic(policy: str) -> None:
    settings = {**CLIENT, "client_auth": policy}
    async with running_px(**settings) as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(GREETING_WITH_LOGIN + login(USER, PASSWORD))
        await client.expect(CHOSEN_LOGIN + NOT_LOGGED_IN)
        await client.expect_end()


@pytest.mark.parametrize(
    ("status", "code"), [(403, 2), (404, 4), (407, 2), (500, 4), (502, 4), (503, 4), (504, 6)]
)
async def test_the_reply_code_matches_the_status_of_the_upstream(status: int, code: int) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(answer(status, b"a page"))
        await wire.expect_cut()

    async with (
        ScriptedUpstream(refuse) as upstream,
        running_px(upstream, auth="NONE") as http,
        listening(SOCKS, http) as px,
    ):
        client = await px.connect()
        await client.send(GREETING + request())
        await client.expect(CHOSEN + reply(code))
        await client.expect_end()


async def test_the_reply_code_matches_the_failure_of_a_direct_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(_: object, host: str) -> tuple[str, ...]:
        raise UnreachableError(f"The name {host} could not be resolved.", proxy_status="dns_error")

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen
        closed = request(b"\x09127.0.0.1", sock.getsockname()[1])
        monkeypatch.setattr("px.upstream.connections.resolver.Resolver.resolve", resolve)
        async with running_px(noproxy="*") as http, listening(SOCKS, http) as px:
            client = await px.connect()
            await client.send(GREETING + request())
            await client.expect(CHOSEN + reply(4))
            await client.expect_end()
            monkeypatch.undo()
            client = await px.connect()
            await client.send(GREETING + closed)
            await client.expect(CHOSEN + reply(5))
            await client.expect_end()


async def test_a_target_that_noproxy_does_not_name_is_refused_by_the_rules() -> None:
    async with running_px(noproxy="127.*") as http, listening(SOCKS, http) as px:
        client = await px.connect()
        await client.send(GREETING + request(bytes((192, 0, 2, 1)), kind=IPV4))
        await client.expect(CHOSEN + reply(2))
        await client.expect_end()
