"""What a front end is: it speaks one protocol with a client, and hands the client's requests to a session.

The session does for every front end what does not depend on the protocol: it has the client log in, finds the
route, reports to the trace and the access log, runs tunnels, and decides what an error means. The front end
reads requests, writes answers, and puts errors into words of its protocol. HTTP is one front end
(`px.downstream.http_front_end`). `px.downstream.tunnels` has smaller ones for protocols that only open
tunnels: they find a target and return `tunnel_request`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from px.core.errors import PxError
from px.core.http.request_head import RequestHead, parse_request
from px.core.http.response_head import ResponseHead
from px.core.http.target import Authority
from px.downstream.client import Client
from px.upstream.message import Answer, Request


class FrontEnd(Protocol):
    """Speaks one protocol with one client; made for each client connection.

    Each method that writes raises `px.io.relay.BrokenStreamError` if the client is gone. When a method
    returns that the client may not go on, the session lets the client read, and ends the connection.
    """

    @property
    def is_answering(self) -> bool:
        """Whether a part of an answer has gone to the client, so that no error can be sent any more."""

    def read_request(self, seconds: float) -> Awaitable[bytes | None]:
        """Return the next request in the bytes of the protocol; None: the client sends no more.

        Args:
            seconds: How long the client may be silent before.

        Raises:
            PxError: The bytes are no request.
            OSError: The client is gone.
        """

    def parse_request(self, data: bytes) -> RequestHead:
        """Return a request as it can go to a hop.

        Args:
            data: As `read_request` returned it.

        Raises:
            BadRequestError: The request is malformed.
        """

    async def check_sender(self) -> None:
        """Return if the request may ask its client to log in; called only where clients log in.

        Raises:
            PxError: A web site has sent it by the browser of a user.
        """

    def answer_here(self) -> Awaitable[bool] | None:
        """Answer a request for Px itself, after the client's login.

        Returns:
            What sends the answer and returns whether the client may go on; None: the request is for a hop.

        Raises:
            PxError: Px has no such answer.
        """

    async def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on to the client, if the protocol has such a thing."""

    async def begin_tunnel(self, request: Request, answer: Answer) -> None:
        """Tell the client that its tunnel is open: what follows are the bytes of the tunnel.

        Raises:
            BadResponseError: The client did not ask for this tunnel.
        """

    async def pass_answer(self, request: Request, answer: Answer) -> bool:
        """Pass on an answer that opens no tunnel, in full; return whether the client may go on.

        For a protocol of tunnels such an answer is a refusal by an upstream.
        """

    async def send_error(self, error: PxError) -> bool:
        """Tell the client why its request failed; return whether the client may go on."""

    async def break_off(self) -> None:
        """End an answer that cannot be completed, so that the client does not take it for complete."""

    def abort(self) -> None:
        """Do the same at once, because Px ends."""


class FrontEndKind(Protocol):
    """A protocol that Px speaks with clients."""

    def __call__(self, client: Client) -> FrontEnd:
        """Return the front end for a client."""

    def format_refusal(self, error: PxError) -> bytes:
        """Return what Px sends to a client whose address may not use Px, without reading from the client."""


def tunnel_request(target: Authority) -> RequestHead:
    """Return the request for a tunnel to a target, as `FrontEnd.parse_request` has to return it."""
    authority = target.to_bytes()
    return parse_request(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (authority, authority))
