"""The log of warnings of a Px without a terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from px.logs.warning_log import WarningLog


def test_there_is_no_file_before_there_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "state" / "warnings.log"
    log = WarningLog(path)
    assert not path.parent.exists()
    log.write("The upstream says \ud800.")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING The upstream says \\ud800\.\n", path.read_text()
    )
    assert repr(log) == f"<WarningLog {path}>"


def test_all_files_together_are_bounded_and_the_newest_lines_stay(tmp_path: Path) -> None:
    log = WarningLog(tmp_path / "warnings.log")
    for number in range(1000):
        log.write(f"{number} " + "x" * 400)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) <= 256 * 1024
    assert "WARNING 999 " in files[0].read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    log = WarningLog(tmp_path / "warnings.log")
    log.write("")
    assert log.path.stat().st_mode & 0o777 == 0o600
