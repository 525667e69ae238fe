"""Reads the pictures of terminals in docs."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from xml.etree import ElementTree as ET

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


def read_parts(svg: str) -> list[tuple[str, str]]:
    """Return the text that a picture shows as parts, each with its colour.

    The parts have no blanks, as these depend on where lines are broken, and paths of tests differ in length.
    """
    letters = [(colour, text.replace("\xa0", " ").split()) for _, _, colour, text in read_picture(svg)]
    parts = groupby(letters, key=itemgetter(0))
    return [(colour, "".join(word for _, words in part for word in words)) for colour, part in parts]


def read_text(svg: str) -> str:
    """Return the text that a picture shows, without blanks."""
    return "".join(text for _, text in read_parts(svg))
