"""``px --setup``, from the command line to the exit code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from px.checks.target import parse_test_url
from px.cli.autostart import start_px
from px.cli.check_commands import look_at_port
from px.cli.invocation import load_invocation
from px.cli.passwords import load_passwords
from px.cli.secret_entry import ask_once
from px.cli.setup.questions import Questions
from px.cli.setup.saving import carry_out
from px.cli.setup.screen import Screen, SetupFailedError
from px.cli.setup.setup import Setup, Tools
from px.cli.terminal import announce, print_error, print_message
from px.system.process.line_width import find_columns

if TYPE_CHECKING:
    from px.checks.step import Step
    from px.config.invocation import Invocation
    from px.config.settings import Settings

#: The code that shells report for a process that Ctrl-C has ended.
_INTERRUPTED: Final = 130
_FAILED: Final = 4


def run_setup(invocation: Invocation) -> int:
    """Set Px up; return the exit code.

    Raises:
        StartupError: There is no terminal, an answer is no answer, or the result cannot be saved.
    """
    requests = parse_test_url(invocation.action_value, "--setup")
    questions = Questions(ask_once, is_silent="yes" in invocation.switches)
    screen = Screen(announce, print_message, find_columns())
    tools = Tools(load_invocation, partial(load_passwords, warn=print_message), _look_at_port)
    try:
        plan = Setup(invocation, requests, questions, screen, tools).prepare()
    except KeyboardInterrupt:
        announce("")  # the cursor stands behind a question
        print_error("stopped; nothing was saved")
        return _INTERRUPTED
    except SetupFailedError as failure:
        return _show_failure(screen, failure)
    try:
        return carry_out(plan, screen, start_px)
    except SetupFailedError as failure:
        return _show_failure(screen, failure)


def _show_failure(screen: Screen, failure: SetupFailedError) -> int:
    screen.show_failures(failure.steps, failure.commands)
    print_error("nothing was saved")
    return _FAILED


def _look_at_port(settings: Settings) -> tuple[Step | None, bool]:
    found = look_at_port(settings)
    return found.step, found.status is not None
