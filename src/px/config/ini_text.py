"""The text of a px.ini: callers can find and set keys, and all other text stays as it is.

The dialect is Python's ``configparser``, with which the original Px reads and writes its px.ini::

    # a comment, or ; one           whole lines only: in a value, # and ; are ordinary characters
    [section]
    key = value                     or key: value
    key = first line                a line with a deeper indent continues the value
        second line

Case does not matter in names of sections and keys, and ``-`` in a key means ``_``. A section has each key
only once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SECTION: Final = re.compile(r"\[(?P<name>.+)\]")
_KEY: Final = re.compile(
    r"(?P<head>(?P<name>[^=:]*?)(?P<before>\s*)[=:](?P<after>\s*))(?P<value>.*)", re.DOTALL
)


class IniError(ValueError):
    """The text is not a valid px.ini.

    Attributes:
        line: The number of the wrong line, from 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(slots=True)
class Entry:
    """A key and its value.

    Attributes:
        section: The name of the section, in lower case.
        key: The name of the key, in lower case, with ``_`` for ``-``.
        lines: The numbers, from 0, of the lines of the value; the first also has the key.
        parts: The lines of the value, without white space around them.
    """

    section: str
    key: str
    lines: list[int]
    parts: list[str] = field(repr=False)

    @property
    def value(self) -> str:
        """The whole value, with a line break between its lines."""
        return "\n".join(self.parts).rstrip()


class IniText:
    """An editable px.ini.

    Args:
        text: The whole file, without a byte order mark.
        newline: The line end for new lines, if the text has no line end yet.

    Raises:
        IniError: The text is not a valid px.ini.
    """

    def __init__(self, text: str, *, newline: str = "\n") -> None:
        self._newline = newline
        self._read(text)

    def _read(self, text: str) -> None:
        self._lines: list[str] = _LINE.findall(text)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._headers: dict[str, int] = {}
        section, entry, indent = "", None, 0
        for number, line in enumerate(self._lines):
            content = line.strip()
            if not _has_content(line):
                if entry and not content:
                    entry.parts.append("")
                continue
            if entry and _indent(line) > indent:
                entry.parts.append(content)
                entry.lines.append(number)
                continue
            indent, header = _indent(line), _SECTION.match(content)
            if header:
                section, entry = header["name"].strip().lower(), None
                self._add_section(section, number)
            else:
                entry = self._add_entry(section, content, number)

    def _add_section(self, section: str, number: int) -> None:
        if section in self._headers:
            raise IniError(number + 1, f"[{section}] begins a second time; put its lines under the first one")
        self._headers[section] = number

    def _add_entry(self, section: str, content: str, number: int) -> Entry:
        if not self._headers:
            raise IniError(number + 1, "this line comes before any section; begin the file with [proxy]")
        found = _KEY.fullmatch(content)
        if not found or not found["name"]:
            # The line itself is not shown: it may hold a secret.
            raise IniError(number + 1, "neither [section] nor key = value")
        key = fold_key(found["name"])
        if (section, key) in self._entries:
            raise IniError(number + 1, f"{key} is set a second time; keep one of the two")
        entry = Entry(section, key, [number], [found["value"]])
        self._entries[section, key] = entry
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, section: str, key: str) -> str | None:
        """Return the value of a key, or None if the section has no such key."""
        entry = self._entries.get((section, key))
        return entry.value if entry else None

    def set(self, section: str, key: str, value: str) -> None:
        """Set a key: in its place, else at the end of its section, else in a new section."""
        entry = self._entries.get((section, key))
        if entry is None:
            self._insert(section, f"{key} = {value}")
        elif entry.value != value:
            self._replace(entry, value)

    def _replace(self, entry: Entry, value: str) -> None:
        first, *rest = entry.lines
        found = _KEY.fullmatch(self._lines[first].rstrip("\r\n"))
        assert found  # noqa: S101 - `_read` has matched this line
        space = " " if found["before"] and not found["after"] else ""
        text = self._format(found["head"] + space + value).removesuffix(self._line_end)
        text += _line_end(self._lines[entry.lines[-1]])
        for number in rest:
            self._lines[number] = ""
        self._lines[first] = text
        self._read("".join(self._lines))

    def _insert(self, section: str, content: str) -> None:
        if section not in self._headers:
            self._append_section(section)
        entries = [entry for entry in self if entry.section == section]
        before = entries[-1].lines if entries else [self._headers[section]]
        margin = self._margin_of(before[0]) if entries else self._margin_after(before[0])
        self._end_line(before[-1])
        self._lines.insert(before[-1] + 1, self._format(margin + content))
        self._read("".join(self._lines))

    def _margin_of(self, number: int) -> str:
        return self._lines[number][: _indent(self._lines[number])]

    def _margin_after(self, header: int) -> str:
        """Return an indentation for a new first entry which the line after it does not continue."""
        contents = (n for n in range(header + 1, len(self._lines)) if _has_content(self._lines[n]))
        return max((self._margin_of(n) for n in (header, *islice(contents, 1))), key=len)

    def _append_section(self, section: str) -> None:
        if self._lines:
            self._end_line(-1)
            self._lines.append(self._format(""))
        self._lines.append(self._format(f"[{section}]"))
        self._read("".join(self._lines))

    def _format(self, content: str) -> str:
        """Return a key and its value as whole lines; later lines have a deeper indent than the key."""
        indent = content[: _indent(content)] + "\t"
        lines = [line.rstrip() for line in content.split("\n")]
        return "".join(
            f"{indent if number else ''}{line}{self._line_end}" for number, line in enumerate(lines)
        )

    @property
    def _line_end(self) -> str:
        return next(filter(None, map(_line_end, self._lines)), self._newline)

    def _end_line(self, number: int) -> None:
        if not _line_end(self._lines[number]):
            self._lines[number] += self._line_end

    def __str__(self) -> str:
        return "".join(self._lines)

    def __repr__(self) -> str:
        return f"<IniText sections={sorted(self._headers)} keys={len(self._entries)}>"


def fold_key(name: str) -> str:
    """Return the normal form of a key or a flag's name: lower case, with ``_`` for ``-``."""
    return name.lower().replace("-", "_")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _has_content(line: str) -> bool:
    return not line.strip().startswith(("#", ";")) and not line.isspace()


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
