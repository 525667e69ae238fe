"""What all tests share."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from px.log import close_log
from tests.desktops import internet_options
from tests.px_process import WINDOWS_PYTHON
from tests.windows import UNDER_WINE

if UNDER_WINE:  # where all is slow, and what hypothesis looks at is the same code as elsewhere
    settings.register_profile(
        "wine", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("wine")

if sys.platform == "win32":  # Squid, Samba and a KDC run on Linux only
    collect_ignore = [
        "clients",
        "corpnet",
        "e2e",
        "system/test_tokens_at_squid.py",
        "test_binary.py",
        "test_corpnet.py",
    ]
else:
    from tests.corpnet.fixtures import corporate_network

    __all__ = ["corporate_network"]
    collect_ignore = [] if WINDOWS_PYTHON else ["e2e/wine"]

#: The user who owns nothing.
NOBODY = 65534


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the corporate network, so that ``-m 'not corpnet'`` leaves it out."""
    for item in items:
        if "corporate_network" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.corpnet)
    if WINDOWS_PYTHON:
        items[:] = filter(_runs_px_under_wine, items)


def _runs_px_under_wine(item: pytest.Item) -> bool:
    """Whether a test is marked to run with a Px under Wine, with the parameters that the mark may name."""
    mark = item.get_closest_marker("px_under_wine")
    return mark is not None and (not mark.args or getattr(item, "callspec").id in mark.args)  # noqa: B009


@pytest.fixture(scope="session", autouse=True)
def no_internet_options() -> Iterator[None]:
    """Have nothing checked in Internet Options, where Windows has proxies looked for by default."""
    if not UNDER_WINE:
        yield
        return
    with internet_options() as write:
        write(0)
        yield


@pytest.fixture(autouse=True)
def no_px_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out."""
    for name in list(os.environ):
        if name.startswith(("PX_", "SSL_CERT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def px_logging() -> Iterator[logging.Logger]:
    """Give the logger ``px`` as it was, and take down what the test made of it."""
    yield logging.getLogger("px")
    close_log()
    logging.getLogger("px").setLevel(logging.NOTSET)
    logging.getLogger("px").propagate = True


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """Be no root for a while, whom no permission stops, and give a directory of one's own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        if sys.platform != "linux" or os.getuid() != 0:
            yield Path(directory)
            return
        os.chown(directory, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield Path(directory)
        finally:
            os.setresuid(0, 0, 0)
