"""A px.ini as a person wrote it: its keys can be found and set, and all else stays as it is.

The dialect is that of Python's ``configparser``, with which the original Px reads and writes its px.ini::

    # a comment, or ; one           whole lines only: in a value both are characters like any other
    [section]
    key = value                     or key: value
    key = first line                a line that stands further in goes on with the value
        second line

Names of sections and keys are the same in upper and lower case, and ``-`` in a key is ``_``. No key stands
twice in a section.
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
    """The text is no px.ini.

    Attributes:
        line: Number of the line, from 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(slots=True)
class Entry:
    """A key and its value.

    Attributes:
        section: In lower case.
        key: In lower case, with ``_`` for ``-``.
        lines: Numbers, from 0, of the lines that the value stands on; the key is on the first.
        parts: The value, line by line, without the white space around it.
    """

    section: str
    key: str
    lines: list[int]
    parts: list[str] = field(repr=False)

    @property
    def value(self) -> str:
        """The whole value; line breaks are those between its lines."""
        return "\n".join(self.parts).rstrip()


class IniText:
    """A px.ini.

    Args:
        text: The whole file, without a byte order mark.
        newline: What ends a new line where there is none yet to go by.

    Raises:
        IniError: It is no px.ini.
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
            if not _says_something(line):
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
            raise IniError(number + 1, f"[{section}] stands there a second time")
        self._headers[section] = number

    def _add_entry(self, section: str, content: str, number: int) -> Entry:
        if not self._headers:
            raise IniError(number + 1, "no section yet; a file begins with [proxy]")
        found = _KEY.fullmatch(content)
        if not found or not found["name"]:
            # The line itself is not shown: it may hold a secret.
            raise IniError(number + 1, "neither [section] nor key = value")
        key = fold_key(found["name"])
        if (section, key) in self._entries:
            raise IniError(number + 1, f"{key} stands there a second time")
        entry = Entry(section, key, [number], [found["value"]])
        self._entries[section, key] = entry
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, section: str, key: str) -> str | None:
        """Return a value, or None where there is no such key."""
        entry = self._entries.get((section, key))
        return entry.value if entry else None

    def set(self, section: str, key: str, value: str) -> None:
        """Give a key a value: where it stands, else at the end of its section, else in a new one."""
        entry = self._entries.get((section, key))
        if entry is None:
            self._insert(section, f"{key} = {value}")
        elif entry.value != value:
            self._replace(entry, value)

    def _replace(self, entry: Entry, value: str) -> None:
        first, *rest = entry.lines
        found = _KEY.fullmatch(self._lines[first].rstrip("\r\n"))
        assert found  # noqa: S101 - it was read from there
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
        """Return that of the next line that says something: were it further in, it would go on with ours."""
        contents = (n for n in range(header + 1, len(self._lines)) if _says_something(self._lines[n]))
        return max((self._margin_of(n) for n in (header, *islice(contents, 1))), key=len)

    def _append_section(self, section: str) -> None:
        if self._lines:
            self._end_line(-1)
            self._lines.append(self._format(""))
        self._lines.append(self._format(f"[{section}]"))
        self._read("".join(self._lines))

    def _format(self, content: str) -> str:
        """Return a key and its value as whole lines, those after the first further in than the key."""
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
    """Return the one form of a key, or of a flag's name."""
    return name.lower().replace("-", "_")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _says_something(line: str) -> bool:
    return not line.strip().startswith(("#", ";")) and not line.isspace()


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
