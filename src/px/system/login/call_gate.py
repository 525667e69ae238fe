"""Runs one blocking login call at a time, and never loses a refusal.

Threads cannot be stopped. When a call times out or its client hangs up, the call runs on without a caller. If
it ends in a refused password, the lock-out guard must still learn of the refusal. Otherwise the next request
would risk one more refusal of the account.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from px.core.errors import LoginRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.core.errors import LoginUnusableError
    from px.io.thread_lane import RunInThread

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class CallGate:
    """Lets one call of a login run at a time; the others wait.

    Args:
        run_in_thread: Runs the call in a thread, with a timeout.
        explain_silence: Returns the error for a call that timed out, and for all calls that come while that
            one still runs. They do not wait for a silent KDC, and hold no second thread.
    """

    def __init__(self, run_in_thread: RunInThread, explain_silence: Callable[[], LoginUnusableError]) -> None:
        self._run_in_thread = run_in_thread
        self._explain_silence = explain_silence
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._abandoned: _Call | None = None
        self._unreported: LoginRefusedError | None = None

    async def run(self, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """Return what `function` returns in a thread, when no other call runs.

        Raises:
            LoginUnusableError: The call timed out.
            LoginRefusedError: The call was refused, or an earlier one without a caller was; each refusal is
                raised once.
        """
        call = _Call()
        task = asyncio.ensure_future(self._run_alone(call, function, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait((task,))  # unlike `await task`, this lets the task run on after a cancellation
        except asyncio.CancelledError:
            call.has_caller = False
            task.add_done_callback(_note_exception)
            if task.done():
                self._unreported = call.refusal
            raise
        return task.result()

    async def _run_alone(self, call: _Call, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        async with self._lock:
            self._check_earlier()
            try:
                result: _T = await self._run_in_thread(call.run, function, *args)
            except TimeoutError:
                if call.abandon():
                    self._abandoned = call
                raise self._explain_silence() from None
            except LoginRefusedError as error:
                # Noted before the lock is released, as the next call may wait for the lock already.
                if not call.has_caller:
                    self._unreported = error
                raise
            return result

    def _check_earlier(self) -> None:
        """Raise the refusal of an earlier call that had no caller.

        Raises:
            LoginRefusedError: There is one.
            LoginUnusableError: An earlier call still runs.
        """
        if self._abandoned is not None:
            if not self._abandoned.is_done:
                raise self._explain_silence()
            self._unreported, self._abandoned = self._unreported or self._abandoned.refusal, None
        if self._unreported is not None:
            error, self._unreported = self._unreported, None
            raise LoginRefusedError(error.cause, error.hint)


class _Call:
    """One call in a thread, and its refusal, in case the caller goes away."""

    def __init__(self) -> None:
        self.has_caller = True
        self.is_done = False
        self.refusal: LoginRefusedError | None = None
        self._lock = threading.Lock()
        self._has_begun = False
        self._is_abandoned = False

    def abandon(self) -> bool:
        """Give up waiting; return whether the call runs on. A call that has not begun never begins."""
        with self._lock:
            self._is_abandoned = True
            return self._has_begun

    def run(self, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """Call the function, in a thread."""
        with self._lock:
            if self._is_abandoned:
                raise TimeoutError
            self._has_begun = True
        try:
            return function(*args)
        except LoginRefusedError as error:
            self.refusal = error
            raise
        finally:
            self.is_done = True


def _note_exception(task: asyncio.Task[object]) -> None:
    """Retrieve the exception of a task that nobody awaits; otherwise asyncio logs it."""
    if not task.cancelled():
        task.exception()
