"""Requests of real clients that violate RFC 9112, and the requests that Px sends in their place."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.running_px import running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer

#: The bytes that a client sends, and the bytes that the upstream gets.
PASSED = {
    "bare LF": (
        b"GET http://o/ HTTP/1.1\nHost: o\nA: b\n\n",
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\nA: b\r\n\r\n",
    ),
    "bare LF after an empty line": (
        b"\nGET http://o/ HTTP/1.0\n\n",
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n",
    ),
    "two equal lengths": (
        b"PUT http://o/ HTTP/1.1\r\nContent-Length: 2\r\nHost: o\r\ncontent-length: 2\r\n\r\nhi",
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 2\r\n\r\nhi",
    ),
    "a list of equal lengths": (
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 2, 2\r\n\r\nhi",
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 2\r\n\r\nhi",
    ),
    "identity": (
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi",
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 2\r\n\r\nhi",
    ),
    "TE: identity": (
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nTE: identity\r\nContent-Length: 2\r\n\r\nhi",
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 2\r\n\r\nhi",
    ),
    "a fragment": (
        b"GET http://o/p?q#top HTTP/1.1\r\nHost: o\r\n\r\n",
        b"GET http://o/p?q HTTP/1.1\r\nHost: o\r\n\r\n",
    ),
    "octets beyond ASCII": (
        b"GET http://o/\xc3\xbcber?q=\xe4 HTTP/1.1\r\nHost: o\r\n\r\n",
        b"GET http://o/%C3%BCber?q=%E4 HTTP/1.1\r\nHost: o\r\n\r\n",
    ),
    "a folded line": (
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\nA: b,\r\n\tc\r\n\r\n",
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\nA: b, c\r\n\r\n",
    ),
    "white space around chunk extensions": (
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n2 ; a\r\nhi\r\n0\r\n\r\n",
        b"PUT http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    "HTTP/1.2": (
        b"GET http://o/ HTTP/1.2\r\nHost: o\r\n\r\n",
        b"GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n",
    ),
    "a login in an FTP URL": (
        b"GET ftp://user:pass@o/f HTTP/1.1\r\nHost: o\r\n\r\n",
        b"GET ftp://user:pass@o/f HTTP/1.1\r\nHost: o\r\n\r\n",
    ),
}


@pytest.mark.parametrize("name", PASSED)
@pytest.mark.parametrize("piece_bytes", [1, 4096])
async def test_px_forwards_an_unambiguous_request_in_the_form_of_rfc_9112(
    name: str, piece_bytes: int
) -> None:
    request, sent = PASSED[name]

    async def script(wire: Wire) -> None:
        await wire.expect(sent)
        await wire.send(answer(200, b"ok"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        for at in range(0, len(request), piece_bytes):
            await client.send(request[at : at + piece_bytes])
        head, body = await client.read_answer()
        assert (head[:12], body) == (b"HTTP/1.1 200", b"ok")


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT o:443 HTTP/1.1\r\n\r\n",
        b"CONNECT o:443 HTTP/1.1\r\nHost: http://o\r\n\r\n",
        b"CONNECT o:443 HTTP/1.0\n\n",
        b"CONNECT o:443 HTTP/1.2\r\nHost: 127.0.0.1:3128\r\n\r\n",
    ],
)
async def test_a_connect_needs_no_host_and_no_cr(request_: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(b"CONNECT o:443 HTTP/1.1\r\nHost: o:443\r\n\r\n")
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect(b"\n\r\n\x16")
        await wire.send(b"\x15")

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request_ + b"\n\r\n\x16")  # bytes directly after the head belong to the tunnel
        assert (await client.read_head()).startswith(b"HTTP/1.1 200")
        await client.expect(b"\x15")


@pytest.mark.parametrize("scheme", [b"ftp", b"https", b"wss", b"ws", b"FTP"])
@pytest.mark.parametrize("by", ["no upstream", "socks"])
async def test_a_scheme_that_px_does_not_support_gets_a_501_without_an_http_upstream(
    scheme: bytes, by: str
) -> None:
    login = b"user:s3cret@" if scheme.lower() == b"ftp" else b""
    way: dict[str, Any] = {"noproxy": "o"} if by == "no upstream" else {}
    proxy = "127.0.0.1:1" if by == "no upstream" else "socks5://127.0.0.1:1"
    async with running_px(proxy, **way) as px:
        client = await px.connect()
        await client.send(b"GET %b://%bo/f HTTP/1.1\r\nHost: o\r\n\r\n" % (scheme, login))
        head, body = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 501")
        assert scheme.lower() in body
        assert (b"CONNECT" in body) is (scheme.lower() != b"ftp")
        assert b"s3cret" not in head + body


async def test_no_log_has_the_login_of_an_ftp_url(caplog: pytest.LogCaptureFixture) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(b"GET ftp://user:s3cret@o/f HTTP/1.1\r\nHost: o\r\n\r\n")
        await wire.send(answer(200, b"ok"))
        await wire.read_head()  # the upstream closes without an answer

    async def close(wire: Wire) -> None:
        await wire.read_head()

    caplog.set_level(logging.DEBUG, "px")
    async with ScriptedUpstream(script, close) as upstream, running_px(upstream) as px:
        for _ in range(2):
            client = await px.connect()
            await client.send(b"GET ftp://user:s3cret@o/f HTTP/1.1\r\nHost: o\r\n\r\n")
            assert b"s3cret" not in b"".join(await client.read_answer())
    assert "GET ftp://o/f" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("option", ["--proxy=127.0.0.1:1", "--noproxy=*"])
def test_explain_shows_the_route_of_an_ftp_url_without_its_login(option: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "px", "--explain=ftp://user:s3cret@127.0.0.1/f", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert "GET ftp://127.0.0.1/f" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert ("does not speak ftp itself" in done.stdout) is (option == "--noproxy=*")
