"""Verifies a secret with a request that the upstream answers itself, so that no rule about sites applies.

An upstream answers three kinds of request itself, but many upstreams answer only some of them. Px sends the
first request of each kind without credentials: only a 407 that offers a login shows that the upstream
checks logins there. A request that the upstream drops or answers otherwise costs no token. Px remembers the
kind that has worked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from px.core.errors import (
    BadResponseError,
    LoginBlockedError,
    LoginRefusedError,
    PxError,
    UnreachableError,
    UpstreamSilentError,
)
from px.core.http.request_head import parse_request
from px.core.http.target import Authority
from px.core.login.method import Method
from px.core.login.upstream_state import UpstreamLogin
from px.upstream.connections.connection import Hop
from px.upstream.exchange import Exchange, ExchangeServices
from px.upstream.message import Answer, Request, RouteAttempt, ignore_interim

#: RFC 9110 7.6.2 has the first two end at the upstream; the last one names the upstream itself as the site.
VERIFICATION_METHODS = (b"TRACE", b"OPTIONS", b"HEAD")


async def verify(
    shared: ExchangeServices, hop: Hop, login: UpstreamLogin, request: Request, refused: Sequence[Method]
) -> Answer:
    """Log in with a request that the upstream answers itself; return its answer.

    Args:
        shared: What all exchanges share.
        hop: The upstream.
        login: The login with the uncertain secret.
        request: The client's request that wants the verification; nothing of it is sent.
        refused: The methods that the upstream has refused.

    Raises:
        LoginError: The secret is refused, or may not be sent.
        PxError: There was no verdict.
    """
    for index in range(login.verification_index, len(VERIFICATION_METHODS)):
        asked = ask_upstream(hop, request, index)
        exchange = Exchange(shared, RouteAttempt(hop, shared.dial), asked, verifies_after=refused)
        try:
            answer = await exchange.run()
        except (LoginRefusedError, LoginBlockedError):
            raise
        except PxError as error:
            if isinstance(error, UnreachableError) and not isinstance(error, UpstreamSilentError):
                raise
            if exchange.has_sent_final_token:  # its verdict is lost, so do not risk a second token here
                break
            continue
        if exchange.is_login_accepted:
            login.note_verification(index)
            return answer
        await shared.keep_idle(answer)
    login.note_unverifiable()
    raise BadResponseError(f"{login.subject} answers no request of Px's own with a login.")


def ask_upstream(hop: Hop, request: Request, index: int) -> Request:
    """Return a request that the upstream answers itself; see `VERIFICATION_METHODS`."""
    head, body = parse_request(format_bare(hop, VERIFICATION_METHODS[index])), request.body.without_content()
    return replace(request, head=head, body=body, set_fields=(), on_interim=ignore_interim, bound=None)


def format_bare(hop: Hop, method: bytes) -> bytes:
    """Return a request with this method for the upstream itself, without credentials."""
    at = Authority(hop.host, hop.port).to_bytes()
    limit = b"" if method == b"HEAD" else b"Max-Forwards: 0\r\n"
    return b"%b http://%b/ HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, at, at, limit)
