"""Writes docs/options.md from the option table."""

from pathlib import Path

from px.options_text import format_document

path = Path(__file__).resolve().parent.parent / "docs" / "options.md"
path.parent.mkdir(exist_ok=True)
path.write_text(format_document(), encoding="utf-8", newline="\n")
print(f"wrote {path}")
