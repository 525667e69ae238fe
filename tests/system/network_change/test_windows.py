"""Changes of the network by the IP Helper API: the real one, and a fake one."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from px.system.network_change.watcher import NetworkChanges
from tests.windows import UNDER_WINE

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="needs the IP Helper API")

_NAMES = ["NotifyIpInterfaceChange", "NotifyUnicastIpAddressChange", "NotifyRouteChange2"]


class IpHelper:
    """A fake iphlpapi, which calls its subscribers in a thread of its own, as Windows does."""

    def __init__(self, *, errors: dict[str, int]) -> None:
        self.callbacks: dict[int, Any] = {}
        self.cancelled: list[int] = []
        self.CancelMibChangeNotify2: Any = self._function(self._cancel)
        for name in _NAMES:
            setattr(self, name, self._function(self._subscriber(errors.get(name, 0))))

    @staticmethod
    def _function(call: Callable[..., int]) -> Any:
        """Return a function with `argtypes` that converts its arguments by them, as ctypes does."""

        class Function(SimpleNamespace):
            def __call__(self, *arguments: Any) -> int:
                assert len(arguments) == len(self.argtypes)
                for kind, argument in zip(self.argtypes, arguments, strict=True):
                    kind.from_param(argument)  # raises if the argument does not fit
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
    return importlib.import_module("px.system.network_change.windows")


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


async def test_a_notice_after_the_end_of_the_loop_causes_no_error(
    monkeypatch: pytest.MonkeyPatch, windows: Any
) -> None:
    helper = put_in_place(monkeypatch, windows)
    loop = asyncio.new_event_loop()
    close = windows.open_notices(loop, pytest.fail)
    loop.close()
    for handle in helper.callbacks:
        helper.call_back(handle)
    close()


async def test_if_one_subscription_fails_the_others_are_cancelled(
    monkeypatch: pytest.MonkeyPatch, windows: Any
) -> None:
    helper = put_in_place(monkeypatch, windows, NotifyRouteChange2=50)
    with pytest.raises(OSError, match="50"):
        windows.open_notices(asyncio.get_running_loop(), pytest.fail)
    assert helper.cancelled == [1001, 1000]


async def test_the_real_api_gives_notices_except_under_wine() -> None:
    changes = NetworkChanges()
    assert repr(changes) == f"<NetworkChanges {'polls' if UNDER_WINE else 'listens'}>"
    changes.close()
