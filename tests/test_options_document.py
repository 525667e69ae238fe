"""docs/options.md and the man page: current; and a test shows every flag of the specification of Px."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from px.config.actions import ACTIONS
from px.config.options import OPTIONS
from scripts.shown_flags import NOT_SHOWN, ROOT, SPECIFIED_FLAGS, find_shown_flags
from scripts.write_man_page import format_man_page
from scripts.write_options_md import format_options_md


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    return find_shown_flags(ROOT / "tests")


def test_the_document_is_current():
    written = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert written == format_options_md(), "run `make docs`"
    assert not re.search(r"\| None|Option\(", written)


def test_the_man_page_is_current():
    written = (ROOT / "docs" / "px.1").read_text(encoding="utf-8")
    assert written == format_man_page(), "run `make docs`"


def test_every_specified_flag_is_shown_by_a_test_or_excused(shown):
    assert set(SPECIFIED_FLAGS) == shown.keys() & set(SPECIFIED_FLAGS) | NOT_SHOWN.keys()


def test_no_flag_is_both_shown_and_excused(shown):
    assert not shown.keys() & NOT_SHOWN.keys(), "take it out of NOT_SHOWN in scripts/shown_flags.py"


def test_only_flags_that_exist_are_shown(shown):
    names = {name for entry in (*ACTIONS, *OPTIONS) for name in (entry.name, *entry.aliases)}
    flags = {f"--{name}" for name in names | {switch for action in ACTIONS for switch in action.switches}}
    assert shown.keys() <= flags


def test_every_test_that_the_document_names_exists():
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", format_options_md()):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def write_test(directory: Path, text: str) -> Path:
    tests = directory / "tests"
    (tests / "net").mkdir(parents=True)
    (tests / "net" / "test_x.py").write_text(text)
    return tests


def test_marks_are_found_on_plain_and_async_tests(tmp_path):
    tests = write_test(
        tmp_path,
        '@pytest.mark.shows("--a", "--b")\ndef test_one(): ...\n'
        '@pytest.mark.slow\n@pytest.mark.shows("--a")\nasync def test_two(): ...\n',
    )
    assert find_shown_flags(tests) == {
        "--a": ["tests/net/test_x.py::test_one", "tests/net/test_x.py::test_two"],
        "--b": ["tests/net/test_x.py::test_one"],
    }


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.shows("--a")\ndef helper(): ...\n',
        'pytestmark = pytest.mark.shows("--a")\n',
        "@pytest.mark.shows()\ndef test_one(): ...\n",
        '@pytest.mark.shows("a")\ndef test_one(): ...\n',
        "@pytest.mark.shows(FLAG)\ndef test_one(): ...\n",
    ],
    ids=["helper", "module", "empty", "no flag", "no text"],
)
def test_a_mark_that_shows_nothing_is_an_error(tmp_path, text):
    with pytest.raises(ValueError, match=r"tests/net/test_x\.py:\d+: "):
        find_shown_flags(write_test(tmp_path, text))
