"""The socket on which a running Px takes commands; other users of this computer should not reach it.

On POSIX it is a Unix socket that only its owner may connect to, in a directory that only its owner may enter.
On Windows, and on systems without such a directory, it is a port of 127.0.0.1, which every user can reach.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from px.system.state.installation import make_temporary_directory
from px.system.state.private_files import find_path_writer

LOOPBACK: Final = "127.0.0.1"
#: Longest path of a Unix socket: with its NUL byte it may have 104 bytes on macOS, 108 on Linux.
MAX_PATH_BYTES: Final = 103

#: A port of 127.0.0.1, or the path of a Unix socket.
ControlAddress = int | str

_LOGGER = logging.getLogger("px.control")


def connect_control(address: ControlAddress, timeout_seconds: float) -> socket.socket:
    """Return a socket that is connected to the Px that takes commands at this address.

    Raises:
        OSError: No Px listens there, or this system has no such sockets.
    """
    if isinstance(address, int):
        return socket.create_connection((LOOPBACK, address), timeout_seconds)
    return _connect_unix(address, timeout_seconds)


def open_control_socket(directory: Path) -> tuple[socket.socket, ControlAddress]:
    """Return a new socket for commands, and where it listens.

    Args:
        directory: The state directory; its path may be too long for a socket.

    Raises:
        OSError: Neither a Unix socket nor a port can be opened.
    """
    for place in _find_private_places(directory):
        path = str(place / f"control-{secrets.token_hex(4)}.sock")
        if len(os.fsencode(path)) <= MAX_PATH_BYTES:
            with contextlib.suppress(OSError):  # the file system may not support sockets
                return _bind_unix(path), path
    if sys.platform != "win32":
        _LOGGER.warning("no private directory can hold the control socket: other users reach its port")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # or else other programs could share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind((LOOPBACK, 0))
    except OSError:
        sock.close()
        raise
    return sock, int(sock.getsockname()[1])


def remove_control_socket(address: ControlAddress) -> None:
    """Remove the file of a socket that is closed or whose Px has ended."""
    if isinstance(address, str):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(Path(address).lstat().st_mode):
                Path(address).unlink()


if sys.platform == "win32":

    def _connect_unix(_path: str, _timeout_seconds: float) -> socket.socket:
        raise OSError("Windows has no Unix sockets")

    def _find_private_places(_directory: Path) -> Iterator[Path]:
        return iter(())

    def _bind_unix(_path: str) -> socket.socket:
        raise OSError("Windows has no Unix sockets")

    def may_command(_connection: socket.socket) -> bool:
        """Return True: on Windows only the token decides who may command Px."""
        return True

else:

    def _connect_unix(path: str, timeout_seconds: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_seconds)
            sock.connect(path)
        except OSError:
            sock.close()
            raise
        return sock

    def _find_private_places(directory: Path) -> Iterator[Path]:
        """Yield directories that no other user can enter, the best one first."""
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(directory):
            yield directory
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
        if runtime.is_absolute() and _is_private(runtime):
            yield runtime
        temporary = make_temporary_directory()
        if temporary is not None and _is_private(temporary):
            yield temporary

    def _is_private(directory: Path) -> bool:
        try:
            status = directory.stat()
        except OSError:
            return False
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        return is_own and not status.st_mode & 0o077 and not find_path_writer(directory)

    def _bind_unix(path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(mask)
        return sock

    def may_command(connection: socket.socket) -> bool:
        """Whether the user at the other end may command Px: this user, root, or an unknown user."""
        is_unix = connection.family == socket.AF_UNIX
        return not is_unix or _find_peer_uid(connection) in {None, 0, os.geteuid()}

    if sys.platform == "linux":

        def _find_peer_uid(connection: socket.socket) -> int | None:
            """Return the user at the other end of a Unix socket; None if the system does not say."""
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
            return int(struct.unpack("iII", peer)[1])

    elif sys.platform == "darwin":
        #: Size of `xucred`: version, user, groups.
        _XUCRED_BYTES: Final = 76
        _SOL_LOCAL, _LOCAL_PEERCRED = 0, 1

        def _find_peer_uid(connection: socket.socket) -> int | None:
            peer = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
            return int(struct.unpack_from("=II", peer)[1])

    else:

        def _find_peer_uid(_connection: socket.socket) -> int | None:
            return None
