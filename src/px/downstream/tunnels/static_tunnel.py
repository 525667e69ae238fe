"""A static tunnel: each connection to a port of Px is a tunnel to the same target.

The client sends nothing to Px itself, so it cannot log in at Px, and learns of a failure only by the end of
its connection. Px opens the tunnel at once and does not wait for the client: in many protocols, such as SMTP
and SSH, the server speaks first.
"""

from __future__ import annotations

from px.core.errors import PxError
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.downstream.client import Client
from px.downstream.front_end import tunnel_request
from px.downstream.tunnels.tunnel_front_end import TunnelFrontEnd
from px.upstream.message import Answer, Request


class StaticTunnel:
    """Implements `px.downstream.front_end.FrontEndKind`.

    Args:
        target: Where the tunnels lead.
    """

    def __init__(self, target: Authority) -> None:
        self._target = target

    def __call__(self, client: Client) -> StaticTunnelFrontEnd:
        """Return the front end for a client."""
        return StaticTunnelFrontEnd(client, self._target)

    def format_refusal(self, _: PxError) -> bytes:
        """Return nothing: all bytes that the client receives count as the target's."""
        return b""

    def __repr__(self) -> str:
        return f"<StaticTunnel to {self._target}>"


class StaticTunnelFrontEnd(TunnelFrontEnd):
    """Implements `px.downstream.front_end.FrontEnd`.

    Args:
        client: The client, and what belongs to its connection.
        target: Where its tunnel leads.
    """

    __slots__ = ("_target",)

    def __init__(self, client: Client, target: Authority) -> None:
        super().__init__(client)
        self._target = target

    def format_failure(self, _: PxError) -> bytes:
        """Return nothing, as `StaticTunnel.format_refusal` does."""
        return b""

    async def read_request(self, _: float) -> bytes | None:
        """Return at once: the connection is the request."""
        return b""

    def parse_request(self, _: bytes) -> RequestHead:
        """Return the request for a tunnel to the target."""
        return tunnel_request(self._target)

    async def begin_tunnel(self, request: Request, answer: Answer) -> None:
        """Do nothing: the client awaits the bytes of the tunnel."""

    def __repr__(self) -> str:
        return f"<StaticTunnelFrontEnd {self.client!r} to {self._target}>"
