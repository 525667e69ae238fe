"""``Proxy-Connection: keep-alive``: Px sends it only for a login that is bound to its connection.

Squid 2 and other proxies of HTTP/1.0 close after each answer to a client that does not send this field.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.proxy.running_px import as_user, connect, get, running_px
from tests.scripted_upstream import (
    Script,
    ScriptedUpstream,
    UpstreamWire,
    Wire,
    answer,
    digest_challenge,
    expect_ntlm,
    field_of,
    login_required,
    verify_ntlm,
    without_login,
)
from tests.upstream.test_login_page import OFFERS, challenge_for

URL = b"http://origin.test/"
GET = get(URL)
CONNECT = connect(b"origin.test:443")


def keep_alives(wire: Wire) -> int:
    """Return the number of times that Px has asked to keep this connection."""
    assert isinstance(wire, UpstreamWire)
    return wire.keep_alives


def old_answer(wire: Wire, said: bytes, field: bytes, *, messages: int) -> bytes:
    """Return the answer of an HTTP/1.0 proxy, which keeps the connection if all messages asked for that."""
    keeps = keep_alives(wire) == messages
    return b"HTTP/1.0 %b\r\n%b: %b\r\n" % (said, field, b"keep-alive" if keeps else b"close")


async def old_proxy(wire: Wire, request: bytes, field: bytes) -> None:
    """Require NTLM, as Squid 2 does."""
    required = b"407 Proxy Authentication Required"
    assert await wire.read_head() == request
    offers = b"".join(b"Proxy-Authenticate: %b\r\n" % each for each in OFFERS)
    await wire.send(
        old_answer(wire, required, field, messages=1) + offers + b"Content-Length: 5\r\n\r\nlogin"
    )
    first = await wire.read_head()
    raw, challenge = challenge_for(first)
    head = old_answer(wire, required, field, messages=2)
    await wire.send(head + b"Proxy-Authenticate: %b\r\nContent-Length: 5\r\n\r\nlogin" % challenge)
    second = await wire.read_head()
    verify_ntlm(first, raw, second, scheme=b"NTLM")
    assert without_login(second) == request
    if request == CONNECT:
        await wire.send(b"HTTP/1.0 200 Connection established\r\n\r\n")
        return
    await wire.send(old_answer(wire, b"200 OK", field, messages=3) + b"Content-Length: 2\r\n\r\nok")
    await wire.expect(request)  # logged in, so Px asks to keep the connection
    await wire.send(old_answer(wire, b"200 OK", field, messages=4) + b"Content-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("field", [b"Connection", b"Proxy-Connection"])
@pytest.mark.parametrize("request_", [GET, CONNECT], ids=["GET", "CONNECT"])
async def test_px_logs_in_at_an_http_1_0_proxy_that_keeps_connections_on_request(
    request_: bytes, field: bytes
) -> None:
    script = partial(old_proxy, request=request_, field=field)
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(1 if request_ == CONNECT else 2):
            client = await px.connect()
            await client.send(request_)
            assert b" 200 " in await client.read_head()


@pytest.mark.parametrize("said", [b"Keep-Alive", b"close"])
async def test_the_field_replaces_that_of_the_client(said: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(answer())
        assert keep_alives(wire) == 3

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(URL, b"Proxy-Connection: " + said))
        assert (await client.read_answer())[1] == b"ok"


async def asks_by_basic(wire: Wire, *, first: int) -> None:
    await wire.expect(GET)
    assert keep_alives(wire) == first
    await wire.send(login_required(b'Basic realm="x"', digest_challenge("abc")))
    for _ in range(2):
        assert field_of(await wire.read_head(), b"proxy-authorization")
        await wire.send(answer())
    assert keep_alives(wire) == first


async def is_open(wire: Wire) -> None:
    for _ in range(2):
        await wire.expect(GET)
        # Px sends the field with the first message, when it does not know the upstream yet.
        assert keep_alives(wire) == 1
        await wire.send(answer())


@pytest.mark.parametrize(
    ("script", "auth"),
    [
        pytest.param(partial(asks_by_basic, first=1), "ANY", id="no bound login offered"),
        pytest.param(partial(asks_by_basic, first=0), "BASIC", id="no bound login allowed"),
        pytest.param(is_open, "ANY", id="no login required"),
    ],
)
async def test_px_does_not_send_the_field_without_a_bound_login(script: Script, auth: str) -> None:
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth=auth) as px:
        for _ in range(2):
            assert (await px.get(URL))[1] == b"ok"


async def test_px_does_not_send_the_field_to_an_origin() -> None:
    async def script(wire: Wire) -> None:
        head = await wire.read_head()
        assert b"onnection" not in head
        assert keep_alives(wire) == 0
        await wire.send(answer())

    async with ScriptedUpstream(script) as origin, running_px(noproxy="*", **as_user()) as px:
        url = b"http://%b/" % origin.authority.encode()
        assert (await px.get(url, b"Proxy-Connection: keep-alive"))[1] == b"ok"


async def test_px_sends_the_field_for_a_client_that_logs_in_itself() -> None:
    token = get(URL, b"Proxy-Authorization: NTLM abc")

    async def script(wire: Wire) -> None:
        for request in (token, GET):
            await wire.expect(request)
            await wire.send(answer())
        assert keep_alives(wire) == 2

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        for request in (token, GET):
            await client.send(request)
            await client.expect(answer())
