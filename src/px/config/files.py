"""The places where Px looks for px.ini and .env, and the checks before Px trusts one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from px.system.state.private_files import find_inherited_writer, find_other_writer, find_path_writer

INI_NAME: Final = "px.ini"
DOTENV_NAME: Final = ".env"


def default_config_dirs() -> tuple[Path, ...]:
    r"""Return the directories where Px looks for px.ini after the working directory.

    They are the user's configuration directory (``%APPDATA%\px``, ``~/.config/px``, ``~/Library/Application
    Support/px``) and the directory of the executable, or of the script that was started.
    """
    import platformdirs  # noqa: PLC0415 - not needed for --version

    program = sys.executable if getattr(sys, "frozen", False) else sys.argv[0]
    user_dir = platformdirs.user_config_path("px", appauthor=False, roaming=True)
    return user_dir, Path(program).resolve().parent


def find_ini(cwd: Path, config_dirs: Sequence[Path], warnings: list[str]) -> Path | None:
    """Return the px.ini to use: the first trusted one, in the working directory and then in others."""
    local = find_trusted(cwd / INI_NAME, warnings)
    others = (find_trusted(directory / INI_NAME, warnings, find_path_writer) for directory in config_dirs)
    return local or next(filter(None, others), None)


def choose_new_ini(cwd: Path, config_dirs: Sequence[Path], warnings: list[str]) -> Path:
    """Return a path for a new px.ini that Px will trust: in the working directory, if that is private."""
    writer = find_other_writer(cwd)
    if not writer or not config_dirs:
        return cwd / INI_NAME
    warnings.append(f"a px.ini in {cwd} would not be used: {writer}")
    return config_dirs[0] / INI_NAME


def missing_certificates(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each OpenSSL variable that names a missing path: OpenSSL itself reports none."""
    kinds = {"SSL_CERT_FILE": Path.is_file, "SSL_CERT_DIR": Path.is_dir}
    return [
        f"{variable}={environ[variable]} (in the environment): no such {variable.rpartition('_')[2].lower()}"
        for variable, is_there in kinds.items()
        if environ.get(variable) and not is_there(Path(environ[variable]))
    ]


def find_trusted(
    path: Path, warnings: list[str], find_writer: Callable[[Path], str] = find_other_writer
) -> Path | None:
    """Return the file if it exists and only this user and root can have written it, else None.

    Px starts in any working directory; a px.ini that another user left there could send the login of this
    user to an upstream of the other user.

    Args:
        path: The file.
        warnings: Receives a warning if another user can change the file.
        find_writer: Returns who else can write to the directory of the file, or an empty text.
    """
    if not path.is_file():
        return None
    writer = find_writer(path.parent) or find_other_writer(path)
    if writer:
        warnings.append(f"{path} is not used: {writer}")
        return None
    if inherited := find_inherited_writer(path):
        warnings.append(f"other users can change the upstream of Px: {inherited}")
    return path
