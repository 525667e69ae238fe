"""Answers requests for Px's own pages. None of them changes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.downstream.page_answer import PageAnswer, PageError, Visitor
from px.downstream.pages.status_feed import AskStatus, StatusFeed, format_status
from px.downstream.pages.visitor_check import check_asks_for_px, check_is_here

_METHODS: Final = (b"GET", b"HEAD")
_HTML: Final = b"text/html; charset=utf-8"
_JSON: Final = b"application/json"
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

Check = Callable[[Visitor], None]
MakePage = Callable[[RequestHead, Visitor], Awaitable[PageAnswer]]


@dataclass(frozen=True, slots=True)
class PageSources:
    """What the pages show, and what they need to know.

    Attributes:
        ask_status: Asks for the state of all workers.
        is_px: Whether Px listens at an address.
    """

    ask_status: AskStatus
    is_px: Callable[[Authority], bool]


class _Route(NamedTuple):
    check: Check
    make: MakePage


class Pages:
    """All pages of a worker; must be made inside the event loop.

    Args:
        sources: What the pages show.
    """

    def __init__(self, sources: PageSources) -> None:
        self._is_px = sources.is_px
        self._feed = StatusFeed(sources.ask_status)
        file = partial(partial, _answer_file)
        self._routes = {
            b"/": _Route(check_is_here, file("page.html", _HTML)),
            b"/page.css": _Route(check_is_here, file("page.css", b"text/css; charset=utf-8")),
            b"/page.js": _Route(check_is_here, file("page.js", b"text/javascript; charset=utf-8")),
            b"/status.json": _Route(check_is_here, self._answer_status),
            b"/events": _Route(check_is_here, self._answer_events),
        }

    async def answer(self, head: RequestHead, visitor: Visitor) -> PageAnswer:
        """Return the page that a request asks for.

        Raises:
            PageError: There is no such page, or not for this visitor.
        """
        check_asks_for_px(head, visitor, self._is_px)
        path = head.target.partition(b"?")[0]
        route = self._routes.get(path)
        if route is None:
            raise _no_page(path, head.authority)
        route.check(visitor)
        if head.method not in _METHODS:
            raise _no_method(path)
        return await route.make(head, visitor)

    async def _answer_status(self, *_: object) -> PageAnswer:
        return PageAnswer(200, _JSON, format_status(await self._feed.get()), SAFE_FIELDS)

    async def _answer_events(self, *_: object) -> PageAnswer:
        return PageAnswer(200, b"text/event-stream", b"", SAFE_FIELDS, events=self._feed.open_stream())

    def close(self) -> None:
        """End the streams of events."""
        self._feed.close()

    def __repr__(self) -> str:
        return f"<Pages {self._feed!r}>"


async def _answer_file(name: str, content_type: bytes, *_: object) -> PageAnswer:
    return PageAnswer(200, content_type, _read_file(name), SAFE_FIELDS)


@cache
def _read_file(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def _no_page(path: bytes, authority: Authority) -> PageError:
    error = PageError(
        404,
        f"This is Px, a proxy, and it has no page {path.decode('ascii', 'replace')}.",
        f"Its page is http://{authority}/. To use Px as the proxy of your programs, set http_proxy and"
        f" https_proxy to http://{authority}.",
    )
    error.is_routine = True  # browsers ask for icons and the like
    return error


def _no_method(path: bytes) -> PageError:
    error = PageError(405, f"The page {path.decode('ascii', 'replace')} of Px is only for reading.")
    error.fields = [(b"Allow", b", ".join(_METHODS))]
    error.is_routine = True
    return error
