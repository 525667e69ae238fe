"""Asks a running Px for its status again and again, and shows it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Final

from px.cli.top.screen import Output, open_output
from px.cli.top.sections import Moment, Status
from px.cli.top.view import format_view
from px.core.startup_errors import NotRunningError
from px.processes.control_client import END_SECONDS, ControlClient, RefusedError
from px.system.process.standard_output import until_reader_leaves

#: Between two views.
SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.2


def watch_status(client: ControlClient) -> None:
    """Show the status until the user ends that.

    Raises:
        NotRunningError: No Px runs, or it has ended.
        RefusedError: Px does not answer.
    """
    status = client.status()
    with (
        contextlib.suppress(KeyboardInterrupt),
        until_reader_leaves(),
        open_output(sys.stdout, os.environ) as output,
    ):
        _show_on(client, output, Moment(status))


def _show_on(client: ControlClient, output: Output, moment: Moment) -> None:
    while True:
        output.show(format_view(moment, output.find_space()))
        event = output.wait(SECONDS)
        if event == "quit":
            return
        if event == "time":
            moment = Moment(_ask(client, moment.status), moment.status)


def _ask(client: ControlClient, before: Status) -> Status:
    """Return the status. A Px that is ending may refuse it until it has ended."""
    latest = time.monotonic() + END_SECONDS
    while True:
        try:
            return client.status()
        except NotRunningError as error:
            raise NotRunningError(f"Px, pid {before['pid']}, has ended") from error
        except RefusedError:
            if time.monotonic() > latest:
                raise
            time.sleep(_RETRY_SECONDS)
