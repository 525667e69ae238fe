"""Notices of network changes on Windows, by the IP Helper API."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Final

#: They subscribe to interfaces, addresses and routes (netioapi.h), and have the same parameters.
_NOTIFIERS: Final = ("NotifyIpInterfaceChange", "NotifyUnicastIpAddressChange", "NotifyRouteChange2")

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _AF_UNSPEC: Final = 0
    #: Windows calls it in its own thread, with the context, the row that changed, and the kind of change.
    _Callback: Final = ctypes.WINFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)

    def open_notices(loop: asyncio.AbstractEventLoop, notify: Callable[[], None]) -> Callable[[], None]:
        """Call `notify` in the loop after each possible change; return the function that ends this.

        Raises:
            OSError: Windows sends no notices.
        """

        def receive(_context: int | None, _row: int | None, _kind: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(notify)

        iphlpapi = ctypes.WinDLL("iphlpapi")
        iphlpapi.CancelMibChangeNotify2.argtypes = [wintypes.HANDLE]
        callback = _Callback(receive)
        handles: list[int] = []

        def close() -> None:
            """End the notices, and wait for those under way: `callback` must exist until then."""
            while handles:
                iphlpapi.CancelMibChangeNotify2(handles.pop())
            _ = callback

        try:
            for name in _NOTIFIERS:
                handles.append(_subscribe(iphlpapi, name, callback))  # noqa: PERF401 - `close` needs those made before a failure
        except OSError:
            close()
            raise
        return close

    def _subscribe(iphlpapi: ctypes.WinDLL, name: str, callback: object) -> int:
        handle = wintypes.HANDLE()
        function = getattr(iphlpapi, name)
        function.argtypes = [
            wintypes.USHORT,
            _Callback,
            ctypes.c_void_p,
            wintypes.BOOLEAN,
            ctypes.POINTER(wintypes.HANDLE),
        ]
        error = function(_AF_UNSPEC, callback, None, False, ctypes.byref(handle))
        if error:
            raise ctypes.WinError(error)
        if not handle.value:
            raise OSError(f"{name} does nothing here")  # Wine
        return handle.value
