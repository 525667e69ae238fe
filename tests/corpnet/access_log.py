"""Reading the access log of a Squid."""

from __future__ import annotations

import secrets
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from .processes import NetworkError

# No field contains blanks: Squid removes them from the URL, and "#" URL-encodes the user.
LOG_FORMAT = "%ts.%03tu %>a:%>p %lp %>Hs %rm %ru %#un %{login_scheme}note"

FLUSH_HOST = "flush.invalid"

_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class LogEntry:
    """One request in Squid's log.

    A tunnel (CONNECT) is logged when it ends. The login scheme is that of the
    request's Proxy-Authorization, "-" without one, and so is the user.
    """

    time: float
    client: str
    port: int
    status: int
    method: str
    url: str
    user: str
    login_scheme: str


class AccessLog:
    """The access log of one Squid, or of one of its ports.

        mark = log.mark()
        ...                            # some requests
        entries = log.entries_since(mark)

    Squid logs in order, so a request to its flush port is a barrier: when that request is in the log, so are
    all requests that ended before it was sent.
    """

    def __init__(self, path: Path, ask_flush_port: Callable[[str], None], port: int | None = None) -> None:
        """Take the path and a function that asks the flush port for a URL with this path."""
        self._path = path
        self._ask_flush_port = ask_flush_port
        self._port = port

    def of_port(self, port: int) -> AccessLog:
        """Return the part of this log that is about one port."""
        return AccessLog(self._path, self._ask_flush_port, port)

    def mark(self) -> int:
        """Return the position in the log at which the entries of later requests will begin."""
        self._wait_for_ended_requests()
        return self._path.stat().st_size

    def entries_since(self, mark: int = 0) -> list[LogEntry]:
        """Return the requests that have ended since the mark."""
        self._wait_for_ended_requests()
        entries = [_parse(line) for line in self._read_from(mark).splitlines()]
        return [entry for entry in entries if self._is_wanted(entry)]

    def wait_for(self, count: int, mark: int = 0, *, timeout: float = _WAIT_SECONDS) -> list[LogEntry]:
        """Wait until at least this many requests have ended since the mark; return them all."""
        deadline = time.monotonic() + timeout
        while len(entries := self.entries_since(mark)) < count:
            if time.monotonic() > deadline:
                raise NetworkError(f"{len(entries)} log entries instead of {count}: {entries}")
            time.sleep(0.02)
        return entries

    def count_407(self, mark: int = 0) -> int:
        """Count the answers since the mark that asked for a login."""
        return sum(
            entry.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED for entry in self.entries_since(mark)
        )

    def _is_wanted(self, entry: LogEntry) -> bool:
        asked = entry.method != "-"  # otherwise the client closed the connection without a request
        return asked and FLUSH_HOST not in entry.url and self._port in (None, entry.port)

    def _wait_for_ended_requests(self) -> None:
        start = self._path.stat().st_size
        token = secrets.token_hex(8)
        self._ask_flush_port(f"/{token}")
        deadline = time.monotonic() + _WAIT_SECONDS
        while f"{token} " not in self._read_from(start):
            if time.monotonic() > deadline:
                raise NetworkError(f"{self._path} does not grow")
            time.sleep(0.002)

    def _read_from(self, offset: int) -> str:
        with self._path.open(encoding="utf-8", errors="replace") as log:
            log.seek(offset)
            return log.read()


def _parse(line: str) -> LogEntry:
    when, client, port, status, method, url, user, scheme = line.split(" ")
    user = urllib.parse.unquote(user)
    return LogEntry(float(when), client, _number(port), _number(status), method, url, user, scheme)


def _number(field: str) -> int:
    """Return a number; 0 for none: a TLS handshake that failed has no port."""
    return int(field) if field.isdigit() else 0
