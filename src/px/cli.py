"""The command line: flags to verbs, failures to exit codes. The only place that ends the process.

Exit codes: 0 ok, 1 crash, 2 configuration, 3 Px is not running, 4 no way leads there (--explain), 5 port in
use, 6 install.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from px import __version__
from px.core.startup_errors import ConfigError, StartupError
from px.system.child_command import BACKGROUND_ARGUMENT, WORKER_ARGUMENT

if TYPE_CHECKING:
    from px.config import Invocation, Settings
    from px.steering import Steering

EXIT_OK: Final = 0
EXIT_CRASH: Final = 1
EXIT_TEST_FAILED: Final = 4
#: Flags of --reload that say which Px is meant.
_FINDING: Final = frozenset({"config", "port"})
#: As shells report a process that Ctrl-C ended, for the moments when nobody handles it more gently.
EXIT_INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Run Px with the arguments of the process and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have what the terminal has not
    if sys.platform == "win32" and sys.stdout is None:
        from px.system.console import attach_console  # noqa: PLC0415

        attach_console()
    sys.exit(run_command(sys.argv[1:]))


def run_command(argv: Sequence[str]) -> int:
    """Do what the arguments say, report a failure on stderr, and return the exit code."""
    try:
        return _act(list(argv))
    except StartupError as error:
        _warn(error.warnings)
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a crash always leaves a log
        return _report_crash(error)


def _act(argv: list[str]) -> int:
    # Each verb imports what it needs: --version and --help answer without loading the proxy.
    if [argument.lower() for argument in argv] == ["--version"]:
        return _print_version()
    if argv == [WORKER_ARGUMENT]:
        return _run_worker()
    if argv[:1] == [BACKGROUND_ARGUMENT]:
        return _run_in_background(argv[1:])
    invocation = _load(argv)
    _warn(invocation.warnings)
    return _VERBS[invocation.action](invocation)


def _load(argv: Sequence[str]) -> Invocation:
    from px.config import load_settings  # noqa: PLC0415
    from px.config_files import default_config_dirs  # noqa: PLC0415

    return load_settings(argv, os.environ, Path.cwd(), default_config_dirs())


def _run_worker() -> int:
    from px.workers.child import run_worker  # noqa: PLC0415

    return run_worker()


def _print_version(_: Invocation | None = None) -> int:
    return _answer(f"px {__version__}")


def _print_help(invocation: Invocation) -> int:
    from px.help_text import format_help  # noqa: PLC0415

    return _answer(format_help(invocation.config_file, invocation.action_value))


def _answer(text: str) -> int:
    _announce(text)
    return EXIT_OK


def _run_demo(invocation: Invocation) -> int:
    from px.demo import run_demo  # noqa: PLC0415

    _open_log(_settings_of(invocation), "demo")
    return run_demo()


def _change_password(invocation: Invocation) -> int:
    from px.secret_entry import read_secret  # noqa: PLC0415
    from px.stored_passwords import (  # noqa: PLC0415
        STORE_SECONDS,
        change_password,
        client_account,
        upstream_account,
    )
    from px.system.credentials import Keyring  # noqa: PLC0415

    account_of = upstream_account if invocation.action == "password" else client_account
    account = account_of(_settings_of(invocation))
    change_password(account, Keyring(STORE_SECONDS), read_secret, _announce)
    _use_new_password(invocation)
    return EXIT_OK


def _use_new_password(invocation: Invocation) -> None:
    """Have the Px that runs use it; and if it is the one of before, let it be tried once more at once."""
    from px.steering import NotRunningError, RefusedError  # noqa: PLC0415

    try:
        _steer(invocation).reload()
    except NotRunningError:
        _allow_probe()  # as a reload does
    except RefusedError as error:
        _complain(f"warning: the Px that runs goes on without that: {error}")
    else:
        _announce("The Px that runs has been told.")


def _allow_probe() -> None:
    from px.core.lockout import LockoutGuard  # noqa: PLC0415
    from px.system.installation import state_directory  # noqa: PLC0415
    from px.system.lockout_file import LOCKOUT_NAME, LockoutFile  # noqa: PLC0415

    LockoutGuard(LockoutFile(state_directory() / LOCKOUT_NAME), time.time).allow_probe()


def _print_hash(_: Invocation) -> int:
    from px.core.md4 import nt_hash  # noqa: PLC0415
    from px.secret_entry import read_secret  # noqa: PLC0415

    password = read_secret("Password: ")
    if not password:
        raise ConfigError("--hash: no password was given")
    _complain("the NT hash below logs in as the password does: guard it; give it as PX_NTHASH")
    return _answer(nt_hash(password.reveal()).hex())


def _run_proxy(invocation: Invocation) -> int:
    from px.background import gives_prompt_back, is_windowless, start_in_background  # noqa: PLC0415

    if _settings_of(invocation).foreground:
        return _serve(invocation, _announce)
    if gives_prompt_back(os.environ):
        code, said = start_in_background(sys.argv[1:])
        print(said, file=sys.stderr if code else sys.stdout, flush=True)
        return code
    if is_windowless():
        return _serve(invocation, _announce_and_leave, is_background=True)
    return _serve(invocation, _announce)


def _run_in_background(argv: Sequence[str]) -> int:
    from px.background import Launcher  # noqa: PLC0415

    launcher = Launcher()
    return _serve(_load(argv), launcher.tell, is_background=True)


def _serve(invocation: Invocation, announce: Callable[[str], object], *, is_background: bool = False) -> int:
    from px.workers.program import run  # noqa: PLC0415

    settings = _settings_of(invocation)
    _open_log(settings, "main")
    load = partial(_load, _own_arguments())
    return run(settings, load, announce, _complain, is_background=is_background)


def _own_arguments() -> list[str]:
    """Return the arguments that the user gave."""
    arguments = sys.argv[1:]
    return arguments[1:] if arguments[:1] == [BACKGROUND_ARGUMENT] else arguments


def _restart(invocation: Invocation) -> int:
    from px.steering import NotRunningError  # noqa: PLC0415
    from px.way_finding import check_way  # noqa: PLC0415

    check_way(_settings_of(invocation))  # before the one that works ends
    with contextlib.suppress(NotRunningError):
        _quit(invocation)
    return _run_proxy(invocation)


def _quit(invocation: Invocation) -> int:
    return _answer(f"Px, pid {_steer(invocation).quit()}, has ended.")


def _reload(invocation: Invocation) -> int:
    flags = [given.key for name, given in invocation.given.items() if given.is_flag and name not in _FINDING]
    if flags:
        _complain(f"warning: {', '.join(flags)}: --reload takes no new flags; --restart does")
    answer = _steer(invocation).reload()
    _warn(answer["warnings"])
    return _answer(f"Px has read its configuration again and listens on {', '.join(answer['listen'])}.")


def _show_status(invocation: Invocation) -> int:
    from px.steering import say_status  # noqa: PLC0415

    status = _steer(invocation).status()
    return _answer(say_status(status, as_json="json" in invocation.switches))


def _steer(invocation: Invocation) -> Steering:
    from px.steering import Steering  # noqa: PLC0415
    from px.system.installation import state_directory  # noqa: PLC0415

    return Steering(state_directory(), _settings_of(invocation).port)


def _save(invocation: Invocation) -> int:
    from px.config_writer import save_settings  # noqa: PLC0415

    path = invocation.config_file
    assert path is not None  # noqa: S101 - an action that reads "files" always has one
    _warn(save_settings(path, invocation.given, _settings_of(invocation)))
    return _answer(f"Saved to {path}")


def _install(invocation: Invocation) -> int:
    from px.system.autostart import find_autostart, install, start_of_own  # noqa: PLC0415

    _warn(list(_say_what_login_lacks(invocation)))
    start = start_of_own(invocation.config_file)
    return _answer(install(find_autostart(), start, replaces="force" in invocation.switches))


def _say_what_login_lacks(invocation: Invocation) -> Iterator[str]:
    from px.config_files import INI_NAME, default_config_dirs  # noqa: PLC0415

    given = [one for one in invocation.given.values() if one.option.name != "config"]
    flags = ", ".join(one.key for one in given if one.is_flag)
    outside = ", ".join(one.key for one in given if not one.is_flag)
    if flags:
        yield f"{flags}: --install does not save it; at login Px has what px.ini says, which --save writes"
    if outside:
        yield f"{outside}: the environment at login may be another one; see to it that Px finds that there"
    if invocation.config_file is None:
        path = default_config_dirs()[0] / INI_NAME
        yield f"no px.ini is in use, so at login Px will look for {path}; --config={path} --save makes it"


def _uninstall(_: Invocation) -> int:
    from px.system.autostart import find_autostart, uninstall  # noqa: PLC0415

    return _answer(uninstall(find_autostart()))


def _explain(invocation: Invocation) -> int:
    import asyncio  # noqa: PLC0415

    from px.explain import explain  # noqa: PLC0415

    _open_log(_settings_of(invocation), "explain")
    leads_anywhere = asyncio.run(explain(_settings_of(invocation), invocation.action_value, _announce))
    return EXIT_OK if leads_anywhere else EXIT_TEST_FAILED


def _print_env(invocation: Invocation) -> int:
    from px.tool_settings import format_tool_settings  # noqa: PLC0415

    settings = _settings_of(invocation)
    if not settings.client_auth.is_none:
        _complain("programs log in at this Px (--client_auth): add USER:PASSWORD@ before its address")
    tool = invocation.action_value or ("powershell" if sys.platform == "win32" else "sh")
    return _answer(format_tool_settings(tool, settings))


#: What each action does; ``run`` is none of them.
_VERBS: Final[dict[str, Callable[[Invocation], int]]] = {
    "run": _run_proxy,
    "quit": _quit,
    "restart": _restart,
    "reload": _reload,
    "status": _show_status,
    "save": _save,
    "install": _install,
    "uninstall": _uninstall,
    "env": _print_env,
    "explain": _explain,
    "demo": _run_demo,
    "password": _change_password,
    "client_password": _change_password,
    "hash": _print_hash,
    "version": _print_version,
    "help": _print_help,
}


def _settings_of(invocation: Invocation) -> Settings:
    if invocation.settings is None:
        raise AssertionError(f"{invocation.action} came without settings")
    return invocation.settings


def _open_log(settings: Settings, process: str) -> None:
    from px.log import open_log  # noqa: PLC0415

    open_log(settings.log, verbose=settings.verbose, cwd=Path.cwd(), port=settings.port, process=process)


def _announce(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader went away, as in `px --help | head -1`
        # Python would complain at exit, when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _announce_and_leave(text: str) -> None:
    """Tell a line to the console that a program without a window has borrowed, and give it back."""
    _announce(text)
    if sys.platform == "win32":
        from px.system.console import leave_console  # noqa: PLC0415

        leave_console()


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _complain(f"warning: {warning}")


def _complain(text: str) -> None:
    print(f"px: {text}", file=sys.stderr, flush=True)


def _report_crash(error: Exception) -> int:
    from px.log import redact, write_crash_log  # noqa: PLC0415

    path = write_crash_log(error, Path.cwd())
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # the group says only that there is one
    _complain(
        redact(f"crashed: {type(error).__name__}: {error}")
        + (f"; the traceback is in {path}" if path else "")
    )
    return EXIT_CRASH
