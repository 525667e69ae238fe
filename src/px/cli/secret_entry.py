"""Reads a secret: at a terminal hidden and twice, otherwise from the first line of standard input."""

from __future__ import annotations

import getpass
import locale
import sys
from typing import Final

from px.core.secret import Secret
from px.core.startup_errors import ConfigError

MAX_SECRET_BYTES: Final = 4096


def read_secret(prompt: str) -> Secret:
    """Return the secret without the line end; empty if the line is empty.

    Args:
        prompt: Shown at a terminal.

    Raises:
        ConfigError: The two entries differ, the bytes are not text, or there is no terminal.
    """
    if sys.stdin is None:  # pythonw has no console
        raise ConfigError("there is no terminal to ask for the password; run px in a terminal")
    if sys.stdin.isatty():
        return _ask_twice(prompt)
    return Secret(_decode(sys.stdin.buffer.readline(MAX_SECRET_BYTES + 1)))


def _ask_twice(prompt: str) -> Secret:
    first = ask_once(prompt)
    if first and first != ask_once("The same again: "):
        raise ConfigError("the two passwords differ; nothing was changed, try again")
    return first


def ask_once(prompt: str) -> Secret:
    """Return what a person types at the terminal, hidden.

    Raises:
        ConfigError: The terminal was closed, or the bytes are not text.
    """
    try:
        text = getpass.getpass(prompt, sys.stderr)
        text.encode("utf-8")
    except EOFError:
        raise ConfigError("no password was given; nothing was changed") from None
    except UnicodeError:
        raise ConfigError(_NO_TEXT) from None
    return Secret(text)


_NO_TEXT: Final = "the password has bytes that are not text in this locale; enter it again in a UTF-8 locale"


def _decode(line: bytes) -> str:
    """Return the text of a line in UTF-8, or else in the encoding of the locale (pipes on Windows)."""
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
