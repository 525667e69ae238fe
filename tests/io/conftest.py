"""The fixtures of all tests in this directory."""

from tests.io.quick_sweep import quick_sweep  # noqa: F401
