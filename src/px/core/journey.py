"""The way of one request through Px, as the logs tell it.

Step by step in the debug log, each line one fact with the id of the request; in one line at its end in the
access log. Where both are off there is no `Journey`: a request pays for nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from px.core.access_record import AccessRecord, show_target
from px.core.challenge import parse_challenges
from px.core.errors import PxError
from px.core.head import RequestHead
from px.core.request_log import RequestLog
from px.core.route import Direct, Route
from px.core.upstream_login import SCHEME_NAMES, Method


class Journey:
    """Told what happens to a request, when it happens.

    Args:
        record: Its line in the access log, begun with who asks.
        now: Monotonic seconds.
        log: The debug log, if it is on.
    """

    __slots__ = ("_begun", "_lap_begun", "_log", "_now", "_routes_left", "record")

    def __init__(self, record: AccessRecord, now: Callable[[], float], log: RequestLog | None) -> None:
        self.record = record
        self._now = now
        self._log = log
        self._begun = self._lap_begun = now()
        self._routes_left = 0

    def receive_head(self, head: RequestHead) -> None:
        """The client's head was read."""
        record = self.record
        record.method = head.method.decode("ascii", "replace")
        record.target = show_target(head.target)
        if self._log is not None:
            self._log.debug("%s %s from %s", record.method, record.target, record.client)

    def receive_routes(self, routes: Sequence[Route]) -> None:
        """It was decided where to try, in this order."""
        self._routes_left = len(routes)
        if self._log is not None:
            self._log.debug("route: %s", ", then ".join(map(_describe_route, routes)))

    def take_route(self, route: Route) -> None:
        """It is tried there now."""
        self._routes_left -= 1
        self.record.route = str(route)
        self._lap()

    def lose_route(self, error: PxError) -> None:
        """Nobody was reached there; of the last route `fail` tells."""
        if self._log is not None and self._routes_left:
            self._log.warning("after %s: %s", self._lap(), error.cause)

    def take_connection(self, hop: str, *, is_kept: bool, logged_in_by: Method | None = None) -> None:
        """It goes over this connection now."""
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
        """The upstream wants a login, goes on with one, or does not take it.

        Args:
            values: Of ``Proxy-Authenticate``.
            method: By which Px was logging in; None: it was not.
            is_final: Whether it had sent all of that login.
        """
        self.record.challenges += 1
        if self._log is None:
            return
        if method is None:
            schemes = [challenge.scheme for challenge in parse_challenges(values)]
            said = f"offers {', '.join(SCHEME_NAMES.get(scheme, scheme) for scheme in schemes) or 'no login'}"
        else:
            said = f"does not take {method.value}" if is_final else f"goes on with {method.value}"
        self._log.debug("407 after %s: the upstream %s", self._lap(), said)

    def send_login(self, method: Method, identity: str) -> None:
        """Credentials go with the next message."""
        self.record.login = _short_name(method)
        if self._log is not None:
            self._log.debug("logs in by %s as %s, ready after %s", method.value, identity, self._lap())

    def receive_acceptance(self, method: Method, identity: str) -> None:
        """The upstream has accepted credentials that were not sure to be good."""
        self.note("the upstream let %s in by %s", identity, method.value)

    def note(self, text: str, *args: object) -> None:
        """Something else happened that a reader will want to know."""
        if self._log is not None:
            self._log.debug(text, *args)

    def begin_answer(self, status: int, hop: str = "") -> None:
        """The head of the answer goes to the client.

        Args:
            status: Of it.
            hop: Whose answer it is; empty: Px's own.
        """
        self._begin_answer(status)
        self.note("%d after %s from %s", status, _ms(self._elapsed()), f"the {hop}" if hop else "Px itself")

    def fail(self, error: PxError) -> None:
        """Px says to the client what went wrong."""
        self._begin_answer(error.status)
        if self._log is not None:
            level = logging.DEBUG if error.is_routine else logging.WARNING
            cause = error.detail or error.cause
            self._log.log(level, "%d after %s: %s", error.status, _ms(self._elapsed()), cause)

    def _begin_answer(self, status: int) -> None:
        self.record.status = status
        self.record.first_seconds = self._elapsed()

    def break_off(self, how: str, cause: object) -> None:
        """It ends before its end.

        Args:
            how: As `AccessRecord.end`.
            cause: What somebody who wonders has to know.
        """
        self.record.end = how
        if self._log is not None:
            level = logging.WARNING if how == "cut" else logging.DEBUG
            self._log.log(level, "%s after %s: %s", _ENDS[how], _ms(self._elapsed()), cause)

    def end(self, *, up: int, down: int) -> AccessRecord:
        """It has ended; return what there is to be said.

        Args:
            up: Bytes from the client.
            down: Bytes to the client.
        """
        record = self.record
        record.up, record.down, record.seconds = up, down, self._elapsed()
        self.note("ended after %s: %d bytes up, %d down", _ms(record.seconds), up, down)
        return record

    def _elapsed(self) -> float:
        return self._now() - self._begun

    def _lap(self) -> str:
        """Return the time since the step before."""
        begun, self._lap_begun = self._lap_begun, self._now()
        return _ms(self._lap_begun - begun)

    def __repr__(self) -> str:
        return f"<Journey {self.record.id} {self.record.method} {self.record.target}>"


_ENDS = {
    "cut": "cut off by the next hop",
    "left": "the client left",
    "idle": "silent for too long",
    "stopped": "Px ended it",
}


def _describe_route(route: Route) -> str:
    return f"{route} ({route.why})" if isinstance(route, Direct) and route.why else str(route)


def _short_name(method: Method | None) -> str:
    return method.name.lower().replace("_", "-") if method else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
