"""Who else can change a file: made-up owners and access control lists everywhere, real ones on Windows."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from px.config.files import find_ini, find_trusted
from px.system.state import file_access_windows
from px.system.state.file_access_windows import READ, WRITE, Access, Grant, format_fix, format_writer, is_link

_ME, _SOMEBODY = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
_ALL, _READ_ONLY, _MODIFY = 0x1F01FF, 0x1200A9, 0x1301BF


@pytest.mark.parametrize(
    "sid",
    [
        _ME,
        "S-1-5-18",
        "S-1-5-32-544",
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
        "S-1-5-21-7-8-9-512",
    ],
)
def test_this_user_and_administrators_may_own_and_change_a_file(sid: str) -> None:
    access = Access(sid, (Grant(sid, _ALL),))
    assert not access.is_of_another(_ME)
    assert access.find_others(_ME, WRITE) == []


@pytest.mark.parametrize("sid", ["S-1-1-0", "S-1-5-11", "S-1-5-32-545", "S-1-5-32-512", _SOMEBODY, ""])
def test_other_users_and_groups_may_not(sid: str) -> None:
    access = Access(sid, (Grant(_ME, _ALL), Grant(sid, _MODIFY)))
    assert access.is_of_another(_ME)
    assert access.find_others(_ME, WRITE) == [Grant(sid, _MODIFY)]


@pytest.mark.parametrize("sid", ["S-1-15-2-1", "S-1-5-5-0-1234", "S-1-3-0", "S-1-3-4"])
def test_entries_that_stand_for_a_program_a_session_or_the_owner_do_not_count(sid: str) -> None:
    assert Access(_ME, (Grant(sid, _ALL),)).find_others(_ME, WRITE) == []


@pytest.mark.parametrize("right", [0x2, 0x4, 0x40, 0x10000, 0x40000, 0x80000, 0x10000000, 0x40000000])
def test_each_right_that_changes_a_file_counts(right: int) -> None:
    assert Access(_ME, (Grant(_SOMEBODY, right),)).find_others(_ME, WRITE)


def test_reading_is_not_writing() -> None:
    access = Access(_ME, (Grant("S-1-5-32-545", _READ_ONLY),))
    assert access.find_others(_ME, WRITE) == []
    assert access.find_others(_ME, READ)


def test_a_file_without_a_list_is_open_to_everybody() -> None:
    (everybody,) = Access(_ME, None).find_others(_ME, WRITE)
    assert format_writer(everybody) == "everybody"
    assert not everybody.is_inherited


def test_the_command_of_a_message_removes_what_is_inherited_and_what_is_not() -> None:
    others = [Grant("S-1-1-0", _MODIFY), Grant("S-1-5-11", _MODIFY, is_inherited=True), Grant("S-1-1-0", 0x2)]
    command = rf'icacls "C:\px\px.ini" /inheritance:r /grant:r "*{_ME}:F" "*S-1-5-18:F" "*S-1-5-32-544:F"'
    path = r"C:\px\px.ini"
    assert format_fix(path, others, _ME, is_directory=False) == f'{command} /remove:g "*S-1-1-0"'
    assert format_fix(path, others[1:2], _ME, is_directory=False) == command


def test_the_command_for_a_directory_lets_its_files_inherit() -> None:
    command = format_fix(r"C:\px", [], _ME, is_directory=True)
    assert command.startswith(rf'icacls "C:\px" /inheritance:r /grant:r "*{_ME}:(OI)(CI)F" ')


@pytest.mark.parametrize(
    ("attributes", "tag", "expected"),
    [
        (0x400, 0xA000000C, True),  # a symbolic link
        (0x400, 0xA0000003, True),  # a junction
        (0x400, 0x9000001A, False),  # a file in OneDrive
        (0x20, 0, False),
    ],
)
def test_a_link_is_told_from_a_file_in_a_cloud(attributes: int, tag: int, expected: bool) -> None:
    status = SimpleNamespace(st_mode=0o100644, st_file_attributes=attributes, st_reparse_tag=tag)
    assert is_link(cast("os.stat_result", status)) is expected


if sys.platform == "win32":
    import msvcrt
    from collections.abc import Callable

    from px.core.startup_errors import ConfigError
    from px.system.state import installation
    from px.system.state.private_files import (
        find_directory_writer,
        find_inherited_writer,
        find_other_writer,
        find_path_writer,
        open_private,
        write_private,
    )

    Pretend = Callable[[Access | OSError | None], None]

    def _set_list(path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            file_access_windows.set_list(msvcrt.get_osfhandle(descriptor), text)
        finally:
            os.close(descriptor)

    @pytest.fixture
    def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
        """Let every file have this access."""

        def pretend(access: Access | OSError | None) -> None:
            def read(_path_or_handle: str | int) -> Access | None:
                if isinstance(access, OSError):
                    raise access
                return access

            monkeypatch.setattr(file_access_windows, "read_access", read)
            monkeypatch.setattr(file_access_windows, "read_access_of_handle", read)

        return pretend

    @pytest.fixture
    def ini(tmp_path: Path) -> Path:
        path = tmp_path / "px.ini"
        path.write_bytes(b"[proxy]\n")
        return path

    def test_a_file_of_this_user_has_an_owner_and_a_list(ini: Path) -> None:
        access = file_access_windows.read_access(str(ini))
        assert access is not None
        user = file_access_windows.current_user()
        assert access.owner == user
        assert user in {grant.sid for grant in access.grants or ()}
        with ini.open() as file:
            handle = msvcrt.get_osfhandle(file.fileno())
            assert file_access_windows.read_access_of_handle(handle) == access

    def test_the_access_to_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            file_access_windows.read_access(str(tmp_path / "none"))

    def test_the_default_directories_are_used_without_a_warning() -> None:
        for variable in ("APPDATA", "LOCALAPPDATA"):
            assert find_path_writer(Path(os.environ[variable]) / "px") == ""
            assert find_other_writer(Path(os.environ[variable])) == ""

    def test_a_file_that_everybody_can_write_is_not_used_until_px_opens_it_for_itself(ini: Path) -> None:
        _set_list(ini, "D:P(A;;FA;;;WD)")
        warnings: list[str] = []
        assert find_trusted(ini, warnings) is None
        assert warnings[0].startswith(f"{ini} is not used: everybody can write to {ini}; icacls ")
        os.close(open_private(str(ini), os.O_RDONLY))
        assert find_other_writer(ini) == ""
        assert find_trusted(ini, []) == ini

    def test_a_new_file_that_others_could_read_is_made_private(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Pretend
    ) -> None:
        pretend(Access(file_access_windows.current_user(), (Grant("S-1-5-32-545", _READ_ONLY),)))
        made: list[int] = []
        monkeypatch.setattr(file_access_windows, "make_private", made.append)
        for _ in range(2):  # the second time the file exists and is not empty
            with os.fdopen(open_private(str(tmp_path / "f"), os.O_RDWR | os.O_CREAT), "wb") as file:
                file.write(b"x")
        assert len(made) == 1

    def test_a_list_that_cannot_be_changed_refuses_a_file_that_others_can_write_by_its_own_list(
        ini: Path, monkeypatch: pytest.MonkeyPatch, pretend: Pretend
    ) -> None:
        def refuse(_handle: int) -> None:
            raise PermissionError(13, "Access is denied")

        monkeypatch.setattr(file_access_windows, "make_private", refuse)
        pretend(Access("S-1-5-32-544", (Grant("S-1-5-11", _MODIFY, is_inherited=True),)))
        os.close(open_private(str(ini), os.O_RDONLY))
        pretend(Access("S-1-5-32-544", (Grant("S-1-5-11", _MODIFY),)))
        with pytest.raises(PermissionError, match="Access is denied"):
            open_private(str(ini), os.O_RDONLY)

    def test_what_another_user_owns_is_refused(ini: Path, pretend: Pretend) -> None:
        pretend(Access(_SOMEBODY, ()))
        assert find_other_writer(ini) == f"{ini} belongs to another user"
        assert find_path_writer(ini.parent) == f"{ini.parent} belongs to another user"
        with pytest.raises(PermissionError, match="belongs to another user"):
            open_private(str(ini), os.O_RDONLY)

    def test_a_file_that_others_can_write_by_inheritance_is_used_with_a_warning(
        ini: Path, pretend: Pretend
    ) -> None:
        me = file_access_windows.current_user()
        pretend(Access(me, (Grant("S-1-5-11", _MODIFY, is_inherited=True),)))
        warnings: list[str] = []
        assert find_ini(ini.parent, [], warnings) == ini
        (warning,) = warnings
        assert warning == (
            f"other users can change the upstream of Px: every user can write to {ini};"
            f' icacls "{ini}" /inheritance:r /grant:r "*{me}:F" "*S-1-5-18:F" "*S-1-5-32-544:F" ends that'
        )

    @pytest.mark.parametrize("is_inherited", [True, False])
    def test_a_state_directory_that_others_can_write_is_used_with_a_warning(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Pretend, is_inherited: bool
    ) -> None:
        monkeypatch.setattr(installation, "user_state_path", lambda *_, **__: tmp_path)
        pretend(Access(file_access_windows.current_user(), (Grant(_SOMEBODY, _ALL, is_inherited),)))
        assert installation.state_directory() == tmp_path
        start = f'the user or group {_SOMEBODY} can write to {tmp_path}; icacls "{tmp_path}" '
        assert find_directory_writer(tmp_path).startswith(start)

    def test_a_state_directory_of_another_user_gives_way_to_one_for_temporary_files(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Pretend
    ) -> None:
        theirs, temporary = tmp_path / "theirs", tmp_path / "temporary"
        theirs.mkdir()
        temporary.mkdir()
        monkeypatch.setattr(installation, "user_state_path", lambda *_, **__: theirs)
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
        read = file_access_windows.read_access

        def read_theirs(path: str) -> Access | None:
            return Access(_SOMEBODY, ()) if Path(path) == theirs else read(path)

        monkeypatch.setattr(file_access_windows, "read_access", read_theirs)
        assert installation.state_directory() == temporary / "px"
        pretend(Access(_SOMEBODY, ()))
        with pytest.raises(ConfigError, match="theirs belongs to another user; rename that directory"):
            installation.state_directory()

    def test_a_file_system_without_lists_is_used_unchecked(ini: Path, pretend: Pretend) -> None:
        pretend(None)
        assert find_other_writer(ini) == find_inherited_writer(ini) == ""
        os.close(open_private(str(ini), os.O_RDONLY))

    def test_a_list_that_cannot_be_read_refuses_the_file_and_says_why(ini: Path, pretend: Pretend) -> None:
        pretend(PermissionError(13, "Access is denied"))
        warnings: list[str] = []
        assert find_trusted(ini, warnings) is None
        assert warnings[0].endswith("cannot be read: Access is denied")
        with pytest.raises(PermissionError, match="list cannot be read: Access is denied"):
            open_private(str(ini), os.O_RDONLY)

    def test_a_link_is_not_opened(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_access_windows, "is_link", lambda _: True)
        assert find_other_writer(ini) == f"{ini} is a link"
        with pytest.raises(OSError, match="it is a link"):
            open_private(str(ini), os.O_RDONLY)

    def test_what_px_writes_cannot_be_changed_by_others(tmp_path: Path) -> None:
        write_private(tmp_path / "file", b"x")
        access = file_access_windows.read_access(str(tmp_path / "file"))
        assert access is not None
        assert access.find_others(file_access_windows.current_user(), WRITE) == []

    def test_the_private_list_is_for_this_user_and_administrators_alone() -> None:
        """The list itself: Wine keeps only what fits the mode of a Linux file."""
        user = file_access_windows.current_user()
        with file_access_windows.parse_list(file_access_windows.private_list()) as dacl:
            grants = file_access_windows.read_grants(dacl)
        assert grants == tuple(Grant(sid, _ALL) for sid in (user, "S-1-5-18", "S-1-5-32-544"))

    def test_of_a_list_the_entries_that_allow_something_here_are_read() -> None:
        """The list has an entry for new files only, an inherited one, and one that forbids."""
        text = "D:(A;;0x1200a9;;;BU)(A;OICIIO;0x1301bf;;;AU)(A;ID;0x1301bf;;;AU)(D;;FA;;;WD)"
        with file_access_windows.parse_list(text) as dacl:
            grants = file_access_windows.read_grants(dacl)
        assert grants == (
            Grant("S-1-5-32-545", _READ_ONLY),
            Grant("S-1-5-11", _MODIFY, is_inherited=True),
        )
