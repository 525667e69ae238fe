"""Which program listens on a port."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from px.system.process.port_owner import find_port_owner
from tests.free_ports import free_port


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_program_that_listens_is_named(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as listening:
        port = listening.getsockname()[1]
        assert find_port_owner(port).endswith(f", pid {os.getpid()}")
        with socket.create_connection((address, port)) as client:
            assert find_port_owner(client.getsockname()[1]) == ""


def test_no_program_is_named_for_a_free_port_or_by_a_system_that_does_not_tell(tmp_path: Path) -> None:
    assert find_port_owner(free_port()) == ""
    assert find_port_owner(1, tmp_path) == ""
