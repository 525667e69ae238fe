"""A marked script reports the line of its answer, and is otherwise the same script."""

from __future__ import annotations

import pytest

from px.core.rules.pac_lines import find_line, mark_returns


def marked(script: str) -> list[int]:
    """Return the lines whose ``return`` is marked."""
    return [
        number for number, line in enumerate(mark_returns(script).split("\n"), start=1) if "px:return" in line
    ]


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ('function FindProxyForURL(url, host) {\n  if (x) return "A";\n  return "B";\n}', [2, 3]),
        ("function other() { return 1; }\nfunction FindProxyForURL(u, h) { return 2 }\nreturn", [2]),
        ("function FindProxyForURL(u, h) {\n// return 1\n/* return\n2 */ return 3; }", [4]),
        (
            "function FindProxyForURL(u, h) {\nvar a = 'return', b = \"} return\", c = `return`;\nreturn a}",
            [3],
        ),
        (
            "function FindProxyForURL(u, h) {\nif (/}[/]return/.test(h))\nreturn /}/.exec(h);\nreturn 4/2}",
            [3, 4],
        ),
        ("function FindProxyForURL(u, h) {\nreturn\n}", []),
        ("function FindProxyForURL(u, h) { return; }", []),
        ("function FindProxyForURL(u, h) { if (a) { return 1 } else { return(2) } }\nvar returned = 1", [1]),
        ("var FindProxyForURL = (u, h) => 1", []),
        ("function FindProxyForURL(u, h) { return 1", []),
        ("function FindProxyForURLEx(u, h) {\nreturn 1 }\nfunction FindProxyForURL(u, h) { return 2 }", [2]),
        ("", []),
    ],
)
def test_each_answer_of_the_main_function_is_marked(script: str, lines: list[int]) -> None:
    assert marked(script) == lines


def test_the_rest_of_the_script_stays_as_it_is() -> None:
    script = "function FindProxyForURL(u, h) {\n  return  h == 'a' ? 1 : 2;\n}"
    assert mark_returns(script).replace(' alert("px:return:2"),', "") == script


@pytest.mark.parametrize(
    ("alerts", "line"),
    [((), None), (("hello",), None), (("px:return:3", "px:return:7", "x"), 7), (("px:return:x",), None)],
)
def test_the_last_mark_counts(alerts: tuple[str, ...], line: int | None) -> None:
    assert find_line(alerts) == line
