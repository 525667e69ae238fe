"""A Squid with one port for each login scheme, and its password files."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .access_log import FLUSH_HOST, AccessLog
from .kerberos import User
from .launcher import shared_memory_prefix
from .ports import LOOPBACK, reserved_ports
from .processes import Processes, give_to_server_user
from .squid_config import (
    DIGEST_REALM,
    Port,
    SquidPlace,
    SquidSettings,
    squid_config,
)

HELPERS = "/usr/lib/squid"


@dataclass(frozen=True)
class Upstream:
    """One port of a Squid: an upstream proxy for the program under test.

    Its log has only the requests to this port.
    """

    name: str
    schemes: tuple[str, ...]
    port: int
    tls: bool
    log: AccessLog

    @property
    def url(self) -> str:
        """Return the proxy's URL."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"


class Squid:
    """One Squid process."""

    def __init__(self, processes: Processes, name: str) -> None:
        """Take a name of letters only, since it is part of Squid's service name."""
        self._processes = processes
        self._name = name
        self._directory = processes.directory / f"squid-{name}"
        self._flush_port = 0
        self.log = AccessLog(self._directory / "access.log", self._ask_flush_port)

    def start(
        self,
        ports: Sequence[Port],
        settings: SquidSettings,
        place: SquidPlace,
        env: Mapping[str, str] | None = None,
    ) -> dict[str, Upstream]:
        """Start the Squid; return its ports by their names."""
        self._directory.mkdir()
        give_to_server_user(self._directory)
        configuration = self._processes.directory / f"squid-{self._name}.conf"
        with reserved_ports(len(ports) + 1) as (self._flush_port, *numbers):
            numbered = dict(zip(ports, numbers, strict=True))
            configuration.write_text(
                squid_config(self._directory, place, settings, numbered, self._flush_port)
            )
            configuration.chmod(0o644)
            self._run(configuration, env or {})
        return {
            port.name: Upstream(port.name, port.schemes, number, port.tls, self.log.of_port(number))
            for port, number in numbered.items()
        }

    def _run(self, configuration: Path, env: Mapping[str, str]) -> None:
        service = shared_memory_prefix(self._processes.directory) + self._name
        process = self._processes.spawn(
            f"squid-{self._name}",
            ["squid", "-N", "-n", service, "-f", str(configuration)],
            env=env,
            as_server_user=True,
        )
        self._processes.wait_until(process, self._answers)

    def _answers(self) -> bool:
        try:
            self._ask_flush_port("/started")
        except OSError:
            return False
        return True

    def _ask_flush_port(self, path: str) -> None:
        with closing(http.client.HTTPConnection(LOOPBACK, self._flush_port, timeout=10)) as connection:
            connection.request("GET", f"http://{FLUSH_HOST}{path}")
            connection.getresponse().read()


def write_digest_passwords(path: Path, users: Sequence[User]) -> None:
    """Write the password file of Squid's digest_file_auth."""
    lines = []
    for user in users:
        login = f"{user.name}:{DIGEST_REALM}"
        digest = hashlib.md5(f"{login}:{user.password}".encode()).hexdigest()
        lines.append(f"{login}:{digest}\n")
    path.write_text("".join(lines))
    give_to_server_user(path)


def write_basic_passwords(processes: Processes, path: Path, users: Sequence[User]) -> None:
    """Write the password file of Squid's basic_ncsa_auth."""
    lines = []
    for number, user in enumerate(users):
        hashed = processes.run(
            f"openssl-passwd-{number}",
            ["openssl", "passwd", "-apr1", "-stdin"],
            stdin=user.password + "\n",
        )
        lines.append(f"{user.name}:{hashed.strip()}\n")
    path.write_text("".join(lines))
    give_to_server_user(path)
