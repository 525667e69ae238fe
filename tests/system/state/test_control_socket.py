"""The socket on which a Px takes commands: no other user of the computer can reach it."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from px.system.state import control_socket
from px.system.state.control_socket import (
    connect_control,
    may_command,
    open_control_socket,
    remove_control_socket,
)

_SECONDS = 10.0
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets in Python")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the private directory for temporary files; only it and the state directory are private."""
    directory = tmp_path / "tmp"
    directory.mkdir(mode=0o700)
    monkeypatch.setattr(control_socket, "make_temporary_directory", lambda: directory)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return directory


def place_of(directory: Path) -> Path | None:
    """Return the directory of the control socket for a state directory; None if the socket is a port."""
    sock, address = open_control_socket(directory)
    with sock:
        sock.listen()
        with connect_control(address, _SECONDS), sock.accept()[0] as connection:
            assert may_command(connection)
        if isinstance(address, int):
            assert sock.getsockname() == ("127.0.0.1", address)
            return None
        assert stat.S_IMODE(Path(address).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(address).parent.stat().st_mode) == 0o700
    remove_control_socket(address)
    assert not Path(address).exists()
    return Path(address).parent


@posix_only
def test_the_control_socket_is_in_the_state_directory(tmp_path: Path) -> None:
    assert place_of(tmp_path / "state") == tmp_path / "state"


@posix_only
@pytest.mark.parametrize("how", ["too long", "open to others", "no directory", "another user's"])
def test_without_a_usable_state_directory_the_control_socket_is_in_another_private_one(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    state = tmp_path / "state"
    if how == "no directory":
        state.write_text("")
    elif how == "too long":
        state = state / ("x" * control_socket.MAX_PATH_BYTES)
    else:
        state.mkdir(mode=0o700)
        state.chmod(0o711 if how == "open to others" else 0o700)
    if how == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root can make a directory of another user")
        os.chown(state, 12345, 12345)
    assert place_of(state) == temporary
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert place_of(state) == runtime
    runtime.chmod(0o755)
    assert place_of(state) == temporary


def test_without_a_private_directory_the_control_socket_is_a_port(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in (tmp_path / "state", tmp_path / "run"):
        directory.mkdir()
        directory.chmod(0o777)
    temporary.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert place_of(tmp_path / "state") is None
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")  # a relative path would depend on the working directory
    assert place_of(tmp_path / "state") is None


@posix_only
def test_only_sockets_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    remove_control_socket(str(file))
    remove_control_socket(str(tmp_path / "nothing"))
    assert file.read_text() == "mine"


@pytest.mark.skipif(
    sys.platform not in {"linux", "darwin"} or os.getuid() != 0, reason="only root can be another user"
)
@pytest.mark.parametrize(("uid", "may"), [(0, True), (12345, False)])
def test_a_connection_of_another_user_may_not_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, may: bool
) -> None:
    sock, address = open_control_socket(tmp_path / "state")
    path = Path(str(address))
    path.chmod(0o666)  # as if another user had reached the socket in spite of its mode
    path.parent.chmod(0o711)
    monkeypatch.chdir(path.parent)
    with sock, socket.socket(socket.AF_UNIX) as client:
        sock.listen()
        os.seteuid(uid)
        try:
            client.connect(path.name)
        finally:
            os.seteuid(0)
        with sock.accept()[0] as connection:
            assert may_command(connection) is may
