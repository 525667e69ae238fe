"""Heads as bytes, for tests."""

from __future__ import annotations


def request(
    *lines: bytes, line: bytes = b"GET http://a.example/ HTTP/1.1", host: bytes = b"a.example"
) -> bytes:
    """A request head; `lines` stand after the Host."""
    return b"\r\n".join((line, b"Host: " + host, *lines, b"", b""))


def old_request(*lines: bytes) -> bytes:
    """A request head of HTTP/1.0 without a Host."""
    return b"\r\n".join((b"GET http://a.example/ HTTP/1.0", *lines, b"", b""))


def response(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response head."""
    return b"\r\n".join((line, *lines, b"", b""))
