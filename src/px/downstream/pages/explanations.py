"""``/explain?url=...``: what ``px --explain`` says, as JSON for the form of the page."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote_plus

from px.core.http.request_head import RequestHead
from px.core.startup_errors import ConfigError
from px.downstream.page_answer import PageAnswer, PageError, Visitor

#: How long an explanation may take: it may have to find the proxy, and connects to each hop.
EXPLAIN_SECONDS: Final = 60.0
#: How many may wait for their turn: each explanation looks for the proxy anew.
MAX_WAITING: Final = 4
#: All that follows is the URL, also where its "&" are not encoded.
_URL: Final = re.compile(r"(?:^|&)url=(.*)", re.DOTALL)

#: Tells the name and the text of each line about the route to a URL; returns whether Px would send a request.
#: Makes no login. Raises ConfigError if the URL cannot be read.
Explain = Callable[[str, Callable[[str, str], object]], Awaitable[bool]]


class Explanations:
    """Explains the routes of URLs, one at a time.

    Args:
        explain: See `Explain`.
    """

    def __init__(self, explain: Explain) -> None:
        self._explain = explain
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def answer(self, head: RequestHead, _: Visitor) -> PageAnswer:
        """Return the explanation of the URL in a request: ``{"goes": bool, "lines": [[name, text], ...]}``.

        Raises:
            PageError: The request has no URL, or one that Px cannot read; or the explanation takes too long.
        """
        url = _find_url(head)
        if self._waiting >= MAX_WAITING:
            raise PageError(503, "Px is busy with other explanations.", "Try again in a moment.")
        self._waiting += 1
        lines: list[tuple[str, str]] = []
        try:
            async with asyncio.timeout(EXPLAIN_SECONDS), self._turn:
                goes = await self._explain(url, lambda name, text: lines.append((name, text)))
        except TimeoutError:
            raise PageError(504, f"The explanation took more than {EXPLAIN_SECONDS:g} s.") from None
        except ConfigError as error:
            raise PageError(400, str(error)) from error
        finally:
            self._waiting -= 1
        body = json.dumps({"goes": goes, "lines": lines}).encode("ascii")
        return PageAnswer(200, b"application/json", body)

    def __repr__(self) -> str:
        return f"<Explanations waiting={self._waiting}>"


def _find_url(head: RequestHead) -> str:
    found = _URL.search(head.target.partition(b"?")[2].decode("ascii", "replace"))
    url = unquote_plus(found[1]).strip() if found else ""
    if not url:
        raise PageError(
            400, "The request names no URL to explain.", "Ask for /explain?url=https://example.com/."
        )
    return url
