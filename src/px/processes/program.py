"""Runs Px from its start to its end, and handles signals and the commands of `px.processes.control`."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from px import __version__
from px.app.proxy_discovery import check_routes, describe_upstreams
from px.config.stored_passwords import LOAD_SECONDS, StoredPasswords
from px.core.startup_errors import StartupError
from px.io.listening_socket import DRAIN_SECONDS
from px.io.thread_lane import ThreadLane
from px.logs.warning_log import WarningLog
from px.processes.control import Control
from px.processes.handover import execute_process
from px.processes.listen_sockets import ListenSockets
from px.processes.notices import Notices
from px.processes.supervisor import Supervisor
from px.processes.worker import SpawnProcess
from px.system.login.keyring import Keyring
from px.system.process.open_files import raise_limit
from px.system.process.waiting import waiting_for
from px.system.state.control_socket import (
    ControlAddress,
    may_command,
    open_control_socket,
    remove_control_socket,
)
from px.system.state.installation import state_directory
from px.system.state.instance import InstanceRecord, Launch
from px.system.state.lockout_file import allow_retry
from px.system.state.private_files import find_directory_writer
from px.system.state.shared_right import SharedRight

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.config.settings import Settings

#: A stop that takes longer than this is announced.
ANNOUNCE_SECONDS = 0.3

_LOGGER = logging.getLogger("px.program")


#: Shows a line to the person who started Px.
Tell = Callable[[str], object]


def run(
    settings: Settings,
    load: Callable[[], Invocation],
    announce: Tell,
    warn: Tell,
    launch: Launch,
    spawn_process: SpawnProcess = execute_process,
) -> int:
    """Serve until Ctrl-C, SIGTERM or ``px --quit``; return the exit code.

    Args:
        settings: The settings of Px.
        load: Reads the configuration again, for a reload; raises StartupError.
        announce: Shows that Px listens, and later that it ends.
        warn: Shows a warning.
        launch: How Px was started.
        spawn_process: Starts the process of a worker, if there are several workers.

    Raises:
        StartupError: Px cannot listen, or no worker can serve.
    """
    with waiting_for("the system's proxy settings"):
        check_routes(settings)
    with asyncio.Runner() as runner:
        runner.run(_serve(settings, load, announce, warn, launch, spawn_process))
    return 0


async def _serve(
    settings: Settings,
    load: Callable[[], Invocation],
    announce: Tell,
    warn: Tell,
    launch: Launch,
    spawn_process: SpawnProcess,
) -> None:
    raise_limit()  # before there are workers: they inherit it
    state = state_directory()
    log_path = None if settings.log or settings.verbose else state / f"warnings-{settings.port}.log"
    warning_log = WarningLog(log_path) if log_path else None
    with Notices(warn, announce, warning_log, is_verbose=settings.verbose) as notices:
        make_program = partial(Program, load=load, announce=announce, notices=notices, launch=launch)
        await _serve_from(state, settings, notices, make_program, spawn_process)


async def _serve_from(
    state: Path,
    settings: Settings,
    notices: Notices,
    make_program: Callable[[Supervisor], Program],
    spawn_process: SpawnProcess,
) -> None:
    if writer := find_directory_writer(state):
        notices.warn(f"other users can remove what Px remembers of refused logins: {writer}")
    listen_sockets = ListenSockets.take(settings, state)
    for warning in listen_sockets.warnings:
        notices.warn(f"warning: {warning}")
    passwords = StoredPasswords(Keyring(LOAD_SECONDS), notices.warn)  # limit their time themselves
    threads = ThreadLane("px-secrets", 1, timeout_seconds=float("inf"))

    async def add_secrets(settings: Settings) -> Settings:
        with waiting_for("the system's keyring, which may want to be unlocked"):
            return await threads.run(passwords.add_to, settings)

    with SharedRight.create() as shared_right:
        supervisor = Supervisor(
            settings, listen_sockets, state, add_secrets, shared_right, notices, spawn_process=spawn_process
        )
        try:
            await make_program(supervisor).serve()
        finally:
            supervisor.listen_sockets.shut()
            supervisor.listen_sockets.instance.withdraw()


class Program:
    """The main process of a running Px; must be made inside the event loop.

    Args:
        supervisor: The supervisor of the workers, not yet started.
        load: Reads the configuration again.
        announce: Shows that Px listens, and later that it ends.
        notices: What else Px tells the user.
        launch: How Px was started.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        load: Callable[[], Invocation],
        announce: Tell,
        notices: Notices,
        launch: Launch,
    ) -> None:
        self._supervisor = supervisor
        supervisor.describe = self._describe
        self._load = load
        self._announce = announce
        self._notices = notices
        self._launch = launch
        self._token = secrets.token_urlsafe(32)
        self._control = Control(self._token, self._obey, may_command)
        self._control_address: ControlAddress = 0
        self._started = time.time()
        self._ending, self._hurried = asyncio.Event(), asyncio.Event()
        self._reloading = asyncio.Lock()
        #: The reload that waits for the present one, and has not read the configuration yet.
        self._next_reload: asyncio.Task[dict[str, object]] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_terminal = _has_terminal()

    async def serve(self) -> None:
        """Serve until a signal or a command ends Px.

        Raises:
            StartupError: No worker can serve.
        """
        self._heed_signals()
        serving, ending = self._begin(self._serve_clients()), self._begin(self._ending.wait())
        await self._open_control()
        try:
            await asyncio.wait([serving, ending], return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await self._stop(serving)
            serving.result()
        finally:
            self._control.close()
            remove_control_socket(self._control_address)
            for task in self._tasks:
                task.cancel()

    def _begin(self, doing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve_clients(self) -> None:
        try:
            await self._supervisor.start()
        except StartupError:
            if not self._ending.is_set():
                raise
        if not self._ending.is_set():
            self._announce(self._describe_listening())
            self._notices.begin_announcing()
        await self._supervisor.wait_ended()

    def _describe_listening(self) -> str:
        settings, where = self._supervisor.settings, ", ".join(self._supervisor.listen_sockets.addresses)
        listens = f"listens on {where} for {settings.access.audience}.{self._describe_other_ports()}"
        listens += f" Upstream: {describe_upstreams(settings)}."
        if self._launch.is_background:
            ends = f"px --quit --port={settings.port} ends it."
            return f"Px runs in the background, pid {os.getpid()}, and {listens} {ends}"
        return f"Px {listens} Ctrl-C ends it."

    def _describe_other_ports(self) -> str:
        """Return the SOCKS port and the static tunnels as sentences, each after a blank."""
        settings, addresses_at = self._supervisor.settings, self._supervisor.listen_sockets.addresses_at
        said = f" SOCKS5: {', '.join(addresses_at(settings.socks))}." if settings.socks else ""
        tunnels = [f"{', '.join(addresses_at(port))} to {target}" for port, target in settings.tunnel]
        return said + (f" Tunnels: {'; '.join(tunnels)}." if tunnels else "")

    async def _stop(self, serving: asyncio.Task[None]) -> None:
        """Let open requests end; a second signal ends them at once."""
        self._supervisor.drain(DRAIN_SECONDS)
        hurried = self._begin(self._hurried.wait())
        both = [serving, hurried]
        done, _ = await asyncio.wait(both, timeout=ANNOUNCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._announce(f"Px ends; what is under way has {DRAIN_SECONDS:g} s. Ctrl-C again ends it now.")
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            self._supervisor.drain(0)
            await asyncio.wait([serving])

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._end))
        else:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._end)
            loop.add_signal_handler(signal.SIGHUP, self._receive_hangup)

    def _end(self) -> None:
        (self._hurried if self._ending.is_set() else self._ending).set()

    def _receive_hangup(self) -> None:
        """Reload; but if the terminal that started Px has been closed, end."""
        if self._has_terminal and not _has_terminal():
            self._ending.set()
        else:
            self._begin(self._obey({"do": "reload"}))

    async def _open_control(self) -> None:
        sock, self._control_address = open_control_socket(self._supervisor.listen_sockets.instance.directory)
        await self._control.open(sock)
        self._publish()

    def _publish(self) -> None:
        listen_sockets = self._supervisor.listen_sockets
        record = InstanceRecord(
            pid=os.getpid(),
            listen=listen_sockets.hosts,
            control=self._control_address,
            token=self._token,
            version=__version__,
            started=self._started,
        )
        try:
            listen_sockets.instance.publish(record)
        except OSError as error:
            self._notices.warn(f"warning: px --quit, --reload and --status will not find this Px: {error}")

    async def _obey(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Carry out a command and return its answer; if it fails, the answer is the cause, for its sender."""
        try:
            return await self._do(request.get("do"))
        except StartupError as error:
            _LOGGER.warning("a command was refused: %s", error)
            return {"error": str(error), "exit_code": error.exit_code, "warnings": error.warnings}
        except Exception as error:
            _LOGGER.exception("the command failed")
            return {"error": f"{type(error).__name__}: {error}", "exit_code": StartupError.exit_code}

    async def _do(self, what: object) -> Mapping[str, object]:
        match what:
            case "quit":
                self._ending.set()
                return {"pid": os.getpid()}
            case "reload":
                return await self._join_reload()
            case "status":
                return await self._supervisor.report()
            case "launch":
                return asdict(self._launch)
        raise StartupError("the running Px is of another version and does not know this command")

    async def _join_reload(self) -> dict[str, object]:
        """Return the result of a reload that reads the configuration after this call.

        Only one reload runs at a time, so that the newest configuration is applied last. All requests that
        arrive during a reload share the next one.
        """
        if self._next_reload is None:
            self._next_reload = self._begin(self._reload())
        return await asyncio.shield(self._next_reload)

    async def _reload(self) -> dict[str, object]:
        """Apply the configuration as it is now; return the answer to the command.

        Raises:
            StartupError: The configuration cannot be used; everything is as before.
        """
        async with self._reloading:
            self._next_reload = None
            invocation = await asyncio.to_thread(self._load)
            assert invocation.settings is not None  # noqa: S101 - it is that of a Px which runs
            await asyncio.to_thread(check_routes, invocation.settings)
            await self._supervisor.change(invocation.settings)
            await asyncio.to_thread(allow_retry, state_directory())  # this may wait for a lock
            self._publish()
        warnings = (*invocation.warnings, *self._supervisor.listen_sockets.warnings)
        for warning in warnings:
            _LOGGER.warning("%s", warning)
        _LOGGER.info("reloaded")
        return {"warnings": warnings, "listen": self._supervisor.listen_sockets.addresses}

    def _describe(self) -> dict[str, object]:
        """Return what a status says of Px as a whole."""
        settings, listen_sockets = self._supervisor.settings, self._supervisor.listen_sockets
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "uptime_seconds": time.time() - self._started,
            "config": str(settings.config) if settings.config else "",
            "is_running": True,
            "listen": listen_sockets.addresses,
            "socks": listen_sockets.addresses_at(settings.socks),
            "tunnels": [
                {"listen": listen_sockets.addresses_at(port), "target": str(target)}
                for port, target in settings.tunnel
            ],
            "noproxy": str(settings.noproxy),
            "warnings_log": self._notices.log_path,
            "clients_log_in": not settings.client_auth.is_none,
        }


def _has_terminal() -> bool:
    """Whether standard input is a terminal that is still open."""
    return sys.stdin is not None and sys.stdin.isatty()
