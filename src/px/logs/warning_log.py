"""The small log of warnings that a Px without a terminal keeps in its state directory.

Only the supervisor writes to it, and only one Px of a user can use a port, so the file of a port has one
writer. It is opened for each line: nothing is written, and no file made, while nothing fails.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from px.logs.rotation import make_room
from px.system.state.private_files import open_private

#: All files together take at most four times this size.
MAX_WARNINGS_BYTES: Final = 64 * 1024
_KEPT: Final = 3


class WarningLog:
    """A log file of bounded size that only its owner can read.

    Args:
        path: The path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        """Append a warning.

        Args:
            text: One line.

        Raises:
            OSError: The file cannot be written.
        """
        now = time.time()
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))} WARNING {text}\n"
        data = line.encode("utf-8", "backslashreplace")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_room(self.path, len(data), max_bytes=MAX_WARNINGS_BYTES, kept=_KEPT)
        with open(self.path, "ab", opener=open_private) as stream:
            stream.write(data)

    def __repr__(self) -> str:
        return f"<WarningLog {self.path}>"
