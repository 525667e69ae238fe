"""What Px shows while it waits."""

from __future__ import annotations

import io
import threading

import pytest

from px.system.process.waiting import waiting_for


class Screen(io.StringIO):
    """A stream that goes to a terminal, or not, and tells when it has a whole line."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self.has_line = threading.Event()

    def isatty(self) -> bool:
        return self._is_terminal

    def flush(self) -> None:
        self.has_line.set()


def test_a_long_wait_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(is_terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    with waiting_for("the KDC of CORP.EXAMPLE", quiet_seconds=0):
        assert screen.has_line.wait(10)
    assert screen.getvalue() == "Waiting for the KDC of CORP.EXAMPLE ...\n"


def test_a_short_wait_is_not_shown_and_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, before = Screen(is_terminal=True), set(threading.enumerate())
    monkeypatch.setattr("sys.stderr", screen)
    with waiting_for("the proxy", quiet_seconds=60):
        (timer,) = set(threading.enumerate()) - before
    timer.join(10)
    assert not timer.is_alive()
    assert screen.getvalue() == ""


@pytest.mark.parametrize("stream", [None, Screen(is_terminal=False)], ids=["none", "pipe"])
def test_without_a_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch, stream: Screen | None) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    before = threading.active_count()
    with waiting_for("the proxy", quiet_seconds=0):
        assert threading.active_count() == before
    assert stream is None or stream.getvalue() == ""
