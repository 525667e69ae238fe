"""A secret as a person types it: at a terminal unseen and twice, else one line of stdin."""

from __future__ import annotations

import getpass
import locale
import sys
from typing import Final

from px.core.secret import Secret
from px.core.startup_errors import ConfigError

MAX_SECRET_BYTES: Final = 4096


def read_secret(prompt: str) -> Secret:
    """Return what was typed, without the end of the line; empty when nothing was.

    Args:
        prompt: Asked at a terminal.

    Raises:
        ConfigError: The two differ, it is no text, or there is nobody to ask.
    """
    if sys.stdin is None:  # pythonw has no console
        raise ConfigError("there is no terminal to ask for the password; run px in one")
    if sys.stdin.isatty():
        return _ask_twice(prompt)
    return Secret(_decode(sys.stdin.buffer.readline(MAX_SECRET_BYTES + 1)))


def _ask_twice(prompt: str) -> Secret:
    first = _ask(prompt)
    if first and first != _ask("The same again: "):
        raise ConfigError("the two passwords differ; nothing was changed, try again")
    return first


def _ask(prompt: str) -> Secret:
    try:
        text = getpass.getpass(prompt, sys.stderr)
        text.encode("utf-8")
    except EOFError:
        raise ConfigError("no password was given; nothing was changed") from None
    except UnicodeError:
        raise ConfigError(_NO_TEXT) from None
    return Secret(text)


_NO_TEXT: Final = "the password holds bytes that are no text here; give it again in a UTF-8 locale"


def _decode(line: bytes) -> str:
    """Return a line from another program, in UTF-8 or else in the locale's encoding (Windows' pipes)."""
    if len(line) > MAX_SECRET_BYTES:
        raise ConfigError(f"the first line of stdin is longer than {MAX_SECRET_BYTES} bytes: no password")
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return line.decode(locale.getencoding())
    except UnicodeDecodeError:
        raise ConfigError(_NO_TEXT) from None
