"""What is made of a socket that brings notices, where it breaks."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

import pytest

from px.system.network_notices import watch_socket
from tests.scripted_upstream import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such socket on Windows")


async def test_a_socket_that_breaks_for_good_is_watched_no_more(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("px"), "propagate", True)  # whatever a test before did
    caplog.set_level(logging.WARNING, "px")
    notices: list[None] = []
    # Not connected: readable for ever, and each receive fails.
    close = watch_socket(socket.socket(), asyncio.get_running_loop(), lambda: notices.append(None))
    await until(lambda: notices)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(notices) == 1
    assert "no more notice of changes of the network" in caplog.text
    close()
