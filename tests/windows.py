"""Wine, which stands in for Windows in these tests, and what it does otherwise."""

from __future__ import annotations

import ctypes
import sys

import pytest

#: Wine says so by an entry that its ntdll has and that of Windows has not.
UNDER_WINE = sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def not_under_wine(reason: str) -> pytest.MarkDecorator:
    """Skip where Wine is not like Windows."""
    return pytest.mark.skipif(UNDER_WINE, reason=f"under Wine {reason}")
