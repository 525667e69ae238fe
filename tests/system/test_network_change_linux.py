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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink and namespaces are Linux'")

_SECONDS = 60.0
#: Says each time that it looks at the network, and then whether that has changed.
_WATCH = """
import asyncio, logging, sys
sys.path.insert(0, sys.argv[1])
from px.system import network_change
load, network_change._QUIET_SECONDS = network_change.load_network, 0.1
def look():
    state = load()
    print("looks", flush=True)
    return state
network_change.load_network = look
async def main():
    changes = network_change.NetworkChanges()
    print(repr(changes), flush=True)
    while True:
        await changes.wait()
        print("changed", flush=True)
asyncio.run(main())
"""
#: Linux makes a link an address of its own, and takes it into use a second later: not while a test counts.
_SETTLE = """
for link in guest stranger; do
  ip link set dev $link addrgenmode none && ip -6 address flush dev $link scope link || exit
done
"""


class Watch:
    """A process at the host that waits for changes of its network."""

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
        """Have it do nothing for a while."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def sees_change(self) -> bool:
        """Wait until it has looked at the network again; return whether that had changed then.

        It looks at a notice only: without one it says nothing until its time is up. What follows a look
        without a change is the next look.
        """
        assert self.read() == "looks"
        self.ip("link", "set", "lo", "mtu", "65000")  # a notice that is no change
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


def test_addresses_that_come_and_go(watch: Watch) -> None:
    for address in ("203.0.113.9/24", "2001:db8::9/64"):
        watch.host.add_address(address, "stranger")
        assert watch.sees_change()
        watch.host.remove_address(address, "stranger")
        assert watch.sees_change()


def test_a_burst_is_one_change(watch: Watch) -> None:
    for number in range(20, 25):
        watch.host.add_address(f"203.0.113.{number}/24", "stranger")
    watch.ip("route", "add", "default", "via", "203.0.113.7")
    assert watch.sees_change()


def test_a_link_that_goes_down_and_comes_up(watch: Watch) -> None:
    watch.ip("link", "set", "stranger", "down")
    assert watch.sees_change()
    watch.ip("link", "set", "stranger", "up")
    assert watch.sees_change()


def test_a_cable_that_is_pulled_at_its_other_end(watch: Watch) -> None:
    other = Namespace(watch.host.name.replace("-host", "-stranger"))
    other.run("ip", "link", "set", "host", "down")
    assert watch.sees_change()


def test_routes_that_are_made_replaced_and_removed(watch: Watch) -> None:
    for family, first, second in (("-4", "203.0.113.7", "172.17.0.5"), ("-6", "2001:db8::7", "fd17::5")):
        watch.ip(family, "route", "add", "default", "via", first)
        assert watch.sees_change()
        watch.ip(family, "route", "replace", "default", "via", second)
        assert watch.sees_change()
        watch.ip(family, "route", "del", "default")
        assert watch.sees_change()


def test_an_address_whose_lifetime_is_extended_is_no_change(watch: Watch) -> None:
    watch.ip(
        "address", "change", "2001:db8::1/64", "dev", "stranger", "valid_lft", "5000", "preferred_lft", "4000"
    )
    watch.sees_change()  # it was for ever: Linux gives it a route of the same lifetime
    watch.ip(
        "address", "change", "2001:db8::1/64", "dev", "stranger", "valid_lft", "9000", "preferred_lft", "8000"
    )
    assert not watch.sees_change()
    watch.ip(
        "address", "change", "203.0.113.1/24", "dev", "stranger", "valid_lft", "9000", "preferred_lft", "8000"
    )
    assert not watch.sees_change()


def test_a_link_of_a_container_is_no_change(watch: Watch) -> None:
    watch.ip("link", "add", "container", "type", "veth", "peer", "name", "inside")
    watch.ip("link", "set", "inside", "up")
    watch.ip("link", "set", "container", "up")
    assert not watch.sees_change()


def test_more_notices_than_the_kernel_keeps_are_a_notice(watch: Watch, tmp_path: Path) -> None:
    batch = tmp_path / "addresses"
    batch.write_text("".join(f"address add 10.9.{n >> 8}.{n & 255}/32 dev stranger\n" for n in range(1500)))
    with watch.stopped():
        watch.ip("-batch", str(batch))
    assert watch.sees_change()
    columns = [line.split() for line in watch.host.run("cat", "/proc/net/netlink").splitlines()]
    drops = columns[0].index("Drops")
    assert any(int(row[drops]) for row in columns[1:])
