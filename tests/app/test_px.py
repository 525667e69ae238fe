"""A composed Px: behaviour that needs all parts together."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from px.app import px as px_module
from px.app.proxy_discovery import check_routes
from px.config.settings import default_settings
from px.core.rules.route import parse_upstreams
from px.core.rules.tunnel_list import parse_tunnels
from px.core.startup_errors import ConfigError
from tests.proxy.running_px import as_user, get, running_px
from tests.px_process import PxProcess
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    login_required,
)

URL = b"http://origin.test/"


async def test_a_block_outlives_a_restart(tmp_path: Path) -> None:
    async def refuse(wire: Wire) -> None:
        head = await wire.read_head()
        if b"NTLM" not in head:
            await wire.send(login_required(b"NTLM"))
            head = await wire.read_head()
        await answer_negotiate(wire, head)
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))

    async def ask(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b"NTLM"))
        await wire.expect_cut()

    async with ScriptedUpstream(refuse, refuse, ask) as upstream:
        async with running_px(upstream, state=tmp_path, **as_user("wrong")) as px:
            for _ in range(2):
                await px.get(URL)
        async with running_px(upstream, state=tmp_path, **as_user("wrong")) as px:
            _, body = await px.get(URL)
            assert b"2 times in a row" in body
        assert "wrong" not in (tmp_path / "lockout.json").read_text()


async def test_a_new_password_after_a_block_is_tried_at_once(tmp_path: Path) -> None:
    async def refuse_once(wire: Wire) -> None:
        for _ in range(2):  # Px verifies with two requests: without a login, then with one
            await wire.read_head()
            await wire.send(login_required(b'Basic realm="x"'))

    async def admit(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b'Basic realm="x"'))
        assert b"\r\nProxy-Authorization: Basic " in await wire.read_head()
        await wire.send(answer())

    async def first(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b'Basic realm="x"'))
        await wire.read_head()
        await wire.send(login_required(b'Basic realm="x"'))
        await wire.expect_cut()

    async with ScriptedUpstream(first, refuse_once, admit) as upstream:
        async with running_px(upstream, state=tmp_path, **as_user("wrong")) as px:
            for _ in range(2):
                await px.get(URL)
        async with running_px(upstream, state=tmp_path, **as_user()) as px:
            assert (await px.get(URL))[1] == b"ok"


async def test_px_refuses_to_start_with_itself_as_upstream() -> None:
    settings = default_settings(proxy=parse_upstreams("localhost:3128"))
    with pytest.raises(ConfigError, match="this Px itself listens there"):
        check_routes(settings)


async def test_a_tunnel_to_px_itself_is_refused_at_the_start() -> None:
    settings = default_settings(proxy=parse_upstreams("h:1"), tunnel=parse_tunnels("2222:localhost:3128"))
    with pytest.raises(ConfigError, match="--tunnel=2222:localhost:3128: this Px itself listens there"):
        check_routes(settings)


async def test_socks_is_refused_where_px_knows_no_password_of_its_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        px_module, "make_client_auth", lambda **_: SimpleNamespace(password_schemes=["digest"])
    )
    with pytest.raises(ConfigError, match="--socks=1080: Px knows no password"):
        px_module.load_client_auth(default_settings(socks=1080))
    assert px_module.load_client_auth(default_settings()) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that end a program gently")
def test_a_second_signal_ends_px_without_a_drain(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as origin,
        PxProcess(tmp_path, "--noproxy=*") as px,
        socket.create_connection(("127.0.0.1", px.port), timeout=10) as client,
    ):
        client.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.getsockname()[1])
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        os.kill(px.pid, signal.SIGTERM)
        px.wait_for_output("Px ends")
        os.kill(px.pid, signal.SIGTERM)
        announced = time.monotonic()
        assert client.recv(100) == b""
        assert px.wait() == 0
        assert time.monotonic() - announced < 4  # a drain would take 5 s
