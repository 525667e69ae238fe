"""What counts as a change of the network, and how many changes a burst is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from px.system import network_change
from px.system.network_change import NetworkChanges

SECONDS = 10


class Network:
    """A network that changes when a test says so, in the place of the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: object = "first"
        self.reads = 0
        self.error: OSError | None = None
        self.closed = 0
        self.notify: Callable[[], None]
        monkeypatch.setattr(network_change, "open_notices", self._open)
        monkeypatch.setattr(network_change, "load_network", self._load)
        monkeypatch.setattr(network_change, "_QUIET_SECONDS", 0.05)

    def _open(self, loop: asyncio.AbstractEventLoop, notify: Callable[[], None]) -> Callable[[], None]:
        assert loop is asyncio.get_running_loop()
        self.notify = notify
        return self._close

    def _close(self) -> None:
        self.closed += 1

    def _load(self) -> object:
        self.reads += 1
        if self.error:
            raise self.error
        return self.state


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


async def is_noticed(changes: NetworkChanges, seconds: float = SECONDS) -> bool:
    try:
        await asyncio.wait_for(changes.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def test_a_burst_is_one_change(network: Network) -> None:
    changes = NetworkChanges()
    waiting = asyncio.create_task(changes.wait())
    for number in range(20):
        network.state = number
        network.notify()
        await asyncio.sleep(0.005)
    await asyncio.wait_for(waiting, SECONDS)
    assert network.reads == 2  # at the start, and after the burst
    assert not await is_noticed(changes, 0.2)


async def test_a_burst_without_end_is_looked_at_all_the_same(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_change, "_LONGEST_BURST_SECONDS", 0.2)
    changes = NetworkChanges()

    async def storm() -> None:
        while True:
            network.notify()
            await asyncio.sleep(0.01)

    storming = asyncio.create_task(storm())
    network.state = "second"
    assert await is_noticed(changes)
    storming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await storming


async def test_notices_without_a_change_are_none(network: Network) -> None:
    changes = NetworkChanges()
    network.notify()
    assert not await is_noticed(changes, 0.3)
    assert network.reads == 2


async def test_a_change_while_nobody_waits_is_remembered(network: Network) -> None:
    changes = NetworkChanges()
    network.state = "second"
    network.notify()
    assert await is_noticed(changes)


async def test_who_gives_up_waiting_loses_no_change(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_change, "_QUIET_SECONDS", 0.3)
    changes = NetworkChanges()
    network.state = "second"
    network.notify()
    assert not await is_noticed(changes, 0.05)
    assert await is_noticed(changes)


async def test_a_state_that_cannot_be_read_may_have_changed(network: Network) -> None:
    changes = NetworkChanges()
    network.error = OSError("no more")
    network.notify()
    assert await is_noticed(changes)
    network.error = None
    network.notify()
    assert await is_noticed(changes)
    network.notify()
    assert not await is_noticed(changes, 0.3)


async def test_where_the_system_does_not_say_it_is_looked_for(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no netlink in this sandbox")

    monkeypatch.setattr(network_change, "open_notices", refuse)
    monkeypatch.setattr(network_change, "_POLL_SECONDS", 0.02)
    with caplog.at_level("INFO", "px"):
        changes = NetworkChanges()
    assert repr(changes) == "<NetworkChanges polls>"
    assert "every 0.02 s: no netlink in this sandbox" in caplog.text
    assert not await is_noticed(changes, 0.2)
    assert network.reads > 2
    network.state = "second"
    assert await is_noticed(changes)
    changes.close()


async def test_what_can_neither_be_heard_nor_read_does_not_change_every_few_seconds(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a service that may open no sockets but those of IP: each change costs all kept connections."""

    def refuse(*_: object) -> None:
        raise OSError("no netlink in this sandbox")

    monkeypatch.setattr(network_change, "open_notices", refuse)
    monkeypatch.setattr(network_change, "_POLL_SECONDS", 0.02)
    network.error = OSError("no netlink in this sandbox")
    changes = NetworkChanges()
    assert not await is_noticed(changes, 0.2)
    assert network.reads > 2
    network.error = None
    assert await is_noticed(changes)
    changes.close()


async def test_closing_ends_the_notices_once(network: Network) -> None:
    changes = NetworkChanges()
    changes.close()
    changes.close()
    assert network.closed == 1


async def test_the_real_network_stays_as_it_is_while_nothing_happens() -> None:
    changes = NetworkChanges()
    try:
        state = network_change._load()
        assert state
        assert state == network_change._load()
    finally:
        changes.close()
        changes.close()
