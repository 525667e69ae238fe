"""Finds the URL of the PAC script that a DHCP server announces (option 252) in the leases of Linux's clients.

The option is Microsoft's (draft-ietf-wrec-wpad-01, 4.4.1). NetworkManager and systemd-networkd always ask for
it; dhclient and dhcpcd do if their configuration says so.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from px.system.process.command_output import read_command_output

_WPAD: Final = 252
_LEASE_TIME: Final = 51
_PAD, _END = 0, 255
#: Size of a BOOTP message (RFC 2131 2) before the options; its last four bytes are the cookie (RFC 2131 3).
_HEAD_BYTES: Final = 240
_COOKIE: Final = bytes([99, 130, 83, 99])
_NETWORK_MANAGER: Final = ("nmcli", "-t", "-e", "no", "-f", "DHCP4", "device", "show")

#: Written by dhclient(8), also when NetworkManager runs it.
_DHCLIENT_FILES: Final = (
    "var/lib/dhcp/*.lease*",
    "var/lib/dhclient/*.lease*",
    "var/lib/NetworkManager/dhclient-*.lease",
)
#: Written by dhcpcd(8) since version 5 and since version 9: the message as received.
_DHCPCD_FILES: Final = ("var/lib/dhcpcd5/*.lease", "var/lib/dhcpcd/*.lease")
#: Written by systemd-networkd(8) and by the client in NetworkManager that is based on it: ``KEY=value``.
_NETWORKD_FILES: Final = ("run/systemd/netif/leases/*", "var/lib/NetworkManager/internal-*.lease")

_LEASE: Final = re.compile(r"^lease\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_DHCLIENT_OPTION: Final = re.compile(
    r"option (?:\S*wpad\S*|\S*proxy\S*|unknown-252) (?:\"(.*)\"|([0-9a-f:]+));"
)
_EXPIRY: Final = re.compile(r"^\s*expire (?:epoch (?P<epoch>\d+)|\d (?P<date>[\d/]+ [\d:]+));", re.MULTILINE)
#: Line ends and NUL bytes that servers append, also in the escaped forms that the clients write.
_TAIL: Final = re.compile(r"(?:\\(?:[nr0]+|01[25])|[\s\x00])+$")
_URL: Final = re.compile(r"https?://[!-~]+", re.IGNORECASE)

_LOGGER: Final = logging.getLogger("px.system_proxy")


def find_leased_url(environ: Mapping[str, str], root: Path, now: float) -> str | None:
    """Return the URL of the PAC script that a valid lease names; None if no lease does.

    Args:
        environ: Environment of NetworkManager's tool.
        root: Directory that holds ``var`` and ``run``.
        now: Seconds since the epoch.
    """
    output = ""
    with contextlib.suppress(TimeoutError):  # the files of other clients may still have a lease
        output = read_command_output(*_NETWORK_MANAGER, environ=environ) or ""
    found = next(filter(None, map(clean_url, _read_nmcli(output))), None)
    return found or next(filter(None, map(clean_url, _leased(root, now))), None)


def clean_url(text: str) -> str | None:
    """Return the URL of an option, without the bytes that servers append; None if it is not an HTTP URL."""
    url = _TAIL.sub("", text.strip())
    return url if _URL.fullmatch(url) else None


def _read_nmcli(output: str) -> Iterator[str]:
    """Yield the values of lines such as ``DHCP4.OPTION[3]:wpad = http://...``."""
    for line in output.splitlines():
        name, found, value = line.partition(" = ")
        if found and name.endswith(":wpad"):
            yield value


def _leased(root: Path, now: float) -> Iterator[str]:
    for path in _files(root, _NETWORKD_FILES):
        yield from parse_networkd(_read(path).decode("utf-8", "replace"))
    for path in _files(root, _DHCLIENT_FILES):
        yield from parse_dhclient(_read(path).decode("utf-8", "replace"), now)
    for path in _files(root, _DHCPCD_FILES):
        yield from parse_message(_read(path), _age(path, now))


def _files(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files, the latest first."""
    found = [path for pattern in patterns for path in root.glob(pattern)]
    return sorted(found, key=lambda path: _age(path, 0))


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return float("inf")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _LOGGER.debug("%s: %s", path, error.strerror or error)
        return b""


def parse_networkd(text: str) -> Iterator[str]:
    """Yield the option of a lease of systemd-networkd, which writes the value in hex digits."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == f"OPTION_{_WPAD}":
            yield _from_hex(value)


def parse_dhclient(text: str, now: float) -> Iterator[str]:
    """Yield the option of dhclient's valid leases, the latest first (dhclient.leases(5))."""
    for lease in reversed(_LEASE.findall(text)):
        if not _has_expired(lease, now):
            for quoted, digits in _DHCLIENT_OPTION.findall(lease):
                yield quoted or _from_hex(digits)


def _has_expired(lease: str, now: float) -> bool:
    found = _EXPIRY.search(lease)
    if not found:
        return False  # the lease has no end
    if found["epoch"]:
        return int(found["epoch"]) < now
    try:
        date = datetime.strptime(found["date"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return True
    return date.timestamp() < now


def _from_hex(digits: str) -> str:
    try:
        return bytes.fromhex(digits.replace(":", " ")).decode("latin-1")
    except ValueError:
        return ""


def parse_message(message: bytes, age_seconds: float) -> Iterator[str]:
    """Yield the option of a DHCP message, unless its lease has ended.

    Args:
        message: The message as received (RFC 2131, RFC 2132).
        age_seconds: Time since it was received.
    """
    options = _parse_options(message)
    seconds = int.from_bytes(options.get(_LEASE_TIME, b"\xff" * 4), "big")
    if _WPAD in options and age_seconds < seconds:
        yield options[_WPAD].decode("latin-1")


def _parse_options(message: bytes) -> Mapping[int, bytes]:
    """Return the options; the pieces of a split option are joined (RFC 3396)."""
    options: dict[int, bytes] = {}
    if message[_HEAD_BYTES - len(_COOKIE) : _HEAD_BYTES] != _COOKIE:
        return options
    rest = message[_HEAD_BYTES:]
    while rest and rest[0] != _END:
        if rest[0] == _PAD:
            rest = rest[1:]
        else:
            value = rest[2 : 2 + rest[1]] if len(rest) > 1 else b""
            options[rest[0]] = options.get(rest[0], b"") + value
            rest = rest[2 + len(value) :]
    return options
