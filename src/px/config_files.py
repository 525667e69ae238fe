"""Where px.ini and .env are looked for, and which of them may be trusted."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

INI_NAME: Final = "px.ini"
DOTENV_NAME: Final = ".env"


def default_config_dirs() -> tuple[Path, ...]:
    r"""Return where px.ini is looked for after the working directory.

    They are the user's configuration directory (``%APPDATA%\px``, ``~/.config/px``, ``~/Library/Application
    Support/px``) and the directory of the executable, or of the script that was started.
    """
    import platformdirs  # noqa: PLC0415 - not needed for --version

    program = sys.executable if getattr(sys, "frozen", False) else sys.argv[0]
    user_dir = platformdirs.user_config_path("px", appauthor=False, roaming=True)
    return user_dir, Path(program).resolve().parent


def find_ini(cwd: Path, config_dirs: Sequence[Path], warnings: list[str]) -> Path | None:
    """Return the px.ini to use: that of the working directory if it may be trusted, else the first other."""
    local = find_trusted(cwd / INI_NAME, warnings)
    others = (path for path in (directory / INI_NAME for directory in config_dirs) if path.is_file())
    return local or next(others, None)


def choose_new_ini(cwd: Path, config_dirs: Sequence[Path], warnings: list[str]) -> Path:
    """Return where a px.ini would be found again: in the working directory, if it may be trusted there."""
    writer = _other_writer(cwd)
    if not writer or not config_dirs:
        return cwd / INI_NAME
    warnings.append(f"a px.ini in {cwd} would not be used: {writer}")
    return config_dirs[0] / INI_NAME


def missing_certificates(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable of OpenSSL's that names no certificates: OpenSSL says nothing."""
    kinds = {"SSL_CERT_FILE": Path.is_file, "SSL_CERT_DIR": Path.is_dir}
    return [
        f"{variable}={environ[variable]} (in the environment): no such {variable.rpartition('_')[2].lower()}"
        for variable, is_there in kinds.items()
        if environ.get(variable) and not is_there(Path(environ[variable]))
    ]


def find_trusted(path: Path, warnings: list[str]) -> Path | None:
    """Return the file if it is there and nobody but this user and root could have written it.

    Px starts in whatever directory the user stands in; a px.ini that somebody else left there could send
    the user's login to an upstream of theirs.
    """
    if not path.is_file():
        return None
    writer = _other_writer(path.parent) or _other_writer(path)
    if writer:
        warnings.append(f"{path} is not used: {writer}")
        return None
    return path


if sys.platform == "win32":

    def _other_writer(_path: Path) -> str:
        # Directories of a Windows user are private by inheritance; judging ACLs is not attempted.
        return ""

else:

    def _other_writer(path: Path) -> str:
        """Say who else can write to a file or directory; empty: nobody."""
        status = path.stat()
        if status.st_uid not in {0, os.getuid()}:
            return f"{path} belongs to another user"
        if status.st_mode & stat.S_IWOTH:
            return f"everybody can write to {path}"
        if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
            return f"a group of users can write to {path}"
        return ""

    def _is_private_group(gid: int) -> bool:
        """Whether the group is this user's alone, as most Linux systems create one for each user."""
        import grp  # noqa: PLC0415 - POSIX only, and rarely needed
        import pwd  # noqa: PLC0415

        try:
            user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(gid)
        except KeyError:
            return False
        return group.gr_name == user and set(group.gr_mem) <= {user}
