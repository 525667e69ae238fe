"""What the tests of the network share."""

from __future__ import annotations

import pytest

from px.net import io_loop


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice a passed deadline soon: tests make deadlines short."""
    monkeypatch.setattr(io_loop, "SWEEP_SECONDS", 0.01)
