"""The commands to a running Px: end, read the configuration again, report the status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from px.cli.invocation import settings_of
from px.cli.terminal import EXIT_OK, print_answer, print_message, print_warnings

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.processes.control_client import ControlClient

#: Flags that only tell --reload which Px to reload.
_FIND_FLAGS: Final = frozenset({"config", "port"})


def control_client(invocation: Invocation) -> ControlClient:
    """Return the client of the Px that runs on the port of an invocation."""
    from px.processes.control_client import ControlClient  # noqa: PLC0415
    from px.system.state.installation import state_directory  # noqa: PLC0415

    return ControlClient(state_directory(), settings_of(invocation).port)


def quit_px(invocation: Invocation) -> int:
    """End the running Px."""
    return print_answer(f"Px, pid {control_client(invocation).quit()}, has ended.")


def reload(invocation: Invocation) -> int:
    """Make the running Px read its configuration again."""
    flags = [
        given.key for name, given in invocation.given.items() if given.is_flag and name not in _FIND_FLAGS
    ]
    if flags:
        print_message(f"warning: {', '.join(flags)}: --reload does not apply new options; use --restart")
    reloaded = control_client(invocation).reload()
    print_warnings(reloaded["warnings"])
    return print_answer(
        f"Px has read its configuration again and listens on {', '.join(reloaded['listen'])}."
    )


def show_status(invocation: Invocation) -> int:
    """Print the state of the running Px."""
    from px.processes.status import render_status  # noqa: PLC0415
    from px.system.process.line_width import find_columns  # noqa: PLC0415

    status = control_client(invocation).status()
    return print_answer(render_status(status, find_columns(), as_json="json" in invocation.switches))


def show_live_status(invocation: Invocation) -> int:
    """Show the state of the running Px live until the user ends that."""
    from px.cli.top.watch import watch_status  # noqa: PLC0415

    watch_status(control_client(invocation))
    return EXIT_OK
