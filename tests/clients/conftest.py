"""What the tests of clients share."""

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
    """Give a web server whose files the test makes."""
    with Site(tmp_path / "site", corporate_network.certificates) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place to run clients in."""
    return Place.create(tmp_path / "client")


@pytest.fixture
def login() -> Login:
    """Tell how Px logs in; tests choose others by parametrizing it."""
    return NTLM


@pytest.fixture
def cold_way(corporate_network: CorporateNetwork, tmp_path: Path, login: Login) -> Iterator[Way]:
    """Give a Px that can log in as alice and has done nothing yet."""
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
    sys.stdout.write(px.output)  # pytest shows it where the test has failed


@pytest.fixture
def way(cold_way: Way) -> Way:
    """Give a Px that has logged in once."""
    cold_way.greet()
    return cold_way


@pytest.fixture
def short_directory() -> Iterator[str]:
    """Give a directory for Chromium's socket, whose path must be shorter than pytest's are."""
    with tempfile.TemporaryDirectory(prefix="px-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield directory
