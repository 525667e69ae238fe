"""The path of one request through Px, as the logs show it.

The debug log has a line for each step, with the id of the request. The access log has one line for the whole
request. Every request has a trace, so no caller checks for one. If both logs are off, the trace is a
`RouteTrace`, which only knows the route and warns of failures. `NO_TRACE` is for requests that no client
sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from px.core.auth.challenge import parse_challenges
from px.core.errors import PxError
from px.core.http.request_head import RequestHead
from px.core.login.method import SCHEME_NAMES, Method
from px.core.rules.route import Direct, Route
from px.core.trace.access_record import AccessRecord, show_target

_LOGGER = logging.getLogger("px.request")


class RequestLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines carry the id of a request or connection.

    The id is the attribute ``request`` of each record, with a dot before it. `px.logs.log` prints it after
    the process ID, so that the id is unique among all processes.
    """

    def __init__(self, logger: logging.Logger, request: str) -> None:
        super().__init__(logger, {"request": f".{request}"})

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Add the id to the other attributes of the record."""
        kwargs["extra"] = {**kwargs.get("extra", {}), **(self.extra or {})}
        return msg, kwargs


class RequestTrace:
    """Receives the steps of a request and records nothing; `RecordedTrace` records them.

    Failures become warnings in any case, with the error (`px.logs.problem_log`).
    """

    __slots__ = ()

    def receive_head(self, head: RequestHead) -> None:
        """Note the head of the client's request."""

    def receive_routes(self, routes: Sequence[Route]) -> None:
        """Note the routes that Px will try, in this order."""

    def take_route(self, route: Route) -> None:
        """Note that Px tries a route now."""

    def lose_route(self, error: PxError) -> None:
        """Note that a route reached no hop, and that Px tries the next one."""
        _LOGGER.warning("%s", error.cause, extra={"error": error})

    def take_connection(self, hop: str, *, is_kept: bool, logged_in_by: Method | None = None) -> None:
        """Note the connection that the request uses now."""

    def receive_407(self, values: Sequence[bytes], method: Method | None, *, is_final: bool) -> None:
        """Note that the upstream asks for a login, continues one, or refuses it.

        Args:
            values: The values of ``Proxy-Authenticate``.
            method: The method of the pending login; None if Px sent no login.
            is_final: Whether Px had sent the whole login.
        """

    def send_login(self, method: Method, identity: str) -> None:
        """Note that the next message carries credentials."""

    def receive_acceptance(self, method: Method, identity: str) -> None:
        """Note that the upstream accepted credentials that were not yet known to be valid."""

    def note(self, text: str, *args: object) -> None:
        """Note any other event that helps a reader of the debug log."""

    def begin_answer(self, status: int, hop: str = "") -> None:
        """Note that the head of the answer goes to the client.

        Args:
            status: The status of the answer.
            hop: The hop that answered; empty for Px itself.
        """

    def fail(self, error: PxError) -> None:
        """Note the error that the client gets from Px."""
        if not error.is_routine:
            _LOGGER.warning("%d: %s", error.status, error.cause, extra=_answered(error))

    def break_off(self, how: str, cause: object) -> None:
        """Note that the request ends early.

        Args:
            how: A value of `AccessRecord.end`.
            cause: The reason, for the debug log.
        """
        if how == "cut" and isinstance(cause, PxError):
            _LOGGER.warning("%s: %s", _ENDS[how], cause, extra={"error": cause})

    def end(self, *, up: int, down: int) -> AccessRecord | None:
        """Note the end of the request; return its record, or None if nothing was recorded.

        Args:
            up: Bytes from the client.
            down: Bytes to the client.
        """

    @property
    def route(self) -> str:
        """The route that Px tries, or has taken; empty before."""
        return ""

    def __repr__(self) -> str:
        return "<RequestTrace of nothing>"


#: The trace of a request that no client sent.
NO_TRACE = RequestTrace()


class RouteTrace(RequestTrace):
    """Knows only the route, for the list of requests under way: the trace while both logs are off.

    A client's requests share one object, because a new one for each request would cost time.

    Attributes:
        taken: The route of the present request; None while there is none.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken: Route | None = None

    def take_route(self, route: Route) -> None:
        """See `RequestTrace.take_route`."""
        self.taken = route

    @property
    def route(self) -> str:
        """See `RequestTrace.route`."""
        return str(self.taken or "")

    def __repr__(self) -> str:
        return f"<RouteTrace {self.route}>"


class RecordedTrace(RequestTrace):
    """Writes the debug log's lines and collects the access log's record; `RequestTrace` has the methods.

    Args:
        record: The request's line in the access log, with the client already filled in.
        now: Monotonic seconds.
        log: The debug log, if it is on.
    """

    __slots__ = ("_begun", "_lap_begun", "_log", "_now", "record")

    def __init__(self, record: AccessRecord, now: Callable[[], float], log: RequestLogger | None) -> None:
        self.record = record
        self._now = now
        self._log = log
        self._begun = self._lap_begun = now()

    def receive_head(self, head: RequestHead) -> None:
        """See `RequestTrace.receive_head`."""
        record = self.record
        record.method = head.method.decode("ascii", "replace")
        record.target = show_target(head.target)
        if self._log is not None:
            self._log.debug("%s %s from %s", record.method, record.target, record.client)

    def receive_routes(self, routes: Sequence[Route]) -> None:
        """See `RequestTrace.receive_routes`."""
        if self._log is not None:
            self._log.debug("route: %s", ", then ".join(map(_describe_route, routes)))

    def take_route(self, route: Route) -> None:
        """See `RequestTrace.take_route`."""
        self.record.route = str(route)
        self._lap()

    @property
    def route(self) -> str:
        """See `RequestTrace.route`."""
        return self.record.route

    def lose_route(self, error: PxError) -> None:
        """See `RequestTrace.lose_route`."""
        if self._log is None:
            super().lose_route(error)
        else:
            self._log.warning("after %s: %s", self._lap(), error.cause, extra={"error": error})

    def take_connection(self, hop: str, *, is_kept: bool, logged_in_by: Method | None = None) -> None:
        """See `RequestTrace.take_connection`."""
        self.record.is_kept = is_kept
        self.record.login = _short_name(logged_in_by)
        if self._log is None:
            return
        if is_kept:
            by = f", logged in by {logged_in_by.value}" if logged_in_by else ""
            self._log.debug("over a kept connection to the %s%s", hop, by)
        else:
            self._log.debug("connected to the %s in %s", hop, self._lap())

    def receive_407(self, values: Sequence[bytes], method: Method | None, *, is_final: bool) -> None:
        """See `RequestTrace.receive_407`."""
        self.record.challenges += 1
        if self._log is None:
            return
        if method is None:
            schemes = [challenge.scheme for challenge in parse_challenges(values)]
            reaction = (
                f"offers {', '.join(SCHEME_NAMES.get(scheme, scheme) for scheme in schemes) or 'no login'}"
            )
        else:
            reaction = f"does not take {method.value}" if is_final else f"goes on with {method.value}"
        self._log.debug("407 after %s: the upstream %s", self._lap(), reaction)

    def send_login(self, method: Method, identity: str) -> None:
        """See `RequestTrace.send_login`."""
        self.record.login = _short_name(method)
        if self._log is not None:
            self._log.debug("logs in by %s as %s, ready after %s", method.value, identity, self._lap())

    def receive_acceptance(self, method: Method, identity: str) -> None:
        """See `RequestTrace.receive_acceptance`."""
        self.note("the upstream let %s in by %s", identity, method.value)

    def note(self, text: str, *args: object) -> None:
        """See `RequestTrace.note`."""
        if self._log is not None:
            self._log.debug(text, *args)

    def begin_answer(self, status: int, hop: str = "") -> None:
        """See `RequestTrace.begin_answer`."""
        self._begin_answer(status)
        self.note("%d after %s from %s", status, _ms(self._elapsed()), f"the {hop}" if hop else "Px itself")

    def fail(self, error: PxError) -> None:
        """See `RequestTrace.fail`."""
        self._begin_answer(error.status)
        if self._log is None:
            super().fail(error)
            return
        level = logging.DEBUG if error.is_routine else logging.WARNING
        cause, elapsed = error.detail or error.cause, _ms(self._elapsed())
        self._log.log(level, "%d after %s: %s", error.status, elapsed, cause, extra=_answered(error))

    def _begin_answer(self, status: int) -> None:
        self.record.status = status
        self.record.first_seconds = self._elapsed()

    def break_off(self, how: str, cause: object) -> None:
        """See `RequestTrace.break_off`."""
        self.record.end = how
        if self._log is None:
            super().break_off(how, cause)
            return
        is_problem = how == "cut" and isinstance(cause, PxError)
        level, extra = (logging.WARNING, {"error": cause}) if is_problem else (logging.DEBUG, {})
        self._log.log(level, "%s after %s: %s", _ENDS[how], _ms(self._elapsed()), cause, extra=extra)

    def end(self, *, up: int, down: int) -> AccessRecord:
        """See `RequestTrace.end`."""
        record = self.record
        record.up, record.down, record.seconds = up, down, self._elapsed()
        self.note("ended after %s: %d bytes up, %d down", _ms(record.seconds), up, down)
        return record

    def _elapsed(self) -> float:
        return self._now() - self._begun

    def _lap(self) -> str:
        """Return the time since the previous step."""
        begun, self._lap_begun = self._lap_begun, self._now()
        return _ms(self._lap_begun - begun)

    def __repr__(self) -> str:
        return f"<RecordedTrace {self.record.id} {self.record.method} {self.record.target}>"


_ENDS = {
    "cut": "cut off by the next hop",
    "left": "the client left",
    "idle": "silent for too long",
    "stopped": "Px ended it",
}


def _answered(error: PxError) -> dict[str, object]:
    """Return the attributes of the record of an error that is the answer to a client."""
    return {"error": error, "status": error.status}


def _describe_route(route: Route) -> str:
    return f"{route} ({route.why})" if isinstance(route, Direct) and route.why else str(route)


def _short_name(method: Method | None) -> str:
    return method.name.lower().replace("_", "-") if method else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
