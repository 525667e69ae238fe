"""docs/demo.svg shows a run of ``px --demo``."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("the picture is made at a terminal of Linux or macOS", allow_module_level=True)
pytest.importorskip("rich", reason="rich, a package for developers, draws the picture")

from scripts.terminal_svg import Picture
from scripts.write_demo_svg import run_demo
from tests.pictures import read_picture, read_text


@pytest.fixture(scope="module")
def picture() -> Picture:
    return run_demo()


def test_the_picture_shows_a_run_of_the_demo(picture):
    kept = picture.path.read_text(encoding="utf-8")
    assert read_picture(kept) == read_picture(picture.format()), "run `make docs`"


def test_the_picture_has_each_line_of_the_run(picture):
    run = "".join(picture.shown.split()).replace("\x1b[0m", "")
    shown = read_text(picture.path.read_text(encoding="utf-8"))
    assert "407ProxyAuthenticationRequired" in shown
    for colour in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m"):
        run = run.replace(colour, "")
    assert shown == f"px--demo$px--demo{run}"


def test_the_picture_loads_nothing(picture):
    svg = picture.path.read_text(encoding="utf-8")
    assert "url(http" not in svg
    assert "@import" not in svg
    assert "href" not in svg
