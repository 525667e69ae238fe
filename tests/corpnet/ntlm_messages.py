"""The part of NTLM that a web site needs to bind a login to its connection.

The site does not verify passwords: the tests check which user a connection
belongs to, not the security of NTLM. Real clients (curl --ntlm) can log in.
"""

from __future__ import annotations

import base64
import struct

_SIGNATURE = b"NTLMSSP\0"
_UNICODE = 0x1
_FLAGS = 0x8201 | 0x80000  # Unicode, NTLM, always sign, extended session security


def negotiate_message() -> str:
    """Return a client's first message, as the value of a header."""
    return _encode(_SIGNATURE + struct.pack("<II", 1, _FLAGS) + bytes(16))


def challenge_message() -> str:
    """Return the site's answer to the first message."""
    empty_field = struct.pack("<HHI", 0, 0, 56)
    fixed = struct.pack("<I", 2) + empty_field + struct.pack("<I", _FLAGS)
    end_of_target_info = bytes(4)
    target_info = struct.pack("<HHI", 4, 4, 56)
    return _encode(_SIGNATURE + fixed + b"tst-only" + bytes(8) + target_info + bytes(8) + end_of_target_info)


def authenticate_message(user: str) -> str:
    """Return a client's second message, with the user's name and an invalid response."""
    name = user.encode("utf-16-le")
    fields = [struct.pack("<HHI", 0, 0, 64)] * 6
    fields[3] = struct.pack("<HHI", len(name), len(name), 64)
    message = struct.pack("<I", 3) + b"".join(fields) + struct.pack("<I", _FLAGS)
    return _encode(_SIGNATURE + message + name)


def message_type(header: str) -> int:
    """Return the number of the message in an Authorization header; 0 if it has none."""
    message = _decode(header)
    return int.from_bytes(message[8:12], "little") if message.startswith(_SIGNATURE) else 0


def user_name(header: str) -> str:
    """Return the user that a client's second message names."""
    message = _decode(header)
    length, _, offset = struct.unpack_from("<HHI", message, 36)
    (flags,) = struct.unpack_from("<I", message, 60)
    encoding = "utf-16-le" if flags & _UNICODE else "latin-1"
    return message[offset : offset + length].decode(encoding)


def _encode(message: bytes) -> str:
    return "NTLM " + base64.b64encode(message).decode()


def _decode(header: str) -> bytes:
    scheme, _, token = header.partition(" ")
    return base64.b64decode(token) if scheme.lower() == "ntlm" else b""
