"""What one installation of Px keeps about itself: random values that stay the same over restarts."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_path

_FILE_NAME = "installation.json"


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
    """Return the user's private directory for what Px remembers; it may not exist yet."""
    return user_state_path("px", appauthor=False)


def load_installation(directory: Path) -> Installation:
    """Return the installation's values, made and stored at the first start.

    Where the directory cannot be written, the values last as long as the process.
    """
    path = directory / _FILE_NAME
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_text("utf-8"))
        return Installation(str(stored["pseudonym"]), bytes.fromhex(stored["mark_salt"]))
    installation = Installation(f"px-{secrets.token_hex(4)}", secrets.token_bytes(16))
    with contextlib.suppress(OSError):
        _store(path, installation)
    return installation


def _store(path: Path, installation: Installation) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"pseudonym": installation.pseudonym, "mark_salt": installation.mark_salt.hex()}
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(json.dumps(content), "utf-8")
    new.replace(path)
