"""Which events count as a change of the network, and that a burst counts as one change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from px.system.network_change import watcher as watcher_module
from px.system.network_change.watcher import NetworkChanges

SECONDS = 10


class Network:
    """A fake network, which changes when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: object = "first"
        self.reads = 0
        self.error: OSError | None = None
        self.closed = 0
        self.notify: Callable[[], None]
        monkeypatch.setattr(watcher_module, "open_notices", self._open)
        monkeypatch.setattr(watcher_module, "load_network", self._load)
        monkeypatch.setattr(watcher_module, "_QUIET_SECONDS", 0.05)

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


async def test_the_state_is_read_even_during_an_endless_burst(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_LONGEST_BURST_SECONDS", 0.2)
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


async def test_notices_without_a_change_are_ignored(network: Network) -> None:
    changes = NetworkChanges()
    network.notify()
    assert not await is_noticed(changes, 0.3)
    assert network.reads == 2


async def test_a_change_while_no_task_waits_is_remembered(network: Network) -> None:
    changes = NetworkChanges()
    network.state = "second"
    network.notify()
    assert await is_noticed(changes)


async def test_a_cancelled_wait_loses_no_change(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "_QUIET_SECONDS", 0.3)
    changes = NetworkChanges()
    network.state = "second"
    network.notify()
    assert not await is_noticed(changes, 0.05)
    assert await is_noticed(changes)


async def test_an_unreadable_state_counts_as_changed_after_a_notice(network: Network) -> None:
    changes = NetworkChanges()
    network.error = OSError("no more")
    network.notify()
    assert await is_noticed(changes)
    network.error = None
    network.notify()
    assert await is_noticed(changes)
    network.notify()
    assert not await is_noticed(changes, 0.3)


async def test_without_notices_the_state_is_read_at_intervals(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no netlink in this sandbox")

    monkeypatch.setattr(watcher_module, "open_notices", refuse)
    monkeypatch.setattr(watcher_module, "_POLL_SECONDS", 0.02)
    with caplog.at_level("INFO", "px"):
        changes = NetworkChanges()
    assert repr(changes) == "<NetworkChanges polls>"
    assert "every 0.02 s: no netlink in this sandbox" in caplog.text
    assert not await is_noticed(changes, 0.2)
    assert network.reads > 2
    network.state = "second"
    assert await is_noticed(changes)
    changes.close()


async def test_without_notices_an_unreadable_state_does_not_count_as_changed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may be allowed IP sockets only. Each counted change would close all kept connections."""

    def refuse(*_: object) -> None:
        raise OSError("no netlink in this sandbox")

    monkeypatch.setattr(watcher_module, "open_notices", refuse)
    monkeypatch.setattr(watcher_module, "_POLL_SECONDS", 0.02)
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


async def test_the_real_network_does_not_change_by_itself() -> None:
    changes = NetworkChanges()
    try:
        state = watcher_module._load()
        assert state
        assert state == watcher_module._load()
    finally:
        changes.close()
        changes.close()
