"""The limit of open files is raised to what the system allows."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")

_CODE = """
import resource
from px.system.process.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits_after(soft: int, hard: int) -> str:
    code = _CODE.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_soft_limit_becomes_the_hard_one() -> None:
    assert limits_after(64, 512) == "512 512 512"


def test_a_limit_that_cannot_be_raised_stays_unchanged() -> None:
    assert limits_after(512, 512) == "512 512 512"
