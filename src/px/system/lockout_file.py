"""The lock-out memory on disk: one small JSON file in the user's state directory."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path


class LockoutFile:
    """Implements `px.core.lockout.LockoutStore`.

    Records are kept in memory as well, and the file is read again only when it has changed: asking costs
    a ``stat``. Where the file cannot be written, the memory lasts as long as the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, dict[str, object]] = {}
        self._seen: tuple[int, int] | None = None

    def load_record(self, identity_key: str) -> dict[str, object]:
        """Return the stored fields of an identity's record; empty when there is none."""
        self._refresh()
        return self._records.get(identity_key, {})

    def save_record(self, identity_key: str, fields: dict[str, object] | None) -> None:
        """Store an identity's record; None removes it."""
        self._refresh()
        if fields is None:
            self._records.pop(identity_key, None)
        else:
            self._records[identity_key] = fields
        with contextlib.suppress(OSError):
            self._write()

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(self._path.read_text("utf-8"))
            if isinstance(stored, dict):
                self._records = {key: value for key, value in stored.items() if isinstance(value, dict)}
        self._seen = stamp

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(json.dumps(self._records, indent=1), "utf-8")
        new.replace(self._path)
        self._seen = self._stamp()

    def __repr__(self) -> str:
        return f"<LockoutFile {self._path} records={len(self._records)}>"
