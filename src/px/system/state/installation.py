"""The random values that all processes of a Px share, and the directories where Px keeps its state."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_path

from px.core.startup_errors import ConfigError
from px.system.state.file_lock import FileLock
from px.system.state.private_files import find_path_writer, read_private, write_private

_FILE_NAME = "installation.json"
_MAX_BYTES = 4096
#: Making the values takes a millisecond. A process that waits for longer goes on without the lock.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Installation:
    """The random values of one running Px.

    Attributes:
        mark_salt: Salt of `px.core.auth.token_source.TokenSource.secret_mark`; the same at each start.
        pseudonym: Name of this Px in Via fields. It is random, so that it reveals nothing about the user, and
            new at each start: one Px of a user may be the upstream of another, which is not a loop.
    """

    mark_salt: bytes = field(repr=False)
    pseudonym: str = field(default_factory=lambda: f"px-{secrets.token_hex(4)}")


def state_directory() -> Path:
    """Return the user's private directory for the state of Px; it may not exist yet.

    Px uses a private directory for temporary files instead if this user cannot write the normal one (a
    read-only container, a service without a home), or if other users can change that (they can write to
    HOME). All processes of a user must share one directory: the record of refused logins is there.

    Raises:
        ConfigError: Other users can change both directories.
    """
    own = user_state_path("px", appauthor=False)
    writer = find_path_writer(own)
    if not writer and _can_be_written(own):
        return own
    temporary = make_temporary_directory()
    if temporary is None and writer:
        raise ConfigError(f"there is no directory for what Px must remember: {writer}; {_FIX}")
    return temporary or own


def make_temporary_directory() -> Path | None:
    """Return the user's private directory for temporary files; None if it cannot be made or used safely."""
    import tempfile  # noqa: PLC0415 - rarely needed

    return _make_private_directory(Path(tempfile.gettempdir()))


def _can_be_written(directory: Path) -> bool:
    """Whether this user can make files in a directory, or make the directory."""
    for place in (directory, *directory.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and os.access(place, os.W_OK | os.X_OK)
    return False


if sys.platform == "win32":
    _FIX = "rename that directory, and Px makes a new one"

    def _make_private_directory(place: Path) -> Path | None:
        """Return a directory in the user's place for temporary files, or None if another user owns it."""
        path = place / "px"
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return None
        return None if find_path_writer(path) else path

    def _is_private(_path: Path) -> bool:
        """Return False: Windows has no such directory."""
        return False

else:
    _FIX = "name a private one in the environment variable XDG_STATE_HOME"

    def _make_private_directory(place: Path) -> Path | None:
        """Return a directory below one for all users that belongs to this user alone; None if it does not."""
        path = place / f"px-{os.getuid()}"
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return None
        return path if _is_private(path) else None

    def _is_private(path: Path) -> bool:
        """Whether a directory belongs to this user and no other user can enter it."""
        try:
            status = path.lstat()
        except OSError:
            return False
        is_for_all = not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077
        return not is_for_all and status.st_uid == os.getuid()


def memory_directory() -> Path | None:
    """Return the user's directory for files in memory (Linux only); it may not exist yet.

    Px can write there even if the disk is full. The files last until the computer restarts.
    """
    return _find_memory_directory() if sys.platform == "linux" else None


def _find_memory_directory() -> Path | None:
    place = Path(os.environ.get("XDG_RUNTIME_DIR") or "/dev/shm")  # noqa: S108 - a private one is made there
    path = place / f"px-{getattr(os, 'getuid', int)()}"
    return path if place.is_dir() and (not path.exists() or _is_private(path)) else None


def load_installation(directory: Path) -> Installation:
    """Return the values for a Px that starts, which hands them to its workers.

    The first start makes the salt and stores it. If the directory cannot be written, the salt lasts until the
    computer restarts (in `memory_directory`), or as long as this Px.
    """
    path, memory = directory / _FILE_NAME, memory_directory()
    fallback = memory / name_for(path) if memory else None
    return _load(path) or (_load(fallback) if fallback else None) or _make(path, fallback)


def name_for(path: Path) -> str:
    """Return the name that a file gets in `memory_directory` if it cannot be written at its own path."""
    return f"{path.stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}{path.suffix}"


def _load(path: Path) -> Installation | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(read_private(path, _MAX_BYTES))
        return Installation(bytes.fromhex(stored["mark_salt"]))
    return None


def _make(path: Path, fallback: Path | None) -> Installation:
    lock = FileLock(path.with_suffix(".lock"))
    with contextlib.suppress(OSError):
        lock.acquire(_LOCK_SECONDS)
    try:
        installation = _load(path)  # another process may have stored it meanwhile
        if installation is None:
            installation = Installation(secrets.token_bytes(16))
            try:
                _store(path, installation)
            except OSError:
                if fallback is not None:
                    with contextlib.suppress(OSError):
                        _store(fallback, installation)
        return installation
    finally:
        lock.release()


def _store(path: Path, installation: Installation) -> None:
    write_private(path, json.dumps({"mark_salt": installation.mark_salt.hex()}).encode("ascii"))
