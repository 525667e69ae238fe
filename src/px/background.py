"""Px in the background: a binary gives the prompt back when Px listens, or tells why it does not.

The process that the user has started starts another one, waits for its first words, prints them and ends. A
program without a console (``pxw``, ``pythonw``) has no prompt to give back: there one process is enough.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from px.system.child_command import BACKGROUND_ARGUMENT, child_command, child_environment, is_frozen

#: How the first words begin when Px listens.
RUNS: Final = "Px runs in the background"

if sys.platform == "win32":
    _CREATION_FLAGS: Final = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _CREATION_FLAGS: Final = 0


def is_windowless() -> bool:
    """Whether this program was made to have no console (Windows)."""
    return sys.__stdout__ is None


def gives_prompt_back(environ: Mapping[str, str]) -> bool:
    """Whether Px has to be started again in the background, unless the user says otherwise."""
    return is_frozen() and not is_windowless() and not is_managed(environ)


def is_managed(environ: Mapping[str, str]) -> bool:
    """Whether a service manager has started this process itself, and watches it.

    Programs of a desktop that systemd has started have its variable as well, and so have their shells.
    """
    if environ.get("INVOCATION_ID"):
        return environ.get("SYSTEMD_EXEC_PID", str(os.getpid())) == str(os.getpid())
    launchd = environ.get("XPC_SERVICE_NAME", "0")
    return launchd != "0" and not launchd.startswith("application.")


def start_in_background(arguments: Sequence[str]) -> tuple[int, str]:
    """Start Px in the background; return the exit code for here, and what there is to say.

    Args:
        arguments: Of Px.

    Raises:
        OSError: It cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - this program itself
        child_command(BACKGROUND_ARGUMENT, *arguments),
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # what ends the terminal does not end it
        creationflags=_CREATION_FLAGS,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as words:
        said = words.read().strip()
    if said.rpartition("\n")[2].startswith(RUNS):  # after warnings, perhaps
        process.returncode = 0  # it is nobody's child any more
        return 0, said
    return process.wait(), said


class Launcher:
    """The process that has started this one in the background, and listens until it has something to tell.

    What this process prints goes there until then, and nowhere afterwards; what its workers print, nowhere.
    """

    def __init__(self) -> None:
        words = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="replace")
        sys.stdout = sys.stderr = words
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        self._is_waiting = True

    def tell(self, text: str) -> None:
        """Tell it that Px listens: it ends then. Whatever comes later is for nobody."""
        if self._is_waiting:
            self._is_waiting = False
            with sys.stdout as stream:
                stream.write(f"{text}\n")
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
