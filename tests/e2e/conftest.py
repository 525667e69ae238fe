"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpnet.network import CorporateNetwork

from .lockout_runs import FIGURES, RUNS, busy_processors


@pytest.fixture(scope="session")
def network(corporate_network: CorporateNetwork) -> CorporateNetwork:
    """Return the running network, under a shorter name."""
    return corporate_network


@pytest.fixture(scope="session")
def lockout_run(request: pytest.FixtureRequest) -> Iterator[int]:
    """Keep the computer busy during one of several runs of all attacks."""
    with busy_processors():
        yield request.param


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat each attack as many times as `make lockout` asks for."""
    if RUNS > 1 and metafunc.definition.get_closest_marker("lockout"):
        metafunc.fixturenames.append("lockout_run")
        ids = [f"run{number}" for number in range(RUNS)]
        metafunc.parametrize("lockout_run", range(RUNS), indirect=True, ids=ids, scope="session")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many wrong logins each run of each attack cost."""
    if RUNS > 1:
        terminalreporter.section("wrong logins that were counted")
        for attack, figures in FIGURES.items():
            terminalreporter.line(f"{' '.join(map(str, figures)):30} {attack}")
