"""A Px from its start to its end, and what it is told meanwhile, by signals or through `px.admin.control`."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from px import __version__
from px.admin.control import Control
from px.core.lockout import LockoutGuard
from px.core.startup_errors import StartupError
from px.net.listening_socket import DRAIN_SECONDS
from px.net.offload import Offload
from px.stored_passwords import LOAD_SECONDS, StoredPasswords
from px.system.credentials import Keyring
from px.system.installation import state_directory
from px.system.instance import InstanceRecord
from px.system.lockout_file import LOCKOUT_NAME, LockoutFile
from px.system.open_files import raise_limit
from px.way_finding import check_way, say_upstreams
from px.workers.station import Station
from px.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from px.config import Invocation, Settings

#: A stop that takes longer is announced.
ANNOUNCE_SECONDS = 0.3

_LOGGER = logging.getLogger("px.program")


#: Tells a line to the person who started Px.
Tell = Callable[[str], object]


def run(
    settings: Settings,
    load: Callable[[], Invocation],
    announce: Tell,
    warn: Tell,
    *,
    is_background: bool = False,
) -> int:
    """Serve until Ctrl-C, SIGTERM or ``px --quit``; return the exit code.

    Args:
        settings: What Px shall do.
        load: Reads the configuration anew, for a reload; raises StartupError.
        announce: Tells the person who started it that Px listens, and later that it ends.
        warn: Tells what does not do.
        is_background: Whether that person cannot end it by Ctrl-C.

    Raises:
        StartupError: Px cannot listen, or no worker can serve.
    """
    check_way(settings)
    with asyncio.Runner() as runner:
        runner.run(_serve(settings, load, announce, warn, is_background=is_background))
    return 0


async def _serve(
    settings: Settings, load: Callable[[], Invocation], announce: Tell, warn: Tell, *, is_background: bool
) -> None:
    raise_limit()  # before there are workers: they inherit it
    state = state_directory()
    station = Station.take(settings, state)
    passwords = StoredPasswords(Keyring(LOAD_SECONDS), warn)  # which see to their time themselves
    threads = Offload("px-secrets", 1, timeout_seconds=float("inf"))

    async def add_secrets(settings: Settings) -> Settings:
        return await threads.run(passwords.add_to, settings)

    supervisor = Supervisor(settings, station, state, add_secrets)
    try:
        await Program(supervisor, load, announce, warn, is_background=is_background).serve()
    finally:
        supervisor.station.shut()
        supervisor.station.instance.withdraw()


class Program:
    """A Px that runs; made inside the event loop.

    Args:
        supervisor: Of its workers, not yet started.
        load: Reads the configuration anew.
        announce: Tells the person who started it that it listens, and later that it ends.
        warn: Tells what does not do.
        is_background: Whether that person cannot end it by Ctrl-C.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        load: Callable[[], Invocation],
        announce: Tell,
        warn: Tell,
        *,
        is_background: bool,
    ) -> None:
        self._supervisor = supervisor
        self._load = load
        self._announce = announce
        self._warn = warn
        self._is_background = is_background
        self._token = secrets.token_urlsafe(32)
        self._control = Control(self._token, self._obey)
        self._control_port = 0
        self._started = time.time()
        self._ending, self._hurried = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_terminal = _has_terminal()

    async def serve(self) -> None:
        """Serve until told to end.

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
            self._announce(self._say_listening())
        await self._supervisor.wait_ended()

    def _say_listening(self) -> str:
        settings, where = self._supervisor.settings, ", ".join(self._supervisor.station.addresses)
        listens = f"listens on {where} for {settings.access.who}. Upstream: {say_upstreams(settings)}."
        if self._is_background:
            return f"Px runs in the background, pid {os.getpid()}, and {listens} px --quit ends it."
        return f"Px {listens} Ctrl-C ends it."

    async def _stop(self, serving: asyncio.Task[None]) -> None:
        """Let requests under way end, unless the person who waits for it is in a hurry."""
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
        """Reload, unless the terminal that Px was started at has gone: then Px ends with it."""
        if self._has_terminal and not _has_terminal():
            self._ending.set()
        else:
            self._begin(self._reload())

    async def _open_control(self) -> None:
        self._control_port = await self._control.open()
        self._publish()

    def _publish(self) -> None:
        station = self._supervisor.station
        record = InstanceRecord(
            pid=os.getpid(),
            listen=station.hosts,
            control_port=self._control_port,
            token=self._token,
            version=__version__,
            started=self._started,
        )
        try:
            station.instance.publish(record)
        except OSError as error:
            self._warn(f"warning: px --quit, --reload and --status will not find this Px: {error}")

    async def _obey(self, request: Mapping[str, object]) -> Mapping[str, object]:
        match request.get("do"):
            case "quit":
                self._ending.set()
                return {"pid": os.getpid()}
            case "reload":
                return await self._reload()
            case "status":
                return await self._report()
        raise ValueError("unknown command")

    async def _reload(self) -> dict[str, object]:
        """Take the configuration as it is now; return what there is to say about it."""
        try:
            invocation = self._load()
            assert invocation.settings is not None  # noqa: S101 - it is that of a Px which runs
            await asyncio.to_thread(check_way, invocation.settings)
            await self._supervisor.change(invocation.settings)
            LockoutGuard(LockoutFile(state_directory() / LOCKOUT_NAME), time.time).allow_probe()
            self._publish()
        except StartupError as error:
            _LOGGER.warning("not reloaded: %s", error)
            return {"error": str(error), "exit_code": error.exit_code, "warnings": error.warnings}
        _LOGGER.info("reloaded")
        return {"warnings": invocation.warnings, "listen": self._supervisor.station.addresses}

    async def _report(self) -> dict[str, object]:
        settings = self._supervisor.settings
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "uptime_seconds": time.time() - self._started,
            "config": str(settings.config) if settings.config else "",
            "listen": self._supervisor.station.addresses,
            **await self._supervisor.report(),
        }


def _has_terminal() -> bool:
    """Whether standard input is a terminal that is still there."""
    return sys.stdin is not None and sys.stdin.isatty()
