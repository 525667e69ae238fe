"""Which test shows which flag: the marks ``@pytest.mark.shows("--flag", ...)`` in the source of the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

#: The flags of Px's specification. Each needs a test, or a line in `NOT_SHOWN`.
SPECIFIED_FLAGS: Final = (
    "--save",
    "--install",
    "--uninstall",
    "--quit",
    "--config",
    "--proxy",
    "--server",
    "--listen",
    "--port",
    "--gateway",
    "--hostonly",
    "--allow",
    "--noproxy",
    "--useragent",
    "--workers",
    "--threads",
    "--idle",
    "--socktimeout",
    "--proxyreload",
    "--foreground",
    "--debug",
    "--uniqlog",
)

#: Flags of the specification that no test shows yet, and the reason for each. Add no more.
NOT_SHOWN: Final[dict[str, str]] = {}


def find_shown_flags(tests: Path) -> dict[str, list[str]]:
    """Return the ids of the tests that show each flag, by flag, in the order of files and lines.

    Raises:
        ValueError: A mark is not on a test that pytest would run, or its arguments are not flags.
    """
    shown: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        place = path.relative_to(tests.parent).as_posix()
        for function, flags in _marked_functions(ast.parse(path.read_text(encoding="utf-8")), place):
            for flag in flags:
                shown.setdefault(flag, []).append(f"{place}::{function}")
    return shown


def _marked_functions(module: ast.Module, place: str) -> Iterator[tuple[str, list[str]]]:
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    marks = {id(call): call for call in calls if ast.unparse(call.func) == "pytest.mark.shows"}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [marks.pop(id(each)) for each in node.decorator_list if id(each) in marks]
            yield node.name, [flag for mark in own for flag in _flags_of(mark, place)]
    for stray in marks.values():
        raise ValueError(f"{place}:{stray.lineno}: the mark `shows` belongs on a test function of the module")


def _flags_of(mark: ast.Call, place: str) -> list[str]:
    flags = [each.value for each in mark.args if isinstance(each, ast.Constant)]
    texts = [flag for flag in flags if isinstance(flag, str) and flag.startswith("--")]
    if not texts or len(texts) != len(mark.args) or mark.keywords:
        raise ValueError(f'{place}:{mark.lineno}: write shows("--flag", ...)')
    return texts


def format_table(shown: dict[str, list[str]]) -> str:
    """Return the section of docs/options.md: the flags of the specification first, then the others."""
    others = sorted(shown.keys() - set(SPECIFIED_FLAGS))
    return "\n".join(
        [
            "",
            "## Flags and the tests that show them",
            "",
            "The flags of Px's specification come first. `pytest PATH::NAME` runs one test.",
            "",
            "| flag | shown by |",
            "|---|---|",
            *(_format_row(flag, shown.get(flag, [])) for flag in (*SPECIFIED_FLAGS, *others)),
            "",
        ]
    )


def _format_row(flag: str, tests: list[str]) -> str:
    names = "<br>".join(f"`{test}`" for test in tests)
    return f"| `{flag}` | {names or NOT_SHOWN.get(flag, '')} |"
