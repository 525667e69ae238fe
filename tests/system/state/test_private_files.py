"""Files and directories that no other user can have changed."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from px.system.state.private_files import (
    find_other_writer,
    find_path_writer,
    open_private,
    read_private,
    write_private,
)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX owners and modes")
root_only = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can give files away"
)
_OTHER_UID = 12345


def give_away(path: Path) -> None:
    os.chown(path, _OTHER_UID, _OTHER_UID, follow_symlinks=False)


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    write_private(path, b"one")
    write_private(path, b"two")
    assert read_private(path, 3) == b"two"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    write_private(tmp_path / "file", b"four")
    with pytest.raises(OSError, match="too large"):
        read_private(tmp_path / "file", 3)


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "file" / "below").mkdir(parents=True)
    with pytest.raises(OSError):
        write_private(tmp_path / "file", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@posix_only
def test_a_new_file_and_directory_are_for_their_owner_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "made" / "file", b"")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made", tmp_path / "made" / "file")]
    assert modes == [0o700, 0o600]


@posix_only
def test_a_file_that_is_opened_can_no_longer_be_written_by_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o666)
    os.close(open_private(str(path), os.O_RDONLY))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@posix_only
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"private")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        read_private(tmp_path / "link", 10)
    write_private(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"private"
    assert not (tmp_path / "link").is_symlink()


@posix_only
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):
        os.close(open_private(str(tmp_path / "pipe"), os.O_WRONLY))


@posix_only
def test_a_device_can_be_opened() -> None:
    os.close(open_private(os.devnull, os.O_WRONLY))


@root_only
def test_a_file_of_another_user_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    give_away(path)
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
        with pytest.raises(PermissionError, match="belongs to another user"):
            open_private(str(path), flags)
    with pytest.raises(PermissionError):
        read_private(path, 10)


@posix_only
def test_a_private_file_and_directory_have_no_other_writer(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    assert find_other_writer(tmp_path / "file") == find_other_writer(tmp_path) == ""
    assert find_path_writer(tmp_path / "not" / "there" / "yet") == ""
    assert find_path_writer(tmp_path / "file" / "below") == ""


@posix_only
def test_a_parent_that_others_can_write_to_is_found(tmp_path: Path) -> None:
    (tmp_path / "open" / "mine").mkdir(parents=True, mode=0o700)
    (tmp_path / "open").chmod(0o777)
    assert find_path_writer(tmp_path / "open" / "mine") == f"everybody can write to {tmp_path / 'open'}"
    assert find_path_writer(tmp_path / "open" / "new") == f"everybody can write to {tmp_path / 'open'}"
    (tmp_path / "open").chmod(0o1777)
    assert find_path_writer(tmp_path / "open" / "mine") == ""
    assert find_path_writer(tmp_path / "open") == f"everybody can write to {tmp_path / 'open'}"


@root_only
def test_a_parent_that_belongs_to_another_user_is_found(tmp_path: Path) -> None:
    (tmp_path / "theirs" / "mine").mkdir(parents=True)
    give_away(tmp_path / "theirs")
    assert find_path_writer(tmp_path / "theirs" / "mine").endswith("theirs belongs to another user")


@root_only
def test_a_link_of_another_user_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert find_path_writer(tmp_path / "link" / "below") == ""
    give_away(tmp_path / "link")
    assert find_path_writer(tmp_path / "link" / "below").endswith("link belongs to another user")


@root_only
def test_the_parents_of_the_target_of_a_link_count_too(tmp_path: Path) -> None:
    (tmp_path / "theirs" / "mine").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "theirs" / "mine")
    give_away(tmp_path / "theirs")
    assert find_path_writer(tmp_path / "link").endswith("theirs belongs to another user")
