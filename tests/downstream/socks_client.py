"""The messages of a SOCKS5 client, and the replies of Px."""

from __future__ import annotations

#: A host name as in a SOCKS request: its length comes first.
NAME = b"\x0borigin.test"
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
IPV4, DOMAIN_NAME, IPV6 = 1, 3, 4


def request(
    address: bytes = NAME, port: int = 443, *, kind: int = DOMAIN_NAME, command: int = CONNECT
) -> bytes:
    """A request for a tunnel."""
    return bytes((5, command, 0, kind)) + address + port.to_bytes(2, "big")


def login(username: str, password: str) -> bytes:
    """A login by user name and password (RFC 1929)."""
    parts = (username.encode(), password.encode())
    return b"\1" + b"".join(bytes((len(part),)) + part for part in parts)


def reply(code: int) -> bytes:
    """The reply to a request."""
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


GREETING, GREETING_WITH_LOGIN = b"\5\1\0", b"\5\1\2"
CHOSEN, CHOSEN_LOGIN, NO_METHOD = b"\5\0", b"\5\2", b"\5\xff"
LOGGED_IN, NOT_LOGGED_IN = b"\1\0", b"\1\1"
OPENED = reply(0)
