"""The socket of notices may break."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

import pytest

from px.system.network_change.notices import watch_socket
from tests.scripted_upstream import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such socket on Windows")


async def test_px_stops_watching_a_broken_socket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "px")
    notices: list[None] = []
    # A socket that is not connected is always readable, and each receive fails.
    close = watch_socket(socket.socket(), asyncio.get_running_loop(), lambda: notices.append(None))
    await until(lambda: notices)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(notices) == 1
    assert "no longer reports changes of the network" in caplog.text
    close()
