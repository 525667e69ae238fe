"""Fixtures and settings for all tests."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from px.logs.log import close_log
from tests.desktops import internet_options
from tests.guard import Home, default_port_in_use
from tests.px_process import WINDOWS_PYTHON
from tests.windows import UNDER_WINE

# No deadlines: on a busy machine a slow example is no fault of the code.
settings.register_profile("px", deadline=None)
settings.load_profile("px")
if UNDER_WINE:  # Wine is slow, and hypothesis tests the same code on Linux
    settings.register_profile(
        "wine", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("wine")

if sys.platform == "win32":  # Squid, Samba and a KDC run on Linux only
    collect_ignore = [
        "clients",
        "corpnet",
        "e2e",
        "system/login/test_tokens_at_squid.py",
        "test_binary.py",
        "test_corpnet.py",
    ]
else:
    from tests.corpnet.fixtures import corporate_network

    __all__ = ["corporate_network"]
    collect_ignore = [] if WINDOWS_PYTHON else ["e2e/wine"]

#: The id of the user "nobody", who owns no files.
NOBODY = 65534


#: Directories whose tests run with all parameters everywhere: there systems and Pythons differ.
ALWAYS_WHOLE = ("tests/io/", "tests/system/")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a second system or Python, which runs the code that the first one has tested."""
    parser.addoption(
        "--last-parameters",
        action="store_true",
        help=f"run each test with its last parameters only, except in {' and '.join(ALWAYS_WHOLE)}",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need the corporate network, so that ``-m 'not corpnet'`` leaves them out."""
    if config.getoption("--last-parameters"):
        last = {item.nodeid.partition("[")[0]: item for item in items}
        others = [
            item
            for item in items
            if last[item.nodeid.partition("[")[0]] is not item and not item.nodeid.startswith(ALWAYS_WHOLE)
        ]
        left_out = set(others)
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if "corporate_network" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.corpnet)
    if WINDOWS_PYTHON:
        items[:] = filter(_runs_px_under_wine, items)


def _runs_px_under_wine(item: pytest.Item) -> bool:
    """Tell whether a test, with its parameters, is marked to run with a Px under Wine."""
    mark = item.get_closest_marker("px_under_wine")
    return mark is not None and (not mark.args or getattr(item, "callspec").id in mark.args)  # noqa: B009


@pytest.fixture(scope="session", autouse=True)
def no_internet_options() -> Iterator[None]:
    """Clear Internet Options, since Windows detects proxies automatically by default."""
    if not UNDER_WINE:
        yield
        return
    with internet_options() as write:
        write(0)
        yield


@pytest.fixture(scope="session", autouse=True)
def unused_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Give the tests a home other than that of the person who runs them."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session", autouse=True)
def occupied_default_port() -> Iterator[None]:
    """Occupy Px's default port, as a running Px of the developer would."""
    with default_port_in_use():
        yield


@pytest.fixture(autouse=True)
def untouched_home(unused_home: Home) -> Iterator[None]:
    """Fail a test whose Px leaves files in a home other than the test's own."""
    yield
    assert unused_home.find_traces() == []


@pytest.fixture(autouse=True)
def no_px_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's own settings from the environment."""
    for name in list(os.environ):
        if name.startswith(("PX_", "SSL_CERT_", "DBUS_SESSION")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def px_logging() -> Iterator[None]:
    """Close the log that a test has opened and restore the logger ``px``."""
    yield
    close_log()
    logging.getLogger("px").setLevel(logging.NOTSET)
    logging.getLogger("px").propagate = True


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """Run the test as an ordinary user if it runs as root, and yield a directory of that user."""
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
