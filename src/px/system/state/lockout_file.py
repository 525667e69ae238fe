"""The lock-out memory on disk: one small JSON file in the user's state directory, for all processes.

A process holds a lock while it reads the file, changes a record and replaces the file as a whole. So no
change is lost, and no process reads half a file. No failure here stops a login:

=====================================  ==========================================================
failure                                what Px does
=====================================  ==========================================================
another process holds the lock         The change counts in this process at once. A thread waits for
                                       the lock and writes the file; the event loop never waits.
the lock is held for `LOCK_SECONDS`,   Px writes without the lock. That may undo a change made at the
and nothing changes the file (the      same moment, but a refusal that is not counted is worse.
process of the lock was stopped)
the file cannot be written (the disk   Px uses a file in the memory of the computer from then on
is full)                               (`fallback`), and reads that file too at each start.
neither file can be written            This process remembers the records itself, and tries again
                                       every `RETRY_SECONDS` when they are needed. All workers together
                                       may send one token that fails (`px.system.state.shared_right`).
the file holds no records (garbage,    Px learns nothing from the file, and replaces it at the next
too large, a link, a pipe, a           change.
directory)
=====================================  ==========================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from px.core.login.lockout import LockoutGuard
from px.io.thread_lane import RunInThread
from px.system.state.file_lock import FileLock
from px.system.state.installation import memory_directory, name_for
from px.system.state.lockout_records import (
    CHANGED_AT,
    Fields,
    Records,
    fields_of,
    merge_newest,
    prune,
    read_records,
    replace_file,
)

_Change = Callable[[Fields], Fields]

#: Name of the file in the state directory.
LOCKOUT_NAME = "lockout.json"
#: Longest wait for another process, whose change should take a millisecond.
LOCK_SECONDS = 1.0
#: How often Px waits so long, because other processes change the file in turn. All together are shorter than
#: what the thread has by default (``--socktimeout``).
LOCK_TRIES = 5
#: Two tries to take the lock show that it was held in between only if they are no further apart than this.
BUSY_PAUSE_SECONDS = 0.25
#: A file that changed less than this ago may change again with the same time stamp.
STAMP_SECONDS = 0.1
#: Time between tries to write a file that could not be written.
RETRY_SECONDS = 1.0

_NOT_LOCKED = "%s: another process holds the lock; going on without it"
_NOT_KEPT = "refused logins cannot be remembered, so Px sends one login that may fail: %s"

_LOGGER = logging.getLogger("px.login")


class LockoutFile:
    """Implements `px.core.login.lockout.LockoutStore`.

    The records are kept in memory too, and the file is read again only when it has changed: a look-up costs
    an ``lstat``.

    Args:
        path: Path of the file. Its directory is made at the first change.
        wall_clock: Seconds since the epoch.
        run_in_thread: Runs calls that may block; None without an event loop: then methods block.
        fallback: Directory for the file if `path` cannot be written; None if there is no such directory.
    """

    def __init__(
        self,
        path: Path,
        wall_clock: Callable[[], float] = time.time,
        run_in_thread: RunInThread | None = None,
        fallback: Path | None = None,
    ) -> None:
        self._use(path)
        self._fallback = fallback / name_for(path) if fallback else None
        self._wall_clock = wall_clock
        self._run_in_thread = run_in_thread
        self._pending: list[tuple[str, _Change]] = []  # changes that are not in the file yet
        #: Ends when all changes so far are in the file; None if they are.
        self.writing: asyncio.Task[None] | None = None
        self._records: Records = {}
        if self._fallback is not None:
            with contextlib.suppress(OSError):
                self._records = read_records(self._fallback) or {}
        self._is_written = not self._records  # whether the file has all changes of this process
        self._tried_at = 0.0
        # Since when, and when last, `try_change_record` found the lock held while nothing changed the file.
        self._busy_since = self._busy_at = 0.0
        self._busy_stamp: object = None

    def _use(self, path: Path) -> None:
        """Read and write this file from now on."""
        self._path = path
        self._name = str(path)  # used many times per login, and a Path takes three times as long
        self._lock = FileLock(path.with_suffix(".lock"))
        self._seen: object = None  # time stamp of the file when it was last read
        self._stamp: object = None  # its time stamp now

    def load_record(self, account: str) -> Fields:
        """Return the fields of an account's record; empty if there is no record."""
        self._catch_up()
        fields = fields_of(self._records.get(account, {}))
        for key, change in self._pending:
            if key == account:
                fields = change(dict(fields))
        return fields

    def list_keys(self) -> list[str]:
        """Return the key of every record."""
        self._catch_up()
        return [key for key, record in self._records.items() if fields_of(record)]

    def change_record(self, account: str, change: _Change) -> None:
        """Replace a record by what `change` returns for it; empty fields remove the record.

        No other process changes the record meanwhile. `change` may be called more than once.
        """
        self._pending.append((account, change))
        if self.writing is None:
            for _ in range(2):  # a second time if the first has switched to `fallback`
                with self._locked() as may_write:
                    if not may_write or self._write_pending():
                        break
        if self._pending:
            self.load_record(account)  # calls `change`, which may pass something to its caller
            self._write_soon()

    def try_change_record(self, account: str, change: _Change) -> bool:
        """Change a record in the file unless another change is under way; return whether it was changed."""
        if self.writing is not None or self._pending:
            return False
        with self._locked() as may_write:
            if not may_write and not self._is_overdue():
                return False
            self._busy_at = 0.0
            self._pending.append((account, change))
            is_done = self._write_pending()
            if not is_done:
                self._pending.clear()
            return is_done

    def _is_overdue(self) -> bool:
        """Whether another process has held the lock for too long, perhaps because it was stopped.

        The tries are so frequent that the lock was never free if each of them found the lock held, and the
        file was not changed.
        """
        now, stamp = time.monotonic(), _stamp_of(self._read_status())
        if now - self._busy_at > BUSY_PAUSE_SECONDS or stamp != self._busy_stamp:
            self._busy_since = now
        self._busy_stamp = stamp
        self._busy_at = now
        return now - self._busy_since > LOCK_SECONDS

    @property
    def is_kept(self) -> bool:
        """Whether the file has all records that this process has changed."""
        return self._is_written

    def _write_soon(self) -> None:
        if self.writing is None:
            self.writing = asyncio.get_running_loop().create_task(self._wait_and_write())

    async def _wait_and_write(self) -> None:
        assert self._run_in_thread is not None  # noqa: S101 - else the lock was waited for
        try:
            if not await self._run_in_thread(self._acquire):
                _LOGGER.warning(_NOT_LOCKED, self._path)
        except (OSError, TimeoutError) as error:
            _LOGGER.debug("%s cannot be locked: %s", self._path, error)
        finally:  # also if Px ends meanwhile, so that no change is lost
            self.writing, lock = None, self._lock
            if not self._write_pending():
                self._write_pending()
            lock.release()

    def _write_pending(self) -> bool:
        """Apply all changes to the current file; return False if they must be written to `fallback`."""
        self._refresh()
        before_all, pending, self._pending = dict(self._records), self._pending, []
        has_changed = False
        for key, change in pending:
            before = fields_of(self._records.get(key, {}))
            after = change(dict(before))
            if after != before:
                self._records[key] = {**after, CHANGED_AT: self._wall_clock()}
                has_changed = True
        if not has_changed or self._store():
            return True
        self._records, self._pending = before_all, pending
        return False

    def _catch_up(self) -> None:
        """Read what other processes have stored, and try again to store what could not be written."""
        if not self._is_written and abs(self._wall_clock() - self._tried_at) >= RETRY_SECONDS:
            with self._locked() as may_write:
                if may_write:
                    self._refresh()
                    self._store()
        elif self._check_stamp():
            # Windows does not replace a file that another process reads.
            with self._locked() if sys.platform == "win32" else contextlib.nullcontext():
                self._refresh()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the lock if it is free; without an event loop, wait for it.

        Yields:
            Whether to write now. If not, another process holds the lock, and a thread must wait for it.
        """
        if self.writing is not None:  # a thread waits for the lock already
            yield False
            return
        may_write = True
        try:
            if self._run_in_thread is not None:
                may_write = self._lock.try_acquire()
            elif not self._acquire():
                _LOGGER.warning(_NOT_LOCKED, self._path)
        except OSError as error:
            _LOGGER.debug("%s cannot be locked: %s", self._path, error)
        try:
            yield may_write
        finally:
            self._lock.release()

    def _acquire(self) -> bool:
        """Wait for the lock; return False if another process holds the lock and does nothing.

        Raises:
            OSError: The file cannot be locked.
        """
        for _ in range(LOCK_TRIES):
            stamp = _stamp_of(self._read_status())
            if self._lock.acquire(LOCK_SECONDS):
                return True
            if _stamp_of(self._read_status()) == stamp:
                break
        return False

    def _read_status(self) -> os.stat_result | None:
        """Return the status of the file; None: there is no file."""
        try:
            return os.lstat(self._name)
        except OSError:
            return None

    def _check_stamp(self) -> bool:
        """Note the file's time stamp; return whether the file may have changed since it was last read."""
        status = self._read_status()
        if status is None:
            return False
        self._stamp = _stamp_of(status)
        is_recent = abs(self._wall_clock() - status.st_mtime) <= STAMP_SECONDS
        return stat.S_ISREG(status.st_mode) and (is_recent or self._stamp != self._seen)

    def _refresh(self) -> None:
        """Read the file if it may have changed since it was last read."""
        if not self._check_stamp():
            return
        with contextlib.suppress(OSError):
            stored = read_records(self._path)
            self._seen = self._stamp
            if stored is not None:
                self._records = stored if self._is_written else merge_newest(self._records, stored)

    def _store(self) -> bool:
        """Write the records; return False if they must be written to `fallback`."""
        self._records = prune(self._records, self._wall_clock())
        was_written = self._is_written
        self._tried_at = self._wall_clock()
        try:
            written = {key: record for key, record in self._records.items() if fields_of(record)}
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(written, indent=1).encode("ascii"))
            self._records, self._is_written = written, True
            self._check_stamp()
            self._seen = self._stamp
        except OSError as error:
            self._is_written = False
            if self._fallback is not None and self._path != self._fallback:
                _LOGGER.warning("refused logins are remembered in %s: %s", self._fallback, error)
                self._lock.release()
                self._use(self._fallback)
                return False
            if was_written:
                _LOGGER.warning(_NOT_KEPT, error)
        return True

    def __repr__(self) -> str:
        return f"<LockoutFile {self._path} records={len(self._records)}>"


def _stamp_of(status: os.stat_result | None) -> object:
    """Return what changes with each change of a file."""
    return status and (status.st_mtime_ns, status.st_ino, status.st_size)


def allow_retry(state: Path) -> None:
    """Let each blocked identity try once more now, because its user may have corrected the cause.

    Args:
        state: The state directory.
    """
    LockoutGuard(LockoutFile(state / LOCKOUT_NAME, fallback=memory_directory()), time.time).allow_retry()
