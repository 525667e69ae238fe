"""Names for processes, by which other processes can tell whether one has ended."""

from __future__ import annotations

import os
import secrets
import sys


def make_process_name() -> str:
    """Return a new name for this process, which no other process ever gets; see `has_process_ended`."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def has_process_ended(name: str) -> bool:
    """Whether the process with this name has ended; `name` may have more text at its end."""
    digits = name.partition("-")[0]
    return not digits.isdecimal() or not _is_running(int(digits))


if sys.platform == "win32":

    def _is_running(pid: int) -> bool:
        import psutil  # noqa: PLC0415 - only once a login has to wait

        return psutil.pid_exists(pid)

else:

    def _is_running(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):  # another user's process
            return True
        return True
