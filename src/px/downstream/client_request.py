"""What becomes of a client's request: Px answers it, refuses it, or sends it on with some fields changed."""

from __future__ import annotations

from px.core.errors import LoopError
from px.core.http.framing import FramingKind
from px.core.http.own_answer import format_options, format_trace, max_forwards
from px.core.http.request_head import RequestHead
from px.core.http.target import TargetForm
from px.downstream.service import Service

_TO_PX_ITSELF = (TargetForm.ORIGIN, TargetForm.ASTERISK)
_COUNT_HOPS = (b"TRACE", b"OPTIONS")  # RFC 9110 7.6.2


def is_for_px_itself(head: RequestHead) -> bool:
    """Whether a request is for Px as a web server: its target names no host."""
    return head.form in _TO_PX_ITSELF


def answer_here(head: RequestHead, service: Service) -> bytes | None:
    """Return the answer to a TRACE or OPTIONS whose last hop is Px; None: the request is another one.

    Raises:
        LoopError: As `check_loop`.
    """
    if head.method in _COUNT_HOPS and max_forwards(head) == 0:
        if not is_for_px_itself(head):
            check_loop(head, service)
        make = format_trace if head.method == b"TRACE" else _format_options
        return make(head, keep_alive=may_keep(head))
    return None


def check_loop(head: RequestHead, service: Service) -> None:
    """Return if a request has not come back to Px.

    Raises:
        LoopError: The request is for Px itself, or went through Px before.
    """
    if service.is_own(head.authority) or _went_through(head, service.pseudonym):
        error = LoopError(
            f"The request for {head.authority.host} came back to Px: a proxy setting points in a circle.",
            "The upstream of Px (--proxy) must not be Px itself, nor a proxy that uses Px.",
        )
        error.target = head.authority.host
        raise error


def _went_through(head: RequestHead, pseudonym: bytes) -> bool:
    return b"via" in head.notable and any(pseudonym in via for via in head.notable[b"via"])


def _format_options(_: RequestHead, *, keep_alive: bool) -> bytes:
    return format_options(keep_alive=keep_alive)


def fields_to_set(head: RequestHead, service: Service) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields that Px sets in a request that goes on."""
    if head.method not in _COUNT_HOPS:
        return service.set_fields
    forwards = max_forwards(head)
    counted = () if forwards is None else ((b"Max-Forwards", b"%d" % (forwards - 1)),)
    return (*service.set_fields, *counted)


def may_keep(head: RequestHead) -> bool:
    """Whether a client that gets an answer of Px's own can send another request after it."""
    return head.keep_alive and head.framing.kind is FramingKind.NONE
