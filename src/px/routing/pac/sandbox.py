"""A PAC script in a world of its own, with limits of time, memory and stack.

The world is a QuickJS context. Px runs the context in a process of its own (`px.routing.pac.child`), which
imports this module and nothing else of the proxy. Four facts about QuickJS shape this module:

- QuickJS limits the processor time of the whole process (on Windows: elapsed time), and checks the limit
  only between two steps of the script: one step like ``new Array(1e9).join()`` can take minutes. So Px
  also kills a process that does not answer in time (`px.routing.pac.process`).
- Together with a time limit, QuickJS refuses Python callbacks. So the script gets all data in advance.
- To report an exception to Python, QuickJS runs the exception's own code, without a limit and with the
  interpreter lock held: ``throw {toString() { for (;;); }}`` would block this process for ever. So ``pac.js``
  lets no exception out.
- Each level of recursion of a script takes 2 to 5 KB of the thread's stack, so `Sandbox` is told the size of
  that stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from px.routing.pac.answer_scope import Scope, find_scope

LOAD_CPU_SECONDS: Final = 5.0
CALL_CPU_SECONDS: Final = 1.0
MAX_MEMORY_BYTES: Final = 128 * 1024 * 1024
#: Far below the smallest thread stack of the systems that Px supports.
SMALL_STACK_BYTES: Final = 256 * 1024
#: A call may take a second longer for each million characters of the script: compiling 50,000 patterns takes
#: a second and a half.
CHARS_A_SECOND: Final = 1_000_000
#: ``pac.js`` makes no longer result, but a script can change the way JSON is written (``toJSON``), and the
#: Python code that parses the result has no limits.
MAX_RESULT_CHARS: Final = 512 * 1024
#: The same limit as in ``pac.js``.
MAX_ANSWER_CHARS: Final = 32768

#: ``pac.js`` begins at this line, which tells the lines of the script from those of ``pac.js``.
_OWN_FIRST_LINE = 1_000_000
_OWN_FILE = __file__.rpartition("sandbox")[0] + "pac.js"
_EntryPoint = Callable[[str], str]
_FRAME_LINE = re.compile(r"<input>:(\d+):\d+")
#: QuickJS throws null instead of this error if no memory was left for the error itself.
_OUT_OF_MEMORY = "InternalError: out of memory"


class ScriptError(Exception):
    """A script failed.

    Attributes:
        reason: The cause, as a part of a sentence.
        line: The line of the script, counted from 1; None if it is not known.
        is_limit: Whether the script ran into a limit, so that its state is no longer reliable.
        is_loading: Whether loading failed, as it will for any request.
    """

    is_loading = False

    def __init__(self, reason: str, line: int | None = None, *, is_limit: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.is_limit = is_limit


class Call(NamedTuple):
    """One call of a script.

    Attributes:
        url: The first argument of FindProxyForURL.
        host: The second argument.
        own_addresses: The addresses that myIpAddress and myIpAddressEx return.
    """

    url: str
    host: str
    own_addresses: Sequence[str] = ()


class Outcome(NamedTuple):
    """The result of a call.

    Attributes:
        missing: Hosts whose addresses the script needs and the call did not have; the rest is void then.
        answer: The script's return value; empty for null and undefined.
        alerts: The script's alert() messages.
        is_tainted: Whether the script went on after a name was missing, and may have kept a wrong result.
        scope: For which requests the answer may be reused.
    """

    missing: tuple[str, ...] = ()
    answer: str = ""
    alerts: tuple[str, ...] = ()
    is_tainted: bool = False
    scope: Scope = "url"


class Sandbox:
    """A script that is loaded at its first call, and again when its state is no longer reliable.

    Args:
        script: The text of the script.
        max_stack_bytes: How much of the calling thread's stack the script may use.
    """

    def __init__(self, script: str, *, max_stack_bytes: int = SMALL_STACK_BYTES) -> None:
        self._script = script
        self._max_stack_bytes = max_stack_bytes
        self._scope: Scope = "url"
        self._find: _EntryPoint | None = None

    def load(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool = False) -> Outcome:
        """Load the script anew. Loading may need addresses, as a call does; see `call`.

        Returns:
            An outcome. If its `missing` is empty, the script is loaded.
        """
        self._find = None
        request = _format_call(call, names, is_last=is_last) | {"script": self._script}
        try:
            find, outcome = _load(request, self._max_stack_bytes)
        except ScriptError as error:
            error.is_loading = True
            if error.line:  # if the script ends too early, QuickJS blames a line that Px appends
                error.line = min(error.line, self._script.count("\n") + 1)
            raise
        if not outcome.missing:
            self._find, self._scope = find, find_scope(self._script)
        return outcome

    def call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool = False) -> Outcome:
        """Call the script, after loading it if necessary. Blocks.

        Args:
            call: The arguments.
            names: The addresses of hosts; an empty list means that the host has no address.
            is_last: Whether a host that is not in `names` counts as a host without an address. Otherwise the
                outcome names the host as missing.

        Raises:
            ScriptError: The script failed.
        """
        if self._find is None and (outcome := self.load(call, names, is_last=is_last)).missing:
            return outcome
        assert self._find is not None  # noqa: S101 - the script is loaded now
        cpu_seconds = CALL_CPU_SECONDS + len(self._script) // CHARS_A_SECOND
        try:
            outcome = _read_outcome(_run(self._find, _format_call(call, names, is_last=is_last), cpu_seconds))
        except ScriptError as error:
            if error.is_limit:
                self._find = None
            raise
        if outcome.is_tainted:
            self._find = None
        return outcome._replace(scope=self._scope)

    def __repr__(self) -> str:
        return f"<Sandbox {'loaded' if self._find else 'not loaded'}>"


@lru_cache(1)
def read_own_functions() -> str:
    """Return ``pac.js``."""
    with open(_OWN_FILE, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes 5 ms to import
        return file.read()


def _format_call(call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool) -> dict[str, Any]:
    return {
        "url": call.url,
        "host": call.host,
        "own_addresses": list(call.own_addresses),
        "names": [[host, list(addresses)] for host, addresses in names.items()],
        "is_last": is_last,
    }


def _load(request: dict[str, Any], max_stack_bytes: int) -> tuple[_EntryPoint, Outcome]:
    """Return the function that calls a loaded script in its world, and the outcome of loading."""
    import quickjs  # type: ignore[import-untyped]  # noqa: PLC0415 - only a PAC script needs it

    context = quickjs.Context()
    context.set_max_stack_size(max_stack_bytes)
    context.eval("\n" * (_OWN_FIRST_LINE - 1) + read_own_functions())
    load, find = context.get("px_load"), context.get("px_find")
    context.eval("delete globalThis.px_load; delete globalThis.px_find")
    context.set_memory_limit(MAX_MEMORY_BYTES)
    context.set_time_limit(LOAD_CPU_SECONDS)
    outcome = _read_outcome(_run(load, request, LOAD_CPU_SECONDS))
    context.set_time_limit(CALL_CPU_SECONDS + len(request["script"]) // CHARS_A_SECOND)
    return find, outcome


def _run(entry: _EntryPoint, request: dict[str, Any], cpu_seconds: float) -> dict[str, Any]:
    """Call one of the two functions of ``pac.js`` and return its result."""
    import quickjs  # noqa: PLC0415 - see above

    try:
        result = _parse_result(entry(json.dumps(request)))
    except quickjs.JSException as error:
        text = str(error)
        raise _to_error(_OUT_OF_MEMORY if text.strip() == "null" else text, text, cpu_seconds) from None
    except (ValueError, TypeError, SystemError, RecursionError) as error:
        raise ScriptError("it broke the engine that runs it", is_limit=True) from error
    if not isinstance(result, dict):
        raise ScriptError("it broke the engine that runs it", is_limit=True)
    if "error" in result:
        raise _to_error(str(result["error"]), str(result.get("stack", "")), cpu_seconds)
    return result


def _parse_result(text: str) -> Any:
    if len(text) > MAX_RESULT_CHARS:
        raise ValueError("too long")
    return json.loads(text)


def _to_error(text: str, stack: str, cpu_seconds: float) -> ScriptError:
    reason = to_printable(text.partition("\n")[0].strip())
    line = _find_line(stack)
    if reason == "InternalError: interrupted":
        return ScriptError(f"it took more than {cpu_seconds:g} s of processor time", line, is_limit=True)
    if reason.startswith(_OUT_OF_MEMORY):  # the text may continue: "in regexp execution"
        return ScriptError(f"it took more than {MAX_MEMORY_BYTES >> 20} MB of memory", line, is_limit=True)
    return ScriptError(reason or "it threw an exception without a message", line)


def _find_line(stack: str) -> int | None:
    """Return the innermost line of a stack trace that is the script's own."""
    lines = (int(number) for number in _FRAME_LINE.findall(stack))
    return next((line for line in lines if line < _OWN_FIRST_LINE), None)


def _read_outcome(result: dict[str, Any]) -> Outcome:
    if missing := result.get("missing"):
        return Outcome(missing=_to_texts(missing), is_tainted=bool(result.get("is_tainted")))
    answer = str(result.get("answer", ""))
    if len(answer) > MAX_ANSWER_CHARS:
        raise ScriptError("its answer is too long")
    return Outcome(answer=answer, alerts=tuple(map(to_printable, _to_texts(result.get("alerts", ())))))


def to_printable(text: str) -> str:
    """Return text that is safe to show: no terminal commands, no half of a surrogate pair."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _to_texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ScriptError("it broke the engine that runs it", is_limit=True)
    return tuple(str(value) for value in values)
