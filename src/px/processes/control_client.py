"""Sends commands to a running Px: ``px --quit``, ``--restart``, ``--reload`` and ``--status``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from px.core.startup_errors import NotRunningError, StartupError
from px.io.listening_socket import DRAIN_SECONDS
from px.processes.control import ask
from px.system.state.control_socket import connect_control
from px.system.state.instance import Instance, InstanceRecord, Launch, find_ports, load_record

#: Time limits: to find a Px that is just starting; for an answer; for its end; for the start of new workers.
FIND_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
END_SECONDS: Final = DRAIN_SECONDS + 10.0
RELOAD_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class RefusedError(StartupError):
    """The running Px refused a command, or did not answer.

    Args:
        message: The reason.
        exit_code: For this process: the code of a Px that fails to start for the same reason.
        warnings: Warnings that came before the failure.
    """

    def __init__(
        self, message: str, exit_code: int = StartupError.exit_code, warnings: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.warnings = tuple(warnings)


class ControlClient:
    """Sends commands to the Px of this user on a port.

    Args:
        directory: The state directory.
        port: The port on which Px listens.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._instance = Instance(directory, port)

    def quit(self) -> int:
        """End Px; return its process id once it has ended.

        Raises:
            NotRunningError: No Px runs on the port.
            RefusedError: Px does not end.
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

    def reload(self) -> Mapping[str, Any]:
        """Make Px read its configuration again; return its answer: warnings and addresses.

        Raises:
            NotRunningError: No Px runs on the port.
            RefusedError: The configuration cannot be used; Px continues as before.
        """
        return self._ask(self._find(), "reload", RELOAD_SECONDS)

    def status(self) -> Mapping[str, Any]:
        """Return the state of Px; see `px.processes.status`.

        Raises:
            NotRunningError: No Px runs on the port.
            RefusedError: Px does not answer.
        """
        return self._ask(self._find(), "status", ANSWER_SECONDS)

    def launch(self) -> Launch:
        """Return how Px was started.

        Raises:
            NotRunningError: No Px runs on the port.
            RefusedError: Px does not answer, or does not know.
        """
        answer = self._ask(self._find(), "launch", ANSWER_SECONDS)
        return Launch(tuple(answer["flags"]), answer["directory"], answer["is_background"])

    def find_status(self, *, may_be_other: bool) -> Mapping[str, Any]:
        """Return the status of the Px of the port, or of the only Px there is.

        Args:
            may_be_other: Whether a Px on another port will do if none runs on this port.

        Raises:
            NotRunningError: No Px runs on the port.
            RefusedError: Px does not answer.
        """
        try:
            return self.status()
        except NotRunningError:
            others = self.other_ports() if may_be_other else []
            if len(others) != 1:
                raise
            return ControlClient(self._directory, others[0]).status()

    def other_ports(self) -> list[int]:
        """Return the ports of all other running Px of this user."""
        ports = find_ports(self._directory)
        return [port for port in ports if Instance(self._directory, port).is_running()]

    def _find(self) -> InstanceRecord:
        latest = time.monotonic() + FIND_SECONDS
        while self._instance.is_running():
            if record := load_record(self._directory, self._port):
                return record
            if time.monotonic() > latest:
                raise RefusedError(
                    f"the Px on port {self._port} is still starting or ending; try again in a moment"
                )
            time.sleep(_POLL_SECONDS)
        raise NotRunningError(self._explain_not_running())

    def _explain_not_running(self) -> str:
        text = f"Px is not running on port {self._port}"
        others = self.other_ports()
        if others:
            text += f"; it runs on {', '.join(map(str, others))}: give --port={others[0]}"
        return text

    def _ask(self, record: InstanceRecord, what: str, timeout_seconds: float) -> Mapping[str, Any]:
        try:
            connection = connect_control(record.control, timeout_seconds)
            answer: Mapping[str, Any] = ask(connection, record.token, {"do": what})
        except (OSError, ValueError) as error:
            raise RefusedError(
                f"Px, pid {record.pid}, has port {self._port} and does not answer; end the process"
            ) from error
        if "error" in answer:
            failed = "not reloaded" if what == "reload" else f"--{what} failed"
            code, warnings = int(answer["exit_code"]), answer.get("warnings", ())
            raise RefusedError(f"{failed}: {answer['error']}", code, warnings)
        return answer


def plan_restart(control_client: ControlClient) -> Launch | None:
    """Return how the running Px was started; None: no Px runs, or it cannot tell."""
    try:
        return control_client.launch()
    except (NotRunningError, RefusedError):
        return None
