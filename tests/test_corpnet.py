"""The corporate network that the end-to-end tests use."""

from __future__ import annotations

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.selftest import run_selftest

pytestmark = pytest.mark.corpnet


def test_every_port_behaves_as_described(corporate_network: CorporateNetwork) -> None:
    count, complaints = run_selftest(corporate_network)
    assert count > 100
    assert complaints == []
