"""What one installation keeps about itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from px.system.installation import load_installation, state_directory


def test_the_values_are_random_and_stay_the_same(tmp_path: Path) -> None:
    first = load_installation(tmp_path / "a")
    assert load_installation(tmp_path / "a") == first
    assert load_installation(tmp_path / "b") != first
    assert len(first.mark_salt) == 16
    assert first.pseudonym.startswith("px-")
    assert first.mark_salt.hex() not in repr(first)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_only_the_user_can_read_them(tmp_path: Path) -> None:
    load_installation(tmp_path / "a")
    assert (tmp_path / "a" / "installation.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"pseudonym": 1}', '{"pseudonym": "a", "mark_salt": "z"}']
)
def test_a_broken_file_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "installation.json").write_text(content)
    made = load_installation(tmp_path)
    assert load_installation(tmp_path) == made


def test_a_directory_that_cannot_be_written_still_gives_values(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert load_installation(tmp_path / "file" / "x").pseudonym


def test_the_state_directory_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path))
    assert state_directory() == tmp_path / "px"
