"""Fixtures for the tests of imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conversion import Converter


@pytest.fixture
def converter(tmp_path: Path) -> Converter:
    """Return an empty working directory."""
    return Converter(tmp_path)
