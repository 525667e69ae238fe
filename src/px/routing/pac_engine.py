"""Asks a PAC script for the way: what it may see of a request, names looked up for it, answers kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from px.core.errors import PacError, UnreachableError
from px.core.host import is_host, to_plain_name
from px.core.pac_answer import parse_pac_answer
from px.core.pac_location import shorten_location
from px.core.route import Route
from px.routing.pac_sandbox import Call, Outcome, Sandbox, ScriptError

#: As long as the resolver keeps what an answer may hang on.
KEEP_SECONDS = 30.0
#: So that a script that loops is not asked again for each of the six connections of a browser.
KEEP_FAILURE_SECONDS = 5.0
MAX_KEPT = 1024
#: Longer URLs come once, and a thousand of the longest would be 64 MB.
MAX_KEPT_URL_CHARS = 2048
#: Of a script that is looked at for what its answers hang on. It takes 0.1 s, in which the loop stands.
MAX_READ_CHARS = 1024 * 1024
#: Names that one call may have looked up, and seconds that it may take with all of them.
MAX_NAMES = 20
MAX_SECONDS = 20.0

Run = Callable[..., Awaitable[Any]]
Resolve = Callable[[str], Awaitable[Sequence[str]]]

#: What makes an answer good for once only. Where a script hides it, its answers are 30 s behind.
_CHANGES = re.compile(r"\b(?:Date|weekdayRange|dateRange|timeRange|random|performance|alert)\b")
_NAME = re.compile(r"\bFindProxyForURL")
_ENTRY = re.compile(r"\bfunction\s+FindProxyForURL(?:Ex)?\s*\(\s*(\w+)\s*,")
_HIDDEN_ARGUMENTS = re.compile(r"\b(?:arguments|eval|Function)\b")
_DEFAULT_PORTS: Final = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_ENCRYPTED: Final = {"https", "wss"}
_MEND = "Mend the script, or name the upstream with --proxy=HOST:PORT."


@dataclass(frozen=True, slots=True)
class PacAnswer:
    """What a script answered.

    Attributes:
        routes: To try in order; at least one.
        text: The answer itself; empty for null.
        url: What the script was told of the request.
        host: Its second argument.
        names: Hosts that it had looked up, and their addresses; none: no such name.
        alerts: What it said by alert().
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
    """An answer or an error, and how long it is good."""

    answer: PacAnswer | PacError
    until: float

    def get(self) -> PacAnswer:
        if isinstance(self.answer, PacError):
            raise PacError(self.answer.cause, self.answer.mend)  # one of its own for each who asks
        return self.answer


class PacScript:
    """A PAC script.

    Args:
        text: The script.
        location: Where it is from, for errors.
        run: Calls a blocking function in a thread, bounded in time (`px.net.offload.Offload.run`).
        resolve: Addresses of a host; raises UnreachableError.
        my_addresses: This computer's own addresses, first the one that it reaches others by.
        now: Current time in seconds, monotonic.
    """

    def __init__(
        self,
        text: str,
        location: str,
        *,
        run: Run,
        resolve: Resolve,
        my_addresses: Callable[[], Sequence[str]],
        now: Callable[[], float],
    ) -> None:
        self._location = shorten_location(location)
        self._sandbox = Sandbox(text)
        self._turn = asyncio.Lock()
        self._run = run
        self._resolve = resolve
        self._my_addresses = my_addresses
        self._now = now
        is_short = len(text) <= MAX_READ_CHARS
        self._keep_seconds = KEEP_SECONDS if is_short and not _CHANGES.search(text) else 0.0
        self._has_use_for_url = _has_use_for_url(text)
        self._wants_host = False
        self._broken: _Result | None = None
        self._kept: dict[tuple[str, str], _Result] = {}
        self._under_way: dict[tuple[str, str], asyncio.Task[_Result]] = {}
        #: Hosts with which it ran into a limit, and until when it is not asked for them again.
        self._exhausting: dict[str, tuple[ScriptError, float]] = {}

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        """Return what the script answers for a request.

        Args:
            url: The whole URL. The script sees it without userinfo and fragment, and of an encrypted
                request not more than ``https://host:port/``.
            host: Its host; an IPv6 address with or without brackets.

        Raises:
            PacError: The script failed, or named no way that can be used.
        """
        url, host = _shorten_url(url), to_plain_name(host)
        key = (url if self._has_use_for_url else "", host)
        for kept in (self._broken, self._kept.get(key)):
            if kept is not None and kept.until > self._now():
                return replace(kept.get(), url=url, is_cached=True)
        return (await self._ask_once(key, url)).get()

    def forget(self) -> None:
        """Forget all that was kept, and what is on its way: the network has changed."""
        self._broken = None
        self._kept = {}
        self._under_way = {}
        self._sandbox.unload()

    async def _ask_once(self, key: tuple[str, str], url: str) -> _Result:
        """All who ask the same at the same time share one answer."""
        under_way = self._under_way
        task = under_way.get(key)
        if task is None:
            task = under_way[key] = asyncio.create_task(self._ask(key, url))
            task.add_done_callback(lambda _: under_way.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str], url: str) -> _Result:
        kept = self._kept
        try:
            async with asyncio.timeout(MAX_SECONDS):
                answer = await self._replay(url, key[1])
            result = _Result(answer, self._now() + self._keep_seconds)
            self._broken = None
        except TimeoutError:
            result = self._fail(f"did not answer within {MAX_SECONDS:g} s")
        except ScriptError as error:
            line = f" in line {error.line}" if error.line else ""
            result = self._fail(f"failed{line}: {error.reason}")
            if error.is_loading:
                self._broken = result = replace(result, until=self._now() + KEEP_SECONDS)
        except PacError as error:
            result = self._fail(f"failed: {error.cause}")
        if result.until > self._now() and len(url) <= MAX_KEPT_URL_CHARS:
            _keep(kept, key, result)
        return result

    def _fail(self, what: str) -> _Result:
        error = PacError(f"The PAC script {self._location} {what}.", _MEND)
        return _Result(error, self._now() + KEEP_FAILURE_SECONDS)

    async def _replay(self, url: str, host: str) -> PacAnswer:
        """Call the script until all names that it asks for are known."""
        call = Call(url, host, tuple(self._my_addresses()))
        names: dict[str, Sequence[str]] = {host: await self._look_up(host)} if self._wants_host else {}
        while True:
            outcome = await self._call(call, names)
            if not outcome.missing:
                break
            # It is loaded anew each time that it goes on without a name; most often this one.
            self._wants_host = self._wants_host or (outcome.is_tainted and host in outcome.missing)
            if len(names) + len(outcome.missing) > MAX_NAMES:
                raise PacError(f"it asks for the addresses of more than {MAX_NAMES} names")
            found = await asyncio.gather(*(self._look_up(name) for name in outcome.missing))
            names.update(zip(outcome.missing, found, strict=True))
        routes = parse_pac_answer(outcome.answer)
        return PacAnswer(routes, outcome.answer, url, host, names, outcome.alerts)

    async def _call(self, call: Call, names: Mapping[str, Sequence[str]]) -> Outcome:
        async with self._turn:
            self._check_exhausting(call.host)
            try:
                outcome: Outcome = await self._run(self._sandbox.call, call, names)
            except TimeoutError:
                error = ScriptError("it did not return in time", is_limit=True)
                raise self._note_exhausting(call.host, error) from None
            except ScriptError as error:
                raise self._note_exhausting(call.host, error) from None
        return outcome

    def _check_exhausting(self, host: str) -> None:
        """A page of a hundred pictures would hold up all other requests for minutes."""
        error, until = self._exhausting.get(host, (None, 0.0))
        if error is not None and until > self._now():
            raise ScriptError(error.reason, error.line)

    def _note_exhausting(self, host: str, error: ScriptError) -> ScriptError:
        if error.is_limit and not error.is_loading:
            if len(self._exhausting) >= MAX_KEPT:
                self._exhausting.clear()
            self._exhausting[host] = (error, self._now() + KEEP_FAILURE_SECONDS)
        return error

    async def _look_up(self, name: str) -> Sequence[str]:
        if not is_host(name):
            return ()
        try:
            return await self._resolve(name)
        except UnreachableError:
            return ()

    def __repr__(self) -> str:
        return f"<PacScript {self._location} kept={len(self._kept)}>"


def _keep(kept: dict[tuple[str, str], _Result], key: tuple[str, str], result: _Result) -> None:
    kept.pop(key, None)
    while len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[key] = result


def _has_use_for_url(script: str) -> bool:
    """Whether answers may hang on more of a URL than its host: if not, one is good for all of a host."""
    if len(script) > MAX_READ_CHARS or len(_NAME.findall(script)) != 1:
        return True  # of several one may stand in a comment
    entries = _ENTRY.findall(script)
    if not entries or _HIDDEN_ARGUMENTS.search(script):
        return True
    return len(re.findall(rf"\b{entries[0]}\b", script)) > 1


def _shorten_url(url: str) -> str:
    """What a script may see of a URL, in the form that browsers give it."""
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
    host = f"[{to_plain_name(name + bracket)}]" if bracket else to_plain_name(name)
    port = port.removeprefix(":")
    return host if port in {"", _DEFAULT_PORTS.get(scheme)} else f"{host}:{port}"
