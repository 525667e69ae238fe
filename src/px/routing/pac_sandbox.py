"""A PAC script in a world of its own, where neither time nor memory nor stack is without a limit.

The world is a QuickJS context. Four facts about it shape this module:

- Its limit of time is processor time of the whole process (on Windows: time), and is looked at between steps
  of the script only: one step like ``new Array(1e9).join()`` can take minutes. So who calls bounds the time
  of the thread besides, and a script that is still running is not called again.
- Python callbacks are refused where there is a limit of time. So the script is handed all it may ask for.
- It tells Python of an exception by the exception's own code, without a limit and with the interpreter lock
  held: ``throw {toString() { for (;;); }}`` would be the end of this process. So ``pac.js`` lets none out.
- Only one thread may be in it at a time; which one does not matter.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

LOAD_CPU_SECONDS: Final = 5.0
CALL_CPU_SECONDS: Final = 1.0
MAX_MEMORY_BYTES: Final = 128 * 1024 * 1024
#: Far below the smallest stack of a thread on the systems that Px runs on.
MAX_STACK_BYTES: Final = 256 * 1024
#: ``pac.js`` makes none that is longer, but a script can have a say in how JSON is written (``toJSON``), and
#: who reads what comes out has no limits.
MAX_RESULT_CHARS: Final = 512 * 1024
#: As in ``pac.js``.
MAX_ANSWER_CHARS: Final = 32768

#: ``pac.js`` begins at this line, so that a line of the script can be told from one of its own.
_OWN_FIRST_LINE = 1_000_000
_Door = Callable[[str], str]
_FRAME_LINE = re.compile(r"<input>:(\d+):\d+")
#: Of this QuickJS makes null where there was no memory for the error either.
_OUT_OF_MEMORY = "InternalError: out of memory"


class ScriptError(Exception):
    """A script failed.

    Attributes:
        reason: Why; no sentence.
        line: Of the script, from 1; None where it is not known.
        is_limit: Whether it ran into a limit, so that its state is not to be relied on.
        is_loading: Whether it failed before it could be called, as it will for any request.
    """

    is_loading = False

    def __init__(self, reason: str, line: int | None = None, *, is_limit: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.is_limit = is_limit


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script.

    Attributes:
        url: First argument of FindProxyForURL.
        host: Second argument.
        own_addresses: What myIpAddress and myIpAddressEx have to answer from.
    """

    url: str
    host: str
    own_addresses: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        missing: Hosts whose addresses the script asked for and were not given: all else is void then.
        answer: What the script returned; empty for null and undefined.
        alerts: What it said by alert().
        is_tainted: Whether it went on where a name was missing, and may have kept what it made of that.
    """

    missing: tuple[str, ...] = ()
    answer: str = ""
    alerts: tuple[str, ...] = ()
    is_tainted: bool = False


class Sandbox:
    """A script, loaded when it is first called, and again when its state is not to be relied on any more.

    Args:
        script: The text.
    """

    def __init__(self, script: str) -> None:
        self._script = script
        self._find: _Door | None = None
        self._unloads = 0
        self._occupied = threading.Lock()

    def call(self, call: Call, names: Mapping[str, Sequence[str]]) -> Outcome:
        """Call the script. Blocks; from any thread.

        Args:
            call: Its arguments.
            names: Addresses of hosts; none: the host has no address.

        Raises:
            ScriptError: It failed, or an earlier call has not come back yet.
        """
        if not self._occupied.acquire(blocking=False):
            raise ScriptError("an earlier call of it has not ended yet", is_limit=True)
        try:
            outcome = self._call(_format_call(call, names))
        except ScriptError as error:
            if error.is_limit:
                self.unload()
            raise
        else:
            if outcome.is_tainted:
                self.unload()
            return outcome
        finally:
            self._occupied.release()

    def unload(self) -> None:
        """Have it loaded again by the next call: it may have asked for addresses that were others then."""
        self._find = None
        self._unloads += 1

    def _call(self, request: dict[str, Any]) -> Outcome:
        find, unloads = self._find, self._unloads
        if find is None:
            find, outcome = self._load(request)
            if outcome.missing:
                return outcome
            if unloads == self._unloads:
                self._find = find
        return _read_outcome(_run(find, request, CALL_CPU_SECONDS))

    def _load(self, request: dict[str, Any]) -> tuple[_Door, Outcome]:
        try:
            return _load(request | {"script": self._script})
        except ScriptError as error:
            error.is_loading = True
            if error.line:  # where the end comes too early, it is what Px adds that is not expected
                error.line = min(error.line, self._script.count("\n") + 1)
            raise

    def __repr__(self) -> str:
        return f"<Sandbox {'loaded' if self._find else 'not loaded'}>"


def _format_call(call: Call, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "url": call.url,
        "host": call.host,
        "own_addresses": list(call.own_addresses),
        "names": [[host, list(addresses)] for host, addresses in names.items()],
    }


def _load(request: dict[str, Any]) -> tuple[_Door, Outcome]:
    """Return what calls a script, which keeps its world; and what came of loading it."""
    import quickjs  # type: ignore[import-untyped]  # noqa: PLC0415 - 20 ms that only a PAC script needs

    context = quickjs.Context()
    context.set_max_stack_size(MAX_STACK_BYTES)
    own = files("px.routing").joinpath("pac.js").read_text(encoding="utf-8")
    context.eval("\n" * (_OWN_FIRST_LINE - 1) + own)
    load, find = context.get("px_load"), context.get("px_find")
    context.eval("delete globalThis.px_load; delete globalThis.px_find")
    context.set_memory_limit(MAX_MEMORY_BYTES)
    context.set_time_limit(LOAD_CPU_SECONDS)
    outcome = _read_outcome(_run(load, request, LOAD_CPU_SECONDS))
    context.set_time_limit(CALL_CPU_SECONDS)
    return find, outcome


def _run(door: _Door, request: dict[str, Any], cpu_seconds: float) -> dict[str, Any]:
    """Go through one of the doors of ``pac.js``."""
    import quickjs  # noqa: PLC0415 - see above

    try:
        result = _parse_result(door(json.dumps(request)))
    except quickjs.JSException as error:
        text = str(error)
        raise _to_error(_OUT_OF_MEMORY if text.strip() == "null" else text, text, cpu_seconds) from None
    except (ValueError, TypeError, SystemError, RecursionError) as error:
        raise ScriptError("it broke what it runs in", is_limit=True) from error
    if not isinstance(result, dict):
        raise ScriptError("it broke what it runs in", is_limit=True)
    if "error" in result:
        raise _to_error(str(result["error"]), str(result.get("stack", "")), cpu_seconds)
    return result


def _parse_result(text: str) -> Any:
    if len(text) > MAX_RESULT_CHARS:
        raise ValueError("too long")
    return json.loads(text)


def _to_error(text: str, stack: str, cpu_seconds: float) -> ScriptError:
    reason = _to_printable(text.partition("\n")[0].strip())
    line = _find_line(stack)
    if reason == "InternalError: interrupted":
        return ScriptError(f"it took more than {cpu_seconds:g} s of processor time", line, is_limit=True)
    if reason.endswith(": out of memory"):
        return ScriptError(f"it took more than {MAX_MEMORY_BYTES >> 20} MB of memory", line, is_limit=True)
    return ScriptError(reason or "it threw an exception without a text", line)


def _find_line(stack: str) -> int | None:
    """The innermost line that is the script's own."""
    lines = (int(number) for number in _FRAME_LINE.findall(stack))
    return next((line for line in lines if line < _OWN_FIRST_LINE), None)


def _read_outcome(result: dict[str, Any]) -> Outcome:
    if missing := result.get("missing"):
        return Outcome(missing=_to_texts(missing), is_tainted=bool(result.get("is_tainted")))
    answer = str(result.get("answer", ""))
    if len(answer) > MAX_ANSWER_CHARS:
        raise ScriptError("its answer is too long")
    return Outcome(answer=answer, alerts=tuple(map(_to_printable, _to_texts(result.get("alerts", ())))))


def _to_printable(text: str) -> str:
    """Return what may be shown to people: no commands to a terminal, and no half of a surrogate pair."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _to_texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ScriptError("it broke what it runs in", is_limit=True)
    return tuple(str(value) for value in values)
