"""A client that performs an NTLM login itself, step by step."""

from __future__ import annotations

import base64
from collections.abc import Callable

import spnego

from .http_client import Answer, Client

Send = Callable[[str], Answer]


def log_in(send: Send, username: str, password: str) -> Answer:
    """Complete a handshake; `send` sends a Proxy-Authorization and returns the answer."""
    context = spnego.client(
        username, password, hostname="localhost", service="HTTP", protocol="ntlm",
        options=spnego.NegotiateOptions.use_ntlm,
    )  # fmt: skip
    challenge = send(_encode(context.step()))
    assert challenge.status == 407, challenge
    token = challenge.header("proxy-authenticate").partition(" ")[2]
    return send(_encode(context.step(base64.b64decode(token))))


def get_by(client: Client, url: str, username: str, password: str) -> Answer:
    """Send a GET and log in as the client."""
    return log_in(
        lambda credentials: client.get(url, [("Proxy-Authorization", credentials)]), username, password
    )


def _encode(token: bytes | None) -> str:
    assert token is not None
    return "NTLM " + base64.b64encode(token).decode()
