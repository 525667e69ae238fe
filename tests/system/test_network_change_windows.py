"""Changes of the network by the IP Helper API: the real one, and one that says what a test wants."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from px.system.network_change import NetworkChanges
from tests.windows import UNDER_WINE

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="the IP Helper API is Windows'")

_NAMES = ["NotifyIpInterfaceChange", "NotifyUnicastIpAddressChange", "NotifyRouteChange2"]


class IpHelper:
    """iphlpapi: takes subscriptions and calls them back in a thread of its own, as Windows does."""

    def __init__(self, *, errors: dict[str, int]) -> None:
        self.callbacks: dict[int, Any] = {}
        self.cancelled: list[int] = []
        self.CancelMibChangeNotify2: Any = self._function(self._cancel)
        for name in _NAMES:
            setattr(self, name, self._function(self._subscriber(errors.get(name, 0))))

    @staticmethod
    def _function(call: Callable[..., int]) -> Any:
        """Return something to call that has `argtypes`, and converts by them as ctypes does."""

        class Function(SimpleNamespace):
            def __call__(self, *arguments: Any) -> int:
                assert len(arguments) == len(self.argtypes)
                for kind, argument in zip(self.argtypes, arguments, strict=True):
                    kind.from_param(argument)  # raises where it does not fit
                return call(*arguments)

        return Function()

    def _subscriber(self, error: int) -> Callable[..., int]:
        def subscribe(family: int, callback: Any, context: None, is_first: int, handle: Any) -> int:
            assert (family, context, is_first) == (0, None, False)
            if not error:
                handle._obj.value = 1000 + len(self.callbacks)
                self.callbacks[handle._obj.value] = callback
            return error

        return subscribe

    def _cancel(self, handle: int) -> int:
        self.cancelled.append(handle)
        return 0

    def call_back(self, handle: int) -> None:
        thread = threading.Thread(target=self.callbacks[handle], args=(None, 0xABC, 0))
        thread.start()
        thread.join()


@pytest.fixture
def windows() -> Any:
    return importlib.import_module("px.system.network_change_windows")


def put_in_place(monkeypatch: pytest.MonkeyPatch, windows: Any, **errors: int) -> IpHelper:
    helper = IpHelper(errors=errors)
    monkeypatch.setattr(windows.ctypes, "WinDLL", {"iphlpapi": helper}.__getitem__)
    return helper


async def test_each_kind_of_notice_arrives_in_the_loop(monkeypatch: pytest.MonkeyPatch, windows: Any) -> None:
    helper = put_in_place(monkeypatch, windows)
    noticed = asyncio.Event()
    close = windows.open_notices(asyncio.get_running_loop(), noticed.set)
    assert len(helper.callbacks) == 3
    for handle in helper.callbacks:
        await asyncio.to_thread(helper.call_back, handle)
        await asyncio.wait_for(noticed.wait(), 10)
        noticed.clear()
    close()
    close()
    assert sorted(helper.cancelled) == sorted(helper.callbacks)


async def test_a_notice_that_comes_after_the_loop_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, windows: Any
) -> None:
    helper = put_in_place(monkeypatch, windows)
    loop = asyncio.new_event_loop()
    close = windows.open_notices(loop, pytest.fail)
    loop.close()
    for handle in helper.callbacks:
        helper.call_back(handle)
    close()


async def test_where_one_kind_is_refused_the_others_are_given_back(
    monkeypatch: pytest.MonkeyPatch, windows: Any
) -> None:
    helper = put_in_place(monkeypatch, windows, NotifyRouteChange2=50)
    with pytest.raises(OSError, match="50"):
        windows.open_notices(asyncio.get_running_loop(), pytest.fail)
    assert helper.cancelled == [1001, 1000]


async def test_the_real_one_is_listened_to_or_under_wine_not() -> None:
    changes = NetworkChanges()
    assert repr(changes) == f"<NetworkChanges {'polls' if UNDER_WINE else 'listens'}>"
    changes.close()
