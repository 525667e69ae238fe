"""What all tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from px.log import close_log
from tests.corpnet.fixtures import corporate_network

__all__ = ["corporate_network"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the corporate network, so that ``-m 'not corpnet'`` leaves it out."""
    for item in items:
        if "corporate_network" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.corpnet)


@pytest.fixture(autouse=True)
def no_px_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out."""
    for name in list(os.environ):
        if name.startswith("PX_"):
            monkeypatch.delenv(name)


@pytest.fixture
def px_logging() -> Iterator[logging.Logger]:
    """Give the logger ``px`` as it was, and take down what the test made of it."""
    yield logging.getLogger("px")
    close_log()
    logging.getLogger("px").setLevel(logging.NOTSET)
    logging.getLogger("px").propagate = True
