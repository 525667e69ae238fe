"""Runs blocking calls in a bounded number of threads, and never waits for a thread for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

#: Abandoned threads that may still run; when there are more, a call fails at once. An abandoned thread ends
#: when the system gives up on the silent server.
MAX_ABANDONED = 64


#: Calls a function with its arguments in a thread; returns its result or raises its exception.
#: `ThreadLane.run` is one. Raises TimeoutError if the call takes too long: the thread then runs on, and its
#: result is lost.
RunInThread = Callable[..., Awaitable[Any]]


class ThreadLane:
    """A lane for one kind of blocking work.

    A thread cannot be stopped from outside. A thread past its timeout is abandoned and no longer counts, so a
    silent KDC or name server never uses up the lane.

    Args:
        name: The name of the threads, for debuggers.
        limit: The most threads at the same time.
        timeout_seconds: How long a caller waits for a result.
    """

    def __init__(self, name: str, limit: int, timeout_seconds: float) -> None:
        self._name = name
        self._free = asyncio.Semaphore(limit)
        self._timeout_seconds = timeout_seconds
        self._abandoned = 0

    async def run(
        self, function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Call a function in a thread; return its result, or raise its exception.

        Raises:
            TimeoutError: The call took longer than the lane allows, including the wait for a free thread.
        """
        if self._abandoned >= MAX_ABANDONED:
            raise TimeoutError(f"{self._abandoned} earlier calls have not returned")
        async with asyncio.timeout(self._timeout_seconds), self._free:
            return await self._run_in_thread(lambda: function(*args, **kwargs))

    async def _run_in_thread(self, call: Callable[[], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()

        def deliver(result: _Result | None, error: BaseException | None) -> None:
            if done.done():
                self._abandoned -= 1
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None is a result, too

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except BaseException as caught:  # noqa: BLE001 - raised again in the task that awaits
                error = caught
            try:
                loop.call_soon_threadsafe(deliver, result, error)
            except RuntimeError:
                return  # the loop has closed: no task waits

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError as error:
            raise TimeoutError("this computer has no thread left") from error
        try:
            return await done
        except asyncio.CancelledError:
            self._abandoned += done.cancelled()  # false if the result has just come
            raise

    def __repr__(self) -> str:
        return f"<ThreadLane {self._name}>"
