"""Real SOCKS servers, on loopback: Dante (5 and 4), microsocks (5 with a password), Twisted's (4 and 4A)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.clients.program import need
from tests.corpnet.ports import LOOPBACK, accepts_connections, reserved_ports
from tests.corpnet.processes import Process, Processes

USER, PASSWORD = "alice", "s3cret+socks"
#: The rules of Dante forbid this address.
DENIED = "127.0.0.9"

_DANTE = """\
logoutput: stdout
internal: {address} port = {port}
external: {address}
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: {denied}/32 log: connect error }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 log: connect error }}
"""


@dataclass(frozen=True)
class SocksServer:
    """A running SOCKS server."""

    port: int
    process: Process

    def url(self, scheme: str, userinfo: str = "") -> str:
        """Return the URL for Px's --proxy."""
        return f"{scheme}://{userinfo}{LOOPBACK}:{self.port}"


class SocksServers:
    """Starts each server when a test first asks for it.

    Args:
        processes: The running `Processes` of the test.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._running: dict[str, SocksServer] = {}

    def dante(self) -> SocksServer:
        """Return a server of SOCKS 5 and 4 without a login; a rule forbids one address."""
        need("danted")
        path = self._processes.directory / "danted.conf"

        def command(port: int) -> list[str]:
            path.write_text(_DANTE.format(address=LOOPBACK, port=port, denied=DENIED))
            path.chmod(0o644)
            return ["danted", "-f", str(path)]

        return self._start("danted", command)

    def microsocks(self) -> SocksServer:
        """Return a server of SOCKS 5 that requires `USER` and `PASSWORD`."""
        need("microsocks")
        login = ["-u", USER, "-P", PASSWORD]
        return self._start("microsocks", lambda port: ["microsocks", "-i", LOOPBACK, "-p", str(port), *login])

    def twisted(self) -> SocksServer:
        """Return a server of SOCKS 4 and 4A."""
        need("twistd3")
        begin = ["twistd3", "--nodaemon", "--pidfile=", "socks", "--interface", LOOPBACK]
        return self._start("twistd3", lambda port: [*begin, "--port", str(port)])

    def _start(self, name: str, command: Callable[[int], list[str]]) -> SocksServer:
        if name not in self._running:
            with reserved_ports(1) as (port,):
                process = self._processes.spawn(name, command(port), as_server_user=True)
                self._processes.wait_until(process, lambda: accepts_connections(port))
            self._running[name] = SocksServer(port, process)
        return self._running[name]


@contextmanager
def running_socks_servers() -> Iterator[SocksServers]:
    """Yield an object that starts the servers; they end with the block."""
    processes = Processes()
    processes.start()
    try:
        yield SocksServers(processes)
    finally:
        processes.stop()
