"""Writes docs/options.md from the option table and the marks of the tests (``make docs``)."""

from __future__ import annotations

from px.options_text import format_document
from scripts.shown_flags import ROOT, find_shown_flags, format_table


def format_options_md() -> str:
    """Return the whole of docs/options.md."""
    return format_document() + format_table(find_shown_flags(ROOT / "tests"))


def main() -> None:
    """Write it."""
    path = ROOT / "docs" / "options.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(format_options_md(), encoding="utf-8", newline="\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
