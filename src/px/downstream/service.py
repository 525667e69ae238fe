"""What all sessions of a Px share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from px.core.client_login.login import ClientAuth
from px.core.http.target import Authority
from px.core.trace.access_record import AccessRecord
from px.downstream.activity.counters import Counters
from px.downstream.page_answer import AnswerPage, CheckPageRequest, answer_no_page, check_no_page
from px.io.io_loop import IoLoop
from px.upstream.forwarder import Forwarder


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions share.

    Attributes:
        io_loop: Of the streams.
        forwarder: Where requests go.
        pseudonym: Of this Px in Via (RFC 9110 7.6.3); also how a loop is noticed.
        sends_via: Whether Px adds Via.
        useragent: Replaces the User-Agent of each client; empty: Px leaves User-Agent alone.
        idle_seconds: How long a tunnel may be silent; 0: for ever.
        logs_in: Whether Px logs in upstream; else (auth=NONE) clients do, end to end.
        is_own: Whether an authority is an address that Px itself listens on.
        counters: Count what the sessions do.
        client_auth: How clients log in at Px; None: clients need no login.
        answer_page: Answers requests for Px's own pages.
        check_page_request: Refuses requests of web sites for Px's own pages.
        log_access: Writes the access log line of a request that has ended; None: the access log is off.
    """

    io_loop: IoLoop
    forwarder: Forwarder
    pseudonym: bytes
    sends_via: bool
    useragent: bytes
    idle_seconds: float
    logs_in: bool
    is_own: Callable[[Authority], bool]
    counters: Counters
    client_auth: ClientAuth | None = None
    answer_page: AnswerPage = answer_no_page
    check_page_request: CheckPageRequest = check_no_page
    log_access: Callable[[AccessRecord], None] | None = None

    @property
    def set_fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Fields that replace those of every client."""
        return ((b"User-Agent", self.useragent),) if self.useragent else ()

    def format_via(self, minor_version: int) -> bytes | None:
        """Return the value of Via for a message received as HTTP/1.`minor_version`; None: Px adds none."""
        return b"1.%d %b" % (minor_version, self.pseudonym) if self.sends_via else None
