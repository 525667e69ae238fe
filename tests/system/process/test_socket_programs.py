from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from px.system.process.socket_programs import find_programs

CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.recv(1)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS tells only root")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_program_at_the_other_end_of_a_connection_is_found(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        port = listening.getsockname()[1]
        with subprocess.Popen([sys.executable, "-c", CLIENT, host, str(port)]) as program:
            accepted, address = listening.accept()
            with accepted:
                theirs, ours = (address[0], address[1]), (host, port)
                found = find_programs([(theirs, ours), (theirs, ("192.0.2.1", port)), (ours, theirs)])
            program.wait()
    if sys.platform == "win32":
        assert found == {}, "Px does not ask Windows"
        return
    assert set(found) == {(theirs, ours), (ours, theirs)}
    name = found[theirs, ours]
    assert name.startswith("python")
