"""Whose program is at the other end of a connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from px.system.process.socket_user import find_user, is_of_another_user

NOBODY = 65534
_CONNECT = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket() as client:
    client.connect(("127.0.0.1", int(sys.argv[1])))
    client.recv(1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("family", "address", "target"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET, "127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_the_user_of_a_program_is_found(family: socket.AddressFamily, address: str, target: str) -> None:
    with (
        socket.create_server((address, 0), family=family) as listening,
        socket.create_connection((target, listening.getsockname()[1])) as client,
    ):
        accepted, peer = listening.accept()
        with accepted:
            assert find_user(peer[:2], accepted.getsockname()[:2]) == os.getuid()
            assert not is_of_another_user(peer[:2], accepted.getsockname()[:2])
            assert find_user((address, 1), client.getpeername()[:2]) is None


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="needs a second user")
def test_a_program_of_another_user_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        port = str(listening.getsockname()[1])
        with subprocess.Popen([sys.executable, "-c", _CONNECT, port, str(NOBODY)]):
            accepted, peer = listening.accept()
            with accepted:
                assert find_user(peer, accepted.getsockname()) == NOBODY
                assert is_of_another_user(peer, accepted.getsockname())


def test_a_system_that_does_not_tell_names_no_user(tmp_path: Path) -> None:
    assert find_user(("127.0.0.1", 1), ("127.0.0.1", 2), tmp_path) is None
