"""Who may see a page: programs of this computer that ask for Px by its own name, and no web site.

A browser sends requests for any web site that the user visits, also to 127.0.0.1. Three things keep web sites
away. The Host field must name Px itself, so that no name of an attacker that resolves to 127.0.0.1 leads here
(DNS rebinding). ``Sec-Fetch-Site`` and ``Origin`` tell that another site sent a request. And no answer has a
CORS field, so that no other site can read it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from px.core.host import to_address
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.downstream.page_answer import PageError, Visitor

#: Values of ``Sec-Fetch-Site`` of the user's own requests, and of the page's.
_OWN_REQUESTS: Final = frozenset({b"none", b"same-origin"})


def check_is_here(visitor: Visitor) -> None:
    """Return if a visitor is at a loopback address.

    Raises:
        PageError: It is not.
    """
    address = to_address(visitor.host)
    if address is None or not address.is_loopback:
        raise PageError(
            403,
            "Px shows this page only to programs on its own computer.",
            f"There it is at http://127.0.0.1:{visitor.port}/.",
        )


def check_asks_for_px(head: RequestHead, visitor: Visitor, is_px: Callable[[Authority], bool]) -> None:
    """Return if a request names Px itself, and no other web site has sent it.

    Args:
        head: The request.
        visitor: Its sender.
        is_px: Whether Px listens at an address.

    Raises:
        PageError: It does not, or one has.
    """
    if not _is_named(head.authority, visitor, is_px):
        error = PageError(
            421,
            f"This is Px, a proxy, and {head.authority} is not its address.",
            f"Its page is http://127.0.0.1:{visitor.port}/. To use Px as the proxy of your programs, set"
            f" http_proxy and https_proxy to http://127.0.0.1:{visitor.port}.",
        )
        error.target = head.authority.host
        raise error
    origin = head.value(b"origin")
    host = head.value(b"host") or b""
    if head.value(b"sec-fetch-site") not in {None, *_OWN_REQUESTS} or origin not in {None, b"http://" + host}:
        raise PageError(
            403,
            "Another web site has sent this request to Px.",
            "To see the page of Px, write its address into the address bar.",
        )


def _is_named(authority: Authority, visitor: Visitor, is_px: Callable[[Authority], bool]) -> bool:
    if authority.port != visitor.port:
        return False
    address = to_address(authority.host)
    if address is not None and address.is_unspecified:  # some systems connect to loopback for 0.0.0.0
        return False
    return is_px(authority) or authority.host == _own_name()


@lru_cache(maxsize=1)
def _own_name() -> str:
    """Return the name of this computer as other computers may write it, in lower case."""
    return socket.gethostname().lower()
