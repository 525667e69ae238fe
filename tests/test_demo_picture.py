"""docs/demo.svg shows a run of ``px --demo``."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest

if sys.platform == "win32":
    pytest.skip("the picture is made at a terminal of Linux or macOS", allow_module_level=True)
pytest.importorskip("rich", reason="rich, a package for developers, draws the picture")

from scripts.write_demo_svg import SVG, format_svg, run_demo

NAMESPACE = "{http://www.w3.org/2000/svg}"


def read_picture(svg: str) -> list[tuple[str, str, str, str]]:
    """Return each text in a picture, with its place and colour."""
    root = ET.fromstring(svg)
    style = root.findtext(f"{NAMESPACE}style") or ""
    colours = dict(rule.strip(". }").split(" { ") for rule in style.splitlines() if "fill:" in rule)
    shown = [each for each in root.iter(f"{NAMESPACE}text") if (each.text or "").strip()]
    return [
        (each.get("y", ""), each.get("x", ""), colours.get(each.get("class", ""), ""), str(each.text).strip())
        for each in shown
    ]


@pytest.fixture(scope="module")
def written() -> str:
    return run_demo()


def test_the_picture_shows_a_run_of_the_demo(written):
    kept = read_picture(SVG.read_text(encoding="utf-8"))
    assert kept == read_picture(format_svg(written)), "run `make docs`"


def test_the_picture_has_each_line_of_the_run(written):
    rows: dict[str, str] = {}
    for y, _, _, text in read_picture(SVG.read_text(encoding="utf-8")):
        rows[y] = rows.get(y, "") + text.replace("\xa0", " ")
    run = "".join(written.split()).replace("\x1b[0m", "")
    shown = "".join("".join(row.split()) for row in rows.values())
    assert "407ProxyAuthenticationRequired" in shown
    for colour in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m"):
        run = run.replace(colour, "")
    assert shown == f"px--demo$px--demo{run}"


def test_the_picture_loads_nothing():
    svg = SVG.read_text(encoding="utf-8")
    assert "url(http" not in svg
    assert "@import" not in svg
    assert "href" not in svg
