"""Starts Px: in the foreground, in the background, or in the place of a running Px."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from px.cli.invocation import load_invocation, open_log, settings_of
from px.cli.running_px import control_client, quit_px
from px.cli.terminal import announce, announce_and_leave, print_as_is, print_message, print_warnings
from px.core.startup_errors import ConfigError

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.processes.worker import SpawnProcess
    from px.system.state.instance import Launch


def run_proxy(invocation: Invocation) -> int:
    """Serve until Px is told to end; in the background if that is how this program is started."""
    from px.cli.background import gives_prompt_back, is_windowless  # noqa: PLC0415

    if settings_of(invocation).foreground:
        return _serve(invocation, announce)
    if gives_prompt_back(os.environ):
        return _start_in_background(invocation)
    if is_windowless():
        return _serve(invocation, announce_and_leave, is_background=True)
    return _serve(invocation, announce)


def _start_in_background(invocation: Invocation) -> int:
    from px.cli.background import start_in_background  # noqa: PLC0415

    code, output = start_in_background(invocation.flags)
    (print_as_is if code else announce)(output)
    return code


def run_in_background(argv: Sequence[str]) -> int:
    """Serve in the process that `px.cli.background.start_in_background` has started."""
    from px.cli.background import Launcher  # noqa: PLC0415

    launcher = Launcher()
    return _serve(load_invocation(argv), launcher.tell, is_background=True)


def _serve(invocation: Invocation, announce: Callable[[str], object], *, is_background: bool = False) -> int:
    if sys.platform == "linux" and settings_of(invocation).workers > 1:
        from px.processes.forks.template import fork_template  # noqa: PLC0415

        # Now, while this process can be forked: it has no thread and no open file yet.
        template = fork_template(finds_upstreams=not settings_of(invocation).proxy)
        if isinstance(template, int):  # this process is a fork, and has to end
            return template
        if template is not None:
            with template:
                return _run(invocation, announce, template.spawn, is_background=is_background)
    from px.processes.handover import execute_process  # noqa: PLC0415

    return _run(invocation, announce, execute_process, is_background=is_background)


def _run(
    invocation: Invocation,
    announce: Callable[[str], object],
    spawn_process: SpawnProcess,
    *,
    is_background: bool,
) -> int:
    from px.processes.program import run  # noqa: PLC0415
    from px.system.state.instance import Launch  # noqa: PLC0415

    settings, flags = settings_of(invocation), invocation.flags
    open_log(settings, "main")
    launch = Launch(flags, str(Path.cwd()), is_background)
    load = partial(load_invocation, flags)
    return run(settings, load, announce, print_message, launch, spawn_process)


def restart(invocation: Invocation) -> int:
    """End the running Px, if there is one, and start Px with the same options or with new ones."""
    from px.app.proxy_discovery import check_routes  # noqa: PLC0415
    from px.core.startup_errors import NotRunningError  # noqa: PLC0415
    from px.processes.control_client import plan_restart  # noqa: PLC0415

    has_flags = any(one.is_flag and name != "port" for name, one in invocation.given.items())
    launch = None if has_flags else plan_restart(control_client(invocation))
    again = _load_again(launch, invocation) if launch else invocation
    print_warnings(again.warnings)
    check_routes(settings_of(again))  # before the running Px ends
    with contextlib.suppress(NotRunningError):
        quit_px(invocation)
    if launch and launch.is_background and not settings_of(again).foreground:
        return _start_in_background(again)
    return run_proxy(again)


def _load_again(launch: Launch, invocation: Invocation) -> Invocation:
    """Return the invocation of the running Px, with the options that are given now."""
    try:
        os.chdir(launch.directory)
    except OSError as error:
        reason = f"the running Px was started in {launch.directory}: {error.strerror}"
        raise ConfigError(
            f"{reason}; run --restart in another directory and give all options again"
        ) from None
    return load_invocation([*launch.flags, *invocation.flags])
