"""A small real network: a computer for Px and two neighbours. It needs Linux and root.

::

    guest     172.17.0.5    fd17::5      (a container, say)
      | veth
    host      172.17.0.1    fd17::1      (Px; on the link to the guest)
      |       203.0.113.1   2001:db8::1  (on the link to the remote computer)
      | veth
    remote    203.0.113.7   2001:db8::7

Each computer is a network namespace with its own interfaces, addresses and ports, so the network of this
computer stays untouched. In the host's /etc/hosts the names `UPSTREAM_NAMES` are loopback addresses.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_TIMEOUT_SECONDS = 30.0
#: The names in the examples of Px's specification.
UPSTREAM_NAMES = ("proxyserver", "proxyserver.com")


class Namespace:
    """One computer of the network.

    Args:
        name: The name for `ip netns`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: This before a command makes the command run in the namespace; the process keeps its id.
        self.prefix = ("ip", "netns", "exec", name)

    def run(self, *command: str) -> str:
        """Run a command in the namespace and return its output."""
        return _run(*self.prefix, *command)

    def add_address(self, address: str, interface: str) -> None:
        """Add an address to an interface, usable at once."""
        self.run("ip", "address", "add", address, "dev", interface, *_nodad(address))

    def remove_address(self, address: str, interface: str) -> None:
        """Remove an address from an interface."""
        self.run("ip", "address", "del", address, "dev", interface)

    def fetch(self, url: str, *, proxy: str, source: str = "", seconds: float = 10) -> tuple[int, str]:
        """Get a URL by curl; return the status, or 0 without an answer, and the text of the answer."""
        by = ["--interface", source] if source else []
        command = ["curl", "-sg", f"-m{seconds:g}", *by, "-x", proxy, "-w", r"\n%{http_code}", url]
        done = subprocess.run(
            [*self.prefix, *command], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text


class SmallNetwork:
    """The network; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        tag = f"px{os.getpid()}"
        self.host = Namespace(f"{tag}-host")
        self.guest = Namespace(f"{tag}-guest")
        self.remote = Namespace(f"{tag}-remote")
        self._all = (self.host, self.guest, self.remote)
        self._etc = Path("/etc/netns") / self.host.name

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def _build(self) -> None:
        self._etc.mkdir(parents=True)
        (self._etc / "hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"127.0.0.80 {name}\n" for name in UPSTREAM_NAMES)
        )
        for namespace in self._all:
            _run("ip", "netns", "add", namespace.name)
            namespace.run("ip", "link", "set", "lo", "up")
        self._join("guest", self.guest, ("172.17.0.1/16", "fd17::1/64"), ("172.17.0.5/16", "fd17::5/64"))
        near, far = ("203.0.113.1/24", "2001:db8::1/64"), ("203.0.113.7/24", "2001:db8::7/64")
        self._join("remote", self.remote, near, far)

    def _join(self, interface: str, other: Namespace, near: Sequence[str], far: Sequence[str]) -> None:
        """Connect a neighbour to the host. The host's interface is named ``guest`` or ``remote``."""
        ends = ("netns", self.host.name, "type", "veth", "peer", "name", "host", "netns", other.name)
        _run("ip", "link", "add", interface, *ends)
        for namespace, end, addresses in ((self.host, interface, near), (other, "host", far)):
            for address in addresses:
                namespace.add_address(address, end)
            namespace.run("ip", "link", "set", end, "up")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for namespace in self._all:
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "delete", namespace.name)
        shutil.rmtree(self._etc, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._etc.parent.rmdir()  # fails while the directory has namespaces of others


def skip_without_namespaces() -> None:
    """Skip the test, with the reason, if namespaces cannot be created."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux")
    if os.geteuid() != 0:
        pytest.skip(
            "NOT TESTED: network namespaces need root; the tests of --gateway over a network want them"
        )
    missing = [command for command in ("ip", "curl") if not shutil.which(command)]
    if missing:
        pytest.skip(f"NOT TESTED: the network namespaces of the tests need {', '.join(missing)}")
    probe = f"px{os.getpid()}-probe"
    try:
        _run("ip", "netns", "add", probe)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"NOT TESTED: no network namespace can be made here: {error.stderr.strip()}")
    _run("ip", "netns", "delete", probe)


def _nodad(address: str) -> list[str]:
    return ["nodad"] if ":" in address else []  # otherwise the address is unusable for a second


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
    return done.stdout
