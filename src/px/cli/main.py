"""The command line: runs the action that the flags ask for, and turns failures into exit codes.

Only this module ends the process.

Exit codes: 0 success, 1 crash, 2 wrong configuration, 3 Px is not running, 4 no route to the URL (--explain)
or a failed step (--test, --doctor, --setup, --demo), 5 the port is in use, 6 Px cannot be installed
(--install), 130 ended by Ctrl-C. With --run, the code of the program, 126 or 127.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final, NoReturn

from px.cli.terminal import announce, print_error, print_version, print_warnings
from px.core.startup_errors import StartupError
from px.system.process.child_command import BACKGROUND_ARGUMENT, PAC_ARGUMENT, WORKER_ARGUMENT

EXIT_CRASH: Final = 1
#: Actions that show the warnings themselves: the options of the running Px may lead to others.
_SHOWS_WARNINGS: Final = frozenset({"restart", "doctor"})
#: The code that shells report for a process that Ctrl-C has ended; used before and after Px serves.
EXIT_INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Run Px with the arguments of the process and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A path may have characters that the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.platform == "win32" and sys.stdout is None:
        from px.system.process.console import attach_console  # noqa: PLC0415

        attach_console()
    code = run_command(sys.argv[1:])
    if code < 0:
        from px.system.process.foreground import end_like  # noqa: PLC0415

        end_like(code)
    sys.exit(code)


def run_command(argv: Sequence[str]) -> int:
    """Run the action that the arguments name, report a failure on stderr, and return the exit code.

    A negative code is that of a program that a signal has ended (--run), as `subprocess` reports it.
    """
    try:
        return _act(list(argv))
    except StartupError as error:
        print_warnings(error.warnings)
        return _fail(argv, str(error), error.exit_code)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a crash always leaves a log
        from px.logs.log import describe_crash  # noqa: PLC0415

        return _fail(argv, describe_crash(error), EXIT_CRASH)


def _fail(argv: Sequence[str], message: str, exit_code: int) -> int:
    """Report why the action failed, also as JSON if the arguments ask for JSON."""
    print_error(message)
    if {"--status", "--json"} <= {argument.lower() for argument in argv if "--run" not in argv}:
        from px.processes.status import format_status_error  # noqa: PLC0415

        announce(format_status_error(message, exit_code))
    return exit_code


def _act(argv: list[str]) -> int:
    # Each action imports what it needs, so that --version and --help answer without loading the proxy.
    if argv == ["-V"] or [argument.lower() for argument in argv] == ["--version"]:
        return print_version()
    if argv == [WORKER_ARGUMENT]:
        return _run_worker()
    if argv == [PAC_ARGUMENT]:
        return _run_pac_script()
    from px.cli.dependencies import check_dependencies  # noqa: PLC0415

    check_dependencies()
    from px.cli.actions import run_action  # noqa: PLC0415
    from px.cli.invocation import load_invocation  # noqa: PLC0415
    from px.cli.start import run_in_background  # noqa: PLC0415

    if argv[:1] == [BACKGROUND_ARGUMENT]:
        return run_in_background(argv[1:])
    invocation = load_invocation(argv)
    if invocation.action not in _SHOWS_WARNINGS:
        print_warnings(invocation.warnings)
    return run_action(invocation)


def _run_worker() -> int:
    from px.processes.child import run_worker  # noqa: PLC0415

    return run_worker()


def _run_pac_script() -> int:
    from px.routing.pac.child import serve_script  # noqa: PLC0415
    from px.system.process.bare_process import take_socket  # noqa: PLC0415

    return serve_script(take_socket())
