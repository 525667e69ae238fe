"""Keeps tests away from the developer's home and from Px's default port."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.px_process import DEFAULT_PORT

#: Loopback only; this also stops a Px that listens on all interfaces.
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@contextlib.contextmanager
def default_port_in_use() -> Iterator[None]:
    """Listen on Px's default port, so that a test that uses this port fails.

    If another program already has the port, such as the developer's Px, that serves the same purpose.
    """
    with contextlib.ExitStack() as opened:
        for family, address in _LOOPBACK:
            with contextlib.suppress(OSError):
                sock = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.bind((address, DEFAULT_PORT))
                sock.listen()
        yield


def home_variables(home: Path) -> dict[str, str]:
    """Return the variables that make a directory the home of programs."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "runtime"),
        "WIN_PD_OVERRIDE_APPDATA": str(home / "config"),
        "WIN_PD_OVERRIDE_LOCAL_APPDATA": str(home / "state"),
    }


def own_homes() -> list[Path]:
    """Return the directories in which the developer's Px keeps its files."""
    from platformdirs import user_config_path, user_state_path  # noqa: PLC0415

    return [user_state_path("px", appauthor=False), user_config_path("px", appauthor=False, roaming=True)]


class Home:
    """A home that no test may use, since each test has its own.

    Args:
        directory: An empty directory.
    """

    #: The environment variables that name a home.
    VARIABLES = tuple(home_variables(Path()))

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._untouched = [path for path in own_homes() if not path.exists()]
        os.environ.update(home_variables(directory))

    def find_traces(self) -> list[Path]:
        """Return what Px has left in this home and in the real one since the last call; empty this home."""
        traces = sorted(self._directory.rglob("px"))
        for path in traces:
            shutil.rmtree(path)
        real = [path for path in self._untouched if path.exists()]
        self._untouched = [path for path in self._untouched if path not in real]
        return traces + real
