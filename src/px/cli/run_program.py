"""``px --run``: a program that uses the running Px, or a Px that runs for this program alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from px.app.proxy_discovery import check_routes
from px.checks.fresh_px import ClientLogin, running_fresh_px
from px.cli.env.endpoint import Endpoint, ProxyValues
from px.cli.invocation import open_log, settings_of
from px.cli.passwords import load_passwords
from px.cli.running_px import control_client
from px.cli.terminal import print_message
from px.core.startup_errors import NotRunningError
from px.logs.access_log import open_sink
from px.logs.log import working_directory
from px.processes.control_client import RefusedError
from px.system.process.command_output import without_bundle
from px.system.process.foreground import find_program, run_in_foreground
from px.system.process.open_files import read_limits
from px.system.state.installation import state_directory

if TYPE_CHECKING:
    from px.config.invocation import Invocation

#: Exit codes of Windows from here on are negative numbers for Python's `sys.exit`.
_SIGN: Final = 2**31


def run_program(invocation: Invocation) -> int:
    """Run the program of an invocation; return its exit code, or the negative number of a signal.

    Raises:
        StartupError: The program cannot be run, or no Px can be started for it.
    """
    command = find_program(invocation.program)
    with contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the program
        code = asyncio.run(_run(invocation, command))
    return code - 2 * _SIGN if code >= _SIGN else code


async def _run(invocation: Invocation, command: Sequence[str]) -> int:
    limits = read_limits()
    running = None if invocation.asks_for_new_px else _find_running(invocation)
    async with contextlib.nullcontext(running) if running else _running_own_px(invocation) as values:
        return await run_in_foreground(command, _make_environment(values), limits)


def _find_running(invocation: Invocation) -> ProxyValues | None:
    try:
        status = control_client(invocation).find_status(may_be_other="port" not in invocation.given)
    except (NotRunningError, RefusedError):
        return None
    endpoint = Endpoint.of_running(status)
    if endpoint.has_login:
        print_message("the running Px requires clients to log in (--client_auth): the program has to do so")
    return replace(endpoint.values, login="")


@contextlib.asynccontextmanager
async def _running_own_px(invocation: Invocation) -> AsyncIterator[ProxyValues]:
    """Run a Px for one program. Where clients have to log in, it lets in this program alone."""
    settings, state = settings_of(invocation), state_directory()
    check_routes(settings)
    open_log(settings, "run")
    settings = load_passwords(settings, print_message)
    login = None if settings.client_auth.is_none else ClientLogin("px", secrets.token_urlsafe())
    sink = open_sink(settings.accesslog, working_directory(), state, settings.accesslog_format)
    async with running_fresh_px(settings, state, login=login, access_sink=sink, most_failed_logins=None) as (
        _,
        address,
    ):
        own = replace(settings, port=address.port, gateway=False, hostonly=False)
        values = Endpoint.of_settings(own).values
        yield replace(values, host=address.host, login=f"{login.user}:{login.password}" if login else "")


def _make_environment(values: ProxyValues) -> dict[str, str]:
    variables = values.variables
    if sys.platform == "win32":  # where the case of names does not count
        variables = {name: value for name, value in variables.items() if name.isupper()}
    return {**without_bundle(os.environ), **variables}
