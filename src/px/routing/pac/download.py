"""Downloads a PAC script by HTTP, always directly: the script itself says which proxies exist."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from px.core.rules.pac_location import shorten_location

MAX_BYTES: Final = 5 * 1024 * 1024
MAX_REDIRECTS: Final = 5
#: For the whole download, redirects included.
DEADLINE_SECONDS: Final = 20.0
#: For connecting, and for each piece of an answer.
WAIT_SECONDS: Final = 5.0

_REDIRECTS = {301, 302, 303, 307, 308}
_NOT_MODIFIED = 304
_READ_BYTES = 64 * 1024
_FIELDS = {
    "Accept": "application/x-ns-proxy-autoconfig, */*;q=0.8",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "close",
    "User-Agent": "Px",
}
_CHECK_URL = "Check the URL of the script."
_SEND_PLAIN = "Let the server send it unencoded, or as gzip."
_NAME_ITS_OWN = "Name the URL of the script itself."
_CHECK_NETWORK = "Check the network, and whether the server of the script runs."


class DownloadError(Exception):
    """A script could not be downloaded.

    Attributes:
        reason: The cause, as a part of a sentence.
        hint: What the user can do, as a sentence.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded script.

    Attributes:
        data: The body, decoded according to its Content-Encoding.
        charset: The charset of its Content-Type, or empty.
        etag: The validator of RFC 9110 8.8.3, or empty.
        last_modified: The validator of RFC 9110 8.8.2, or empty.
    """

    data: bytes
    charset: str
    etag: str
    last_modified: str


def download(
    url: str, make_tls_context: Callable[[], ssl.SSLContext], conditions: Mapping[str, str]
) -> Download | None:
    """Return the body at a URL; None if the body has not changed. Blocks.

    Args:
        url: With ``http`` or ``https``.
        make_tls_context: Makes the context that verifies a server.
        conditions: Fields that ask for the body only if the body has changed (RFC 9110 13.1).

    Raises:
        DownloadError: The download failed.
    """
    with _watched() as watch:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                answer = _request(url, make_tls_context, conditions, watch)
                watch.check()
                if not isinstance(answer, str):
                    return answer
                url = _follow(url, answer)
        except (OSError, http.client.HTTPException, ValueError, DownloadError) as error:
            raise _explain(error, url, watch) from error
    raise DownloadError(f"more than {MAX_REDIRECTS} redirects", _NAME_ITS_OWN)


def _follow(url: str, location: str) -> str:
    target = urljoin(url, location)
    parts, shown = urlsplit(target), shorten_location(location)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DownloadError(f"a redirect to {shown!r}, which is no HTTP URL", _NAME_ITS_OWN)
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise DownloadError(f"a redirect to {shown!r}, which is not encrypted", _NAME_ITS_OWN)
    return target


def _request(
    url: str, make_tls_context: Callable[[], ssl.SSLContext], conditions: Mapping[str, str], watch: _Watch
) -> Download | str | None:
    """Return the download, the target of a redirect, or None for "not modified"."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = _Connection(host, parts.port or (443 if parts.scheme == "https" else 80))
    context = _load_trust(make_tls_context) if parts.scheme == "https" else None
    try:
        connection.sock = sock = socket.create_connection((host, connection.port), WAIT_SECONDS)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            connection.sock = sock
        watch.guard(sock)
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.request("GET", _format_target(parts), headers={**_FIELDS, **conditions})
        return _read_answer(connection.getresponse(), is_conditional=bool(conditions))
    finally:
        connection.close()


class _Received(io.RawIOBase):
    """The bytes from a server, up to a limit: no script with its header fields and framing is longer."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._left = 2 * MAX_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive into a buffer; return the number of bytes."""
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise DownloadError("the server never stops sending", _CHECK_URL)
        return count

    def close(self) -> None:
        """Close the socket's file."""
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """A response of limited length: http.client itself reads interim answers (RFC 9110 15.2) for ever."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Received(self.fp.detach()))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


def _load_trust(make_tls_context: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    try:
        return make_tls_context()
    except OSError as error:
        raise DownloadError(f"no trusted certificates: {error}", "Check SSL_CERT_FILE.") from error


def _format_target(parts: SplitResult) -> str:
    safe = "/%:=&?~#+!$,;'@()*[]"
    return quote(parts.path or "/", safe) + (f"?{quote(parts.query, safe)}" if parts.query else "")


def _read_answer(response: http.client.HTTPResponse, *, is_conditional: bool) -> Download | str | None:
    location = response.getheader("Location")
    if response.status in _REDIRECTS and location:
        return location
    if response.status == _NOT_MODIFIED and is_conditional:
        return None
    if response.status != http.HTTPStatus.OK:
        reason = "".join(char if char.isprintable() else "?" for char in response.reason[:100])
        status = f"{response.status} {reason}".rstrip()
        raise DownloadError(f"the server answered {status}", _CHECK_URL)
    data = b"".join(_decode(_read_body(response), response.getheader("Content-Encoding", "")))
    charset = str(response.headers.get_content_charset() or "")
    return Download(data, charset, response.getheader("ETag", ""), response.getheader("Last-Modified", ""))


def _read_body(response: http.client.HTTPResponse) -> Iterator[bytes]:
    read = 0
    while data := response.read(_READ_BYTES):
        read += len(data)
        _check_size(read)
        yield data
    if response.length:
        raise DownloadError("the server closed the connection before the end", _CHECK_NETWORK)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise DownloadError(f"the file is larger than {MAX_BYTES >> 20} MB", _CHECK_URL)


def _decode(chunks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """Yield the body with its Content-Encoding undone (RFC 9110 8.4)."""
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        yield from chunks
        return
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise DownloadError(f"the server sent it as {coding!r}", _SEND_PLAIN)
    data = b"".join(chunks)
    # "deflate" is a zlib stream; some servers send it without zlib's header (RFC 9110 8.4.1.2).
    is_bare = coding == "deflate" and not _has_zlib_header(data)
    decoder = zlib.decompressobj(-zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS | 32)
    try:
        decoded = decoder.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise DownloadError(f"its {coding} data is broken", "Check the server of the script.") from error
    _check_size(len(decoded))
    if not decoder.eof:
        raise DownloadError(f"its {coding} data is cut off", "Check the server of the script.")
    yield decoded


def _has_zlib_header(data: bytes) -> bool:
    """Return whether data begins with a zlib header (RFC 1950 2.2): method 8, and a check value."""
    return len(data) > 1 and data[0] & 15 == zlib.DEFLATED and not (data[0] << 8 | data[1]) % 31


class _Watch:
    """Cuts a connection at the deadline: the socket's own timeout only limits each single read."""

    def __init__(self) -> None:
        self.is_over = False
        self._sock: socket.socket | None = None
        self._changing = threading.Lock()

    def guard(self, sock: socket.socket) -> None:
        """Take this socket as the one to cut."""
        with self._changing:
            self._sock = sock
        self.check()

    def check(self) -> None:
        """Raise TimeoutError after the deadline, because a cut connection looks like one that ended."""
        if self.is_over:
            raise TimeoutError

    def end(self) -> None:
        """Cut the connection: the deadline has come."""
        with self._changing:
            self.is_over = True
            if self._sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not SSLSocket's: a thread reads


@contextmanager
def _watched() -> Iterator[_Watch]:
    watch = _Watch()
    timer = threading.Timer(DEADLINE_SECONDS, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()


def _explain(error: Exception, url: str, watch: _Watch) -> DownloadError:
    host = urlsplit(url).hostname
    if watch.is_over:
        cause = f"{host} did not send the whole script within {DEADLINE_SECONDS:g} s"
        return DownloadError(cause, _CHECK_NETWORK)
    if isinstance(error, DownloadError):
        return error
    if isinstance(error, TimeoutError):
        return DownloadError(f"{host} did not answer within {WAIT_SECONDS:g} s", _CHECK_NETWORK)
    if isinstance(error, socket.gaierror | UnicodeError):
        return DownloadError(f"the name {host} could not be resolved", "Check the name, the network and DNS.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return DownloadError(
            f"the TLS certificate of {host} is not trusted: {error.verify_message}",
            "If your organisation has its own certificate authority, point SSL_CERT_FILE at its certificates"
            " (PEM).",
        )
    if isinstance(error, ssl.SSLError):
        return DownloadError(f"no TLS with {host}: {error.reason or error}", "Check the URL: http or https?")
    if isinstance(error, http.client.IncompleteRead):
        return DownloadError("the server closed the connection before the end", _CHECK_NETWORK)
    if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
        return DownloadError(f"no connection to {host}: {error.strerror or error}", _CHECK_NETWORK)
    return DownloadError(f"{host} does not speak proper HTTP ({error})", _CHECK_URL)
