"""A PAC script in a process of its own, as Px sees that process; `px.routing.pac.child` runs inside it.

Each script that a worker of Px calls has one process. `load`, or the first call, starts the process, which
ends with the script or with Px. Each worker has its own, so a script that hangs blocks one worker only.

Px kills the process when it overruns a limit, and when a call is cancelled: otherwise the next call would get
the answer of the cancelled one. The next call starts another process. After `MAX_OVERRUNS` overruns in a row
calls fail at once for a while, so that Px does not keep starting processes that fail.

| state | event | then |
|---|---|---|
| no process | call | start one, send the script, send the call |
| idle | call | send the call |
| idle | the process ends | no process; the next call notices that |
| busy | answer | idle |
| busy | answer: a limit was overrun; or none within the deadline | kill it: no process, one overrun more |
| busy | the process ends by itself | no process; send the call to a new one; if that ends, too, an overrun |
| any | `close` | kill it: no process |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, get_args

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line
from px.routing.pac.answer_scope import Scope
from px.routing.pac.sandbox import (
    CHARS_A_SECOND,
    MAX_ANSWER_CHARS,
    Call,
    Outcome,
    ScriptError,
    to_printable,
)

#: Elapsed time within which a call must be answered. QuickJS itself stops a script after 1 s of processor
#: time, and loading after 5 s. A script that runs longer does not let QuickJS check the time.
CALL_SECONDS: Final = 4.0
LOAD_SECONDS: Final = 10.0
MAX_OVERRUNS: Final = 5
PAUSE_SECONDS: Final = 5.0
MAX_PAUSE_SECONDS: Final = 60.0
#: Characters of the script in one message: formatting a message blocks the event loop.
PART_CHARS: Final = 32 * 1024

_LOGGER = logging.getLogger("px.pac")


class ChildProcess(Protocol):
    """A process started for a script; `px.system.process.bare_process.BareProcess` is one."""

    @property
    def sock(self) -> socket.socket:
        """The socket connected to the process."""

    @property
    def pid(self) -> int:
        """The process ID."""

    def end(self) -> None:
        """Kill the process without waiting for its end, and close the socket."""


class _Running(NamedTuple):
    process: ChildProcess
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _EndedError(Exception):
    """The process ended instead of answering."""


class PacProcess:
    """A PAC script that is called in a process of its own. One call at a time.

    Args:
        script: The text of the script.
        start: Starts a process that runs `px.routing.pac.child.serve_script`. Blocks; raises OSError.
        run: Calls a blocking function in a thread, with a time limit (`px.io.thread_lane.ThreadLane.run`).
        now: Returns monotonic seconds.
    """

    def __init__(
        self,
        script: str,
        start: Callable[[], ChildProcess],
        run: Callable[[Callable[[], ChildProcess]], Awaitable[ChildProcess]],
        now: Callable[[], float],
    ) -> None:
        self._script = script
        self._start_process = start
        self._run = run
        self._now = now
        self._running: _Running | None = None
        self._is_loaded = False
        self._overruns = 0
        self._paused_until = 0.0

    @property
    def pid(self) -> int:
        """The process ID; 0 if no process runs now."""
        return self._running.process.pid if self._running is not None else 0

    async def load(self, call: Call) -> None:
        """Start the process and load the script before the first call.

        Raises:
            ScriptError: Loading failed. The first call tries again.
        """
        with self._count_overruns():
            try:
                running = self._running or await self._start()
                await self._load(running, _format_request(call, {}, is_last=False))
            except _EndedError:
                raise ScriptError("its process ended while the script was loaded") from None

    async def call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool = False) -> Outcome:
        """Call the script. See `px.routing.pac.sandbox.Sandbox.call`.

        Raises:
            ScriptError: The script failed or overran a limit, or no process could be started.
        """
        with self._count_overruns():
            try:
                return await self._call(call, names, is_last=is_last)
            except _EndedError:  # perhaps not the script's fault: try once more
                pass
            try:
                return await self._call(call, names, is_last=is_last)
            except _EndedError:
                raise ScriptError("its process ended before it answered", is_limit=True) from None

    def unload(self) -> None:
        """Load the script again at the next call: the addresses that the script has kept may be outdated."""
        self._is_loaded = False

    def close(self) -> None:
        """End the process. A later call would start another."""
        running, self._running = self._running, None
        if running is not None:
            running.writer.transport.abort()
            running.process.end()

    @contextlib.contextmanager
    def _count_overruns(self) -> Iterator[None]:
        """End the process after an overrun, and refuse calls for a while after several in a row."""
        if self._paused_until > self._now():
            reason = f"its process failed {self._overruns} times in a row; Px starts another one soon"
            raise ScriptError(reason)
        try:
            yield
        except ScriptError as error:
            if error.is_limit:
                self._note_overrun(error)
            else:
                self._overruns = 0
            raise
        else:
            self._overruns = 0

    def _note_overrun(self, error: ScriptError) -> None:
        self.close()
        self._overruns += 1
        _LOGGER.warning("ended the process of the PAC script: %s", error.reason)
        if self._overruns >= MAX_OVERRUNS:
            seconds = min(PAUSE_SECONDS * 2 ** (self._overruns - MAX_OVERRUNS), MAX_PAUSE_SECONDS)
            self._paused_until = self._now() + seconds

    async def _call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool) -> Outcome:
        running = self._running or await self._start()
        request = _format_request(call, names, is_last=is_last)
        if not self._is_loaded:
            outcome = await self._load(running, request)
            if outcome.missing:
                return outcome
        outcome = await self._exchange(running, {"do": "call", **request}, CALL_SECONDS)
        if outcome.is_tainted:
            self._is_loaded = False
        return outcome

    async def _load(self, running: _Running, request: Mapping[str, object]) -> Outcome:
        self._is_loaded = True  # set before the exchange: `unload` may clear the flag meanwhile
        outcome = await self._exchange(running, {"do": "load", **request}, LOAD_SECONDS)
        if outcome.missing:
            self._is_loaded = False
        return outcome

    async def _exchange(self, running: _Running, request: Mapping[str, object], seconds: float) -> Outcome:
        """Send one request and return its answer.

        Raises:
            ScriptError: The script failed, or took too long.
            _EndedError: The process ended.
        """
        try:
            async with asyncio.timeout(seconds + 2 * (len(self._script) // CHARS_A_SECOND)):
                return await _talk(running, request)
        except TimeoutError:
            self.close()
            error = ScriptError("it did not return in time", is_limit=True)
            error.is_loading = request["do"] == "load"
            raise error from None
        except ScriptError as error:
            if error.is_loading:
                self._is_loaded = False
            raise
        except BaseException:
            self.close()
            raise

    async def _start(self) -> _Running:
        """Start a process and send it the script."""
        starting = asyncio.ensure_future(self._run(self._start_process))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_end_unwanted)
            raise
        except OSError as error:  # TimeoutError is one
            reason = f"its process cannot be started: {error.strerror or 'it took too long'}"
            raise ScriptError(reason, is_limit=True) from error
        try:
            reader, writer = await asyncio.open_connection(sock=process.sock, limit=MAX_LINE_BYTES)
        except BaseException:
            process.end()
            raise
        self._running = running = _Running(process, reader, writer)
        self._is_loaded = False
        _LOGGER.debug("the process %d was started for the PAC script", process.pid)
        try:
            for begin in range(0, len(self._script), PART_CHARS):
                writer.write(format_line({"part": self._script[begin : begin + PART_CHARS]}))
                await writer.drain()
                await asyncio.sleep(0)
        except OSError:
            self.close()
            raise _EndedError from None
        except BaseException:
            self.close()
            raise
        return running

    def __repr__(self) -> str:
        return f"<PacProcess pid={self.pid}>"


def _end_unwanted(starting: asyncio.Future[ChildProcess]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().end()


def _format_request(call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool) -> dict[str, object]:
    return {
        **call._asdict(),
        "names": {name: list(addresses) for name, addresses in names.items()},
        "is_last": is_last,
    }


async def _talk(running: _Running, request: Mapping[str, object]) -> Outcome:
    try:
        running.writer.write(format_line(request))
        await running.writer.drain()
        line = await running.reader.readline()
    except (OSError, ValueError):  # ValueError: the line is longer than any line of the sandbox
        raise _EndedError from None
    if not line:
        raise _EndedError
    try:
        return _read_answer(parse_line(line))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _EndedError from None


def _read_answer(message: Mapping[str, Any]) -> Outcome:
    """Return the outcome in a message. The form is checked: a script may have taken over the process.

    Raises:
        ScriptError: The message is an error.
        ValueError, TypeError, KeyError, OverflowError: The message has another form.
    """
    if "error" in message:
        error = ScriptError(
            to_printable(str(message["error"])),
            None if message["line"] is None else int(message["line"]),
            is_limit=bool(message["is_limit"]),
        )
        error.is_loading = bool(message["is_loading"])
        raise error
    if len(message["answer"]) > MAX_ANSWER_CHARS or message["scope"] not in get_args(Scope):
        raise ValueError("not an answer of the sandbox")
    return Outcome(
        missing=tuple(map(str, message["missing"])),
        answer=str(message["answer"]),
        alerts=tuple(to_printable(str(alert)) for alert in message["alerts"]),
        is_tainted=bool(message["is_tainted"]),
        scope=message["scope"],
    )
