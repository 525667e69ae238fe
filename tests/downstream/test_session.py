"""Complete exchanges through a Px on the test's loop, as wire transcripts of the client's side."""

from __future__ import annotations

import asyncio
import logging

import pytest

from px.downstream import client_head, session
from tests.proxy.running_px import connect, get, post, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, field_of

URL = b"http://origin.test/"
GET = get(URL)


def replies(*exchanges: tuple[bytes, bytes]):
    """Return a script that expects each request, sends each answer, then waits for the end."""

    async def script(wire: Wire) -> None:
        for request, said in exchanges:
            await wire.expect(request)
            await wire.send(said)
        await wire.expect_cut()

    return script


async def test_a_get_goes_to_the_upstream_byte_for_byte() -> None:
    request = get(URL, b"X-Odd:   spaced  ", b"x-odd: again", b"Accept: */*")
    async with ScriptedUpstream(replies((request, answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        await client.expect(answer())
        px.px._pool.clear()


MALFORMED = {
    "length with chunked": (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        400,
        "both Content-Length and Transfer-Encoding",
    ),
    "two lengths": (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        400,
        "more than one Content-Length",
    ),
    "bare LF with a body": (b"PUT http://o/ HTTP/1.1\nHost: o\nContent-Length: 1\n\na", 400, "bare LF"),
    "bare LF in a field": (b"GET http://o/ HTTP/1.1\r\nHost: o\nX: y\r\n\r\n", 400, "LF without a CR"),
    "bare LF at the end": (b"GET http://o/ HTTP/1.1\r\nHost: o\n\n", 400, "do not all end"),
    "CRLF at the end": (b"GET http://o/ HTTP/1.1\nHost: o\r\n\r\n", 400, "do not all end"),
    "bare CR": (b"GET http://o/ HTTP/1.1\rHost: o\r\r", 400, "do not all end"),
    "NUL": (b"GET http://o/ HTTP/1.1\r\nHost: o\r\nX: a\0b\r\n\r\n", 400, "NUL"),
    "space before colon": (b"GET http://o/ HTTP/1.1\r\nHost : o\r\n\r\n", 400, "before its colon"),
    "folded host": (b"GET http://o/ HTTP/1.1\r\nHost: o\r\n .p\r\n\r\n", 400, "folded"),
    "bad chunk": (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        400,
        "bad line where a chunk size",
    ),
    "version 2": (b"GET http://o/ HTTP/2.0\r\nHost: o\r\n\r\n", 505, "version"),
    "version nonsense": (b"GET http://o/ HTTQ/1.1\r\nHost: o\r\n\r\n", 400, "version"),
    "head too large": (
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\nX: " + b"a" * 65600 + b"\r\n\r\n",
        431,
        "longer than 64 KiB",
    ),
    "line too large": (b"GET http://o/" + b"a" * 65600 + b" HTTP/1.1\r\nHost: o\r\n\r\n", 414, "longer"),
    "too many fields": (
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        431,
        "more than 200 fields",
    ),
    "no host": (b"GET http://o/ HTTP/1.1\r\n\r\n", 400, "no Host"),
    "two hosts": (b"GET http://o/ HTTP/1.1\r\nHost: o\r\nHost: o\r\n\r\n", 400, "more than one Host"),
    "bad host": (b"GET http://o/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host field"),
    "userinfo": (b"GET http://u:p@o/ HTTP/1.1\r\nHost: o\r\n\r\n", 400, "user name or password"),
    "port out of range": (b"CONNECT o:65536 HTTP/1.1\r\nHost: o\r\n\r\n", 400, "between 1 and 65535"),
    "unknown expectation": (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\na",
        417,
        "expects",
    ),
    "unknown coding": (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "Transfer-Encoding",
    ),
    "a CONNECT with a body": (
        b"CONNECT o:443 HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "body",
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "TLS handshake"),
    "SOCKS": (b"\x05\x01\x00", 400, "SOCKS"),
    "noise": (b"\xff\xfe\xfd", 400, "does not speak HTTP"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_px_refuses_a_malformed_request_with_a_reason_and_sends_nothing_upstream(name: str) -> None:
    request, status, reason = MALFORMED[name]
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        head, body = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        assert field_of(head, b"connection") == b"close"
        assert reason in body.decode()
        await client.expect_end()
        assert upstream.connections == 0


async def test_px_never_reads_a_request_behind_a_malformed_one() -> None:
    smuggling = (
        b"POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET http://secret/ HTTP/1.1\r\nHost: secret\r\n\r\n"
    )
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(smuggling)
        head, _ = await client.read_answer()
        assert b" 400 " in head
        await client.expect_end()


async def test_pipelined_requests_are_answered_in_order() -> None:
    first, second = get(URL + b"1"), get(URL + b"2")
    script = replies((first, answer(200, b"one")), (second, answer(200, b"two")))
    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(first + second)
        await client.expect(answer(200, b"one") + answer(200, b"two"))
        px.px._pool.clear()


async def test_an_http_1_0_client_gets_a_chunked_answer_decoded_and_a_close() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        await wire.send(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(b"GET http://origin.test/ HTTP/1.0\r\n\r\n")
        await client.expect(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde")
        await client.expect_end()
        px.px._pool.clear()


async def test_px_keeps_the_connection_of_an_http_1_0_client_on_request() -> None:
    wanted = b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n"
    async with (
        ScriptedUpstream(replies((wanted, answer()), (wanted, answer()))) as upstream,
        running_px(upstream) as px,
    ):
        client = await px.connect()
        for _ in range(2):
            await client.send(
                b"GET http://origin.test/ HTTP/1.0\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n"
            )
            head, body = await client.read_answer()
            assert (field_of(head, b"connection"), body) == (b"keep-alive", b"ok")
        px.px._pool.clear()


async def test_a_close_delimited_answer_ends_with_the_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await wire.send(b"def")

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdef")
        await client.expect_end()


async def test_px_forwards_an_interim_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n\r\n"
    async with ScriptedUpstream(replies((GET, early + answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(early + answer())
        px.px._pool.clear()


async def test_an_http_1_0_client_gets_no_interim_answer() -> None:
    wanted = b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n\r\n"
    async with ScriptedUpstream(replies((wanted, early + answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(b"GET http://origin.test/ HTTP/1.0\r\n\r\n")
        head, _ = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 200 "), head
        px.px._pool.clear()


async def test_px_forwards_trailers_of_requests_and_answers() -> None:
    request = get(URL, b"TE: trailers", b"Connection: TE", b"Transfer-Encoding: chunked", method=b"POST")
    sent = get(URL, b"TE: trailers", b"Connection: TE", b"Transfer-Encoding: chunked", method=b"POST")
    body = b"3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + body
    async with ScriptedUpstream(replies((sent + body, said))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request + body)
        await client.expect(said)
        px.px._pool.clear()


@pytest.mark.parametrize("status", [204, 304])
async def test_the_connection_is_usable_after_an_answer_without_a_body(status: int) -> None:
    said = b"HTTP/1.1 %d Nothing\r\nETag: x\r\n\r\n" % status
    async with (
        ScriptedUpstream(replies((GET, said), (GET, answer()))) as upstream,
        running_px(upstream) as px,
    ):
        client = await px.connect()
        await client.send(GET)
        await client.expect(said)
        await client.send(GET)
        await client.expect(answer())
        px.px._pool.clear()


async def test_a_head_request_is_answered_without_a_body() -> None:
    head = get(URL, method=b"HEAD")
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with (
        ScriptedUpstream(replies((head, said), (GET, answer()))) as upstream,
        running_px(upstream) as px,
    ):
        client = await px.connect()
        await client.send(head)
        await client.expect(said)
        await client.send(GET)
        await client.expect(answer())
        px.px._pool.clear()


UPGRADE = get(
    b"http://origin.test/ws", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: abc"
)


async def test_an_upgrade_becomes_a_tunnel_with_the_early_bytes_of_both_sides() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(UPGRADE)
        await wire.send(
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly server"
        )
        await wire.expect(b"early clientmore")
        await wire.send(b"and more")
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(UPGRADE + b"early client")
        head = await client.read_head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert field_of(head, b"connection") == b"Upgrade"
        assert field_of(head, b"upgrade") == b"websocket"
        await client.expect(b"early server")
        await client.send(b"more")
        await client.expect(b"and more")
        client.half_close()
        await client.expect_end()


async def test_the_connection_is_usable_after_a_declined_upgrade() -> None:
    async with (
        ScriptedUpstream(replies((UPGRADE, answer(200, b"no")), (GET, answer()))) as upstream,
        running_px(upstream) as px,
    ):
        client = await px.connect()
        await client.send(UPGRADE)
        await client.expect(answer(200, b"no"))
        await client.send(GET)
        await client.expect(answer())
        px.px._pool.clear()


async def test_an_unrequested_switch_of_protocols_is_an_error() -> None:
    script = replies((GET, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert b"without being asked" in body


CONNECT = connect(b"origin.test:443")


async def test_bytes_directly_behind_a_connect_and_behind_its_answer_arrive() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(b"HTTP/1.1 200 Fine\r\nX-Inner: secret\r\n\r\nbanner")
        await wire.expect(b"hello")
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(CONNECT + b"hello")
        await client.expect(b"HTTP/1.1 200 Connection established\r\n\r\nbanner")
        client.half_close()
        await client.expect_end()


async def test_a_tunnel_stays_half_open_after_the_clients_end() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(b"HTTP/1.1 200 Fine\r\n\r\n")
        await wire.expect(b"question")
        await wire.expect_end()
        await wire.send(b"x" * 100_000)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.read_head()
        await client.send(b"question")
        client.half_close()
        assert await client.read_to_end() == b"x" * 100_000


async def test_a_tunnel_stays_half_open_after_the_upstreams_end() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(b"HTTP/1.1 200 Fine\r\n\r\nlast words")
        wire.half_close()
        assert await wire.read_to_end() == b"y" * 100_000

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.read_head()
        assert await client.read_to_end() == b"last words"
        await client.send(b"y" * 100_000)
        client.half_close()


async def test_a_refused_connect_reaches_the_client_with_status_and_body() -> None:
    refusal = answer(403, b"not that site", b"X-Reason: policy")
    async with ScriptedUpstream(replies((CONNECT, refusal))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(CONNECT)
        head, body = await client.read_answer()
        assert (b" 403 " in head, field_of(head, b"x-reason"), body) == (True, b"policy", b"not that site")
        px.px._pool.clear()


async def test_a_silent_tunnel_ends_after_idle_seconds() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(b"HTTP/1.1 200 Fine\r\n\r\n")
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, idle=0.1) as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.read_head()
        await client.expect_end()


async def test_px_warns_of_each_silent_tunnel_that_it_closes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 Fine\r\n\r\n")
        await wire.expect_end()

    targets = [b"one.test:443", b"two.test:8443"]
    async with ScriptedUpstream(*[script] * 2) as upstream, running_px(upstream, idle=0.1) as px:
        for target in targets:
            client = await px.connect()
            await client.send(connect(target))
            await client.read_head()
            await client.expect_end()
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [each.getMessage() for each in warnings] == [
        "The tunnel to one.test:443 was silent for 0.1 s and was closed.",
        "The tunnel to two.test:8443 was silent for 0.1 s and was closed.",
    ]
    assert all("--idle" in each.__dict__["hint"] and each.__dict__["is_quiet"] for each in warnings)


async def test_an_early_answer_during_an_upload_reaches_the_client() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.read_exactly(1000)
        await wire.send(answer(413, b"too much", b"Connection: close"))
        wire.half_close()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 1000000", method=b"POST") + b"a" * 1000)
        head, body = await client.read_answer()
        assert (head[:13], body) == (b"HTTP/1.1 413 ", b"too much")
        client.half_close()
        await client.expect_end()


async def test_an_early_answer_with_a_reset_reaches_the_client() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.read_exactly(500_000)
        await wire.send(answer(413, b"too much"))
        wire.close()  # unread bytes turn this close into a reset

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 100000000", method=b"POST"))
        upload = asyncio.create_task(_send_without_end(client))
        head, body = await client.read_answer()
        assert (head[:13], body) == (b"HTTP/1.1 413 ", b"too much")
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)


async def _send_without_end(client: Wire) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(client.sock, b"b" * 65536)


async def test_an_incomplete_body_ends_the_clients_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET + GET)
        await client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await client.expect_cut()
        assert client._received == b""


async def test_px_answers_508_for_a_request_to_its_own_address() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        for target in (b"http://127.0.0.1:%d/" % px.port, b"http://localhost:%d/" % px.port):
            head, body = await px.get(target)
            assert b" 508 " in head
            assert b"circle" in body


async def test_px_answers_508_for_a_request_with_its_own_pseudonym_in_via() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        pseudonym = px.px._installation.pseudonym.encode()
        head, _ = await px.get(URL, b"Via: 1.1 other, 1.1 " + pseudonym)
        assert b" 508 " in head
        assert b"proxy_loop_detected" in (field_of(head, b"proxy-status") or b"")


@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS"])
async def test_max_forwards_counts_down(method: bytes) -> None:
    request = get(URL, b"Max-Forwards: 3", method=method)
    wanted = get(URL, b"Max-Forwards: 2", method=method)
    async with ScriptedUpstream(replies((wanted, answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        await client.expect(answer())
        px.px._pool.clear()


async def test_px_answers_a_trace_for_itself_without_secrets() -> None:
    request = get(URL, b"Max-Forwards: 0", b"Cookie: secret", b"X-Shown: yes", method=b"TRACE")
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        head, body = await client.read_answer()
        assert field_of(head, b"content-type") == b"message/http"
        assert b"X-Shown: yes" in body
        assert b"secret" not in body


async def test_px_answers_options_with_a_body_for_itself_and_announces_the_close() -> None:
    request = get(URL, b"Max-Forwards: 0", b"Content-Length: 3", method=b"OPTIONS")
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request + b"abc")
        head, _ = await client.read_answer()
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()


async def test_px_does_not_change_max_forwards_of_other_methods() -> None:
    request = get(URL, b"Max-Forwards: 0")
    async with ScriptedUpstream(replies((request, answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        await client.expect(answer())
        px.px._pool.clear()


@pytest.mark.shows("--via")
async def test_px_adds_via_with_the_received_version_to_requests_and_answers() -> None:
    async with (
        ScriptedUpstream(
            script := _Recorder(b"HTTP/1.0 200 OK\r\nVia: 1.0 x\r\nContent-Length: 0\r\n\r\n")
        ) as upstream,
        running_px(upstream, via=True) as px,
    ):
        client = await px.connect()
        await client.send(b"GET http://origin.test/ HTTP/1.0\r\nVia: 1.1 y\r\n\r\n")
        head = await client.read_head()
        pseudonym = px.px._installation.pseudonym.encode()
        assert head.count(b"Via: ") == 2
        assert b"\r\nVia: 1.0 %b\r\n" % pseudonym in head
        assert script.heads[0].endswith(b"Via: 1.1 y\r\nVia: 1.0 %b\r\n\r\n" % pseudonym)


class _Recorder:
    """A script that records the head of a request and sends a fixed answer."""

    def __init__(self, said: bytes) -> None:
        self.heads: list[bytes] = []
        self._said = said

    async def __call__(self, wire: Wire) -> None:
        self.heads.append(await wire.read_head())
        await wire.send(self._said)


@pytest.mark.shows("--useragent")
async def test_useragent_replaces_the_user_agent_of_the_client() -> None:
    request = get(URL, b"user-agent: curl", b"X: y")
    wanted = get(URL, b"user-agent: Mozilla/5.0", b"X: y")
    bare = get(URL, b"User-Agent: Mozilla/5.0")
    async with (
        ScriptedUpstream(replies((wanted, answer()), (bare, answer()))) as upstream,
        running_px(upstream, useragent="Mozilla/5.0") as px,
    ):
        client = await px.connect()
        await client.send(request)
        await client.expect(answer())
        await client.send(GET)
        await client.expect(answer())
        px.px._pool.clear()


async def test_a_get_for_a_noproxy_host_goes_directly_in_origin_form() -> None:
    async with ScriptedUpstream() as upstream, ScriptedUpstream() as origin:
        wanted = b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % origin.port
        origin._scripts.append(replies((wanted, answer())))
        async with running_px(upstream, noproxy="127.0.0.1") as px:
            _, body = await px.get(b"http://127.0.0.1:%d/a?b" % origin.port, b"Proxy-Connection: keep-alive")
            assert body == b"ok"
            px.px._pool.clear()


@pytest.mark.shows("--noproxy")
async def test_a_tunnel_to_a_noproxy_host_goes_directly() -> None:
    async with (
        ScriptedUpstream() as upstream,
        ScriptedUpstream(replies((b"hello", b"world"))) as origin,
        running_px(upstream, noproxy="127.0.0.1") as px,
    ):
        client = await px.connect()
        await client.send(connect(b"127.0.0.1:%d" % origin.port) + b"hello")
        await client.expect(b"HTTP/1.1 200 Connection established\r\n\r\nworld")


async def test_px_answers_501_for_an_https_url_without_an_upstream() -> None:
    async with running_px(noproxy="*") as px:
        head, body = await px.get(b"https://127.0.0.1/")
        assert b" 501 " in head
        assert b"CONNECT" in body


async def test_px_answers_403_for_a_host_without_a_matching_rule_and_without_an_upstream() -> None:
    async with running_px(noproxy="10.0.0.1") as px:
        head, _ = await px.get(b"http://127.0.0.1:1/")
        assert b" 403 " in head


async def test_an_error_is_a_page_for_clients_that_accept_html_and_text_for_others() -> None:
    async with running_px("127.0.0.1:1") as px:
        head, body = await px.get(URL, b"Accept: text/html,*/*")
        assert field_of(head, b"content-type") == b"text/html; charset=utf-8"
        assert body.startswith(b"<!DOCTYPE html>")
        head, body = await px.get(URL, b"Accept: */*")
        assert field_of(head, b"content-type") == b"text/plain; charset=utf-8"
        assert body.startswith(b"Px: 502 ")


async def test_an_error_for_head_has_no_body_and_keeps_the_connection() -> None:
    async with running_px("127.0.0.1:1") as px:
        client = await px.connect()
        for _ in range(2):
            await client.send(get(URL, method=b"HEAD"))
            head = await client.read_head()
            assert head.startswith(b"HTTP/1.1 502 ")
            assert field_of(head, b"connection") == b"keep-alive"
            assert int(field_of(head, b"content-length") or 0) > 50
        assert client._received == b""


async def test_a_client_that_may_not_use_px_gets_403_before_px_reads_its_request() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, allow="10.0.0.0/8") as px:
        client = await px.connect()
        await client.send(GET)
        head, body = await client.read_answer()
        assert b" 403 " in head
        assert b"--allow" in body
        client.half_close()
        await client.expect_end()


async def test_px_answers_408_for_a_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_head, "HEAD_SECONDS", 0.05)
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(b"GET http://o/ HTTP/1.1\r\n")
        head, _ = await client.read_answer()
        assert b" 408 " in head
        await client.expect_end()


async def test_px_closes_a_client_that_sends_nothing_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "HEAD_SECONDS", 0.05)
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        await (await px.connect()).expect_end()


async def test_px_closes_an_idle_kept_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "KEEP_ALIVE_SECONDS", 0.05)
    async with ScriptedUpstream(replies((GET, answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(answer())
        await client.expect_end()
        px.px._pool.clear()


async def test_connection_close_of_the_client_is_honoured() -> None:
    async with ScriptedUpstream(replies((GET, answer()))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(URL, b"Connection: close"))
        head, _ = await client.read_answer()
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()
        px.px._pool.clear()


async def test_px_does_not_forward_fields_that_connection_names() -> None:
    request = get(URL, b"Connection: X-Hop, keep-alive", b"X-Hop: 1", b"Keep-Alive: 5", b"X-End: 2")
    wanted = get(URL, b"X-End: 2")
    said = b"HTTP/1.1 200 OK\r\nConnection: X-Back\r\nX-Back: 1\r\nContent-Length: 0\r\n\r\n"
    async with ScriptedUpstream(replies((wanted, said))) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request)
        await client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        px.px._pool.clear()


async def test_px_streams_bodies_in_pieces_in_both_directions() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL, b"Content-Length: 6", method=b"POST") + b"abc")
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nuvw")
        await wire.expect(b"def")
        await wire.send(b"xyz")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 6", method=b"POST") + b"abc")
        await client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nuvw")
        await client.send(b"def")
        await client.expect(b"xyz")
        px.px._pool.clear()


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 8192

    async def script(wire: Wire) -> None:
        await wire.expect(post(URL, body))
        await wire.send(answer(200, body))
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(post(URL, body))
        _, got = await client.read_answer()
        assert got == body
        px.px._pool.clear()


async def test_px_closes_the_upstream_if_a_client_hangs_up_during_its_body() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect(b"abc")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 10", method=b"POST") + b"abc")
        client.close()
        await upstream.finish()


async def test_px_answers_400_for_a_bad_chunk_and_closes_the_upstream() -> None:
    got_chunk = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect(b"3\r\nabc\r\n")
        got_chunk.set()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(URL, b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nabc\r\n")
        await got_chunk.wait()
        await client.send(b"nonsense\r\n")
        head, _ = await client.read_answer()
        assert b" 400 " in head
        await client.expect_end()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_px_forwards_a_chunked_answer_without_delay(version: bytes) -> None:
    got_head = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await got_head.wait()
        await wire.send(b"3\r\nabc\r\n")
        await wire.send(b"3\r\ndef\r\n0\r\n\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(b"GET http://origin.test/ HTTP/%b\r\nHost: origin.test\r\n\r\n" % version)
        await client.read_head()
        got_head.set()
        coded = b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
        await client.expect(b"abcdef" if version == b"1.0" else coded)
        px.px._pool.clear()


async def test_a_client_that_leaves_during_a_chunked_answer_frees_the_upstream() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%b\r\n" % (50_000_000, bytes(50_000_000))
        with pytest.raises(ConnectionError):
            await wire.send(chunk)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_head()
        client.reset()
        await upstream.finish()
