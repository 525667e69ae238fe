"""The documents of the repository, parsed as GitHub renders them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

ROOT: Final = Path(__file__).resolve().parent.parent

_FENCE: Final = re.compile(r"^(```|~~~).*?^\1 *$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK: Final = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def find_documents(root: Path = ROOT) -> list[Path]:
    """Return every document that belongs to the repository."""
    return sorted((*root.glob("*.md"), *(root / "docs").rglob("*.md")))


def drop_code_blocks(text: str) -> str:
    """Return a document without its fenced blocks, in which nothing is a link or a heading."""
    return _FENCE.sub("", text)


def find_links(text: str) -> list[str]:
    """Return the destinations of the links and pictures of a document."""
    return _LINK.findall(_CODE.sub("", drop_code_blocks(text)))


def find_anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, named as GitHub names them."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(drop_code_blocks(text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        anchor = name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while anchor in anchors:
            number += 1
            anchor = f"{name}-{number}"
        anchors.add(anchor)
    return anchors


def find_broken_links(document: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield the links of a document that lead to no file, out of the repository or to no heading."""
    for link in find_links(document.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (document.parent / place).resolve() if place else document
        if not target.is_relative_to(root) or not target.exists() or not _has_anchor(target, anchor):
            yield link


def _has_anchor(target: Path, anchor: str) -> bool:
    is_checked = bool(anchor) and target.suffix == ".md"
    return not is_checked or anchor in find_anchors(target.read_text(encoding="utf-8"))
