"""The records in the lock-out file: read, merged, pruned, and written as a whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from pathlib import Path

from px.system.state.private_files import open_private

Fields = dict[str, object]
Records = dict[str, Fields]

#: Field of a stored record: when it was changed, in seconds since the epoch.
CHANGED_AT = "changed_at"
#: A record that did not change for this long belongs to a secret that is no longer in use.
KEEP_SECONDS = 30 * 24 * 3600
MAX_RECORDS = 64
MAX_FILE_BYTES = 1 << 18
#: Windows does not replace a file that another program reads, such as a virus scanner, which needs a moment.
REPLACE_TRIES = 100
REPLACE_PAUSE_SECONDS = 0.005


def fields_of(record: Fields) -> Fields:
    """Return the fields of a record without the time of its last change."""
    return {name: value for name, value in record.items() if name != CHANGED_AT}


def _changed_at(record: Fields, now: float) -> float:
    """Return when a record was changed, but never a time after `now`: the clock may have been wrong then."""
    value = record.get(CHANGED_AT)
    return min(value, now) if isinstance(value, int | float) else now


def merge_newest(mine: Records, stored: Records) -> Records:
    """Return all records; of two for the same key, the one that was changed last."""
    newer = {
        key: record
        for key, record in mine.items()
        if key not in stored or _changed_at(record, math.inf) > _changed_at(stored[key], math.inf)
    }
    return {**stored, **newer}


def prune(records: Records, now: float) -> Records:
    """Return the latest records, without outdated ones, and `MAX_RECORDS` at most."""
    dated = [(_changed_at(record, now), key) for key, record in records.items()]
    kept = sorted((each for each in dated if now - each[0] < KEEP_SECONDS), reverse=True)[:MAX_RECORDS]
    return {key: {**records[key], CHANGED_AT: changed_at} for changed_at, key in kept}


def read_records(path: Path) -> Records | None:
    """Return the records in a file; None if it holds something else.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", opener=open_private) as file:
        content = file.read(MAX_FILE_BYTES + 1)
    try:
        stored = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    return {key: record for key, record in stored.items() if isinstance(record, dict)}


def replace_file(path: Path, content: bytes) -> None:
    """Write a new file or replace an old one.

    Raises:
        OSError: The file cannot be written.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(new, "wb", opener=open_private) as file:
            file.write(content)
        _move(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _move(new: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():  # no file can replace a directory
        path.rename(path.with_name(f"{new.name}.old"))
    for _ in range(REPLACE_TRIES if sys.platform == "win32" else 0):
        with contextlib.suppress(PermissionError):
            new.replace(path)
            return
        time.sleep(REPLACE_PAUSE_SECONDS)
    new.replace(path)
