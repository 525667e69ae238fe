"""Who else can change a file or directory on Windows, by its owner and its access control list.

This user, SYSTEM, administrators (of this computer or of a domain) and TrustedInstaller may own and change
what Px uses. Entries for applications in a container (S-1-15) and for log-on sessions (S-1-5-5) do not count:
they limit programs of a user whose own entries count.

A file system without access control lists (FAT, some network shares) says nothing about other users: Px uses
its files unchecked. If a list exists and cannot be read, the caller gets the error.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from typing import Final

_SYSTEM, _ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
_TRUSTED: Final = {
    _SYSTEM,
    _ADMINISTRATORS,
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",  # TrustedInstaller
    "S-1-3-0",  # CREATOR OWNER, which only new files use
    "S-1-3-4",  # OWNER RIGHTS: the owner is checked by itself
}
#: Ends of the identifiers of Administrator, Domain Admins and Enterprise Admins.
_ADMINISTRATORS_OF_A_DOMAIN: Final = ("-500", "-512", "-519")
_NOT_A_USER: Final = ("S-1-15-", "S-1-5-5-")
_EVERYBODY: Final = "S-1-1-0"
_NAMES: Final = {_EVERYBODY: "everybody", "S-1-5-11": "every user", "S-1-5-32-545": "every user"}

#: WRITE_DATA, APPEND_DATA, DELETE_CHILD, DELETE, WRITE_DAC, WRITE_OWNER, GENERIC_ALL, GENERIC_WRITE.
WRITE: Final = 0x2 | 0x4 | 0x40 | 0x10000 | 0x40000 | 0x80000 | 0x10000000 | 0x40000000
#: READ_DATA, GENERIC_READ, GENERIC_ALL.
READ: Final = 0x1 | 0x80000000 | 0x10000000
#: The tag of a reparse point says by this bit that the file is only another name for something else.
_NAME_SURROGATE: Final = 0x20000000
_REPARSE_POINT: Final = 0x400


@dataclass(frozen=True, slots=True)
class Grant:
    """An entry of an access control list that allows something.

    Attributes:
        sid: Security identifier of the user or group, ``S-1-...``.
        mask: The rights.
        is_inherited: Whether the entry comes from a directory above.
    """

    sid: str
    mask: int
    is_inherited: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """The owner of a file or directory, and what its access control list allows.

    Attributes:
        owner: Security identifier of the owner.
        grants: What the list allows; None if the file has no list, which allows everything to everybody.
    """

    owner: str
    grants: tuple[Grant, ...] | None

    def is_of_another(self, user: str) -> bool:
        """Whether the file belongs to another user."""
        return not _is_trusted(self.owner, user)

    def find_others(self, user: str, rights: int) -> list[Grant]:
        """Return the entries that give any of these rights to others than this user and administrators."""
        if self.grants is None:
            return [Grant(_EVERYBODY, rights)]
        return [grant for grant in self.grants if grant.mask & rights and not _is_trusted(grant.sid, user)]


def format_writer(grant: Grant) -> str:
    """Return the name of the user or group for a message."""
    return _NAMES.get(grant.sid, f"the user or group {grant.sid}")


def format_fix(path: str, others: list[Grant], user: str, *, is_directory: bool) -> str:
    """Return the command that leaves a file or directory to this user, SYSTEM and administrators alone."""
    rights = "(OI)(CI)F" if is_directory else "F"
    owners = " ".join(f'"*{sid}:{rights}"' for sid in (user, _SYSTEM, _ADMINISTRATORS))
    explicit = " ".join(
        f'"*{sid}"' for sid in dict.fromkeys(each.sid for each in others if not each.is_inherited)
    )
    return f'icacls "{path}" /inheritance:r /grant:r {owners}' + (
        f" /remove:g {explicit}" if explicit else ""
    )


def is_link(status: os.stat_result) -> bool:
    """Whether this status of `os.lstat` is that of a symbolic link or junction, not of a file in a cloud."""
    is_reparse_point = getattr(status, "st_file_attributes", 0) & _REPARSE_POINT
    tag = getattr(status, "st_reparse_tag", 0)
    return stat.S_ISLNK(status.st_mode) or bool(is_reparse_point and tag & _NAME_SURROGATE)


def _is_trusted(sid: str, user: str) -> bool:
    is_of_domain = sid.startswith("S-1-5-21-") and sid.endswith(_ADMINISTRATORS_OF_A_DOMAIN)
    return sid == user or sid in _TRUSTED or is_of_domain or sid.startswith(_NOT_A_USER)


if sys.platform == "win32":
    import contextlib
    import ctypes
    import functools
    from collections.abc import Iterator
    from ctypes import wintypes
    from typing import Any

    _advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)

    _SE_FILE_OBJECT = 1
    _OWNER, _DACL, _PROTECTED_DACL = 0x1, 0x4, 0x80000000
    _READ_CONTROL, _WRITE_DAC = 0x20000, 0x40000
    _SHARE_ALL, _OPEN_EXISTING, _BACKUP_SEMANTICS = 0x7, 3, 0x02000000
    _PERSISTENT_ACLS = 0x8
    _TOKEN_QUERY, _TOKEN_USER = 0x8, 1
    _SDDL_REVISION = 1
    _ALLOWED, _ALLOWED_UNDER_A_CONDITION = (
        0,
        9,
    )  # types of entries: mask and SID are at the same places in both
    _INHERIT_ONLY, _INHERITED = 0x08, 0x10
    _INVALID_HANDLE = ctypes.c_void_p(-1).value

    _pointer = ctypes.POINTER(ctypes.c_void_p)
    _dwords = ctypes.POINTER(wintypes.DWORD)
    _bools = ctypes.POINTER(wintypes.BOOL)

    def _declare(function: Any, result: Any, *arguments: Any) -> Any:
        function.restype, function.argtypes = result, arguments
        return function

    _get_security_info = _declare(
        _advapi32.GetSecurityInfo,
        wintypes.DWORD,
        wintypes.HANDLE,
        ctypes.c_int,
        wintypes.DWORD,
        *[_pointer] * 5,
    )
    _set_security_info = _declare(
        _advapi32.SetSecurityInfo,
        wintypes.DWORD,
        wintypes.HANDLE,
        ctypes.c_int,
        wintypes.DWORD,
        *[ctypes.c_void_p] * 4,
    )
    _convert_sid = _declare(
        _advapi32.ConvertSidToStringSidW, wintypes.BOOL, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
    )
    _convert_text = _declare(
        _advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW,
        wintypes.BOOL,
        wintypes.LPCWSTR,
        wintypes.DWORD,
        _pointer,
        ctypes.c_void_p,
    )
    _get_dacl = _declare(
        _advapi32.GetSecurityDescriptorDacl, wintypes.BOOL, ctypes.c_void_p, _bools, _pointer, _bools
    )
    _get_entry = _declare(_advapi32.GetAce, wintypes.BOOL, ctypes.c_void_p, wintypes.DWORD, _pointer)
    _open_token = _declare(
        _advapi32.OpenProcessToken,
        wintypes.BOOL,
        wintypes.HANDLE,
        wintypes.DWORD,
        ctypes.POINTER(wintypes.HANDLE),
    )
    _get_token_information = _declare(
        _advapi32.GetTokenInformation,
        wintypes.BOOL,
        wintypes.HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        wintypes.DWORD,
        _dwords,
    )
    _get_process = _declare(_kernel32.GetCurrentProcess, wintypes.HANDLE)
    _close = _declare(_kernel32.CloseHandle, wintypes.BOOL, wintypes.HANDLE)
    _free = _declare(_kernel32.LocalFree, ctypes.c_void_p, ctypes.c_void_p)
    _create_file = _declare(
        _kernel32.CreateFileW,
        wintypes.HANDLE,
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_void_p,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )
    _reopen_file = _declare(
        _kernel32.ReOpenFile, wintypes.HANDLE, wintypes.HANDLE, wintypes.DWORD, wintypes.DWORD, wintypes.DWORD
    )
    _get_volume = _declare(
        _kernel32.GetVolumeInformationByHandleW,
        wintypes.BOOL,
        wintypes.HANDLE,
        ctypes.c_void_p,
        wintypes.DWORD,
        *[_dwords] * 3,
        ctypes.c_void_p,
        wintypes.DWORD,
    )

    @functools.cache
    def current_user() -> str:
        """Return the security identifier of the user of this process.

        Raises:
            OSError: Windows does not say.
        """
        token, size = wintypes.HANDLE(), wintypes.DWORD()
        _check(_open_token(_get_process(), _TOKEN_QUERY, ctypes.byref(token)))
        try:
            buffer = ctypes.create_string_buffer(1024)
            _check(_get_token_information(token, _TOKEN_USER, buffer, len(buffer), ctypes.byref(size)))
            return _format_sid(ctypes.c_void_p.from_buffer(buffer).value)
        finally:
            _close(token)

    def read_access(path: str) -> Access | None:
        """Return the access to the file or directory of a path; None if its file system has no lists.

        Raises:
            OSError: The access cannot be read.
        """
        handle = _create_file(path, _READ_CONTROL, _SHARE_ALL, None, _OPEN_EXISTING, _BACKUP_SEMANTICS, None)
        _check(handle != _INVALID_HANDLE)
        try:
            return read_access_of_handle(handle)
        finally:
            _close(handle)

    def read_access_of_handle(handle: int) -> Access | None:
        """Return the access to an open file or directory; None if its file system has no lists.

        Raises:
            OSError: The access cannot be read.
        """
        flags = wintypes.DWORD()
        is_known = _get_volume(handle, None, 0, None, None, ctypes.byref(flags), None, 0)
        if is_known and not flags.value & _PERSISTENT_ACLS:
            return None
        owner, dacl, descriptor = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        owner_at, dacl_at, descriptor_at = map(ctypes.byref, (owner, dacl, descriptor))
        error = _get_security_info(
            handle, _SE_FILE_OBJECT, _OWNER | _DACL, owner_at, None, dacl_at, None, descriptor_at
        )
        if error:
            raise ctypes.WinError(error)
        try:
            return Access(_format_sid(owner.value), read_grants(dacl.value))
        finally:
            _free(descriptor)

    def make_private(handle: int) -> None:
        """Leave an open file to this user, SYSTEM and the administrators alone; it inherits nothing.

        Raises:
            OSError: This user may not do that.
        """
        set_list(handle, private_list())

    def private_list() -> str:
        """Return the list for this user, SYSTEM and the administrators alone, as SDDL."""
        return f"D:P(A;;FA;;;{current_user()})(A;;FA;;;SY)(A;;FA;;;BA)"

    def set_list(handle: int, text: str) -> None:
        """Give an open file the access control list of a text in SDDL, and let it inherit nothing.

        Raises:
            OSError: This user may not do that.
        """
        # A file that was opened for reading or writing has no right to change the list.
        changeable = _reopen_file(handle, _READ_CONTROL | _WRITE_DAC, _SHARE_ALL, _BACKUP_SEMANTICS)
        _check(changeable != _INVALID_HANDLE)
        try:
            with parse_list(text) as dacl:
                error = _set_security_info(
                    changeable, _SE_FILE_OBJECT, _DACL | _PROTECTED_DACL, None, None, dacl, None
                )
            if error:
                raise ctypes.WinError(error)
        finally:
            _close(changeable)

    @contextlib.contextmanager
    def parse_list(text: str) -> Iterator[int | None]:
        """Yield the address of the access control list of a text in SDDL.

        Raises:
            OSError: The text is not valid SDDL.
        """
        descriptor, dacl = ctypes.c_void_p(), ctypes.c_void_p()
        is_there, is_default = wintypes.BOOL(), wintypes.BOOL()
        _check(_convert_text(text, _SDDL_REVISION, ctypes.byref(descriptor), None))
        try:
            arguments = map(ctypes.byref, (is_there, dacl, is_default))
            _check(_get_dacl(descriptor, *arguments))
            yield dacl.value
        finally:
            _free(descriptor)

    def read_grants(dacl: int | None) -> tuple[Grant, ...] | None:
        """Return what the access control list at an address allows; None if there is no list."""
        if not dacl:
            return None
        count = ctypes.c_uint16.from_address(dacl + 4).value  # ACL: revision, size, number of entries
        return tuple(filter(None, (_read_grant(dacl, index) for index in range(count))))

    def _read_grant(dacl: int, index: int) -> Grant | None:
        """Return an entry that allows something; None for one that forbids or is for new files only."""
        entry = ctypes.c_void_p()
        _check(_get_entry(dacl, index, ctypes.byref(entry)))
        address = entry.value or 0
        kind, flags = ctypes.string_at(address, 2)
        if kind not in {_ALLOWED, _ALLOWED_UNDER_A_CONDITION} or flags & _INHERIT_ONLY:
            return None
        mask = ctypes.c_uint32.from_address(address + 4).value
        return Grant(_format_sid(address + 8), mask, bool(flags & _INHERITED))

    def _format_sid(sid: int | None) -> str:
        if not sid:
            return ""
        text = ctypes.c_void_p()
        _check(_convert_sid(sid, ctypes.byref(text)))
        try:
            return ctypes.wstring_at(text.value or 0)
        finally:
            _free(text)

    def _check(is_done: bool) -> None:  # noqa: FBT001 - Windows' result
        if not is_done:
            raise ctypes.WinError(ctypes.get_last_error())
