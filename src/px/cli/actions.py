"""Runs the action that the command line names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from px.cli.autostart import install_autostart, uninstall_autostart
from px.cli.invocation import open_log, settings_of
from px.cli.passwords import print_hash, store_password
from px.cli.running_px import control_client, quit_px, reload, show_live_status, show_status
from px.cli.start import restart, run_proxy
from px.cli.terminal import EXIT_OK, announce, print_answer, print_message, print_version, print_warnings

if TYPE_CHECKING:
    from px.config.invocation import Invocation

EXIT_TEST_FAILED: Final = 4


def run_action(invocation: Invocation) -> int:
    """Run the action of an invocation; return the exit code."""
    return _FUNCTIONS[invocation.action](invocation)


def _print_version(_: Invocation) -> int:
    return print_version()


def _print_help(invocation: Invocation) -> int:
    from px.cli.help_text import format_help  # noqa: PLC0415

    return print_answer(format_help(invocation.config_file, invocation.action_value))


def _print_completions(invocation: Invocation) -> int:
    from px.cli.completion.script import format_script  # noqa: PLC0415

    return print_answer(format_script(invocation.action_value))


def _run_demo(invocation: Invocation) -> int:
    from px.cli.demo.story import run_demo  # noqa: PLC0415

    open_log(settings_of(invocation), "demo")
    return run_demo()


def _save(invocation: Invocation) -> int:
    from px.config.writer import save_settings  # noqa: PLC0415

    path = invocation.config_file
    assert path is not None  # noqa: S101 - an action that reads "files" always has one
    print_warnings(save_settings(path, invocation.given, settings_of(invocation)))
    return print_answer(f"Saved to {path}")


def _import(invocation: Invocation) -> int:
    from px.cli.import_settings import import_settings  # noqa: PLC0415

    return import_settings(invocation)


def _explain(invocation: Invocation) -> int:
    import asyncio  # noqa: PLC0415

    from px.cli.explain import explain  # noqa: PLC0415
    from px.system.process.line_width import find_columns  # noqa: PLC0415

    settings = settings_of(invocation)
    open_log(settings, "explain")
    leads_anywhere = asyncio.run(explain(settings, invocation.action_value, announce, find_columns()))
    return EXIT_OK if leads_anywhere else EXIT_TEST_FAILED


def _test(invocation: Invocation) -> int:
    from px.cli.check_commands import check_login  # noqa: PLC0415

    settings = settings_of(invocation)
    open_log(settings, "test")
    return EXIT_OK if check_login(invocation, settings, announce, print_message) else EXIT_TEST_FAILED


def _set_up(invocation: Invocation) -> int:
    from px.cli.setup_command import run_setup  # noqa: PLC0415

    open_log(settings_of(invocation), "setup")
    return run_setup(invocation)


def _examine(invocation: Invocation) -> int:
    from px.cli.check_commands import run_doctor  # noqa: PLC0415

    settings = settings_of(invocation)
    open_log(settings, "doctor")
    return EXIT_OK if run_doctor(invocation, settings, announce) else EXIT_TEST_FAILED


def _print_env(invocation: Invocation) -> int:
    from px.cli.env.output import find_endpoint, format_env  # noqa: PLC0415

    find = partial(
        find_endpoint,
        control_client(invocation),
        settings_of(invocation),
        print_message,
        may_be_other="port" not in invocation.given,
    )
    return print_answer(format_env(invocation.action_value, find, print_message))


def _run_program(invocation: Invocation) -> int:
    from px.cli.run_program import run_program  # noqa: PLC0415

    return run_program(invocation)


#: What each action does; ``serve`` means that no action was given.
_FUNCTIONS: Final[dict[str, Callable[[Invocation], int]]] = {
    "serve": run_proxy,
    "quit": quit_px,
    "restart": restart,
    "reload": reload,
    "status": show_status,
    "top": show_live_status,
    "save": _save,
    "import": _import,
    "setup": _set_up,
    "install": install_autostart,
    "uninstall": uninstall_autostart,
    "env": _print_env,
    "run": _run_program,
    "explain": _explain,
    "test": _test,
    "doctor": _examine,
    "demo": _run_demo,
    "password": store_password,
    "client_password": store_password,
    "hash": print_hash,
    "completions": _print_completions,
    "version": _print_version,
    "help": _print_help,
}
