"""Answers requests for Px's own pages. None of them changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules
from px.core.rules.own_pac import format_own_pac
from px.downstream.page_answer import PageAnswer, PageError, Visitor
from px.downstream.pages.explanations import Explain, Explanations
from px.downstream.pages.metrics import format_metrics
from px.downstream.pages.status_feed import AskStatus, StatusFeed, format_status
from px.downstream.pages.visitor_check import End, check_asks_for_px, check_is_here, check_is_same_user

_METHODS: Final = (b"GET", b"HEAD")
_HTML: Final = b"text/html; charset=utf-8"
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"

Check = Callable[[Visitor], Awaitable[None]]
MakePage = Callable[[RequestHead, Visitor], Awaitable[PageAnswer]]


@dataclass(frozen=True, slots=True)
class PageSources:
    """What the pages show, and what they need to know.

    Attributes:
        ask_status: Asks for the state of all workers.
        explain: Explains the route of a URL, without a login.
        noproxy: The targets that Px reaches directly.
        metrics_allow: The addresses that may read metrics and health.
        is_px: Whether Px listens at an address.
        is_of_another_user: See `check_is_same_user`.
    """

    ask_status: AskStatus
    explain: Explain
    noproxy: HostRules
    metrics_allow: HostRules
    is_px: Callable[[Authority], bool]
    is_of_another_user: Callable[[End, End], bool]


class _Route(NamedTuple):
    check: Check
    make: MakePage


class Pages:
    """All pages of a worker; must be made inside the event loop.

    Args:
        sources: What the pages show.
    """

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._feed = StatusFeed(sources.ask_status)
        explanations = Explanations(sources.explain)
        file = partial(partial, _answer_file)
        self._routes = {
            b"/": _Route(self._check_may_look, file("page.html", _HTML)),
            b"/page.css": _Route(self._check_may_look, file("page.css", b"text/css; charset=utf-8")),
            b"/page.js": _Route(self._check_may_look, file("page.js", b"text/javascript; charset=utf-8")),
            b"/status.json": _Route(self._check_may_look, self._answer_status),
            b"/events": _Route(self._check_may_look, self._answer_events),
            b"/explain": _Route(self._check_may_look, explanations.answer),
            b"/metrics": _Route(self._check_may_measure, self._answer_metrics),
            b"/healthz": _Route(self._check_may_measure, self._answer_health),
            b"/proxy.pac": _Route(_admit, self._answer_pac),
        }

    async def answer(self, head: RequestHead, visitor: Visitor) -> PageAnswer:
        """Return the page that a request asks for.

        Raises:
            PageError: There is no such page, or not for this visitor.
        """
        await check_asks_for_px(head, visitor, self._sources.is_px)
        path = head.target.partition(b"?")[0]
        route = self._routes.get(path)
        if route is None:
            raise _no_page(path, head.authority)
        await route.check(visitor)
        if head.method not in _METHODS:
            raise _no_method(path)
        return await route.make(head, visitor)

    async def _check_may_look(self, visitor: Visitor) -> None:
        check_is_here(visitor, self._sources.is_px)
        await check_is_same_user(visitor, self._sources.is_of_another_user)

    async def _check_may_measure(self, visitor: Visitor) -> None:
        if not self._sources.metrics_allow.matches_address(visitor.host):
            raise PageError(
                403,
                f"Clients at {visitor.host} may not read the metrics of this Px.",
                "The user who runs Px can admit them with --metrics_allow.",
            )

    async def _answer_metrics(self, head: RequestHead, _: Visitor) -> PageAnswer:
        accept = (head.value(b"accept") or b"").decode("ascii", "replace")
        status = await self._feed.get()
        try:  # in a thread, because the first call loads the package
            body, content_type = await asyncio.to_thread(format_metrics, status, accept)
        except ImportError:
            raise PageError(
                501,
                "Metrics need the package prometheus-client, which is not installed.",
                "Install it with: pip install 'px-proxy[metrics]'",
            ) from None
        return PageAnswer(200, content_type, body)

    async def _answer_health(self, *_: object) -> PageAnswer:
        upstreams = (await self._feed.get())["upstreams"]
        if upstreams and all(each["state"] == "down" for each in upstreams):
            names = ", ".join(dict.fromkeys(each["upstream"] for each in upstreams))
            return PageAnswer(503, _TEXT, _encode(f"No upstream can be reached: {names}."))
        return PageAnswer(200, _TEXT, _encode("ok"))

    async def _answer_pac(self, head: RequestHead, _: Visitor) -> PageAnswer:
        script = format_own_pac(self._sources.noproxy, str(head.authority))
        return PageAnswer(200, b"application/x-ns-proxy-autoconfig", script.encode("ascii"))

    async def _answer_status(self, *_: object) -> PageAnswer:
        return PageAnswer(200, _JSON, format_status(await self._feed.get()))

    async def _answer_events(self, *_: object) -> PageAnswer:
        return PageAnswer(200, b"text/event-stream", b"", events=self._feed.open_stream())

    def close(self) -> None:
        """End the streams of events."""
        self._feed.close()

    def __repr__(self) -> str:
        return f"<Pages {self._feed!r}>"


async def _admit(_: Visitor) -> None:
    """Admit every client of Px: they need the PAC script to become clients, and it has no secret."""


def _encode(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "backslashreplace")


async def _answer_file(name: str, content_type: bytes, *_: object) -> PageAnswer:
    return PageAnswer(200, content_type, _read_file(name))


@cache
def _read_file(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def _no_page(path: bytes, authority: Authority) -> PageError:
    return PageError(
        404,
        f"This is Px, a proxy, and it has no page {path.decode('ascii', 'replace')}.",
        f"Its page is http://{authority}/. To use Px as the proxy of your programs, set http_proxy and"
        f" https_proxy to http://{authority}.",
    )


def _no_method(path: bytes) -> PageError:
    error = PageError(405, f"The page {path.decode('ascii', 'replace')} of Px is only for reading.")
    error.fields = [(b"Allow", b", ".join(_METHODS))]
    return error
