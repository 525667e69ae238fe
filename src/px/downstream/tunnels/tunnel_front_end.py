"""What is common to front ends whose clients get one tunnel per connection, and no other answer."""

from __future__ import annotations

from collections.abc import Awaitable

from px.core.errors import PxError, TargetError
from px.core.http.response_head import ResponseHead
from px.downstream.client import Client
from px.downstream.client_end import LINGER_SECONDS
from px.upstream.message import Answer, Request


class TunnelFrontEnd:
    """The part of `px.downstream.front_end.FrontEnd` that does not depend on the protocol.

    Args:
        client: The client, and what belongs to its connection.
    """

    __slots__ = ("client",)

    is_answering = False

    def __init__(self, client: Client) -> None:
        self.client = client

    def format_failure(self, error: PxError) -> bytes:
        """Return what the client is sent if its request fails now; empty: nothing."""
        raise NotImplementedError

    async def check_sender(self) -> None:
        """Do nothing: no web site can send such a request."""

    def answer_here(self) -> Awaitable[bool] | None:
        """Return None: each request is for a hop."""
        return None

    async def send_interim(self, head: ResponseHead) -> None:
        """Do nothing: a 1xx means nothing to the client."""

    async def pass_answer(self, request: Request, answer: Answer) -> bool:
        """Report that the hop opens no tunnel; its page cannot be shown to the client.

        Raises:
            TargetError: Always.
        """
        raise TargetError(
            f"The {answer.connection.hop.name} opens no tunnel to {request.head.authority}:"
            f" it answered {answer.head.status}.",
            status=answer.head.status,
        )

    async def send_error(self, error: PxError) -> bool:
        """Tell the client that its request failed; return that it may not go on."""
        if failure := self.format_failure(error):
            await self.client.write(failure, LINGER_SECONDS)
        return False

    async def break_off(self) -> None:
        """Do nothing: an answer has no parts."""

    def abort(self) -> None:
        """Do nothing: an answer has no parts."""
