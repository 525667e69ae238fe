"""The actions that check whether Px works: from the command line to the lines on the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from px.app.proxy_discovery import check_routes
from px.checks.doctor import Patient, examine
from px.checks.fresh_px import running_fresh_px
from px.checks.login_test import PxUnderTest, run_login_test
from px.checks.own_checks import make_fault_step
from px.checks.report import format_report
from px.checks.step import Step, Verdict, format_step
from px.checks.target import parse_test_url
from px.cli.env.endpoint import Endpoint, own_address
from px.cli.invocation import load_invocation
from px.cli.passwords import load_passwords
from px.cli.terminal import GREEN, RED, YELLOW, colour_start
from px.core.http.target import Authority
from px.core.startup_errors import ConfigError, NotRunningError
from px.processes.control_client import ControlClient, RefusedError, plan_restart
from px.system.process.line_width import find_columns, has_colours
from px.system.state.installation import state_directory
from px.system.state.private_files import open_private

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.config.settings import Settings

TellLine = Callable[[str], object]
_COLOURS: Final = {Verdict.OK: GREEN, Verdict.WARNING: YELLOW, Verdict.FAILED: RED}


class Found(NamedTuple):
    """What is found on the port of Px.

    Attributes:
        step: Says what has the port; None: no Px of this user.
        running: The Px there, if programs can use it without a login.
        status: The state of that Px.
        why: Why `running` is None, as a clause.
    """

    step: Step | None
    running: PxUnderTest | None = None
    status: Mapping[str, Any] | None = None
    why: str = ""


def check_login(invocation: Invocation, settings: Settings, tell: TellLine, warn: TellLine) -> bool:
    """Show the steps of ``px --test``; return whether all have succeeded.

    Args:
        invocation: With the URL, and the options that were given.
        settings: The settings of all sources.
        tell: Shows a line.
        warn: Shows a warning.

    Raises:
        ConfigError: The URL cannot be read, or the settings lead to no upstream.
    """
    requests = parse_test_url(invocation.action_value, "--test")
    found = Found(None, why="with the options given now")
    if not invocation.asks_for_new_px:
        found = look_at_port(settings)
    shown = _Screen(tell)
    if found.running is not None:
        asyncio.run(run_login_test(found.running, requests, shown.tell))
        return not shown.failed
    check_routes(settings)
    settings = load_passwords(settings, warn)

    async def run() -> None:
        async with running_fresh_px(settings, state_directory()) as (px, address):
            tested = PxUnderTest(f"a new one for this test, {found.why}", address, px.report)
            await run_login_test(tested, requests, shown.tell)

    asyncio.run(run())
    return not shown.failed


def run_doctor(invocation: Invocation, settings: Settings, tell: TellLine) -> bool:
    """Show the steps of ``px --doctor``, and write its report if one is wanted; return whether all are good.

    Args:
        invocation: With the URL, the options that were given and the switches.
        settings: The settings of all sources.
        tell: Shows a line.

    Raises:
        ConfigError: The URL cannot be read, or the report cannot be written.
    """
    requests = parse_test_url(invocation.action_value, "--doctor")
    directory, shown = Path.cwd(), _Screen(tell)
    if invocation.fault is not None:
        shown.tell(make_fault_step(invocation.fault))
        return _end(invocation, settings, shown, directory, None)
    password_warnings: list[str] = []
    found, is_new = look_at_port(settings), invocation.asks_for_new_px
    running = None if is_new else found.running
    if running is not None:  # it has passwords of its own
        invocation, settings = _load_as_running(invocation, settings)
    else:
        settings = load_passwords(settings, password_warnings.append)
    patient = Patient(
        settings=settings,
        state=state_directory(),
        config_file=invocation.config_file,
        warnings=invocation.warnings,
        password_warnings=[warning.removeprefix("warning: ") for warning in password_warnings],
        environ=os.environ,
        port=found.step,
        running=running,
    )
    asyncio.run(examine(patient, requests, shown.tell))
    return _end(invocation, settings, shown, directory, found.status)


def _end(
    invocation: Invocation,
    settings: Settings,
    shown: _Screen,
    directory: Path,
    status: Mapping[str, Any] | None,
) -> bool:
    """Show the result of all steps, and write the report if one is wanted; return whether all are good."""
    shown.tell_line(f"\n{shown.summary}")
    if "report" in invocation.switches:
        report = format_report(shown.steps, settings, os.environ, status)
        shown.tell_line(f"Report: {_write_report(directory, report)}")
    return not shown.failed


def look_at_port(settings: Settings) -> Found:
    """Return what has the port of these settings."""
    client = ControlClient(state_directory(), settings.port)
    try:
        status = client.status()
    except NotRunningError as error:
        return Found(None, why=f"because {error}")
    except RefusedError as error:
        return Found(Step("Port", Verdict.FAILED, f"{error}."), why=f"because {error}")
    endpoint = Endpoint.of_running(status)
    address = Authority(str(own_address(endpoint.listen)), endpoint.port)
    if endpoint.has_login:
        detail = f"the Px on port {settings.port} requires clients to log in"
        return Found(Step("Port", Verdict.OK, detail), None, status, f"because {detail}")
    running = PxUnderTest(f"the running one, pid {status['pid']}, on {address}", address, client.status)
    return Found(Step("Port", Verdict.OK, f"Px runs, pid {status['pid']}, on {address}"), running, status)


def _load_as_running(invocation: Invocation, settings: Settings) -> tuple[Invocation, Settings]:
    """Return the invocation of the running Px, and its settings; those given where it does not tell."""
    launch = plan_restart(ControlClient(state_directory(), settings.port))
    if launch is None:
        return invocation, settings
    with contextlib.suppress(OSError, ConfigError):
        os.chdir(launch.directory)
        again = load_invocation(launch.flags)
        if again.settings is not None:
            return again, again.settings
    return invocation, settings


def _write_report(directory: Path, text: str) -> Path:
    path = directory / time.strftime("px-report-%Y%m%d-%H%M%S.txt")
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=open_private) as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(f"--report: {path}: cannot be written: {error.strerror}") from None
    return path


class _Screen:
    """Shows steps as they come, and keeps them.

    Args:
        tell: Shows a line.
    """

    def __init__(self, tell: TellLine) -> None:
        self.tell_line = tell
        self._columns = find_columns()
        self._has_colours = has_colours(sys.stdout, os.environ)
        self.steps: list[Step] = []

    def tell(self, step: Step) -> None:
        """Show a step."""
        self.steps.append(step)
        first, *others = format_step(step, self._columns)
        if self._has_colours and (colour := _COLOURS.get(step.verdict)):
            first = colour_start(first, step.verdict.value, colour)
        for line in (first, *others):
            self.tell_line(line)

    @property
    def failed(self) -> list[str]:
        """The names of the steps that have failed."""
        return [step.name for step in self.steps if step.verdict is Verdict.FAILED]

    @property
    def summary(self) -> str:
        """The result of all steps in one sentence."""
        if self.failed:
            return f"Failed: {', '.join(self.failed)}. Begin with the first: others may follow from it."
        if any(step.verdict is Verdict.WARNING for step in self.steps):
            return "Px itself works. The warnings name what may not be as you want it."
        return "Every step of a request works."
