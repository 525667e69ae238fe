"""What a front end needs of Px's own pages: who asks for one, and what the answer is.

`px.downstream.pages` makes the answers. It is loaded when somebody asks for a page for the first time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from px.core.errors import ClientError
from px.core.http.request_head import RequestHead

_CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Fields of every page. ``Cache-Control: no-store`` is in every answer of Px itself.
SAFE_FIELDS: Final = (
    (b"Content-Security-Policy", _CSP),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
)


class Visitor(NamedTuple):
    """A client that asks for a page.

    Attributes:
        end: The IP address and port of its socket.
        own_end: Those of Px's socket at the other end.
        is_from_here: Whether it counts as a program of this computer; see `Access.is_from_here`.
    """

    end: tuple[str, int]
    own_end: tuple[str, int]
    is_from_here: bool

    @property
    def host(self) -> str:
        """Its IP address."""
        return self.end[0]

    @property
    def port(self) -> int:
        """The port of Px that it is connected to."""
        return self.own_end[1]


class Events(Protocol):
    """The parts of a body that has no end yet."""

    def __anext__(self) -> Awaitable[bytes]:
        """Return the next part. Raises StopAsyncIteration."""

    async def aclose(self) -> None:
        """Send no more; must be called, also if no part was asked for."""


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A page; the front end adds `SAFE_FIELDS`.

    Attributes:
        status: The status of the answer.
        content_type: The value of Content-Type.
        body: The whole body; empty if there are `events`.
        events: The parts of a body that has no end yet; None: `body` is the body.
    """

    status: int
    content_type: bytes
    body: bytes
    events: Events | None = None


#: Refusals that may show an attack, or a mistake in the settings of another program.
_NO_ROUTINE: Final = (403, 421)


class PageError(ClientError):
    """Px does not serve the page to this client.

    Args:
        status: The status of the answer.
        cause: As of `PxError`.
        hint: As of `PxError`.
    """

    phrase = "no page for this request"

    def __init__(self, status: int, cause: str, hint: str = "") -> None:
        super().__init__(cause, hint, status=status)
        self.is_routine = status not in _NO_ROUTINE


#: Returns the page that a request asks for. The client has logged in, if clients have to.
#: Raises PageError.
AnswerPage = Callable[[RequestHead, Visitor], Awaitable[PageAnswer]]
#: Returns if no web site has sent a request for a page, as far as its head tells. Raises PageError.
CheckPageRequest = Callable[[RequestHead, Visitor], Awaitable[None]]


async def answer_no_page(head: RequestHead, _: Visitor) -> PageAnswer:
    """Refuse a request for a page, where a Px has none: one that only checks something."""
    raise PageError(404, f"This is Px, a proxy. It has no pages at {head.authority}.")


async def check_no_page(_: RequestHead, __: Visitor) -> None:
    """Admit a request for a page where a Px has none."""
