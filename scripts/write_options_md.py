"""Writes docs/options.md from the option table and the marks of the tests (``make docs``)."""

from __future__ import annotations

from scripts.options_document import format_document
from scripts.shown_flags import ROOT, find_shown_flags, format_table


def format_options_md() -> str:
    """Return the text of docs/options.md."""
    return format_document() + format_table(find_shown_flags(ROOT / "tests"))


def main() -> None:
    """Write docs/options.md."""
    path = ROOT / "docs" / "options.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(format_options_md(), encoding="utf-8", newline="\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
