"""Reads the pictures of terminals in docs."""

from __future__ import annotations

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


def read_text(svg: str) -> str:
    """Return the text that a picture shows, without blanks, as they depend on where lines are broken."""
    rows: dict[str, str] = {}
    for y, _, _, text in read_picture(svg):
        rows[y] = rows.get(y, "") + text.replace("\xa0", " ")
    return "".join("".join(row.split()) for row in rows.values())
