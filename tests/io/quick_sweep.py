"""A fixture that makes passed deadlines take effect soon."""

from __future__ import annotations

import pytest

from px.io import io_loop


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time in which Px notices a passed deadline."""
    monkeypatch.setattr(io_loop, "SWEEP_SECONDS", 0.01)
