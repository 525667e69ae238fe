"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from px.system.state.whole_file import write_whole
from tests.windows import not_under_wine

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes, owners and links are POSIX")
root_only = pytest.mark.skipif(
    getattr(os, "getuid", lambda: 1)() != 0, reason="only root can give files away"
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_with_its_directories(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_whole(path, b"new\r\n")
    assert path.read_bytes() == b"new\r\n"
    assert [*path.parent.iterdir()] == [path]


@posix_only
def test_a_new_file_is_private_unless_a_mode_is_given(tmp_path):
    write_whole(tmp_path / "private", b"")
    write_whole(tmp_path / "public", b"", mode=0o644)
    assert (mode_of(tmp_path / "private"), mode_of(tmp_path / "public")) == (0o600, 0o644)


@posix_only
def test_an_existing_file_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o640)


@posix_only
@root_only
def test_an_existing_file_keeps_its_owner(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 12345, 12345)
    write_whole(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)


@posix_only
@pytest.mark.parametrize("is_there", [True, False], ids=["there", "dangling"])
def test_writing_to_a_link_changes_its_target(tmp_path, is_there):
    target, link = tmp_path / "dir" / "target", tmp_path / "link"
    target.parent.mkdir()
    if is_there:
        target.write_text("old")
    link.symlink_to(target)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_reader_of_the_old_file_still_reads_the_old_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        if sys.platform == "win32":  # an open file cannot be replaced there, so nothing changes
            with pytest.raises(PermissionError):
                write_whole(path, b"new")
        else:
            write_whole(path, b"new")
        assert reader.read() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@not_under_wine("root may write to what is read-only")
def test_a_read_only_file_is_not_replaced(ordinary_user):
    path = ordinary_user / "file"
    path.write_text("old")
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    path.chmod(0o600)  # Windows does not remove read-only files


@posix_only
def test_a_read_only_directory_gets_no_file(ordinary_user):
    ordinary_user.chmod(0o500)
    with pytest.raises(PermissionError):
        write_whole(ordinary_user / "file", b"new")


@pytest.mark.parametrize("name", ["file/below", "."], ids=["below a file", "a directory"])
def test_a_path_that_cannot_be_a_file_is_an_error(tmp_path, name):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match=r"."):
        write_whole(tmp_path / name, b"new")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]
