"""Heads as bytes, for tests."""

from __future__ import annotations

from px.core.http.head import HeadReader
from px.core.http.request_head import check_request_beginning
from px.core.http.response_head import ResponseHeadReader, check_response_beginning


def request(
    *lines: bytes, line: bytes = b"GET http://a.example/ HTTP/1.1", host: bytes = b"a.example"
) -> bytes:
    """Return a request head; `lines` come after the Host."""
    return b"\r\n".join((line, b"Host: " + host, *lines, b"", b""))


def old_request(*lines: bytes) -> bytes:
    """Return a request head of HTTP/1.0 without a Host."""
    return b"\r\n".join((b"GET http://a.example/ HTTP/1.0", *lines, b"", b""))


def response(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return a response head."""
    return b"\r\n".join((line, *lines, b"", b""))


def check_beginning(*pieces: bytes) -> None:
    """Check the possible beginning of a request head, as Px does while the head is incomplete."""
    reader = HeadReader()
    for piece in pieces:
        reader.receive(piece)
        check_request_beginning(reader)


def check_answer_beginning(*pieces: bytes) -> None:
    """Do as `check_beginning`, for a response head."""
    reader = ResponseHeadReader()
    for piece in pieces:
        reader.receive(piece)
        check_response_beginning(reader)
