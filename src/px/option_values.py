"""Texts of options to values. Each parser raises ValueError with a reason fit for a person."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from px.core.auth_policy import POLICY_NAMES, AuthPolicy
from px.core.errors import PacError
from px.core.host import MAX_COMPUTER_NAME_CHARS
from px.core.hostrules import HostRules
from px.core.pac_location import parse_pac_location
from px.core.secret import Secret

_NTHASH = re.compile(r"[0-9A-Fa-f]{32}")
#: What a computer name may have besides letters and digits.
_SYMBOLS: Final = "!@#$%^&')(.-_{}~"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def closest(word: str, known: Sequence[str]) -> str:
    """Return the known word that `word` was probably meant to be, or an empty text."""
    import difflib  # noqa: PLC0415 - needed on the way to an error only

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.7)), "")


def parse_boolean(text: str) -> bool:
    """Read 0 or 1, and what else people write for it."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("neither 0 nor 1")
    return word in _TRUE


def parse_text(text: str) -> str:
    """Read any text."""
    return text.strip()


def parse_printable(text: str) -> str:
    """Read the value of a header field."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has characters that cannot stand in a header field")
    return text.strip()


def parse_pac(text: str) -> str:
    """Read where a PAC script is: a URL, or a file, whose path is made whole."""
    place = text.strip()
    if not place:
        return ""
    try:
        location = parse_pac_location(place, is_windows=sys.platform == "win32")
    except PacError as error:
        raise ValueError(error.cause.removesuffix(".")) from None
    if location.kind != "file":
        return place
    path = Path(location.value).expanduser()
    if not path.is_file():
        raise ValueError("no such file")
    return str(path.absolute())


def parse_encoding(text: str) -> str:
    """Read the name of a character encoding, or ``auto``."""
    name = text.strip().lower()
    if name in {"", "auto"}:
        return "auto"
    try:
        "x".encode(name)
    except LookupError:
        raise ValueError(f"unknown character encoding {text!r}") from None
    return name


def parse_username(text: str) -> str:
    r"""Read ``DOMAIN\user``, ``user@REALM`` or a bare user name."""
    name = text.strip()
    if ":" in name or not name.isprintable():
        raise ValueError("has a colon, or a character that cannot be seen; a password does not belong there")
    if '"' in name or (name[:1], name[-1:]) == ("'", "'"):
        raise ValueError("has quotes, which no user name has")
    if name.count("\\") > 1 or ("/" in name and "@" not in name):
        raise ValueError("the domain is followed by one backslash")
    return name


def parse_workstation(text: str) -> str:
    """Read a computer name as Windows takes it (SetComputerName, "standard character set"), in upper case."""
    name = text.strip().upper()
    wrong = next((each for each in name if not (each.isascii() and (each.isalnum() or each in _SYMBOLS))), "")
    if wrong:
        raise ValueError(f"a computer name has no {wrong!r} in it")
    if name.startswith("."):
        raise ValueError("a computer name does not begin with a dot")
    if len(name) > MAX_COMPUTER_NAME_CHARS:
        raise ValueError(f"longer than {MAX_COMPUTER_NAME_CHARS} characters")
    return name


def parse_integer(text: str, *, low: int, high: int) -> int:
    """Read a decimal number."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or not low <= int(digits) <= high:
        raise ValueError(f"not a number from {low} to {high}")
    return int(digits)


def parse_seconds(text: str, *, is_zero_valid: bool) -> float:
    """Read seconds, with or without a fraction."""
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not is_zero_valid):
        raise ValueError("out of range")
    return seconds


def parse_listen(text: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Read a comma list of addresses of this machine."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries:
        raise ValueError("empty: nobody could reach Px")
    return tuple(dict.fromkeys(_parse_listen_address(entry) for entry in entries))


def _parse_listen_address(entry: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(entry.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{entry!r} is no IP address") from None


def parse_allow(text: str) -> HostRules:
    """Read rules about clients."""
    rules = HostRules.parse(text, names=False)
    if not rules:
        raise ValueError("empty: nobody could use Px")
    return rules


def parse_auth(text: str, *, is_list_valid: bool = False) -> AuthPolicy:
    """Read the name of a login policy."""
    try:
        return AuthPolicy.parse_list(text) if is_list_valid else AuthPolicy.parse(text)
    except ValueError as error:
        close = closest(text.strip().upper(), POLICY_NAMES)
        raise ValueError(f"{error}; did you mean {close}?" if close else str(error)) from None


def parse_secret(text: str) -> Secret | None:
    """Wrap a secret, as it is."""
    if text.endswith(("\n", "\r")):
        raise ValueError("ends with a line break, which is not part of a password")
    if any("\ud800" <= char <= "\udfff" for char in text):  # so Python gives what it cannot decode (PEP 383)
        raise ValueError("holds bytes that are no text in this locale's encoding: use a UTF-8 locale")
    return Secret(text) if text else None


def parse_nthash(text: str) -> Secret | None:
    """Read an NT hash."""
    if text and not _NTHASH.fullmatch(text.strip()):
        raise ValueError("not 32 hexadecimal digits")
    return parse_secret(text.strip().lower())
