"""Changes of a real network: namespaces whose links, addresses and routes change."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import px
from tests.namespaces import Namespace, SmallNetwork, skip_without_namespaces

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs netlink and namespaces")

_SECONDS = 60.0
#: Prints a line each time it reads the network, and another line if the network has changed.
_WATCH = """
import asyncio, logging, sys
sys.path.insert(0, sys.argv[1])
from px.system.network_change import watcher as watcher_module
load, watcher_module._QUIET_SECONDS = watcher_module.load_network, 0.1
def look():
    state = load()
    print("looks", flush=True)
    return state
watcher_module.load_network = look
async def main():
    changes = watcher_module.NetworkChanges()
    print(repr(changes), flush=True)
    while True:
        await changes.wait()
        print("changed", flush=True)
asyncio.run(main())
"""
#: Linux gives each new link an address a second later. Turn that off, since the change would disturb a test.
_SETTLE = """
for link in guest remote; do
  ip link set dev $link addrgenmode none && ip -6 address flush dev $link scope link || exit
done
"""


class Watch:
    """A process on the host that waits for changes of the network."""

    def __init__(self, process: subprocess.Popen[str], host: Namespace) -> None:
        self._process = process
        self.host = host

    def ip(self, *arguments: str) -> None:
        self.host.run("ip", *arguments)

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the process for a while."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def sees_change(self) -> bool:
        """Wait until the process has read the network again; return whether the network had changed.

        The process reads the network only after a notice; without one it prints nothing until its time is
        up. After a read without a change, the next line is that of the next read.
        """
        assert self.read() == "looks"
        self.ip("link", "set", "lo", "mtu", "65000")  # a notice without a change
        self.ip("link", "set", "lo", "mtu", "65536")
        line = self.read()
        if line == "changed":
            assert self.read() == "looks"
        return line == "changed"


@pytest.fixture
def watch() -> Iterator[Watch]:
    skip_without_namespaces()
    source = str(Path(px.__file__).parent.parent)
    with SmallNetwork() as network:
        network.host.run("sh", "-c", _SETTLE)
        command = [*network.host.prefix, sys.executable, "-c", _WATCH, source]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            alarm = threading.Timer(_SECONDS, process.kill)
            alarm.start()
            try:
                new = Watch(process, network.host)
                assert [new.read(), new.read()] == ["looks", "<NetworkChanges listens>"]
                yield new
            finally:
                alarm.cancel()
                process.kill()


def test_new_and_removed_addresses_are_changes(watch: Watch) -> None:
    for address in ("203.0.113.9/24", "2001:db8::9/64"):
        watch.host.add_address(address, "remote")
        assert watch.sees_change()
        watch.host.remove_address(address, "remote")
        assert watch.sees_change()


def test_a_burst_is_one_change(watch: Watch) -> None:
    for number in range(20, 25):
        watch.host.add_address(f"203.0.113.{number}/24", "remote")
    watch.ip("route", "add", "default", "via", "203.0.113.7")
    assert watch.sees_change()


def test_a_link_that_goes_down_or_up_is_a_change(watch: Watch) -> None:
    watch.ip("link", "set", "remote", "down")
    assert watch.sees_change()
    watch.ip("link", "set", "remote", "up")
    assert watch.sees_change()


def test_a_cable_that_is_unplugged_at_the_other_end_is_a_change(watch: Watch) -> None:
    other = Namespace(watch.host.name.replace("-host", "-remote"))
    other.run("ip", "link", "set", "host", "down")
    assert watch.sees_change()


def test_new_replaced_and_removed_routes_are_changes(watch: Watch) -> None:
    for family, first, second in (("-4", "203.0.113.7", "172.17.0.5"), ("-6", "2001:db8::7", "fd17::5")):
        watch.ip(family, "route", "add", "default", "via", first)
        assert watch.sees_change()
        watch.ip(family, "route", "replace", "default", "via", second)
        assert watch.sees_change()
        watch.ip(family, "route", "del", "default")
        assert watch.sees_change()


def test_a_longer_lifetime_of_an_address_is_no_change(watch: Watch) -> None:
    watch.ip(
        "address", "change", "2001:db8::1/64", "dev", "remote", "valid_lft", "5000", "preferred_lft", "4000"
    )
    watch.sees_change()  # the lifetime was unlimited: Linux now gives its route the same lifetime
    watch.ip(
        "address", "change", "2001:db8::1/64", "dev", "remote", "valid_lft", "9000", "preferred_lft", "8000"
    )
    assert not watch.sees_change()
    watch.ip(
        "address", "change", "203.0.113.1/24", "dev", "remote", "valid_lft", "9000", "preferred_lft", "8000"
    )
    assert not watch.sees_change()


def test_a_link_of_a_container_is_no_change(watch: Watch) -> None:
    watch.ip("link", "add", "container", "type", "veth", "peer", "name", "inside")
    watch.ip("link", "set", "inside", "up")
    watch.ip("link", "set", "container", "up")
    assert not watch.sees_change()


def test_an_overflow_of_notices_counts_as_a_notice(watch: Watch, tmp_path: Path) -> None:
    batch = tmp_path / "addresses"
    batch.write_text("".join(f"address add 10.9.{n >> 8}.{n & 255}/32 dev remote\n" for n in range(1500)))
    with watch.stopped():
        watch.ip("-batch", str(batch))
    assert watch.sees_change()
    columns = [line.split() for line in watch.host.run("cat", "/proc/net/netlink").splitlines()]
    drops = columns[0].index("Drops")
    assert any(int(row[drops]) for row in columns[1:])
