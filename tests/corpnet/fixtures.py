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
    """Give one running network for all tests.

    Where its packages are missing the tests are skipped, but fail on a CI server,
    where nobody would notice that they no longer run.
    """
    if missing := missing_packages():
        reason = f"the corporate network needs {', '.join(missing)}; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with CorporateNetwork() as network:
        yield network
