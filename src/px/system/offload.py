"""How blocking calls leave the event loop's thread: the shape of `px.net.offload.Offload.run`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

#: Called with a function and its arguments; calls it in a thread, returns what it returns, raises what it
#: raises. Raises TimeoutError when that takes too long: the thread then runs on and its result is lost.
Offload = Callable[..., Awaitable[Any]]
