"""Px's own pages, made when somebody asks for one for the first time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.downstream.page_answer import PageAnswer, Visitor

if TYPE_CHECKING:
    from px.downstream.pages.explanations import Explain
    from px.downstream.pages.pages import Pages, PageSources
    from px.downstream.pages.status_feed import AskStatus


class PageQuestions(NamedTuple):
    """What the pages ask the process of their worker.

    Attributes:
        ask_status: Asks for the state of all workers.
        explain: Explains the route of a URL.
    """

    ask_status: AskStatus
    explain: Explain


class OwnPages:
    """The pages of a worker.

    Args:
        make_sources: Returns what the pages show.
        is_px: Whether Px listens at an address.
    """

    def __init__(self, make_sources: Callable[[], PageSources], is_px: Callable[[Authority], bool]) -> None:
        self._make_sources = make_sources
        self._is_px = is_px
        self._pages: Pages | None = None

    async def answer(self, head: RequestHead, visitor: Visitor) -> PageAnswer:
        """Return the page that a request asks for; see `Pages.answer`."""
        if self._pages is None:
            from px.downstream.pages.pages import Pages  # noqa: PLC0415 - only once somebody asks

            self._pages = Pages(self._make_sources())
        return await self._pages.answer(head, visitor)

    async def check_request(self, head: RequestHead, visitor: Visitor) -> None:
        """Return if no web site has sent a request; see `check_asks_for_px`."""
        from px.downstream.pages.visitor_check import check_asks_for_px  # noqa: PLC0415 - only once

        await check_asks_for_px(head, visitor, self._is_px)

    def close(self) -> None:
        """End what the pages still send."""
        if self._pages is not None:
            self._pages.close()

    def __repr__(self) -> str:
        return f"<OwnPages {self._pages!r}>"
