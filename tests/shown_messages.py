"""The messages that Px shows to people, found in its source code, and whether a document has them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: A text with fewer words is a name, or a part of a message that is found with the other parts.
MIN_WORDS: Final = 3
#: The part of a message's words that the document must have, so that single different words do no harm.
MIN_LIKENESS: Final = 0.7

_WORD: Final = re.compile(r"[a-z0-9]+(?:['.-][a-z0-9]+)*")
#: Methods whose arguments are not messages: log lines, patterns, time formats.
_QUIET: Final = frozenset({"debug", "info", "compile", "strftime", "strptime"})
#: Arguments that are not messages: docs/options.md has them.
_OPTION_ARGUMENTS: Final = frozenset({"help", "valid", "metavar", "description"})


class Shown(NamedTuple):
    """A message with three dots for each value in it, and its place in the code."""

    text: str
    place: str


def find_messages(path: Path, name: str) -> Iterator[Shown]:
    """Yield the texts of a module that may be messages or parts of messages.

    Args:
        path: The file of the module.
        name: The name of the file in the places.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        yield from _find_in(node, name)


def _find_in(node: ast.AST, name: str) -> Iterator[Shown]:
    if _is_no_message(node):
        return
    text = _text_of(node)
    if text is not None:
        if len(words_of(text)) >= MIN_WORDS and re.search(r"\S \S", text):
            yield Shown(" ".join(text.split()), f"{name}:{getattr(node, 'lineno', 0)}")
        for value in ast.walk(node):
            if isinstance(value, ast.FormattedValue):
                yield from _find_in(value.value, name)
        return
    for child in ast.iter_child_nodes(node):
        yield from _find_in(child, name)


def _is_no_message(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):  # a docstring
            return True
        case ast.FunctionDef(name="__repr__"):
            return True
        case ast.Call(func=ast.Attribute(attr=called)):
            return called in _QUIET
        case ast.keyword(arg=argument):
            return argument in _OPTION_ARGUMENTS
    return False


def _text_of(node: ast.AST) -> str | None:
    """Return a literal text with three dots for each value in it, or None if `node` is not a text."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"%[-\d.]*[sdrg]|\{\w*\}", "...", text)
        case ast.JoinedStr(values=values):
            return "".join(_text_of(value) or "..." for value in values)
    return None


def words_of(text: str) -> list[str]:
    """Return the words of a text in the form in which they are compared."""
    return _WORD.findall(text.lower())


def are_alike(words: Counter[str], others: Counter[str]) -> bool:
    """Tell whether two texts share so many words that they are the same message, perhaps reworded."""
    enough = MIN_LIKENESS * (words.total() + others.total()) / 2
    return min(words.total(), others.total()) >= enough and (words & others).total() >= enough


def find_unlike(texts: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return the texts that resemble none of the others."""
    counted = [Counter(words) for words in {tuple(words_of(each)) for each in others}]
    return [text for text in texts if not _is_like_one(Counter(words_of(text)), counted)]


def _is_like_one(words: Counter[str], others: Iterable[Counter[str]]) -> bool:
    return any(are_alike(words, each) for each in others)


def find_entries(document: str) -> list[str]:
    """Return the messages that a document quotes as code, and the sentences outside of code."""
    plain = re.sub(r"`[^`]*`", " ", document)
    return [*find_quoted(document), *re.split(r"(?<=[.:])\s|\||<br>|\n\n", plain)]


def find_quoted(text: str) -> list[str]:
    """Return the parts of a text that are quoted as code."""
    return [" ".join(each.replace("\\|", "|").split()) for each in re.findall(r"`([^`]+)`", text)]


def find_quoted_in_tables(document: str) -> list[str]:
    """Return the code quoted in the first column of each table that is headed "Px says"."""
    tables = re.findall(r"^\| Px says \|.*\n\|[-|]*\n((?:\|.*\n)+)", document, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    return [each for row in rows for each in find_quoted(re.split(r"(?<!\\)\|", row)[1])]
