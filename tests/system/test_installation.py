"""What one installation keeps about itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from px.system import installation
from px.system.file_lock import FileLock
from px.system.installation import load_installation, state_directory

_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a user's own directory can be written there")


def test_the_values_are_random_and_stay_the_same(tmp_path: Path) -> None:
    first = load_installation(tmp_path / "a")
    assert load_installation(tmp_path / "a") == first
    assert load_installation(tmp_path / "b") != first
    assert len(first.mark_salt) == 16
    assert first.pseudonym.startswith("px-")
    assert first.mark_salt.hex() not in repr(first)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
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


def test_processes_that_start_at_the_same_moment_have_the_same_values(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from px.system.installation import load_installation\n"
        "print('ready', flush=True); sys.stdin.readline(); made = load_installation(Path(sys.argv[1]))\n"
        "print(made.pseudonym, made.mark_salt.hex())"
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


def test_a_lock_that_is_never_freed_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_LOCK_SECONDS", 0.01)
    stuck = FileLock(tmp_path / "installation.lock")
    assert stuck.try_acquire()
    assert load_installation(tmp_path) == load_installation(tmp_path)
    stuck.release()


def test_the_state_directory_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "to" / "be" / "made"):
        monkeypatch.setenv("XDG_STATE_HOME", str(directory))
        monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(directory))
        assert state_directory() == directory / "px"


@_POSIX
def test_where_it_cannot_be_written_it_is_a_private_one_for_temporary_files(
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
def test_a_directory_that_somebody_else_may_have_made_there_is_not_used(
    unwritable_state: Path, tmp_path: Path, put: Callable[[Path], object]
) -> None:
    put(tmp_path / f"px-{os.getuid()}")
    assert state_directory() == unwritable_state


@pytest.fixture
def unwritable_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a state directory that nobody can make; root may write everywhere else."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "file" / "px"
