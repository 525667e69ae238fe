"""Runs a program in the place of this process: with its streams, its terminal and its signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from px.core.startup_errors import ProgramError
from px.system.process.open_files import using_limits

_NOT_FOUND: Final = 127
_CANNOT_BE_RUN: Final = 126


def find_program(command: Sequence[str]) -> list[str]:
    """Return a command whose program the system can start.

    Args:
        command: The program as the user wrote it, and its arguments.

    Raises:
        ProgramError: There is no such program.
    """
    program, *arguments = command
    path = shutil.which(program)
    if path is None and not os.path.exists(program):  # noqa: PTH110 - the text is the user's, perhaps no path
        raise ProgramError(f"--run: {program}: there is no such program", _NOT_FOUND)
    # Windows itself looks for .exe files only; npm and others are .cmd files.
    return [path if path and sys.platform == "win32" else program, *arguments]


async def run_in_foreground(
    command: Sequence[str], environ: Mapping[str, str], limits: tuple[int, int]
) -> int:
    """Run a program to its end; return its exit code, or the negative number of the signal that ended it.

    Args:
        command: The program and its arguments.
        environ: Its environment variables.
        limits: How many files it may open; see `px.system.process.open_files.read_limits`.

    Raises:
        ProgramError: The program cannot be started.
    """
    with _Signals.caught() as signals:
        try:
            with using_limits(limits):
                process = subprocess.Popen(command, env=environ, close_fds=_CLOSES_FILES)  # noqa: S603, ASYNC220 - what the user wants to run
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ProgramError(f"--run: {command[0]}: cannot be run: {reason}", _CANNOT_BE_RUN) from None
        signals.pass_to(process)
        return await asyncio.to_thread(process.wait)


class _Signals:
    """Passes the signals that this process gets on to a program."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @classmethod
    @contextlib.contextmanager
    def caught(cls) -> Iterator[_Signals]:
        """Catch the signals while the context lasts; those that this process ignores stay ignored."""
        signals = cls()
        old = {number: signal.getsignal(number) for number in _PASSED_ON}
        numbers = [number for number, handler in old.items() if handler is not signal.SIG_IGN]
        for number in numbers:
            signal.signal(number, lambda received, _: signals._receive(received))
        try:
            yield signals
        finally:
            for number in numbers:
                signal.signal(number, old[number])

    def pass_to(self, process: subprocess.Popen[bytes]) -> None:
        """Pass signals to a program that has started just now."""
        self._process = process
        for number in self._early:
            _pass_on(process, number)

    def _receive(self, number: int) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            _pass_on(self._process, number)


if sys.platform == "win32":
    _PASSED_ON: Final = (signal.SIGINT, signal.SIGBREAK)
    _CLOSES_FILES: Final = True

    def _pass_on(_process: subprocess.Popen[bytes], _number: int) -> None:
        """Do nothing: Windows sends Ctrl-C and Ctrl-Break to all processes of the console."""

    def end_like(_code: int) -> None:
        """Do nothing: on Windows no signal ends a process."""

else:
    import resource

    #: The program keeps the files that a shell has opened for it, as ``<(command)`` does. No file of Px is
    #: inherited (PEP 446).
    _CLOSES_FILES: Final = False
    #: Nothing can be set for them.
    _ALWAYS_DEFAULT: Final = (signal.SIGKILL, signal.SIGSTOP)
    _FROM_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
    _PASSED_ON: Final = (
        *_FROM_TERMINAL,
        *(signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2),
    )

    def _pass_on(process: subprocess.Popen[bytes], number: int) -> None:
        if number not in _FROM_TERMINAL or not _has_terminal():
            with contextlib.suppress(PermissionError):  # sudo, for instance, runs as another user
                process.send_signal(number)

    def _has_terminal() -> bool:
        """Whether this process is in the foreground of a terminal, whose Ctrl-C reaches the program too."""
        try:
            terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
        except OSError:
            return False
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        except OSError:
            return False
        finally:
            os.close(terminal)

    def end_like(code: int) -> None:
        """End this process by the signal that has ended a program, so that a shell sees how it ended.

        Args:
            code: The negative number of the signal.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program has left a core dump, if any
        if -code not in _ALWAYS_DEFAULT:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
