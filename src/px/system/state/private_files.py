r"""Opens and writes files that no other user can have changed.

In a directory that other users can write to (``/tmp``, a shared working directory or HOME), another user may
create a file, a link or a pipe under any name that Px is about to use. So Px

- keeps its state only in a directory that nobody but this user and root can change, and whose parent
  directories nobody else can change (`find_path_writer`);
- checks a file by its descriptor after opening it (`open_private`): it must belong to this user or root;
- writes a file under a new random name, and then moves it into place (`write_private`).

On Windows, owners and access control lists take the place of modes (`px.system.state.file_access_windows`):

- A file or directory of another user is not used, and neither is a link or junction in the place of a file.
- A configuration file whose own list lets other users write is not used. Where they may write by inheritance,
  Px uses the file and gives a warning (`find_inherited_writer`): Windows lets every user change what is in
  ``C:\px``, where many keep Px.
- A directory may be open to other users, because what they put there belongs to them. If it is the state
  directory, Px gives a warning (`find_directory_writer`). The directories above it are not checked: they are
  often open to all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from pathlib import Path

#: Do not follow a link, and do not wait at a pipe: another user may have made either.
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOR_OTHERS_TO_WRITE = stat.S_IWGRP | stat.S_IWOTH


def open_private(path: str, flags: int) -> int:
    """Return the descriptor of a file that only this user can write to: an ``opener`` for `open`.

    Only the owner can read a file that this function creates. An existing file keeps its permissions, except
    that other users can no longer write to it.

    Raises:
        OSError: The file cannot be opened, is a link, or belongs to another user.
    """
    _refuse_link(path)
    descriptor = os.open(path, flags | _SAFE, 0o600)
    try:
        _take_over(descriptor, path, may_be_new=bool(flags & os.O_CREAT))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_private(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that only this user can have written.

    Raises:
        OSError: As `open_private`, or the file is longer than `max_bytes`.
    """
    with open(path, "rb", opener=open_private) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, "the file is too large", str(path))
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a new file or replace an old one; a missing directory is made for this user alone.

    Raises:
        OSError: The file cannot be written; nothing has changed.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    try:
        with open(new, "xb", opener=open_private) as file:
            file.write(content)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


if sys.platform == "win32":
    import msvcrt

    from px.system.state import file_access_windows as access_lists

    def _refuse_link(path: str) -> None:
        """Raise an error for a link: other systems do that by `_SAFE`.

        Raises:
            OSError: The path is a link or junction.
        """
        with contextlib.suppress(FileNotFoundError):
            if access_lists.is_link(os.lstat(path)):
                raise OSError(errno.ELOOP, "it is a link", path)

    def _take_over(descriptor: int, path: str, *, may_be_new: bool) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # a console, or NUL
            return
        _refuse_link(path)  # another user may have put one there since
        handle, user = msvcrt.get_osfhandle(descriptor), access_lists.current_user()
        try:
            access = access_lists.read_access_of_handle(handle)
        except OSError as error:
            reason = f"its access control list cannot be read: {error.strerror}"
            raise PermissionError(errno.EACCES, reason, path) from error
        if access is None:
            return
        if access.is_of_another(user):
            raise PermissionError(errno.EPERM, "it belongs to another user", path)
        is_new = may_be_new and status.st_size == 0
        if access.find_others(user, access_lists.WRITE | (access_lists.READ if is_new else 0)):
            try:
                access_lists.make_private(handle)
            except OSError:  # an administrator's file: this user cannot change the list
                if any(not each.is_inherited for each in access.find_others(user, access_lists.WRITE)):
                    raise

    def find_other_writer(path: Path) -> str:
        """Return a phrase that says who else can write to a file or owns a directory; empty for nobody else.

        Rights that a file inherits do not count: see `find_inherited_writer`.

        Raises:
            OSError: There is no such file or directory.
        """
        if path.is_file() and access_lists.is_link(path.lstat()):
            return f"{path} is a link"
        path.stat()
        return _find_owner(path) if path.is_dir() else _find_writer(path, are_inherited={False})

    def find_inherited_writer(path: Path) -> str:
        """Return a phrase that says who else can write to a file by inheritance, and the fix; or empty."""
        return _find_writer(path, are_inherited={True})

    def find_directory_writer(path: Path) -> str:
        """Return a phrase that says who else can write to an existing directory, and the fix; or empty."""
        return _find_writer(path, are_inherited={False, True}) if path.is_dir() else ""

    def find_path_writer(path: Path) -> str:
        """Return a phrase that says that another user owns an existing directory; or empty."""
        return _find_owner(path) if path.is_dir() else ""

    def _find_owner(path: Path) -> str:
        return _find_writer(path, are_inherited=set())

    def _find_writer(path: Path, *, are_inherited: set[bool]) -> str:
        """Return a phrase about another owner, or another user who can write by entries of these kinds."""
        try:
            access, user = access_lists.read_access(str(path)), access_lists.current_user()
        except OSError as error:
            return f"the access control list of {path} cannot be read: {error.strerror}"
        if access is None:
            return ""
        if access.is_of_another(user):
            return f"{path} belongs to another user"
        others = access.find_others(user, access_lists.WRITE)
        found = [each for each in others if each.is_inherited in are_inherited]
        if not found:
            return ""
        fix = access_lists.format_fix(str(path), others, user, is_directory=path.is_dir())
        return f"{access_lists.format_writer(found[0])} can write to {path}; {fix} ends that"

else:
    #: Owner of files whose real owner is outside this user namespace, such as ``/`` in some containers.
    _UNMAPPED_UID = 65534

    def _refuse_link(_path: str) -> None:
        """Do nothing: with `_SAFE` the system refuses links."""

    def find_inherited_writer(_path: Path) -> str:
        """Return an empty text: modes are not inherited."""
        return ""

    def find_directory_writer(_path: Path) -> str:
        """Return an empty text: Px does not use a directory that others can write to (`find_path_writer`)."""
        return ""

    def _take_over(descriptor: int, path: str, *, may_be_new: bool) -> None:  # noqa: ARG001 - for Windows
        status = os.fstat(descriptor)
        if stat.S_ISCHR(status.st_mode):  # a terminal, or /dev/null
            return
        if status.st_uid not in {0, os.getuid()}:
            raise PermissionError(errno.EPERM, "it belongs to another user", path)
        if stat.S_ISREG(status.st_mode) and status.st_mode & _FOR_OTHERS_TO_WRITE:
            with contextlib.suppress(
                PermissionError
            ):  # root's file: this user cannot change its mode, nor write to it
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_FOR_OTHERS_TO_WRITE)

    def find_other_writer(path: Path) -> str:
        """Return a phrase that says who else can write to a file or directory; empty for nobody but root.

        Raises:
            OSError: There is no such file or directory.
        """
        status = path.stat()
        if status.st_uid not in {0, os.getuid()}:
            return f"{path} belongs to another user"
        return _find_writer_by_mode(path, status)

    def find_path_writer(path: Path) -> str:
        """Return a phrase that says who else can change or replace a directory; empty for nobody but root.

        Directories that do not exist yet do not count. Neither do parents with the sticky bit, such as
        ``/tmp``: there nobody can move the files of another user.
        """
        try:
            writer = find_other_writer(path) if path.is_dir() else ""
            above = (path, *path.parents, *path.resolve().parents)
            return writer or next(filter(None, map(_find_writer_above, above)), "")
        except OSError as error:
            return f"{path} cannot be looked at: {error.strerror}"

    def _find_writer_above(directory: Path) -> str:
        """Return a phrase that says who else can move the entries of a directory, or a link to it."""
        try:
            status = directory.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if status.st_uid not in {0, os.getuid(), _UNMAPPED_UID}:
            return f"{directory} belongs to another user"
        is_open = stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_ISVTX
        return _find_writer_by_mode(directory, status) if is_open else ""

    def _find_writer_by_mode(path: Path, status: os.stat_result) -> str:
        if status.st_mode & stat.S_IWOTH:
            return f"everybody can write to {path}"
        if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
            return f"a group of users can write to {path}"
        return ""

    def _is_private_group(gid: int) -> bool:
        """Whether this user is the only member: most Linux systems create such a group for each user."""
        import grp  # noqa: PLC0415 - POSIX only, and rarely needed
        import pwd  # noqa: PLC0415

        try:
            user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(gid)
        except KeyError:
            return False
        return group.gr_name == user and set(group.gr_mem) <= {user}
