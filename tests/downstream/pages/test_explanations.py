from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from px.core.http.request_head import parse_request
from px.core.startup_errors import ConfigError
from px.downstream.page_answer import PageError, Visitor
from px.downstream.pages import explanations
from px.downstream.pages.explanations import MAX_WAITING, Explanations
from tests.scripted_upstream import until

HERE = Visitor(("127.0.0.1", 50000), ("127.0.0.1", 3128), is_from_here=True)


class Explainer:
    """Explains when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_go_on = asyncio.Event()

    async def explain(self, url: str, tell: Callable[[str, str], object]) -> bool:
        self.asked.append(url)
        await self.may_go_on.wait()
        if " " in url:
            raise ConfigError(f"--explain: {url} has a space")
        tell("request", f"GET {url}")
        return True


async def ask(form: Explanations, query: str) -> object:
    head = parse_request(f"GET /explain{query} HTTP/1.1\r\nHost: localhost:3128\r\n\r\n".encode())
    return json.loads((await form.answer(head, HERE)).body)


async def test_the_form_gets_the_lines_of_an_explanation() -> None:
    explainer = Explainer()
    explainer.may_go_on.set()
    form = Explanations(explainer.explain)
    said = await ask(form, "?url=http%3A%2F%2Fa.test%2F%3Fx%3D1%262")
    assert said == {"goes": True, "lines": [["request", "GET http://a.test/?x=1&2"]]}
    with pytest.raises(PageError, match="has a space"):
        await ask(form, "?url=a+b")
    for query in (f"?{'a&' * 50}url=http://a.test/?x=1&y=2", "?url=http://a.test/?x=1&y=2"):
        assert await ask(form, query) == {
            "goes": True,
            "lines": [["request", "GET http://a.test/?x=1&y=2"]],
        }
    for nothing in ("", "?url=", "?url=%20", "?x=1", "?" + "a&" * 50):
        with pytest.raises(PageError, match="names no URL"):
            await ask(form, nothing)


async def test_one_explanation_runs_at_a_time_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer()
    form = Explanations(explainer.explain)
    asking = [asyncio.create_task(ask(form, f"?url={n}")) for n in range(MAX_WAITING)]
    await until(lambda: explainer.asked)
    with pytest.raises(PageError, match="busy"):
        await ask(form, "?url=more")
    assert explainer.asked == ["0"]
    explainer.may_go_on.set()
    await asyncio.gather(*asking)
    assert explainer.asked == ["0", "1", "2", "3"]
    monkeypatch.setattr(explanations, "EXPLAIN_SECONDS", 0.01)
    explainer.may_go_on.clear()
    with pytest.raises(PageError, match="took more than"):
        await ask(form, "?url=slow")
