"""What one installation of Px keeps about itself: random values that stay the same over restarts."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_path

from px.system.file_lock import FileLock

_FILE_NAME = "installation.json"
#: Making the values takes a millisecond; who waits for longer goes on without the lock.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Installation:
    """The random values of an installation.

    Attributes:
        pseudonym: Name of this Px in Via fields; random, so that it tells nothing about the user.
        mark_salt: Salt of `px.core.token_source.TokenSource.secret_mark`.
    """

    pseudonym: str
    mark_salt: bytes = field(repr=False)


def state_directory() -> Path:
    """Return the user's private directory for what Px remembers; it may not exist yet.

    Where it cannot be written (a container with a read-only file system, a service without a home), it is one
    for temporary files: all processes of a user must share what they know of refused logins.
    """
    own = user_state_path("px", appauthor=False)
    return own if _can_be_written(own) else _make_temporary_directory() or own


def _can_be_written(directory: Path) -> bool:
    """Tell whether files can be made in a directory, or it can be made itself."""
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

    def _make_temporary_directory() -> Path | None:
        """Return nothing: a user's own directory can always be written."""
        return None

else:

    def _make_temporary_directory() -> Path | None:
        """Return a directory that no other user could have made, or None."""
        import tempfile  # noqa: PLC0415 - needed only there

        try:
            path = Path(tempfile.gettempdir()) / f"px-{os.getuid()}"
            path.mkdir(mode=0o700, exist_ok=True)
            status = path.lstat()
        except OSError:
            return None
        is_private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
        return path if is_private and status.st_uid == os.getuid() else None


def load_installation(directory: Path) -> Installation:
    """Return the installation's values, made and stored at the first start: the same for all processes.

    Where the directory cannot be written, the values last as long as the process.
    """
    path = directory / _FILE_NAME
    return _load(path) or _make(path)


def _load(path: Path) -> Installation | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_text("utf-8"))
        return Installation(str(stored["pseudonym"]), bytes.fromhex(stored["mark_salt"]))
    return None


def _make(path: Path) -> Installation:
    lock = FileLock(path.with_suffix(".lock"))
    with contextlib.suppress(OSError):
        lock.acquire(_LOCK_SECONDS)
    try:
        installation = _load(path)  # another process may have been a moment earlier
        if installation is None:
            installation = Installation(f"px-{secrets.token_hex(4)}", secrets.token_bytes(16))
            with contextlib.suppress(OSError):
                _store(path, installation)
        return installation
    finally:
        lock.release()


def _store(path: Path, installation: Installation) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"pseudonym": installation.pseudonym, "mark_salt": installation.mark_salt.hex()}
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(json.dumps(content), "utf-8")
    new.replace(path)
