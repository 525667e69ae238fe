"""Where ``px --top`` writes: a screen of the terminal, drawn again and again, or lines below each other."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Literal, Protocol, TextIO

from px.cli.top.cells import Line, clean
from px.cli.top.keys import QUIT, Keys, understands_escapes
from px.cli.top.traffic import ASCII_LEVELS, BLOCKS
from px.cli.top.view import Space

Event = Literal["time", "resize", "quit"]

#: Codes of terminals (ECMA-48, and xterm's own with a question mark).
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # another screen, no cursor, no line breaks
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _ERASE_LINE, _ERASE_REST, _PLAIN = "\x1b[H", "\x1b[K", "\n\x1b[J", "\x1b[m"
_STYLES: Final = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "good": "\x1b[32m",
    "bad": "\x1b[31m",
    "warn": "\x1b[33m",
}
_HINT: Final = f"{QUIT}: quit"
#: A new size of the terminal, and on Windows a key, is seen after this time.
_GLANCE_SECONDS: Final = 0.2
#: The width of lines that go to no terminal.
_FILE_COLUMNS: Final = 100


class Output(Protocol):
    """A place for views."""

    def find_space(self) -> Space:
        """Return the space for the next view."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show a view."""

    def wait(self, seconds: float) -> Event:
        """Wait for this time, for a key that ends the program, or for another size of the terminal."""


class Printout:
    """Prints each view below the one before it."""

    def __init__(self, stream: TextIO, columns: int | None) -> None:
        self._stream = stream
        self._columns = columns or _FILE_COLUMNS
        self._levels = _choose_levels(stream)

    def find_space(self) -> Space:
        """Return a space without end."""
        return Space(self._columns, None, self._levels)

    def show(self, lines: Sequence[Line]) -> None:
        """Print the view and an empty line."""
        self._stream.write("".join(f"{format_line(line, {}).rstrip()}\n" for line in (*lines, ())))
        self._stream.flush()

    def wait(self, seconds: float) -> Event:
        """Wait for this time."""
        time.sleep(seconds)
        return "time"


class Screen:
    """Draws each view over the one before it."""

    def __init__(self, stream: TextIO, keys: Keys, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._keys = keys
        self._styles = {} if environ.get("NO_COLOR") else _STYLES
        self._levels = _choose_levels(stream)
        self._size = self._measure()

    def _measure(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # Windows measures only the three standard streams
            return shutil.get_terminal_size()
        return size if size.columns and size.lines else shutil.get_terminal_size()

    def find_space(self) -> Space:
        """Return the size of the terminal."""
        self._size = self._measure()
        return Space(self._size.columns, self._size.lines, self._levels, _HINT)

    def show(self, lines: Sequence[Line]) -> None:
        """Draw the view."""
        drawn = "\n".join(_ERASE_LINE + format_line(line, self._styles) for line in lines)
        self._stream.write(f"{_HOME}{drawn}{_ERASE_REST if len(lines) < self._size.lines else ''}")
        self._stream.flush()

    def wait(self, seconds: float) -> Event:
        """Wait for this time, for q, or for another size of the terminal."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._keys.read(min(left, _GLANCE_SECONDS)).lower() == QUIT:
                return "quit"
            if self._measure() != self._size:
                return "resize"
        return "time"

    def enter(self) -> None:
        """Take the screen and the keyboard."""
        self._keys.take()
        self._command(_ENTER)
        self._size = os.terminal_size((0, 0))  # draw everything again after a stop

    def leave(self) -> None:
        """Give the screen and the keyboard back as they were."""
        self._command(_LEAVE)
        self._keys.give_back()

    def _command(self, code: str) -> None:
        """Write a code past the stream: a signal may have come while the stream writes."""
        with suppress(OSError):  # the terminal has gone
            os.write(self._stream.fileno(), code.encode())


@contextmanager
def open_output(stream: TextIO, environ: Mapping[str, str]) -> Iterator[Output]:
    """Open the screen of the terminal; or, if the stream goes to none, a printout."""
    from px.system.process.line_width import find_columns  # noqa: PLC0415

    if not stream.isatty() or not understands_escapes(environ):
        yield Printout(stream, find_columns(stream))
        return
    screen = Screen(stream, Keys(sys.stdin), environ)
    screen.enter()
    try:
        with _leaving_at_signals(screen):
            yield screen
    finally:
        screen.leave()


@contextmanager
def _leaving_at_signals(screen: Screen) -> Iterator[None]:
    """Leave the screen before a signal ends or stops the process, too."""

    def end(number: int, _: FrameType | None) -> None:
        screen.leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def stop(_: int, __: FrameType | None) -> None:
        screen.leave()
        if sys.platform != "win32":  # which has no such signal
            os.kill(os.getpid(), signal.SIGSTOP)
        screen.enter()

    handlers = {"SIGTERM": end, "SIGHUP": end, "SIGTSTP": stop}
    before = {
        number: signal.signal(number, handler)
        for name, handler in handlers.items()
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def format_line(line: Line, styles: Mapping[str, str]) -> str:
    """Return a line with the codes of its styles."""
    return "".join(
        f"{styles[span.style]}{clean(span.text)}{_PLAIN}" if span.style in styles else clean(span.text)
        for span in line
    )


def _choose_levels(stream: TextIO) -> str:
    """Return the characters of plots that the stream can encode."""
    try:
        BLOCKS.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII_LEVELS
    return BLOCKS
