"""One blocking login call at a time, whose refusal is never lost.

Threads cannot be stopped. A call that nobody waits for any more, because it timed out or because the client
hung up, runs on; when it ends in a refused password, the lock-out guard has to hear of it all the same, or
the next request would spend another attempt of the account.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from px.core.errors import LoginRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.core.errors import LoginUnusableError
    from px.system.offload import Offload

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Turn:
    """Lets one call of a login run at a time.

    Args:
        offload: Runs the call in a thread, with a timeout.
        explain_silence: Makes the error for a call that timed out, and for all that come while it still
            runs: they do not wait for a KDC that is known to be silent, and hold no second thread.
    """

    def __init__(self, offload: Offload, explain_silence: Callable[[], LoginUnusableError]) -> None:
        self._offload = offload
        self._explain_silence = explain_silence
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._abandoned: _Call | None = None
        self._unreported: LoginRefusedError | None = None

    async def run(self, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """Return what `function` returns in a thread, once it is its turn.

        Raises:
            LoginUnusableError: It timed out.
            LoginRefusedError: An earlier call, whose caller had gone away, was refused; it is raised once.
        """
        call = _Call()
        task = asyncio.ensure_future(self._run_in_turn(call, function, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait((task,))  # other than awaiting the task, this lets it run on when cancelled
        except asyncio.CancelledError:
            call.has_caller = False
            task.add_done_callback(_note_exception)
            if task.done():
                self._unreported = call.refusal
            raise
        return task.result()

    async def _run_in_turn(self, call: _Call, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        async with self._lock:
            self._check_earlier()
            try:
                result: _T = await self._offload(call.run, function, *args)
            except TimeoutError:
                if call.abandon():
                    self._abandoned = call
                raise self._explain_silence() from None
            except LoginRefusedError as error:
                # Noted before the lock opens: the next call is on its way already.
                if not call.has_caller:
                    self._unreported = error
                raise
            return result

    def _check_earlier(self) -> None:
        """Raise what earlier calls came to that nobody heard of."""
        if self._abandoned is not None:
            if not self._abandoned.is_done:
                raise self._explain_silence()
            self._unreported, self._abandoned = self._unreported or self._abandoned.refusal, None
        if self._unreported is not None:
            error, self._unreported = self._unreported, None
            raise LoginRefusedError(error.cause, error.mend)


class _Call:
    """One call in a thread: what it came to, for the case that nobody waits for it."""

    def __init__(self) -> None:
        self.has_caller = True
        self.is_done = False
        self.refusal: LoginRefusedError | None = None
        self._lock = threading.Lock()
        self._has_begun = False
        self._is_abandoned = False

    def abandon(self) -> bool:
        """Give up waiting; return whether it runs on. One that has not begun yet never will."""
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
    """Look at the exception of a task that nobody awaits, or asyncio logs it."""
    if not task.cancelled():
        task.exception()
