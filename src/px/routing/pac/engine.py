"""Gets the routes of a request from a PAC script: resolves names for the script, and keeps its answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from px.core.errors import PacError, UnreachableError
from px.core.host import is_host, to_plain_name
from px.core.rules.pac_answer import parse_pac_answer
from px.core.rules.pac_location import shorten_location
from px.core.rules.route import Route
from px.routing.pac.answer_scope import Scope
from px.routing.pac.sandbox import Call, Outcome, ScriptError

#: As long as the resolver keeps the addresses that an answer may depend on.
KEEP_SECONDS = 30.0
#: Long enough that a looping script is not called again for each of a browser's six connections.
KEEP_FAILURE_SECONDS = 5.0
MAX_KEPT = 1024
#: Answers for longer URLs are not kept: such URLs rarely come twice, and 1,024 of the longest would take 64
#: MB.
MAX_KEPT_URL_CHARS = 2048
#: Names that one call may have resolved, and seconds for resolving them. After that, a name has no address,
#: so that an honest script still answers.
MAX_NAMES = 100
LOOK_UP_SECONDS = 10.0
#: Names that are resolved at the same time: a script must not delay the look-ups of all requests.
MAX_NAMES_AT_ONCE = 20
#: For one call in all: the wait for the script, the look-ups, and each run of the script.
MAX_SECONDS = 20.0
#: Calls that may wait for the script. A call takes a millisecond, so the last one waits a second.
MAX_WAITING = 1000

Resolve = Callable[[str], Awaitable[Sequence[str]]]

_DEFAULT_PORTS: Final = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_ENCRYPTED: Final = {"https", "wss"}
_HINT = "Repair the script, or name the upstream with --proxy=HOST:PORT."


@dataclass(frozen=True, slots=True)
class PacAnswer:
    """An answer of a script.

    Attributes:
        routes: The routes to try in order; at least one.
        text: The answer itself; empty for null.
        url: The URL that the script saw.
        host: The script's second argument.
        names: The hosts that the script had resolved, and their addresses; empty if a name does not exist.
        alerts: The script's alert() messages.
        is_cached: Whether the answer was kept from an earlier call.
    """

    routes: tuple[Route, ...]
    text: str
    url: str
    host: str
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class _Result:
    """An answer or an error, and the time until which it is valid."""

    answer: PacAnswer | PacError
    until: float

    def get(self) -> PacAnswer:
        if isinstance(self.answer, PacError):
            raise PacError(self.answer.cause, self.answer.hint)  # each caller gets an exception of its own
        return self.answer


class Callee(Protocol):
    """A script that can be called, one call at a time; `px.routing.pac.process.PacProcess` is one."""

    async def load(self, call: Call) -> None:
        """Load the script before the first call, unless loading needs addresses that are not known yet."""

    async def call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool = False) -> Outcome:
        """Call the script. See `px.routing.pac.sandbox.Sandbox.call`."""

    def unload(self) -> None:
        """Load the script again at the next call."""

    def close(self) -> None:
        """Release the resources of the calls. A later call would allocate them again."""


class PacScript:
    """A PAC script that answers requests.

    Args:
        callee: The script that is called.
        location: The location of the script, for errors.
        resolve: Returns the addresses of a host; raises UnreachableError.
        my_addresses: Returns this computer's own addresses, the one used for outgoing connections first.
        now: Returns monotonic seconds.
    """

    def __init__(
        self,
        callee: Callee,
        location: str,
        *,
        resolve: Resolve,
        my_addresses: Callable[[], Sequence[str]],
        now: Callable[[], float],
    ) -> None:
        self._location = shorten_location(location)
        self._callee = callee
        self._calling = asyncio.Lock()
        self._waiting = 0
        self._resolve = resolve
        self._my_addresses = my_addresses
        self._now = now
        #: How widely answers may be reused. The first answer sets it.
        self._scope: Scope = "url"
        self._wants_host = False
        self._is_closing = False
        self._broken: _Result | None = None
        self._kept: dict[tuple[str, str], _Result] = {}
        self._under_way: dict[tuple[str, str], asyncio.Task[_Result]] = {}
        #: Hosts for which the script ran into a limit, the error, and until when Px repeats the error.
        self._exhausting: dict[str, tuple[ScriptError, float]] = {}

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        """Return the script's answer for a request.

        Args:
            url: The whole URL. The script sees it without userinfo and fragment, and only
                ``https://host:port/`` of an encrypted request.
            host: The host of the URL; an IPv6 address with or without brackets.

        Raises:
            PacError: The script failed, or named no usable route.
        """
        url, host = _shorten_url(url), _to_script_name(host)
        key = self._make_key(url, host)
        for kept in (self._broken, self._kept.get(key)):
            if kept is not None and kept.until > self._now():
                return replace(kept.get(), url=url, is_cached=True)
        return (await self._ask_once(key, url)).get()

    async def prepare(self) -> None:
        """Load the script before the first request. If loading fails, the first request reports the error."""
        try:
            async with self._calling:
                await self._callee.load(Call("", "", tuple(self._my_addresses())))
        except ScriptError as error:
            self._fail_by(error)

    def forget(self) -> None:
        """Forget all kept answers and pending calls, because the network has changed."""
        self._broken = None
        self._kept = {}
        self._under_way = {}
        self._callee.unload()

    def close(self) -> None:
        """End the script's process once the pending calls have ended."""
        if self._under_way:
            self._is_closing = True
        else:
            self._callee.close()

    def _make_key(self, url: str, host: str) -> tuple[str, str]:
        return ("" if self._scope == "host" else url, host)

    async def _ask_once(self, key: tuple[str, str], url: str) -> _Result:
        """Return the result of one call that all requests with the same key share."""
        under_way = self._under_way
        task = under_way.get(key)
        if task is None:
            task = under_way[key] = asyncio.create_task(self._ask(key, url))
            task.add_done_callback(lambda _: self._note_done(under_way, key))
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str], url: str) -> _Result:
        kept = self._kept
        try:
            async with asyncio.timeout(MAX_SECONDS):
                answer = await self._replay(url, key[1])
            key = self._make_key(url, key[1])
            result = _Result(answer, self._now() + (0.0 if self._scope == "once" else KEEP_SECONDS))
            self._broken = None
        except TimeoutError:
            result = self._fail(f"did not answer within {MAX_SECONDS:g} s")
        except ScriptError as error:
            result = self._fail_by(error)
        except PacError as error:
            result = self._fail(f"failed: {error.cause}")
        if result.until > self._now() and len(url) <= MAX_KEPT_URL_CHARS:
            _store(kept, key, result)
        return result

    def _fail_by(self, error: ScriptError) -> _Result:
        line = f" in line {error.line}" if error.line else ""
        result = self._fail(f"failed{line}: {error.reason}")
        if error.is_loading:
            self._broken = result = replace(result, until=self._now() + KEEP_SECONDS)
        return result

    def _fail(self, what: str) -> _Result:
        error = PacError(f"The PAC script {self._location} {what}.", _HINT)
        return _Result(error, self._now() + KEEP_FAILURE_SECONDS)

    async def _replay(self, url: str, host: str) -> PacAnswer:
        """Call the script until all names that it needs are known."""
        deadline = asyncio.get_running_loop().time() + LOOK_UP_SECONDS
        call = Call(url, host, tuple(self._my_addresses()))
        names: dict[str, Sequence[str]] = {}
        missing: Sequence[str] = (host,) if self._wants_host else ()
        while True:
            found = await asyncio.gather(*(self._look_up(name, deadline) for name in missing))
            names.update(zip(missing, found, strict=True))
            is_last = len(names) >= MAX_NAMES or asyncio.get_running_loop().time() >= deadline
            outcome = await self._call(call, names, is_last=is_last)
            missing = outcome.missing[: min(MAX_NAMES_AT_ONCE, MAX_NAMES - len(names))]
            if not missing:
                break
            # A run that goes on without a name makes the sandbox load the script anew. Most often the missing
            # name is the host itself, so resolve the host before later calls.
            self._wants_host = self._wants_host or (outcome.is_tainted and host in missing)
        self._scope = outcome.scope
        routes = parse_pac_answer(outcome.answer)
        return PacAnswer(routes, outcome.answer, url, host, names, outcome.alerts)

    async def _call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool) -> Outcome:
        if self._waiting >= MAX_WAITING:
            raise ScriptError(f"{MAX_WAITING} requests are waiting for it already")
        self._waiting += 1
        try:
            async with self._calling:
                self._check_exhausting(call.host)
                return await self._callee.call(call, names, is_last=is_last)
        except ScriptError as error:
            raise self._note_exhausting(call.host, error) from None
        finally:
            self._waiting -= 1

    def _check_exhausting(self, host: str) -> None:
        """Repeat a recent error. Otherwise a page with a hundred images would block all requests for long."""
        error, until = self._exhausting.get(host, (None, 0.0))
        if error is not None and until > self._now():
            raise ScriptError(error.reason, error.line)

    def _note_exhausting(self, host: str, error: ScriptError) -> ScriptError:
        if error.is_limit and not error.is_loading:
            if len(self._exhausting) >= MAX_KEPT:
                self._exhausting.clear()
            self._exhausting[host] = (error, self._now() + KEEP_FAILURE_SECONDS)
        return error

    async def _look_up(self, name: str, deadline: float) -> Sequence[str]:
        if not is_host(name):
            return ()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._resolve(name)
        except (UnreachableError, TimeoutError):
            return ()

    def _note_done(
        self, under_way: dict[tuple[str, str], asyncio.Task[_Result]], key: tuple[str, str]
    ) -> None:
        under_way.pop(key, None)
        if self._is_closing and not self._under_way:
            self._callee.close()

    def __repr__(self) -> str:
        return f"<PacScript {self._location} kept={len(self._kept)}>"


def _store(kept: dict[tuple[str, str], _Result], key: tuple[str, str], result: _Result) -> None:
    kept.pop(key, None)
    while len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[key] = result


def _shorten_url(url: str) -> str:
    """Return the part of a URL that a script may see, in the form that browsers use."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("#")[0]
    if scheme in _ENCRYPTED or not path:
        path = "/"
    return f"{scheme}://{_shorten_authority(scheme, authority)}{path if path[0] == '/' else '/' + path}"


def _shorten_authority(scheme: str, authority: str) -> str:
    name, bracket, port = authority.rpartition("@")[2].rpartition("]")
    if not bracket:
        name, _, port = port.partition(":")
    host = f"[{to_plain_name(name + bracket)}]" if bracket else _to_script_name(name)
    port = port.removeprefix(":")
    return host if port in {"", _DEFAULT_PORTS.get(scheme)} else f"{host}:{port}"


def _to_script_name(host: str) -> str:
    """Return a host as browsers pass it to a script: with its final dot, if it has one."""
    return to_plain_name(host) + ("." if host.endswith(".") else "")
