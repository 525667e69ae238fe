"""Detects that a ticket cache has changed (kinit, kdestroy), without reading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

_FILE_KINDS = ("FILE", "WRFILE")


def stamp_cache(name: str, now: float) -> object:
    """Return a value that differs once the ticket cache has changed.

    For a file, the value is made from its identity, time and size. Other kinds (KCM, KEYRING, DIR, API)
    cannot be watched, so their value changes every second.

    Args:
        name: As Kerberos writes it: ``FILE:/tmp/krb5cc_1000``, ``KCM:1000``, or a bare path.
        now: Seconds on a clock that never goes back.
    """
    kind, separator, rest = name.partition(":")
    if separator and kind not in _FILE_KINDS:
        return name, int(now)
    try:
        status = Path(rest if separator else name).stat()
    except OSError:
        return name, None
    return name, (status.st_ino, status.st_mtime_ns, status.st_size)


def mark_cache(name: str) -> str:
    """Return a short text that differs once a ticket file has changed; empty for other kinds of cache."""
    kind, separator, _ = name.partition(":")
    if separator and kind not in _FILE_KINDS:
        return ""
    return hashlib.sha256(repr(stamp_cache(name, 0)).encode()).hexdigest()[:8]
