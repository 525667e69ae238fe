"""The messages of a SOCKS handshake, after which the upstream connects Px to an origin: bytes in, bytes out.

SOCKS 5 is RFC 1928, its login RFC 1929. SOCKS 4 is Ying-Da Lee's protocol with the extension 4A, by which the
upstream resolves names. Px begins with its greeting in SOCKS 5, and with the request itself in SOCKS 4. The
upstream's next message decides:

=========  ===============================  ============================  =============
awaited    message                          what Px sends                 then awaited
=========  ===============================  ============================  =============
method     5, no login                      the request                   reply
method     5, user and password (offered)   both                          verdict
method     5, anything else                 (a failure of the upstream)
verdict    1, 0                             the request                   reply
verdict    1, anything else                 (a failure of the upstream)
reply      granted                          nothing: the origin is next   nothing
reply      a code                           (the error in `_REPLIES`)
any        another version, an end          (a failure of the upstream)
=========  ===============================  ============================  =============

A reply may concern the upstream itself, which is then out of order, and Px tries another one; or the target,
and Px asks no other upstream. SOCKS 4 has one code for all failures, which counts as one about the target.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from px.core.errors import PxError, TargetError, UnreachableError, UpstreamSilentError
from px.core.host import to_address
from px.core.http.target import Authority
from px.core.rules.route import MAX_SOCKS_LOGIN_BYTES, UpstreamAddress

_VERSION_5, _VERSION_4, _LOGIN_VERSION = 5, 4, 1
_CONNECT = 1
_NO_LOGIN, _USER_AND_PASSWORD, _NO_METHOD = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_GRANTED: Final = {_VERSION_5: 0, _VERSION_4: 0x5A}
_CODE_BYTES = 2  # the beginning of each message: a version and a code
_REPLY_4_BYTES = 8
#: SOCKS 4A: a name follows instead of an address.
_NAME_FOLLOWS = b"\0\0\0\x01"
#: The valid first octets of each answer. Some upstreams send 5 before a verdict, or 4 before a SOCKS 4 reply.
_FIRST_OCTETS: Final = {"method": (5,), "verdict": (1, 5), "reply 5": (5,), "reply 4": (0, 4)}


class SocksLoginError(UnreachableError):
    """A SOCKS upstream refused the login of Px with the upstream's own user and password."""

    phrase = "login at the upstream failed"
    proxy_status = "http_request_denied"


class Awaited(Enum):
    """The upstream's next message; `NOTHING` means that the next bytes are the origin's."""

    METHOD = "method"
    VERDICT = "verdict"
    REPLY = "reply"
    NOTHING = "nothing"


class _Refusal(NamedTuple):
    """The meaning of a reply.

    Attributes:
        text: The meaning, for people.
        status: The status for the client; 0 if the upstream itself is out of order.
        proxy_status: The error type of RFC 9209 2.3.
        hint: What the user can do.
    """

    text: str
    status: int = 0
    proxy_status: str = "destination_unavailable"
    hint: str = ""


_ASK = "Ask the people who run that upstream."
_NAMES_4 = "If the upstream reaches addresses but no names, it lacks SOCKS4A: try socks5:// in --proxy."
#: Version -> code -> meaning: RFC 1928 6; SOCKS 4.
_REPLIES: Final = {
    _VERSION_5: {
        1: _Refusal("a general failure, without details"),
        2: _Refusal("its rules do not allow that", 403, "http_request_denied", _ASK),
        3: _Refusal("no network leads there", 502, "destination_ip_unroutable"),
        4: _Refusal("it cannot find that host", 502),
        5: _Refusal("nothing listens there", 502, "connection_refused"),
        6: _Refusal("there was no answer in time", 504, "connection_timeout"),
        7: _Refusal("it does not support connections (CONNECT)", hint=_ASK),
        8: _Refusal("it does not support addresses of that kind", 502, "destination_ip_unroutable"),
    },
    _VERSION_4: {
        0x5B: _Refusal("rejected or failed, SOCKS4 has no details", 502, hint=_NAMES_4),
        0x5C: _Refusal("it asks for your name by identd, and this computer does not answer", hint=_ASK),
        0x5D: _Refusal("identd on this computer names another user", hint=_ASK),
    },
}
_UNKNOWN = _Refusal("a code without a meaning")


class SocksHandshake:
    """Asks one SOCKS upstream for one target; see the module.

    Args:
        upstream: A ``socks5`` or ``socks4`` upstream; its own user and password are sent if it wants a login.
        target: The target to reach. A name stays a name.
    """

    def __init__(self, upstream: UpstreamAddress, target: Authority) -> None:
        self._upstream = upstream
        self._target = target
        self._version = _VERSION_4 if upstream.scheme == "socks4" else _VERSION_5
        self._received = b""
        self.awaited = Awaited.REPLY if self._version == _VERSION_4 else Awaited.METHOD

    @property
    def rest(self) -> bytes:
        """The bytes after the reply: the origin's first bytes."""
        return self._received

    def begin(self) -> bytes:
        """Return the first message.

        Raises:
            UnreachableError: User or password are too long.
        """
        if self._version == _VERSION_4:
            return self._format_request_4()
        methods = (_NO_LOGIN, _USER_AND_PASSWORD) if self._upstream.username else (_NO_LOGIN,)
        return bytes((_VERSION_5, len(methods), *methods))

    def receive(self, data: bytes) -> bytes:
        """Return the next bytes to send after these have come; often none.

        Raises:
            TargetError: The upstream reports that it cannot reach the target.
            UnreachableError: The upstream itself failed.
        """
        self._received += data
        sending = b""
        while self.awaited is not Awaited.NOTHING and len(self._received) >= (size := self._next_size()):
            message, self._received = self._received[:size], self._received[size:]
            sending += self._receive_message(message)
        return sending

    def receive_end(self) -> PxError:
        """Return the error for an upstream that has closed the connection."""
        return self._fail(
            f"closed the connection before its {self.awaited.value}.",
            "Check whether it is a SOCKS proxy and admits this computer.",
        )

    def receive_silence(self, seconds: float) -> PxError:
        """Return the error for an upstream that was silent for some seconds."""
        if self.awaited is not Awaited.REPLY:
            cause = f"The upstream {self._upstream} accepts connections, but was silent for {seconds:g} s."
            return UpstreamSilentError(cause, _CHECK_PROTOCOL)
        # A SOCKS 4 upstream has sent nothing at all, and perhaps never will.
        kind = UnreachableError if self._version == _VERSION_4 else TargetError
        return kind(
            f"The upstream {self._upstream} did not say within {seconds:g} s"
            f" whether it reaches {self._target}.",
            status=504,
            proxy_status="connection_timeout",
        )

    def _next_size(self) -> int:
        """Return the length of the next message, or as many bytes as are needed to know it."""
        received = self._received
        kind = f"reply {self._version}" if self.awaited is Awaited.REPLY else self.awaited.value
        if received and received[0] not in _FIRST_OCTETS[kind]:
            raise self._fail(f"does not speak SOCKS{self._version}.", _CHECK_PROTOCOL)
        is_granted = received[1:2] == bytes((_GRANTED[self._version],))
        if self.awaited is not Awaited.REPLY or not is_granted:
            return _CODE_BYTES
        return _REPLY_4_BYTES if self._version == _VERSION_4 else self._reply_5_size()

    def _reply_5_size(self) -> int:
        """Return the length of a granting reply, which ends with an address that Px ignores."""
        if len(self._received) < len(b"\5\0\0\3\0"):
            return len(b"\5\0\0\3\0")
        kind, length = self._received[3:5]
        sizes = {_IPV4: 4, _NAME: 1 + length, _IPV6: 16}
        if kind not in sizes:
            raise self._fail(f"grants a connection, but names an address of the unknown kind {kind}.")
        return 4 + sizes[kind] + 2

    def _receive_message(self, message: bytes) -> bytes:
        code = message[1]
        if self.awaited is Awaited.METHOD:
            return self._receive_method(code)
        if self.awaited is Awaited.VERDICT:
            return self._receive_verdict(code)
        if code != _GRANTED[self._version]:
            raise self._refusal_error(code)
        self.awaited = Awaited.NOTHING
        return b""

    def _receive_method(self, method: int) -> bytes:
        if method == _NO_LOGIN:
            self.awaited = Awaited.REPLY
            return self._format_request_5()
        if method == _USER_AND_PASSWORD and self._upstream.username:
            self.awaited = Awaited.VERDICT
            return self._format_login()
        if self._upstream.username:
            raise self._fail("wants a login other than user and password, which Px does not support.", _ASK)
        named = f"socks5://USER:PASSWORD@{self._upstream.authority}"
        raise self._fail("wants a login.", f"Write {named} in px.ini or PX_PROXY.")

    def _receive_verdict(self, verdict: int) -> bytes:
        if verdict:
            raise SocksLoginError(
                f"The upstream {self._upstream} refuses the login of {self._upstream.username}"
                f" (status {verdict} of RFC 1929).",
                "Correct the user and password before its name in px.ini or PX_PROXY.",
            )
        self.awaited = Awaited.REPLY
        return self._format_request_5()

    def _refusal_error(self, code: int) -> PxError:
        refusal = _REPLIES[self._version].get(code, _UNKNOWN)
        cause = f"The upstream {self._upstream} does not connect to {self._target}: {refusal.text}"
        kind = TargetError if refusal.status else UnreachableError
        return kind(
            f"{cause} (SOCKS{self._version} reply {code}).",
            refusal.hint,
            status=refusal.status or None,
            proxy_status=refusal.proxy_status,
        )

    def _fail(self, cause: str, hint: str = "") -> UnreachableError:
        return UnreachableError(f"The upstream {self._upstream} {cause}", hint)

    def _format_login(self) -> bytes:
        """Return the login (RFC 1929 2). A missing password has no octets, which common upstreams accept."""
        password = self._upstream.password
        parts = [self._upstream.username.encode(), password.reveal().encode() if password else b""]
        if any(len(part) > MAX_SOCKS_LOGIN_BYTES for part in parts):
            raise self._fail(f"accepts user names and passwords of at most {MAX_SOCKS_LOGIN_BYTES} bytes.")
        return bytes((_LOGIN_VERSION,)) + b"".join(bytes((len(part),)) + part for part in parts)

    def _format_request_5(self) -> bytes:
        address = to_address(self._target.host)
        if address is None:
            name = self._target.host.encode("ascii")
            where = bytes((_NAME, len(name))) + name
        else:
            where = bytes((_IPV4 if isinstance(address, IPv4Address) else _IPV6,)) + address.packed
        return bytes((_VERSION_5, _CONNECT, 0)) + where + self._target.port.to_bytes(2)

    def _format_request_4(self) -> bytes:
        """Return the SOCKS 4 request. An IPv6 address is sent as a name, which upstreams understand."""
        host, user = self._target.host, self._upstream.username.encode() + b"\0"
        address = to_address(host)
        begin = bytes((_VERSION_4, _CONNECT)) + self._target.port.to_bytes(2)
        if isinstance(address, IPv4Address):
            return begin + address.packed + user
        return begin + _NAME_FOLLOWS + user + host.encode("ascii") + b"\0"

    def __repr__(self) -> str:
        return f"<SocksHandshake {self._upstream} for {self._target} awaits {self.awaited.value}>"


_CHECK_PROTOCOL = (
    "Check --proxy: an HTTP proxy is http://host:port, one with TLS https://,"
    " and socks5:// and socks4:// are different protocols."
)
