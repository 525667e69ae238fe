"""One Px a port and user: which one runs, and how it is told what to do.

In the state directory, for each port, a lock that the Px holds as long as it runs, and beside it a record
for those who want to speak to it. Only their owner can read them, and whoever can read the record's
token may steer that Px.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from px.core.startup_errors import PortInUseError
from px.system.file_lock import FileLock

#: Who looks whether a Px runs holds its lock for a moment.
CLAIM_SECONDS = 0.3
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What is known of a Px that runs.

    Attributes:
        pid: Of its main process.
        listen: The addresses on which it listens.
        control_port: Where it takes commands, on 127.0.0.1.
        token: Who knows it may give them.
        version: Of Px.
        started: Seconds since the epoch.
    """

    pid: int
    listen: tuple[str, ...]
    control_port: int
    token: str = field(repr=False)
    version: str
    started: float


class Instance:
    """The one Px of this user on a port.

    Args:
        directory: The state directory.
        port: Where it listens.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._lock_path = directory / f"px-{port}.lock"
        self._lock = FileLock(self._lock_path)
        self._path = _record_path(directory, port)

    def claim(self) -> None:
        """Be the one, until `release` or the end of this process.

        Where the state directory cannot be written there may be several, and `publish` says so.

        Raises:
            PortInUseError: There is one already.
        """
        latest = time.monotonic() + CLAIM_SECONDS
        with contextlib.suppress(OSError):
            while not self._lock.try_acquire():
                if time.monotonic() > latest:
                    raise PortInUseError(say_in_use(self.port, load_record(self.directory, self.port)))
                time.sleep(_POLL_SECONDS)
            self._path.unlink(missing_ok=True)  # of one that was killed

    def publish(self, record: InstanceRecord) -> None:
        """Let others find this one.

        Raises:
            OSError: The state directory cannot be written.
        """
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(record)), "utf-8")
        new.replace(self._path)

    def withdraw(self) -> None:
        """Let nobody find this one any more. It stays the one: the end of the process is the end of that."""
        if self._lock.is_held:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Be it no longer. Safe to call again."""
        self.withdraw()
        self._lock.release()

    def is_running(self) -> bool:
        """Whether a process, starting or ending perhaps, is the one now.

        Raises:
            OSError: The state directory cannot be written.
        """
        if not self._lock_path.exists():
            return False
        if not self._lock.try_acquire():
            return True
        self._lock.release()
        return False

    def __repr__(self) -> str:
        return f"<Instance port={self.port} {'mine' if self._lock.is_held else 'not mine'}>"


def _record_path(directory: Path, port: int) -> Path:
    return directory / f"px-{port}.json"


def load_record(directory: Path, port: int) -> InstanceRecord | None:
    """Return what the Px of a port has left of itself; it may have ended since."""
    try:
        stored = json.loads(_record_path(directory, port).read_text("utf-8"))
        return InstanceRecord(**{**stored, "listen": tuple(stored["listen"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def find_ports(directory: Path) -> list[int]:
    """Return the ports of those that have left a record."""
    names = (path.stem.removeprefix("px-") for path in directory.glob("px-*.json"))
    return sorted(int(name) for name in names if name.isdecimal())


def say_in_use(port: int, record: InstanceRecord | None) -> str:
    """Return the sentence for a port that another Px of this user has."""
    if record is None:
        return f"port {port} is in use by a Px that is just starting or ending; choose another --port"
    return (
        f"port {port} on {', '.join(record.listen)} is in use by Px, pid {record.pid};"
        f" px --quit --port={port} ends it, or choose another --port"
    )
