"""The network as a pytest fixture. Import `corporate_network` in a conftest.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .network import CorporateNetwork
from .packages import missing_packages
from .system_programs import INSTALL_SCRIPT


@pytest.fixture(scope="session")
def corporate_network() -> Iterator[CorporateNetwork]:
    """Yield one running network for all tests.

    If its packages are missing, the tests are skipped. On a CI server they fail
    instead, since nobody would notice the skip.
    """
    if missing := missing_packages():
        reason = f"the corporate network needs {', '.join(missing)}; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with CorporateNetwork() as network:
        yield network
