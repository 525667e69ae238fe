"""What the end-to-end tests share."""

from __future__ import annotations

import pytest

from tests.corpnet.network import CorporateNetwork


@pytest.fixture(scope="session")
def network(corporate_network: CorporateNetwork) -> CorporateNetwork:
    """Give the running network, by a shorter name."""
    return corporate_network
