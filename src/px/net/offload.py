"""Runs what blocks in threads, a bounded number of them, and never waits for one for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

#: Threads past their timeout that may still run; beyond, a call fails at once. They end when the system's own
#: time for a silent server is over.
MAX_LEFT_BEHIND = 64


class Offload:
    """A lane for one kind of blocking work.

    A thread cannot be stopped from outside. One that is past its timeout is left behind and no longer
    counts, so a silent KDC or name server never uses up the lane (SPEC 1, ``threads``).

    Args:
        name: Of the threads, for debuggers.
        limit: Most threads at once.
        timeout_seconds: How long a caller waits for a result.
    """

    def __init__(self, name: str, limit: int, timeout_seconds: float) -> None:
        self._name = name
        self._free = asyncio.Semaphore(limit)
        self._timeout_seconds = timeout_seconds
        self._left_behind = 0

    async def run(
        self, function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Call a function in a thread and return what it returns, or raise what it raises.

        Raises:
            TimeoutError: It took longer than the lane allows, waiting for a free thread included.
        """
        if self._left_behind >= MAX_LEFT_BEHIND:
            raise TimeoutError(f"{self._left_behind} calls before it do not return")
        async with asyncio.timeout(self._timeout_seconds), self._free:
            return await self._run_in_thread(lambda: function(*args, **kwargs))

    async def _run_in_thread(self, call: Callable[[], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()

        def deliver(result: _Result | None, error: BaseException | None) -> None:
            if done.done():
                self._left_behind -= 1
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None is a result, too

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except BaseException as caught:  # noqa: BLE001 - it is raised again where it is awaited
                error = caught
            try:
                loop.call_soon_threadsafe(deliver, result, error)
            except RuntimeError:
                return  # the loop has closed: nobody waits any more

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError as error:
            raise TimeoutError("this computer has no thread left") from error
        try:
            return await done
        except asyncio.CancelledError:
            self._left_behind += done.cancelled()  # else the result came just now
            raise

    def __repr__(self) -> str:
        return f"<Offload {self._name}>"
