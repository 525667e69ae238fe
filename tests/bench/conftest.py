"""Builds the load programs once; skips the tests that need them if there is no compiler."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux" or not shutil.which("gcc"):
    collect_ignore_glob = ["test_*.py"]
else:
    from bench import tools
    from bench.tools import Server
    from bench.user import USER

    @pytest.fixture(scope="session", autouse=True)
    def built() -> None:
        tools.build()

    @pytest.fixture
    def origin() -> Iterator[Server]:
        with Server() as server:
            yield server

    @pytest.fixture
    def ntlm_upstream() -> Iterator[Server]:
        with Server(USER) as server:
            yield server
