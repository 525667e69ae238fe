"""Px in the background: a binary returns to the prompt when Px listens, or reports why Px cannot.

The process that the user has started (the launcher) starts another one, prints the first output of that one
and ends. A program without a console (``pxw``, ``pythonw``) has no prompt to return to and needs only one
process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from px.system.process.child_command import BACKGROUND_ARGUMENT, child_command, child_environment, is_frozen

#: The first output begins with this when Px listens.
RUNS: Final = "Px runs in the background"

if sys.platform == "win32":
    _CREATION_FLAGS: Final = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _CREATION_FLAGS: Final = 0


def is_windowless() -> bool:
    """Whether this program was built without a console (Windows)."""
    return sys.__stdout__ is None


def gives_prompt_back(environ: Mapping[str, str]) -> bool:
    """Whether this process has to start Px in the background, unless the user says otherwise."""
    return is_frozen() and not is_windowless() and not is_managed(environ)


def is_managed(environ: Mapping[str, str]) -> bool:
    """Whether a service manager has started this process and watches it.

    The variable of systemd alone does not show this: a desktop that systemd has started passes the variable
    on to its programs and shells.
    """
    if environ.get("INVOCATION_ID"):
        return environ.get("SYSTEMD_EXEC_PID", str(os.getpid())) == str(os.getpid())
    launchd = environ.get("XPC_SERVICE_NAME", "0")
    return launchd != "0" and not launchd.startswith("application.")


def start_in_background(arguments: Sequence[str]) -> tuple[int, str]:
    """Start Px in the background; return the exit code of this process and the text to print.

    Args:
        arguments: The arguments of Px.

    Raises:
        OSError: The process cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - this program itself
        child_command(BACKGROUND_ARGUMENT, *arguments),
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # closing the terminal must not end Px
        creationflags=_CREATION_FLAGS,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as stream:
        output = stream.read().strip()
    if output.rpartition("\n")[2].startswith(RUNS):  # there may be warnings before this line
        process.returncode = 0  # Px goes on, and this process will not wait for it
        return 0, output
    return process.wait(), output


class Launcher:
    """The process that has started this one in the background and waits for its first output.

    Until `tell` is called, output of this process goes to the launcher; later output is discarded. Output of
    the workers is always discarded.
    """

    def __init__(self) -> None:
        output = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="replace")
        sys.stdout = sys.stderr = output
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        self._is_waiting = True

    def tell(self, text: str) -> None:
        """Report to the launcher that Px listens. The launcher then ends, and later output is discarded."""
        if self._is_waiting:
            self._is_waiting = False
            with sys.stdout as stream:
                stream.write(f"{text}\n")
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
