"""Shortens the sweep, so that tests notice a passed deadline soon."""

from tests.io.quick_sweep import quick_sweep  # noqa: F401
