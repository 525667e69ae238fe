"""An upstream that wants NTLM and verifies it, for any number of connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from px.cli.demo.upstream import DemoUpstream, Message
from px.core.auth.challenge import Challenge, parse_challenges
from px.core.auth.ntlm.messages import message_type
from px.core.http.request_head import parse_request
from tests.scripted_upstream import NT_HASH

_AUTHENTICATE_TYPE = 3


class NtlmProxy:
    """The upstream, and the heads that it has received and sent."""

    def __init__(self, port: int, wire: list[Message]) -> None:
        self.authority = f"127.0.0.1:{port}"
        self._wire = wire

    @property
    def final_tokens(self) -> int:
        """How many final tokens it got."""
        return sum(map(_is_final, self._wire))

    @property
    def schemes(self) -> set[str]:
        """The schemes of all credentials that it got."""
        return {each.scheme for message in self._wire for each in _credentials(message)}


def _credentials(message: Message) -> list[Challenge]:
    if message.head.startswith(b"HTTP/"):
        return []
    return list(parse_challenges(parse_request(message.head).values(b"proxy-authorization")))


def _is_final(message: Message) -> bool:
    tokens = [each.token for each in _credentials(message) if each.token]
    return any(message_type(token) == _AUTHENTICATE_TYPE for token in tokens)


@asynccontextmanager
async def ntlm_proxy() -> AsyncIterator[NtlmProxy]:
    """Give one that knows the account of `tests.scripted_upstream`."""
    wire: list[Message] = []
    upstream = DemoUpstream(lambda *_: NT_HASH, wire.append)
    port = await upstream.start()
    try:
        yield NtlmProxy(port, wire)
    finally:
        await upstream.stop()
