"""Finds the line of a PAC script that gave an answer, by marking each ``return`` with its line number.

Only ``px --explain`` pays for that; otherwise scripts run unchanged. This module does not parse a script but
splits it into tokens, so it may misread a rare one: use the result only if the marked script gave the same
answer as the script itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

#: The text before the line number, in the alert() of a marked ``return``.
_MARK: Final = "px:return:"

# ECMA-262, 12: comments, strings, templates, regular expressions, names, and single other characters.
_TOKEN = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<text>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"
    r"|(?P<name>[\w$]+)"
    r"|(?P<space>\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/\w*")
#: After these words a slash begins a regular expression, as after an operator.
_OPERATOR_WORDS: Final = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "else", "do"}
)
_MAIN: Final = ("FindProxyForURLEx", "FindProxyForURL")


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def mark_returns(script: str) -> str:
    """Return a script whose FindProxyForURL calls alert() with the line number at each ``return``."""
    tokens = [token for token in _read_tokens(script) if token.kind not in {"comment", "space"}]
    inside = _find_main(tokens)
    pieces: list[str] = []
    done = 0
    for token, following in zip(tokens, [*tokens[1:], _Token("other", ";", len(script))], strict=False):
        end = token.start + len(token.text)
        is_empty = following.text in {";", "}"} or "\n" in script[end : following.start]
        if token.text == "return" and token.start in inside and not is_empty:
            line = script.count("\n", 0, token.start) + 1
            pieces += [script[done:end], f' alert("{_MARK}{line}"),']
            done = end
    return "".join([*pieces, script[done:]])


def find_line(alerts: tuple[str, ...]) -> int | None:
    """Return the line of the last ``return`` that a marked script reached; None if it reached none."""
    marks = [alert.removeprefix(_MARK) for alert in alerts if alert.startswith(_MARK)]
    return int(marks[-1]) if marks and marks[-1].isdigit() else None


def _read_tokens(script: str) -> Iterator[_Token]:
    position, before = 0, ";"
    while position < len(script):
        found = _TOKEN.match(script, position)
        assert found is not None  # noqa: S101 - the pattern matches every character
        if found["other"] == "/" and _begins_pattern(before):
            found = _PATTERN.match(script, position) or found
        token = _Token(found.lastgroup or "text", found[0], position)
        yield token
        position = found.end()
        if token.kind not in {"comment", "space"}:
            before = token.text


def _begins_pattern(before: str) -> bool:
    return before in _OPERATOR_WORDS or not (before[-1].isalnum() or before[-1] in "_$)]}\"'`")


def _find_main(tokens: list[_Token]) -> range:
    """Return the range of characters that FindProxyForURL covers; an empty range if it was not found."""
    for name in _MAIN:
        for index, token in enumerate(tokens):
            if token.text == name and index and tokens[index - 1].text == "function":
                return _find_block(tokens[index:])
    return range(0)


def _find_block(tokens: list[_Token]) -> range:
    depth, start = 0, 0
    for token in tokens:
        if token.text == "{":
            start = start if depth else token.start
            depth += 1
        elif token.text == "}" and depth:
            depth -= 1
            if not depth:
                return range(start, token.start)
    return range(0)
