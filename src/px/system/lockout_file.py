"""The lock-out memory on disk: one small JSON file in the user's state directory, for all processes.

A change is made under a lock between processes, to what the file holds then, and the file is replaced as a
whole: no change is lost, and nobody reads half a file. Nothing that goes wrong here stops a login:

=====================================  ==========================================================
what is wrong                          then
=====================================  ==========================================================
the lock is held for `LOCK_SECONDS`    the change is made without it: it may undo another one made
(a process that is stopped there)      at that moment, but a refusal that is not counted is worse
the file cannot be written, or locked  this process remembers by itself, and tries again every
                                       `RETRY_SECONDS`, when it is asked
the file is no records (garbage, too   nothing can be learned from it; the next change replaces it
large, a link, a pipe, a directory)
=====================================  ==========================================================
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from px.system.file_lock import FileLock

_Fields = dict[str, object]
_Records = dict[str, _Fields]

#: Of the file, in the state directory.
LOCKOUT_NAME = "lockout.json"
#: A change takes a millisecond; for another process's the event loop waits no longer than this.
LOCK_SECONDS = 1.0
#: A file that has changed within this time may change again without a new time stamp.
STAMP_SECONDS = 0.1
#: When it is tried again to write what could not be written.
RETRY_SECONDS = 1.0
#: A record that was not changed for so long is of a secret that nobody uses any more.
KEEP_SECONDS = 30 * 24 * 3600
MAX_RECORDS = 64
MAX_FILE_BYTES = 1 << 18
#: Windows does not replace a file that somebody reads, a virus scanner perhaps; that one needs a moment.
REPLACE_TRIES = 100
REPLACE_PAUSE_SECONDS = 0.005

_CHANGED_AT = "changed_at"  # of a stored record, besides its fields: seconds since the epoch

_LOGGER = logging.getLogger("px.login")


class LockoutFile:
    """Implements `px.core.lockout.LockoutStore`.

    Records are kept in memory as well, and the file is read again only when it has changed: asking costs
    an ``lstat``.

    Args:
        path: Of the file; its directory is made when there is something to remember.
        wall_clock: Seconds since the epoch.
    """

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._name = str(path)  # asked for many times a login, and a Path takes thrice as long
        self._wall_clock = wall_clock
        self._lock = FileLock(path.with_suffix(".lock"))
        self._records: _Records = {}
        self._is_written = True  # what this process has changed
        self._tried_at = 0.0
        self._seen: object = None  # stamp of the file when it was read last
        self._stamp: object = None  # its stamp now

    def load_record(self, identity_key: str) -> _Fields:
        """Return the stored fields of an identity's record; empty when there is none."""
        self._catch_up()
        return _fields_of(self._records.get(identity_key, {}))

    def list_keys(self) -> list[str]:
        """Return the key of every record."""
        self._catch_up()
        return [key for key, record in self._records.items() if _fields_of(record)]

    def change_record(self, identity_key: str, change: Callable[[_Fields], _Fields]) -> None:
        """Store what `change` makes of a record, with no other change between; empty removes it."""
        with self._locked():
            self._refresh()
            before = _fields_of(self._records.get(identity_key, {}))
            after = change(dict(before))
            if after != before:
                self._records[identity_key] = {**after, _CHANGED_AT: self._wall_clock()}
                self._store()

    def _catch_up(self) -> None:
        """Learn what other processes have stored, and store what could not be stored for a while."""
        if not self._is_written and abs(self._wall_clock() - self._tried_at) >= RETRY_SECONDS:
            with self._locked():
                self._refresh()
                self._store()
        elif self._has_changed():
            # Windows does not replace a file that somebody reads.
            with self._locked() if sys.platform == "win32" else contextlib.nullcontext():
                self._refresh()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            if not self._lock.acquire(LOCK_SECONDS):
                _LOGGER.warning("%s: another process holds the lock; going on without it", self._path)
        except OSError as error:
            _LOGGER.debug("%s cannot be locked: %s", self._path, error)
        try:
            yield
        finally:
            self._lock.release()

    def _has_changed(self) -> bool:
        """Tell whether the file may hold something else than when it was read last."""
        try:
            status = os.lstat(self._name)
        except OSError:
            return False
        self._stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        is_recent = abs(self._wall_clock() - status.st_mtime) <= STAMP_SECONDS
        return stat.S_ISREG(status.st_mode) and (is_recent or self._stamp != self._seen)

    def _refresh(self) -> None:
        """Read the file if it may have changed since it was read last."""
        if not self._has_changed():
            return
        with contextlib.suppress(OSError):
            stored = _read_records(self._path)
            self._seen = self._stamp
            if stored is not None:
                self._records = stored if self._is_written else _newest(self._records, stored)

    def _store(self) -> None:
        self._records = _prune(self._records, self._wall_clock())
        was_written = self._is_written
        self._tried_at = self._wall_clock()
        try:
            written = {key: record for key, record in self._records.items() if _fields_of(record)}
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path, json.dumps(written, indent=1).encode("ascii"))
            self._records, self._is_written = written, True
        except OSError as error:
            self._is_written = False
            if was_written:
                _LOGGER.warning("refused logins are remembered by this process only: %s", error)

    def __repr__(self) -> str:
        return f"<LockoutFile {self._path} records={len(self._records)}>"


def _fields_of(record: _Fields) -> _Fields:
    return {name: value for name, value in record.items() if name != _CHANGED_AT}


def _changed_at(record: _Fields, now: float) -> float:
    """Return when a record was changed; no later than now, whatever the clock said then."""
    value = record.get(_CHANGED_AT)
    return min(value, now) if isinstance(value, int | float) else now


def _newest(mine: _Records, stored: _Records) -> _Records:
    """Return the records of both, of each the one that was changed last."""
    newer = {
        key: record
        for key, record in mine.items()
        if key not in stored or _changed_at(record, math.inf) > _changed_at(stored[key], math.inf)
    }
    return {**stored, **newer}


def _prune(records: _Records, now: float) -> _Records:
    """Return the records without those that are out of date, and no more than `MAX_RECORDS`."""
    dated = [(_changed_at(record, now), key) for key, record in records.items()]
    kept = sorted((each for each in dated if now - each[0] < KEEP_SECONDS), reverse=True)[:MAX_RECORDS]
    return {key: {**records[key], _CHANGED_AT: changed_at} for changed_at, key in kept}


def _read_records(path: Path) -> _Records | None:
    """Return what a file holds; None when that is no records.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb", opener=_open_privately) as file:
        content = file.read(MAX_FILE_BYTES + 1)
    try:
        stored = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    return {key: record for key, record in stored.items() if isinstance(record, dict)}


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of an old one, or of none.

    Raises:
        OSError: It cannot be written.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(new, "wb", opener=_open_privately) as file:
            file.write(content)
        _move(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _move(new: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{new.name}.old"))
    for _ in range(REPLACE_TRIES if sys.platform == "win32" else 0):
        with contextlib.suppress(PermissionError):
            new.replace(path)
            return
        time.sleep(REPLACE_PAUSE_SECONDS)
    new.replace(path)


def _open_privately(path: str, flags: int) -> int:
    """Open a file for its owner alone; neither follow a link nor wait at a pipe that somebody put there."""
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | safe, 0o600)
