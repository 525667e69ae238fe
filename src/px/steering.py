"""What ``px --quit``, ``--restart``, ``--reload`` and ``--status`` do: speak to the Px that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from px.admin.control import ask
from px.admin.status import format_status
from px.core.startup_errors import StartupError
from px.net.listening_socket import DRAIN_SECONDS
from px.system.instance import Instance, InstanceRecord, find_ports, load_record

#: How long for: a Px that is just starting to be found; an answer; the end; the start of new workers.
FIND_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
END_SECONDS: Final = DRAIN_SECONDS + 10.0
RELOAD_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class NotRunningError(StartupError):
    """There is no Px to speak to."""

    exit_code = 3


class RefusedError(StartupError):
    """The Px that runs did not do it.

    Args:
        message: Why.
        exit_code: As if Px had been started so.
    """

    def __init__(self, message: str, exit_code: int = StartupError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Steering:
    """The way to the Px of this user on a port.

    Args:
        directory: The state directory.
        port: Where it listens.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._instance = Instance(directory, port)

    def quit(self) -> int:
        """Have it end; return its process id when it has.

        Raises:
            NotRunningError: There is none.
            RefusedError: It does not end.
        """
        record = self._find()
        self._ask(record, "quit", ANSWER_SECONDS)
        latest = time.monotonic() + END_SECONDS
        while self._instance.is_running():
            if time.monotonic() > latest:
                raise RefusedError(
                    f"Px, pid {record.pid}, still runs after {END_SECONDS:g} s; end the process"
                )
            time.sleep(_POLL_SECONDS)
        return record.pid

    def reload(self) -> dict[str, Any]:
        """Have it take its configuration as it is now; return what there is to say about it.

        Raises:
            NotRunningError: There is none.
            RefusedError: It cannot; it goes on as it was.
        """
        answer = self._ask(self._find(), "reload", RELOAD_SECONDS)
        if "error" in answer:
            error = RefusedError(f"not reloaded: {answer['error']}", answer["exit_code"])
            error.warnings = tuple(answer["warnings"])
            raise error
        return answer

    def status(self) -> Mapping[str, Any]:
        """Return what it tells of itself; see `px.admin.status`.

        Raises:
            NotRunningError: There is none.
            RefusedError: It does not answer.
        """
        return self._ask(self._find(), "status", ANSWER_SECONDS)

    def _find(self) -> InstanceRecord:
        latest = time.monotonic() + FIND_SECONDS
        while self._instance.is_running():
            if record := load_record(self._directory, self._port):
                return record
            if time.monotonic() > latest:
                raise RefusedError(f"a Px on port {self._port} starts or ends, and does not get on with it")
            time.sleep(_POLL_SECONDS)
        raise NotRunningError(self._say_not_running())

    def _say_not_running(self) -> str:
        said = f"Px is not running on port {self._port}"
        others = [
            port for port in find_ports(self._directory) if Instance(self._directory, port).is_running()
        ]
        if others:
            said += f"; it runs on {', '.join(map(str, others))}: give --port"
        return said

    def _ask(self, record: InstanceRecord, what: str, timeout_seconds: float) -> dict[str, Any]:
        try:
            return ask(record.control_port, record.token, {"do": what}, timeout_seconds)
        except (OSError, ValueError) as error:
            raise RefusedError(
                f"Px, pid {record.pid}, has port {self._port} and does not answer; end the process"
            ) from error


def say_status(status: Mapping[str, Any], *, as_json: bool) -> str:
    """Return a status as people or programs want to read it."""
    return json.dumps(status, indent=2) if as_json else format_status(status)
