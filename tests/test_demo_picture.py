"""docs/demo.svg shows a run of ``px --demo``."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("the picture is made at a terminal of Linux or macOS", allow_module_level=True)
pytest.importorskip("rich", reason="rich, a package for developers, draws the picture")

from scripts.write_demo_svg import SVG, format_demo, run_demo
from tests.pictures import read_picture, read_text


@pytest.fixture(scope="module")
def written() -> str:
    return run_demo()


def test_the_picture_shows_a_run_of_the_demo(written):
    kept = read_picture(SVG.read_text(encoding="utf-8"))
    assert kept == read_picture(format_demo(written)), "run `make docs`"


def test_the_picture_has_each_line_of_the_run(written):
    run = "".join(written.split()).replace("\x1b[0m", "")
    shown = read_text(SVG.read_text(encoding="utf-8"))
    assert "407ProxyAuthenticationRequired" in shown
    for colour in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m"):
        run = run.replace(colour, "")
    assert shown == f"px--demo$px--demo{run}"


def test_the_picture_loads_nothing():
    svg = SVG.read_text(encoding="utf-8")
    assert "url(http" not in svg
    assert "@import" not in svg
    assert "href" not in svg
