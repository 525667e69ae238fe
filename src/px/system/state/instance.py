"""Ensures that a user runs one Px per port, and lets commands find that Px.

For each port the state directory has a lock, which the Px holds while it runs, and a record that says where
it takes commands. Only this user can read the record. A process that knows the token in the record may
command the Px.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from px.core.startup_errors import PortInUseError
from px.system.state.control_socket import ControlAddress, remove_control_socket
from px.system.state.file_lock import FileLock
from px.system.state.private_files import read_private, write_private

#: `Instance.is_running` holds the lock for a moment, so one failed try does not mean that a Px runs.
CLAIM_SECONDS = 0.3
_POLL_SECONDS = 0.02
_MAX_RECORD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What the record says of a running Px.

    Attributes:
        pid: Process id of its main process.
        listen: The addresses on which it listens.
        control: Where it takes commands: see `px.system.state.control_socket`.
        token: Secret that every command must carry.
        version: Version of Px.
        started: Seconds since the epoch.
    """

    pid: int
    listen: tuple[str, ...]
    control: ControlAddress
    token: str = field(repr=False)
    version: str
    started: float


@dataclass(frozen=True, slots=True)
class Launch:
    """What Px needs to start again in the same way.

    Attributes:
        flags: Its options, ``--name=value``; they never hold a secret.
        directory: Its working directory.
        is_background: Whether it runs in the background, without a console whose Ctrl-C it would receive.
    """

    flags: tuple[str, ...] = ()
    directory: str = ""
    is_background: bool = False


class Instance:
    """The one Px of this user on a port.

    Args:
        directory: The state directory.
        port: The port on which the Px listens.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._lock_path = directory / f"px-{port}.lock"
        self._lock = FileLock(self._lock_path)
        self._path = _record_path(directory, port)

    def claim(self) -> None:
        """Claim the port for this process, until `release` or the end of the process.

        If the state directory cannot be written, several Px may claim a port; `publish` then raises an error.

        Raises:
            PortInUseError: Another Px of this user has the port.
        """
        latest = time.monotonic() + CLAIM_SECONDS
        with contextlib.suppress(OSError):
            while not self._lock.try_acquire():
                if time.monotonic() > latest:
                    raise PortInUseError(format_in_use(self.port, load_record(self.directory, self.port)))
                time.sleep(_POLL_SECONDS)
            self._clear()

    def _clear(self) -> None:
        """Remove the files of a Px that was killed."""
        if record := load_record(self.directory, self.port):
            remove_control_socket(record.control)
        self._path.unlink(missing_ok=True)

    def publish(self, record: InstanceRecord) -> None:
        """Write the record, so that commands find this Px.

        Raises:
            OSError: The state directory cannot be written.
        """
        fields = asdict(record)
        # An older Px reads this record too, and knows the field by its old name.
        fields["control_port"] = fields.pop("control")
        write_private(self._path, json.dumps(fields).encode("ascii"))

    def withdraw(self) -> None:
        """Remove the record, so that commands no longer find this Px. The claim stays."""
        if self._lock.is_held:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Remove the record and release the claim. Safe to call again."""
        self.withdraw()
        self._lock.release()

    def is_running(self) -> bool:
        """Whether a process has claimed the port; it may be just starting or ending.

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
    """Return the record of the Px on a port, which may have ended since; None without a valid record."""
    try:
        stored = json.loads(read_private(_record_path(directory, port), _MAX_RECORD_BYTES))
        control = stored.pop("control_port")
        if not isinstance(control, int | str):
            return None
        return InstanceRecord(**{**stored, "control": control, "listen": tuple(stored["listen"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def find_ports(directory: Path) -> list[int]:
    """Return the ports for which there is a record."""
    names = (path.stem.removeprefix("px-") for path in directory.glob("px-*.json"))
    return sorted(int(name) for name in names if name.isdecimal())


def format_in_use(port: int, record: InstanceRecord | None) -> str:
    """Return the message for a port that another Px of this user has."""
    if record is None:
        return f"port {port} is in use by a Px that is just starting or ending; choose another --port"
    return (
        f"port {port} on {', '.join(record.listen)} is in use by Px, pid {record.pid};"
        f" px --quit --port={port} ends it, or choose another --port"
    )
