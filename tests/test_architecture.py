"""ARCHITECTURE.md and CONTRIBUTING.md name packages, modules and names that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.markdown import ROOT

PACKAGE_DIR = ROOT / "src" / "px"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

_DEFINITION = re.compile(r"^ *(?:(?:async )?def|class) (\w+)|^ *(\w+)(?:: [^=\n]+| = )", re.MULTILINE)
#: Names of HTTP fields, which look like classes.
_FIELDS = {"Host"}
_CHANGES = 12


def packages_of_tree(text: str) -> list[str]:
    """Return the packages in the tree of ARCHITECTURE.md, as paths below src/px."""
    tree = text.partition("```\nsrc/px/\n")[2].partition("```")[0]
    found: list[str] = []
    for indent, name in re.findall(r"^( +)(\w+)/ ", tree, re.MULTILINE):
        above = found[-1].split("/")[: len(indent) // 2 - 1] if found else []
        found.append("/".join([*above, name]))
    return found


def names_defined_in(*paths: Path) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return {name for text in texts for pair in _DEFINITION.findall(text) for name in pair if name}


def module_names(text: str) -> Iterator[str]:
    """Yield the names below px that a document quotes, as in `px.core.http.head`."""
    yield from re.findall(r"`(px\.(?!ini\b|exe\b|py\b)[\w.]+)`", text)


def is_there(name: str) -> bool:
    """Tell whether a module or package of this name, or a module with this name in it, is below px."""
    parts = name.split(".")[1:]
    path = PACKAGE_DIR.joinpath(*parts)
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    return module.is_file() and parts[-1] in names_defined_in(module)


def rows_of_changes(text: str) -> list[tuple[str, str]]:
    table = text.partition("| Change | Where |\n|---|---|\n")[2].partition("\n\n")[0]
    return [(row.split("|")[1].strip(), row.split("|")[2]) for row in table.splitlines()]


def test_the_tree_names_each_package_once() -> None:
    packages = {path.parent.relative_to(PACKAGE_DIR).as_posix() for path in PACKAGE_DIR.rglob("__init__.py")}
    assert sorted(packages_of_tree(ARCHITECTURE)) == sorted(packages - {"."})


@pytest.mark.parametrize("name", sorted({*module_names(ARCHITECTURE), *module_names(CONTRIBUTING)}))
def test_the_modules_that_the_documents_name_exist(name: str) -> None:
    assert is_there(name)


def test_the_classes_and_functions_that_the_architecture_names_exist() -> None:
    prose = ARCHITECTURE.partition("## Libraries")[0]
    named = set(re.findall(r"`([A-Z][a-z]\w+(?:\.\w+)?|[a-z]+_\w+)`", prose)) - _FIELDS
    defined = names_defined_in(*PACKAGE_DIR.rglob("*.py"))
    assert [name for name in sorted(named) if not set(name.split(".")) <= defined] == []


@pytest.mark.parametrize(("change", "where"), rows_of_changes(CONTRIBUTING))
def test_each_row_of_changes_names_files_that_have_its_names(change: str, where: str) -> None:
    quoted = re.findall(r"`([^`]+)`", where)
    files = [ROOT / name for name in quoted if "/" in name]
    assert len(files) > 1, change
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    missing = [name for name in quoted if "/" not in name and not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_there_are_ten_changes() -> None:
    assert len(rows_of_changes(CONTRIBUTING)) == _CHANGES


def test_the_checkers_find_faults_in_documents() -> None:
    tree = "```\nsrc/px/\n  a/   one\n    b/   two\n      c/   three\n  d/   four\n```\n"
    assert packages_of_tree(tree) == ["a", "a/b", "a/b/c", "d"]
    assert is_there("px.core.http")
    assert is_there("px.core.http.head_format")
    assert is_there("px.core.http.head_format.format_request")
    assert not is_there("px.core.http.head_format.format_nothing")
    assert not is_there("px.net")
