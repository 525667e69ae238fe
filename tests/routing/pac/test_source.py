"""PAC scripts loaded from files, URLs and a real HTTP server."""

from __future__ import annotations

import base64
import gzip
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from px.core.errors import PacError
from px.io.thread_lane import ThreadLane
from px.routing.pac import download as download_module
from px.routing.pac.download import MAX_BYTES, DownloadError
from px.routing.pac.source import LoadedPac, PacLoader, decode_script
from px.upstream.connections.tls import make_tls_context
from tests.authority import Authority

SCRIPT = "function FindProxyForURL(url, host) { return 'PROXY é'; }"
DATA = SCRIPT.encode()
OK = b"HTTP/1.1 200 OK\r\n"

Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with the reply that the test set for the path."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.server.replies[self.path](self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass

    def reply(self, status: int, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **fields}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A server that records its requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, Reply] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.is_ending = threading.Event()
        self.scheme = "http"

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_address[1]}{path}"

    def serve(self, path: str, status: int = 200, body: bytes = DATA, **fields: str) -> str:
        self.replies[path] = lambda handler: handler.reply(status, body, **fields)
        return self.url(path)

    def serve_raw(self, path: str, *pieces: bytes) -> str:
        """Send these bytes, then close."""

        def reply(handler: Handler) -> None:
            handler.wfile.write(b"".join(pieces))
            handler.close_connection = True

        self.replies[path] = reply
        return self.url(path)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, since in some tests the client leaves before the answer ends."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.is_ending.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(server: Server, authority: Authority) -> Server:
    # The first read, in the connection's thread, does the handshake.
    server.socket = authority.server_context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.scheme = "https"
    return server


def loader(timeout_seconds: float = 10) -> PacLoader:
    return PacLoader(ThreadLane("pac", 1, timeout_seconds).run, make_tls_context)


async def load(location: str, encoding: str = "auto", previous: LoadedPac | None = None) -> LoadedPac:
    return await loader().load(location, encoding, previous)


async def fail(location: str, *parts: str, encoding: str = "auto") -> PacError:
    with pytest.raises(PacError, match="cannot be loaded") as caught:
        await load(location, encoding)
    for text in parts:
        assert text in caught.value.cause
    assert caught.value.hint
    return caught.value


# Files


async def test_a_file_is_loaded_by_path_or_url(tmp_path) -> None:
    path = tmp_path / "my proxy.pac"
    path.write_bytes(DATA)
    assert (await load(str(path))).text == SCRIPT
    loaded = await load(path.as_uri())
    assert (loaded.text, loaded.location) == (SCRIPT, path.as_uri())
    assert repr(loaded) == f"<LoadedPac {path.as_uri()} chars={len(SCRIPT)}>"


async def test_a_file_may_be_relative_to_the_home_or_to_the_working_directory(tmp_path, monkeypatch) -> None:
    (tmp_path / "proxy.pac").write_bytes(DATA)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert (await load("~/proxy.pac")).text == SCRIPT
    assert (await load("proxy.pac")).text == SCRIPT


async def test_an_unchanged_file_is_the_same_object(tmp_path) -> None:
    path = tmp_path / "proxy.pac"
    path.write_bytes(DATA)
    loaded = await load(str(path))
    assert await load(str(path), previous=loaded) is loaded
    path.write_bytes(DATA + b"//")
    changed = await load(str(path), previous=loaded)
    assert changed.text == SCRIPT + "//"
    assert await load(str(path), "latin-1", loaded) is not loaded


async def test_the_error_for_a_file_that_cannot_be_loaded_names_the_cause(tmp_path) -> None:
    missing = tmp_path / "missing.pac"
    error = await fail(str(missing), str(missing), "file")
    assert str(Path.cwd()) in error.hint
    await fail(str(tmp_path), "it is no regular file")
    large = tmp_path / "large.pac"
    large.write_bytes(b"x" * (MAX_BYTES + 1))
    await fail(str(large), "larger than 5 MB")
    large.write_bytes(b"x" * MAX_BYTES)
    assert len((await load(str(large))).text) == MAX_BYTES
    await fail("a\0b", "control characters")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a named pipe is a file on POSIX only")
async def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    await fail(str(tmp_path / "pipe"), "it is no regular file")


# data:


@pytest.mark.parametrize(
    "url",
    [
        f"data:,{quote(SCRIPT)}",
        f"data:application/x-ns-proxy-autoconfig,{quote(SCRIPT)}",
        f"DATA:text/plain;charset=utf-8;BASE64,{base64.b64encode(DATA).decode()}",
        f"data:;base64,{base64.b64encode(DATA).decode().rstrip('=')}",
        f"data:;base64,{quote(base64.b64encode(DATA).decode())}",
        f"data:text/plain;charset=latin-1,{quote(SCRIPT.encode('latin-1'))}",
    ],
)
async def test_a_data_url_contains_the_script(url) -> None:
    assert (await load(url)).text == SCRIPT


async def test_the_error_for_a_url_without_a_script_names_the_cause() -> None:
    await fail("data:nothing", "in the data: URL", "no comma")
    await fail("data:;base64,####", "base64 is broken")
    await fail("gopher://pac.test/", "Px does not support gopher: URLs")


# HTTP


async def test_a_script_is_loaded_by_http(server: Server) -> None:
    url = server.serve("/proxy.pac?a=b", Content_Type="application/x-ns-proxy-autoconfig")
    assert (await load(url)).text == SCRIPT
    ((path, fields),) = server.requests
    assert path == "/proxy.pac?a=b"
    assert fields["Host"] == url.split("/")[2]
    assert fields["Accept-Encoding"] == "gzip, deflate"
    assert not {"If-None-Match", "If-Modified-Since", "Authorization"} & set(fields)


async def test_a_script_is_never_downloaded_through_a_proxy(server: Server, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await load(server.serve("/proxy.pac"))).text == SCRIPT


async def test_a_fragment_is_not_sent_and_unusual_characters_are_encoded(server: Server) -> None:
    server.serve("/%C3%A9%20a?b=%C3%A9%2F")
    assert (await load(server.url("/é a?b=é%2F#part"))).text == SCRIPT


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(DATA, mtime=0)),
        ("x-gzip", gzip.compress(DATA, mtime=0)),
        ("deflate", zlib.compress(DATA)),
        ("deflate", zlib.compress(DATA)[2:-4]),
        ("identity", DATA),
    ],
)
async def test_content_codings_are_undone(server: Server, coding, body) -> None:
    assert (await load(server.serve("/", body=body, Content_Encoding=coding))).text == SCRIPT


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("gzip", gzip.compress(bytes(MAX_BYTES + 1), mtime=0), "larger than 5 MB"),
        ("gzip", gzip.compress(DATA, mtime=0)[:-9], "gzip data is cut off"),
        ("gzip", DATA, "gzip data is broken"),
        ("br", DATA, "sent it as 'br'"),
    ],
)
async def test_a_content_coding_that_cannot_be_undone_is_an_error(
    server: Server, coding, body, reason
) -> None:
    await fail(server.serve("/", body=body, Content_Encoding=coding), reason)


async def test_a_body_may_be_chunked_or_end_with_the_connection(server: Server) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
    url = server.serve_raw("/chunked", OK + b"Transfer-Encoding: chunked\r\n\r\n", chunks)
    assert (await load(url)).text == SCRIPT
    assert (await load(server.serve_raw("/closing", b"HTTP/1.0 200 OK\r\n\r\n", DATA))).text == SCRIPT


async def test_an_unchanged_script_is_not_downloaded_again(server: Server) -> None:
    validators: dict[str, Any] = {"ETag": '"one"', "Last_Modified": "Sat, 01 Nov 2025 10:00:00 GMT"}
    url = server.serve("/", **validators)
    loaded = await load(url)
    server.serve("/", 304, b"", **validators)
    assert await load(url, previous=loaded) is loaded
    fields = server.requests[1][1]
    assert fields["If-None-Match"] == '"one"'
    assert fields["If-Modified-Since"] == "Sat, 01 Nov 2025 10:00:00 GMT"
    server.serve("/", ETag='"two"')
    assert await load(url, previous=loaded) is loaded  # another answer, the same text
    server.serve("/", body=b"function FindProxyForURL() {}", ETag='"three"')
    changed = await load(url, previous=loaded)
    assert (changed.text, changed.etag) == ("function FindProxyForURL() {}", '"three"')


async def test_the_validators_of_another_url_are_not_used(server: Server) -> None:
    loaded = await load(server.serve("/one", ETag='"one"'))
    server.serve("/two", body=b"function FindProxyForURL() {}")
    await load(server.url("/two"), previous=loaded)
    assert "If-None-Match" not in server.requests[1][1]
    await fail(server.serve("/two", 304, b""), "304")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(server: Server, status) -> None:
    server.serve("/dir/there?a=b")
    loaded = await load(server.serve("/dir/here", status, b"moved", Location="there?a=b"))
    assert loaded.text == SCRIPT
    assert loaded.location == server.url("/dir/here")


async def test_too_many_redirects_are_an_error(server: Server) -> None:
    for number in range(5):
        server.serve(f"/{number}", 302, b"", Location=f"/{number + 1}")
    server.serve("/5")
    assert (await load(server.url("/0"))).text == SCRIPT
    await fail(server.serve("/loop", 302, b"", Location="/loop"), "more than 5 redirects")
    assert len(server.requests) == 12


@pytest.mark.parametrize("target", ["", "ftp://a/?secret", "//[?secret", "https://127.0.0.1:1/?secret"])
async def test_no_error_of_a_download_shows_a_query(server: Server, target: str) -> None:
    url = server.serve("/?secret", 302 if target else 404, b"", Location=target)
    with pytest.raises(PacError) as caught:
        await load(url)
    assert f"The PAC script {server.url('/?...')} cannot be loaded" in caught.value.cause
    assert "secret" not in f"{caught.value.cause} {caught.value.hint}"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/", "data:,x"])
async def test_redirects_lead_to_http_only(server: Server, target) -> None:
    await fail(server.serve("/", 302, b"", Location=target), "a redirect to", "no HTTP URL")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server answered 404 Not Found"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "the server answered 302 Found"),
        (OK + b"Content-Length: 100\r\n\r\nshort", "closed the connection before the end"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort",
            "closed the connection before the end",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak proper HTTP"),
        (b"", "does not speak proper HTTP"),
        (OK + b"a: b\r\n" * 1000 + b"\r\n", "does not speak proper HTTP"),
        (OK + b"Content-Length: 9999999\r\n\r\n" + bytes(MAX_BYTES + 1), "larger than 5 MB"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 500_000, "the server never stops sending"),
        (b"HTTP/1.1 500 a\x1b[2J\r\nContent-Length: 0\r\n\r\n", "the server answered 500 a?[2J"),
        (OK + b"\r\n<!DOCTYPE html><title>Log in</title>", "has a web page, no script"),
    ],
)
async def test_the_error_for_an_answer_without_a_script_names_the_cause(
    server: Server, reply, reason
) -> None:
    error = await fail(server.serve_raw("/", reply), reason)
    assert server.url("/") in error.cause


async def test_a_page_that_holds_a_script_is_left_to_the_engine(server: Server) -> None:
    url = server.serve("/", body=b"<!-- for old browsers\nfunction FindProxyForURL() {}")
    assert (await load(url)).text.startswith("<!--")


async def test_the_error_for_an_unreachable_server_names_the_cause() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        await fail(f"http://127.0.0.1:{reserved.getsockname()[1]}/", "no connection to 127.0.0.1")
    await fail("http://pac.invalid./", "the name pac.invalid. could not be resolved")
    await fail(f"http://{'a' * 70}.test/", "could not be resolved")


async def test_a_silent_server_is_an_error_after_the_timeout(server: Server, monkeypatch) -> None:
    monkeypatch.setattr(download_module, "WAIT_SECONDS", 0.05)
    server.replies["/"] = lambda handler: void(handler.server.is_ending.wait())
    await fail(server.url("/"), "did not answer within 0.05 s")


@pytest.mark.parametrize("head", [b"", OK, OK + b"Content-Length: 999\r\n\r\n"])
async def test_a_server_that_trickles_is_an_error_after_the_timeout(
    server: Server, monkeypatch, head
) -> None:
    monkeypatch.setattr(download_module, "DEADLINE_SECONDS", 0.3)

    def trickle(handler: Handler) -> None:
        handler.wfile.write(head)
        while not server.is_ending.wait(0.01):
            handler.wfile.write(b"a")

    server.replies["/"] = trickle
    await fail(server.url("/"), "did not send the whole script within 0.3 s")


async def test_one_deadline_covers_all_redirects(server: Server, monkeypatch) -> None:
    monkeypatch.setattr(download_module, "DEADLINE_SECONDS", 0.3)
    monkeypatch.setattr(download_module, "MAX_REDIRECTS", 1000)

    def reply(handler: Handler) -> None:
        server.is_ending.wait(0.05)
        handler.reply(302, b"", Location="/")

    server.replies["/"] = reply
    await fail(server.url("/"), "did not send the whole script within 0.3 s")
    assert 2 <= len(server.requests) <= 7


async def test_a_thread_that_does_not_return_is_abandoned(server: Server) -> None:
    server.replies["/"] = lambda handler: void(handler.server.is_ending.wait())
    with pytest.raises(PacError, match="took too long"):
        await loader(0.05).load(server.url("/"))


def void(value: object) -> None:
    """Drop the value of an expression, so that a lambda returns None."""


# TLS


async def test_a_script_is_loaded_by_tls(tls_server: Server, authority: Authority, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    tls_server.serve("/")
    assert (await load(tls_server.url("/"))).text == SCRIPT
    assert (await load(tls_server.url("/", "localhost"))).text == SCRIPT


async def test_an_untrusted_server_is_refused(tls_server: Server, authority: Authority, monkeypatch) -> None:
    tls_server.serve("/")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    error = await fail(tls_server.url("/"), "certificate of 127.0.0.1 is not trusted")
    assert "SSL_CERT_FILE" in error.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    await fail(tls_server.url("/", "127.1"), "certificate of 127.1 is not trusted")
    assert tls_server.requests == []


async def test_a_redirect_from_https_to_http_is_refused(
    tls_server: Server, authority: Authority, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    url = tls_server.serve("/", 302, b"", Location="http://127.0.0.1:9/")
    await fail(url, "which is not encrypted")


async def test_a_server_without_tls_is_an_error(server: Server) -> None:
    await fail(server.url("/").replace("http:", "https:"), "no TLS with 127.0.0.1")


async def test_a_missing_certificate_file_is_an_error(tls_server: Server) -> None:
    def make() -> ssl.SSLContext:
        raise FileNotFoundError(2, "No such file", "/missing.pem")

    with pytest.raises(PacError, match=r"no trusted certificates.*missing\.pem") as caught:
        await PacLoader(ThreadLane("pac", 1, 5).run, make).load(tls_server.url("/"))
    assert "SSL_CERT_FILE" in caught.value.hint


# Encodings


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        (DATA, ""),
        (b"\xef\xbb\xbf" + DATA, ""),
        (b"\xef\xbb\xbf" + DATA, "iso-8859-1"),
        (SCRIPT.encode("utf-16"), ""),
        (SCRIPT.encode("utf-16"), "utf-8"),
        (b"\xfe\xff" + SCRIPT.encode("utf-16-be"), ""),
        (SCRIPT.encode("latin-1"), ""),
        (SCRIPT.encode("latin-1"), "iso-8859-1"),
        (SCRIPT.encode("latin-1"), "utf-8"),
        (SCRIPT.encode("latin-1"), "no-such-charset"),
        (SCRIPT.encode("latin-1"), "base64"),
        *((DATA, codec) for codec in ("punycode", "IDNA", "unicode-escape", "raw_unicode_escape")),
        (SCRIPT.encode("cp437"), "cp437"),
        (SCRIPT.encode("utf-16-le"), "utf-16-le"),
    ],
)
def test_the_encoding_of_a_script_is_detected(data, charset):
    assert decode_script(data, "auto", charset) == SCRIPT


def test_a_server_cannot_choose_an_encoding_that_takes_too_long():
    """Decoding five megabytes of Punycode would block the event loop for half an hour."""
    data = b"//" + b"a" * 200_000 + b"-" + b"b" * 200_000
    begun = time.monotonic()
    assert decode_script(data, "auto", "punycode") == data.decode()
    assert time.monotonic() - begun < 1


def test_encodings_are_tried_in_order():
    assert decode_script(b"\x80", "AUTO") == "€"  # Windows-1252
    assert decode_script(b"\x81", "auto") == "\x81"  # Windows-1252 has no such character, so Latin-1
    assert decode_script(DATA, "latin-1", "utf-8") == SCRIPT.replace("é", "Ã©")
    assert decode_script(b"\xef\xbb\xbf" + DATA, "utf-8") == SCRIPT


@pytest.mark.parametrize(("data", "encoding"), [(b"\xff", "utf-8"), (DATA, "no-such-codec"), (DATA, "hex")])
def test_a_wrong_encoding_is_an_error(data, encoding):
    with pytest.raises(DownloadError, match=f"it is not {encoding}"):
        decode_script(data, encoding)


async def test_the_charset_of_an_answer_is_used(server: Server) -> None:
    url = server.serve("/", body=SCRIPT.encode("cp437"), Content_Type='text/plain; charset="cp437"')
    assert (await load(url)).text == SCRIPT
    await fail(url, "it is not ascii", encoding="ascii")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-le", "utf-8-sig", "cp1252", "shift_jis"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_script_is_decoded_in_parts_that_may_cut_a_character(codec, shift):
    text = (
        "x" * shift
        + ("é€" if codec == "cp1252" else "あア" if codec == "shift_jis" else "é€\U0001f600") * 60_000
    )
    assert decode_script(text.encode(codec), codec) == text


def test_a_long_script_that_ends_in_the_middle_of_a_character_is_not_in_that_encoding():
    data = ("é" * 100_000).encode()[:-1]
    with pytest.raises(DownloadError, match="it is not utf-8"):
        decode_script(data, "utf-8")
    assert decode_script(data, "auto").startswith("Ã©")  # Windows-1252


@pytest.mark.parametrize("codec", ["base64", "hex", "rot13", "zlib", "nosuch"])
def test_a_codec_that_does_not_decode_text_is_refused(codec):
    with pytest.raises(DownloadError, match=f"it is not {codec}"):
        decode_script(b"00", codec)
