"""Fixtures of the tests with clients."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.program import Place
from tests.clients.site import Site
from tests.clients.way import NTLM, Login, Way
from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess


@pytest.fixture
def site(corporate_network: CorporateNetwork, tmp_path: Path) -> Iterator[Site]:
    """Yield a web server; the test creates its files."""
    with Site(tmp_path / "site", corporate_network.certificates) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a directory and an environment for clients."""
    return Place.create(tmp_path / "client")


@pytest.fixture
def login() -> Login:
    """Return how Px logs in; tests parametrize this fixture to choose another way."""
    return NTLM


@pytest.fixture
def cold_way(corporate_network: CorporateNetwork, tmp_path: Path, login: Login) -> Iterator[Way]:
    """Yield a Px that can log in as alice and has not logged in yet."""
    network, directory = corporate_network, tmp_path / "px"
    directory.mkdir()
    user = "alice@AD.TEST" if login.scheme == "negotiate" else r"ADTEST\alice"
    with PxProcess(
        directory,
        f"--proxy=localhost:{getattr(network, login.upstream).port}",
        f"--username={user}",
        "--verbose",
        environment={"PX_PASSWORD": network.ad.alice.password, **network.ad.realm.env},
    ) as px:
        yield Way(network, px, login)
    sys.stdout.write(px.output)  # pytest shows this if the test fails


@pytest.fixture
def way(cold_way: Way) -> Way:
    """Return a Px that has logged in once."""
    cold_way.greet()
    return cold_way


@pytest.fixture
def short_directory() -> Iterator[str]:
    """Yield a directory for Chromium's socket, whose path must be shorter than those of pytest."""
    with tempfile.TemporaryDirectory(prefix="px-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield directory
