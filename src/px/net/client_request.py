"""What becomes of a client's request: it goes on, or it ends here, answered by Px itself."""

from __future__ import annotations

from px.core.connection_login import carries_connection_login
from px.core.errors import BadRequestError, LoopError
from px.core.framing import FramingKind
from px.core.head import RequestHead
from px.core.journey import Journey
from px.core.own_answer import format_options, format_trace, max_forwards
from px.core.target import TargetForm
from px.net.message import Request
from px.net.request_body import RequestBody
from px.net.service import Service
from px.net.stream import Stream

_TO_PX_ITSELF = (TargetForm.ORIGIN, TargetForm.ASTERISK)
_COUNT_HOPS = (b"TRACE", b"OPTIONS")  # RFC 9110 7.6.2


def answer_here(head: RequestHead, service: Service) -> bytes | None:
    """Return the answer to what must not be passed on; None: it may be.

    Raises:
        BadRequestError: It is for a web server.
        LoopError: It came from Px.
    """
    if head.form in _TO_PX_ITSELF:
        raise BadRequestError(
            "This is Px, a proxy. It serves no pages of its own at this address.",
            "Use it as the proxy of your programs: set http_proxy and https_proxy to"
            f" http://{head.authority.to_bytes().decode('ascii')}.",
        )
    if service.is_own(head.authority) or _went_through(head, service.pseudonym):
        raise LoopError(
            f"The request for {head.authority.host} came back to Px: a proxy setting points in a circle.",
            "The upstream of Px (--proxy) must not be Px itself, nor a proxy that uses Px.",
        )
    if head.method in _COUNT_HOPS and max_forwards(head) == 0:
        make = format_trace if head.method == b"TRACE" else _format_options
        return make(head, keep_alive=may_keep(head))
    return None


def _went_through(head: RequestHead, pseudonym: bytes) -> bool:
    return b"via" in head.notable and any(pseudonym in via for via in head.notable[b"via"])


def _format_options(_: RequestHead, *, keep_alive: bool) -> bytes:
    return format_options(keep_alive=keep_alive)


def make_request(head: RequestHead, client: Stream, service: Service, journey: Journey | None) -> Request:
    """Return a request that goes on.

    Args:
        head: As the client sent it.
        client: Its body comes over.
        service: Knows what Px changes in it.
        journey: Told what happens to it.
    """
    return Request(
        head,
        RequestBody(client, head.framing, service.io_loop),
        service.format_via(head.minor_version),
        _fields_to_set(head, service),
        carries_connection_login(head),
        journey,
    )


def _fields_to_set(head: RequestHead, service: Service) -> tuple[tuple[bytes, bytes], ...]:
    if head.method not in _COUNT_HOPS:
        return service.set_fields
    forwards = max_forwards(head)
    counted = () if forwards is None else ((b"Max-Forwards", b"%d" % (forwards - 1)),)
    return (*service.set_fields, *counted)


def may_keep(head: RequestHead) -> bool:
    """Whether a client that gets an answer of Px's own can send another request after it."""
    return head.keep_alive and head.framing.kind is FramingKind.NONE
