"""Parsers for the values of options. Each raises ValueError with a reason that a person understands."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from px.core.auth.policy import POLICY_NAMES, AuthPolicy
from px.core.errors import PacError
from px.core.host import MAX_COMPUTER_NAME_CHARS, MAX_PORT, is_host
from px.core.printable import has_control
from px.core.quotes import strip_quotes
from px.core.rules.access import ALL_INTERFACES, LOCALHOST, ListenAddresses
from px.core.rules.host_rules import HostRules
from px.core.rules.pac_location import parse_pac_location
from px.core.secret import Secret

_NTHASH = re.compile(r"[0-9A-Fa-f]{32}")
#: What a computer name may have besides letters and digits.
_SYMBOLS: Final = "!@#$%^&')(.-_{}~"
_LISTEN_SEPARATORS: Final = re.compile(r"[,;\s]+")
#: An address whose zone, as in ``fe80::1%eth0``, can stand in a URL and in the quotes of any shell.
_WITHOUT_ODD_ZONE: Final = re.compile(r"[^%]*(?:%[A-Za-z0-9_.:-]+)?")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def closest(word: str, known: Sequence[str]) -> str:
    """Return the known word that `word` was probably meant to be, or an empty text."""
    import difflib  # noqa: PLC0415 - needed on the way to an error only

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.7)), "")


def parse_boolean(text: str) -> bool:
    """Read 0 or 1, or true, yes, on, false, no, off."""
    word = strip_quotes(text).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("neither 0 nor 1")
    return word in _TRUE


def parse_text(text: str) -> str:
    """Read any text without control characters."""
    if has_control(text):
        raise ValueError("has control characters")
    return strip_quotes(text)


def parse_printable(text: str) -> str:
    """Read the value of a header field."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has characters that a header field cannot contain")
    return text.strip()


def parse_pac(text: str) -> str:
    """Read the place of a PAC script: a URL, or the path of a file, which is made absolute."""
    place = strip_quotes(text)
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
        raise ValueError(f"{'a directory, not a' if path.is_dir() else 'no such'} file")
    return str(path.absolute())


def parse_encoding(text: str) -> str:
    """Read the name of a character encoding, or ``auto``."""
    name = strip_quotes(text).lower()
    if name in {"", "auto"}:
        return "auto"
    try:
        "x".encode(name)
    except LookupError:
        raise ValueError(f"unknown character encoding {text!r}") from None
    if has_control(name):  # Python ignores them in the name of an encoding
        raise ValueError(f"unknown character encoding {text!r}")
    return name


def parse_username(text: str) -> str:
    r"""Read ``DOMAIN\user``, ``user@REALM`` or a bare user name."""
    name = text.strip()
    if ":" in name or not name.isprintable():
        raise ValueError("has a colon, or a character that cannot be seen; a password does not belong there")
    if '"' in name or (name[:1], name[-1:]) == ("'", "'"):
        raise ValueError("has quotes, which a user name cannot contain")
    if name.count("\\") > 1 or ("/" in name and "@" not in name):
        raise ValueError("write one backslash after the domain")
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


def parse_choice(text: str, *, choices: Sequence[str]) -> str:
    """Read one of some words."""
    word = strip_quotes(text).lower()
    if word not in choices:
        raise ValueError("unknown")
    return word


def parse_integer(text: str, *, low: int, high: int) -> int:
    """Read a decimal number."""
    digits = strip_quotes(text)
    if not (digits.isascii() and digits.isdigit()) or not low <= int(digits) <= high:
        raise ValueError(f"not a number from {low} to {high}")
    return int(digits)


def parse_port(text: str) -> int:
    """Read a port number; an empty text is 0: no port."""
    return parse_integer(text, low=1, high=MAX_PORT) if strip_quotes(text) else 0


def parse_seconds(text: str, *, is_zero_valid: bool) -> float:
    """Read seconds, with or without a fraction."""
    try:
        seconds = float(strip_quotes(text))
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not is_zero_valid):
        raise ValueError("out of range")
    return seconds


def parse_listen(text: str) -> ListenAddresses:
    """Read a list of addresses of this computer; a name stands for its addresses.

    ``localhost`` stands for 127.0.0.1, and for ::1 where Px can listen there.
    """
    entries = [entry for entry in _LISTEN_SEPARATORS.split(strip_quotes(text)) if entry]
    if not entries:
        raise ValueError("empty, so no client could reach Px")
    named = [address for entry in entries if not _is_localhost(entry) for address in _find_addresses(entry)]
    found = (address for entry in entries for address in _find_addresses(entry))
    optional = LOCALHOST[1:] if any(map(_is_localhost, entries)) else ()
    return ListenAddresses(tuple(dict.fromkeys(found)), frozenset(optional) - {*named})


def _is_localhost(entry: str) -> bool:
    return entry.lower() == "localhost"


def _find_addresses(entry: str) -> Sequence[IPv4Address | IPv6Address]:
    if entry == "*":
        return ALL_INTERFACES
    if _is_localhost(entry):
        return LOCALHOST
    plain = entry.removeprefix("[").removesuffix("]")
    if _WITHOUT_ODD_ZONE.fullmatch(plain):
        with contextlib.suppress(ValueError):
            return [ip_address(plain)]
    if not is_host(entry):
        hint = "; give the port with --port" if ":" in entry else ""
        raise ValueError(f"{entry!r} is not an IP address or a host name{hint}")
    try:
        found = socket.getaddrinfo(entry, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ValueError(f"{entry!r} is neither an IP address nor a name that has one") from None
    return [ip_address(address[0]) for *_, address in found]


def parse_allow(text: str) -> HostRules:
    """Read rules about clients.

    A rule that cannot be read is an error and is not left out: the list decides who may use the login of the
    user, so it must never mean anything else than its writer believes.
    """
    return HostRules.parse(text, names=False)


def parse_auth(text: str, *, is_list_valid: bool = False) -> AuthPolicy:
    """Read the name of a login policy."""
    bare = strip_quotes(text)
    try:
        return AuthPolicy.parse_list(bare) if is_list_valid else AuthPolicy.parse(bare)
    except ValueError as error:
        close = closest(bare.upper(), POLICY_NAMES)
        raise ValueError(f"{error}; did you mean {close}?" if close else str(error)) from None


def parse_secret(text: str) -> Secret | None:
    """Read a secret, without any change."""
    if text.endswith(("\n", "\r")):
        raise ValueError("ends with a line break, which is not part of a password")
    if any("\ud800" <= char <= "\udfff" for char in text):  # so Python gives what it cannot decode (PEP 383)
        raise ValueError("has bytes that are not text in this locale's encoding; use a UTF-8 locale")
    return Secret(text) if text else None


def parse_nthash(text: str) -> Secret | None:
    """Read an NT hash."""
    digits = strip_quotes(text)
    if digits and not _NTHASH.fullmatch(digits):
        raise ValueError("not 32 hexadecimal digits")
    return parse_secret(digits.lower())
