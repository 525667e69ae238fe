"""The values and the state directory of an installation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from px.system.state import installation
from px.system.state.file_lock import FileLock
from px.system.state.installation import load_installation, state_directory

_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a user's own directory can be written there")


def test_the_salt_is_random_and_stays_the_same(tmp_path: Path) -> None:
    first = load_installation(tmp_path / "a")
    assert load_installation(tmp_path / "a").mark_salt == first.mark_salt
    assert load_installation(tmp_path / "b").mark_salt != first.mark_salt
    assert len(first.mark_salt) == 16
    assert first.mark_salt.hex() not in repr(first)


def test_each_start_has_a_new_pseudonym(tmp_path: Path) -> None:
    pseudonyms = {load_installation(tmp_path).pseudonym for _ in range(3)}
    assert len(pseudonyms) == 3
    assert all(each.startswith("px-") for each in pseudonyms)


def test_the_file_of_an_older_version_still_gives_the_salt(tmp_path: Path) -> None:
    (tmp_path / "installation.json").write_text('{"pseudonym": "px-00000000", "mark_salt": "0102"}')
    made = load_installation(tmp_path)
    assert made.mark_salt == b"\1\2"
    assert made.pseudonym != "px-00000000"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_the_user_can_read_the_values(tmp_path: Path) -> None:
    load_installation(tmp_path / "a")
    assert (tmp_path / "a" / "installation.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"mark_salt": 1}', '{"mark_salt": "z"}'])
def test_a_broken_file_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "installation.json").write_text(content)
    made = load_installation(tmp_path)
    assert load_installation(tmp_path).mark_salt == made.mark_salt


def test_a_directory_that_cannot_be_written_still_gives_values(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert load_installation(tmp_path / "file" / "x").mark_salt


def test_processes_that_start_at_the_same_moment_have_the_same_salt(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from px.system.state.installation import load_installation\n"
        "print('ready', flush=True); sys.stdin.readline(); made = load_installation(Path(sys.argv[1]))\n"
        "print(made.mark_salt.hex())"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "state")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for each in starting:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in starting:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    assert len({each.communicate(timeout=30)[0] for each in starting}) == 1


def test_a_lock_that_is_never_released_does_not_stop_px_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_LOCK_SECONDS", 0.01)
    stuck = FileLock(tmp_path / "installation.lock")
    assert stuck.try_acquire()
    assert load_installation(tmp_path).mark_salt == load_installation(tmp_path).mark_salt
    stuck.release()


def test_the_state_directory_belongs_to_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "to" / "be" / "made"):
        monkeypatch.setenv("XDG_STATE_HOME", str(directory))
        monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(directory))
        assert state_directory() == directory / "px"


@_POSIX
def test_without_a_writable_state_directory_px_uses_a_private_temporary_one(
    unwritable_state: Path, tmp_path: Path
) -> None:
    directory = state_directory()
    assert directory == tmp_path / f"px-{os.getuid()}"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert state_directory() == directory
    load_installation(directory)


def _put_link(path: Path) -> None:
    path.with_name("elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.with_name("elsewhere"))


def _put_directory_of_another(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 12345, -1)


@_POSIX
@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda path: (path.mkdir(), path.chmod(0o755)), id="open-to-others"),
        pytest.param(lambda path: path.write_text(""), id="file"),
        pytest.param(_put_link, id="link"),
        pytest.param(
            _put_directory_of_another,
            id="of-another-user",
            marks=pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs root"),
        ),
    ],
)
def test_a_temporary_directory_that_another_user_may_have_made_is_not_used(
    unwritable_state: Path, tmp_path: Path, put: Callable[[Path], object]
) -> None:
    put(tmp_path / f"px-{os.getuid()}")
    assert state_directory() == unwritable_state


@pytest.fixture
def unwritable_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a state directory that even root cannot make."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "file" / "px"
