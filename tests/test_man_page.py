"""docs/px.1, the man page: complete, without errors; tests/test_options_document.py compares it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from px.cli.help_text import INTRODUCTION
from px.config.actions import ACTIONS
from px.config.options import OPTIONS
from scripts.write_man_page import format_man_page
from tests.markdown import ROOT

MAN_PAGE = ROOT / "docs" / "px.1"


def test_the_man_page_has_each_flag_and_variable_each_exit_code_and_each_example():
    text = format_man_page().replace(r"\-", "-")
    titles = set(re.findall(r"^\.B (?:-\w, )?([\w-]+)", text, re.MULTILINE))
    assert {action.flag for action in ACTIONS} <= titles
    assert {option.flag if option.is_flag else option.variables[0] for option in OPTIONS} <= titles
    assert {*"0123456"} <= titles
    steps = re.findall(r"^  (px .+)", INTRODUCTION.partition("First steps:")[2], re.MULTILINE)
    assert len(steps) > 1
    assert [step for step in steps if f"\n.B {step.replace(chr(92), '').split(chr(39))[0]}" not in text] == []


def test_mandoc_finds_nothing_wrong_and_the_page_fits_80_columns():
    if shutil.which("mandoc") is None:
        pytest.skip("NOT TESTED: no mandoc here")
    lint = subprocess.run(["mandoc", "-T", "lint", MAN_PAGE], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")
    page = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=78", MAN_PAGE], capture_output=True, text=True, check=True
    )
    plain = re.sub(".\b", "", page.stdout)  # a bold letter is printed twice
    assert max(map(len, plain.splitlines())) < 80
    assert "\n       --accesslog_format=NAME\n" in plain
