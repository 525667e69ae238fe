"""Who may see a page: programs of this computer that ask for Px by its own name, and no web site.

A browser sends requests for any web site that the user visits, also to 127.0.0.1. Three things keep web sites
away. The Host field must name Px itself, so that no name of an attacker that resolves to 127.0.0.1 leads here
(DNS rebinding). ``Sec-Fetch-Site`` and ``Origin`` tell that another site sent a request. And no answer has a
CORS field, so that no other site can read it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

from px.core.host import to_address
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.downstream.page_answer import PageError, Visitor

_LOOPBACK: Final = ("127.0.0.1", "::1")
#: Values of ``Sec-Fetch-Site`` of the user's own requests, and of the page's.
_OWN_REQUESTS: Final = frozenset({b"none", b"same-origin"})


#: The IP address and port of a socket.
End = tuple[str, int]
#: Whether Px listens at an address.
IsPx = Callable[[Authority], bool]


def check_is_here(visitor: Visitor, is_px: IsPx) -> None:
    """Return if a visitor is a program of this computer.

    Where Px does not listen at a loopback address, programs of this computer come from the address that they
    connect to.

    Raises:
        PageError: It is not.
    """
    is_same = to_address(visitor.host) == to_address(visitor.own_end[0])
    if not (visitor.is_from_here or (is_same and _find_loopback(visitor.port, is_px) is None)):
        raise PageError(
            403,
            "Px shows this page only to programs on its own computer.",
            f"There it is at http://{_find_address(visitor, is_px)}/.",
        )


async def check_is_same_user(visitor: Visitor, is_of_another_user: Callable[[End, End], bool]) -> None:
    """Return if a visitor's program does not belong to another user, as far as the system tells.

    Args:
        visitor: The visitor.
        is_of_another_user: See `px.system.process.socket_user.is_of_another_user`.

    Raises:
        PageError: It does.
    """
    if await asyncio.to_thread(is_of_another_user, visitor.end, visitor.own_end):
        raise PageError(
            403,
            "Px shows this page only to the user who runs Px, and to root.",
            "/healthz, /metrics and /proxy.pac are for other users, too.",
        )


async def check_asks_for_px(head: RequestHead, visitor: Visitor, is_px: IsPx) -> None:
    """Return if a request names Px itself, and no other web site has sent it.

    Args:
        head: The request.
        visitor: Its sender.
        is_px: Whether Px listens at an address.

    Raises:
        PageError: It does not, or one has.
    """
    if not await _is_named(head.authority, visitor, is_px):
        address = _find_address(visitor, is_px)
        error = PageError(
            421,
            f"This is Px, a proxy, and {head.authority} is not its address.",
            f"Its page is http://{address}/. To use Px as the proxy of your programs, set"
            f" http_proxy and https_proxy to http://{address}.",
        )
        error.target = head.authority.host
        raise error
    own_origin = b"http://" + (head.value(b"host") or b"")
    if not (_is_own(head, b"origin", {own_origin}) and _is_own(head, b"sec-fetch-site", _OWN_REQUESTS)):
        raise PageError(
            403,
            "Another web site has sent this request to Px.",
            "To see the page of Px, write its address into the address bar.",
        )


def _is_own(head: RequestHead, name: bytes, own: Collection[bytes]) -> bool:
    """Return whether a field is left out, or stands there once with a value of Px's own requests."""
    values = head.values(name)
    return not values or (len(values) == 1 and values[0] in own)


async def _is_named(authority: Authority, visitor: Visitor, is_px: IsPx) -> bool:
    if authority.port != visitor.port:
        return False
    address = to_address(authority.host)
    if address is not None and address.is_unspecified:  # some systems connect to loopback for 0.0.0.0
        return False
    host = authority.host.rstrip(".")
    if is_px(authority) or host == _own_name():
        return True
    # The system may ask a name server for the full name, and attackers know the first label at most.
    return host.startswith(f"{_own_name()}.") and host == await asyncio.to_thread(_full_name)


def _find_address(visitor: Visitor, is_px: IsPx) -> Authority:
    """Return where a program of this computer reaches Px."""
    return _find_loopback(visitor.port, is_px) or Authority(*visitor.own_end)


def _find_loopback(port: int, is_px: IsPx) -> Authority | None:
    """Return the loopback address that Px listens at; None: there is none."""
    return next((each for host in _LOOPBACK if is_px(each := Authority(host, port))), None)


@lru_cache(maxsize=1)
def _own_name() -> str:
    """Return the name of this computer as other computers may write it, in lower case."""
    return socket.gethostname().lower()


def _full_name() -> str:
    """Return the name of this computer with its domain, in lower case."""
    return socket.getfqdn().lower()
