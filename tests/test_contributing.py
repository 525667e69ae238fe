"""CONTRIBUTING.md: the files that its example names contain the quoted lines."""

from __future__ import annotations

import re

import pytest

from tests.markdown import ROOT

_BLOCK = re.compile(r"((?:`[\w/]+\.py`(?:\sand\s)?)+):\n\n```\n(.*?)```", re.DOTALL)


def find_quotes() -> list[tuple[str, str]]:
    """Return each file that the document quotes, with the quoted lines."""
    quotes = _BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    return [(path, lines) for paths, lines in quotes for path in re.findall(r"`([^`]+)`", paths)]


def test_the_example_quotes_each_of_its_steps():
    assert len(find_quotes()) == 7


@pytest.mark.parametrize(("path", "lines"), [pytest.param(*quote, id=quote[0]) for quote in find_quotes()])
def test_the_quoted_lines_are_in_the_file(path, lines):
    written = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines.splitlines() if line not in written] == []
