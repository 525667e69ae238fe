"""The parts of the self-test: checks, and curl to make requests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from .squid import Upstream


@dataclass(frozen=True)
class Check:
    """An action and its expected result."""

    description: str
    expected: object
    run: Callable[[], object]

    def complaint(self) -> str:
        """Run the check; return a description of the fault, or an empty text."""
        try:
            result = self.run()
        except Exception as error:  # noqa: BLE001 - any exception means that the check has failed
            result = repr(error)
        return "" if result == self.expected else f"{self.description}: {result!r}, not {self.expected!r}"


@dataclass(frozen=True)
class Login:
    """A login of curl: its options, and the environment with the ticket."""

    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


def curl(url: str, *options: str, env: dict[str, str] | None = None) -> str:
    """Make a request; return its status, or the status of the proxy if the proxy refused the tunnel."""
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}", *options, url],
        env=_without_proxies() | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    status, connect_status = done.stdout.split()
    return connect_status if status == "000" else status


def curl_by(upstream: Upstream, url: str, login: Login, *options: str) -> str:
    """Make a request through a proxy port."""
    return curl(url, "--noproxy", "", "-x", upstream.url, *login.options, *options, env=login.env)


def _without_proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
