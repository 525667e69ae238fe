"""Begins and ends the traces of the requests of one client connection."""

from __future__ import annotations

import logging

from px.core.errors import PxError
from px.core.http.request_head import RequestHead
from px.core.trace.access_record import AccessRecord
from px.core.trace.request_trace import RecordedTrace, RequestLogger, RequestTrace, RouteTrace
from px.downstream.authenticator import ClientAuthenticator
from px.downstream.service import Service
from px.io.stream import Stream

_LOGGER = logging.getLogger("px.request")


class TraceLog:
    """The trace of the request under way on one client connection.

    Args:
        client: Its stream.
        service: What all sessions share.
        name: Of the connection in logs.
        authenticator: Knows the user that the client logged in as; None: clients need no login.
    """

    __slots__ = (
        "_authenticator",
        "_begun",
        "_client",
        "_name",
        "_reported_bytes",
        "_service",
        "_unrecorded",
        "trace",
    )

    def __init__(
        self, client: Stream, service: Service, name: str, authenticator: ClientAuthenticator | None
    ) -> None:
        self._client = client
        self._service = service
        self._name = name
        self._authenticator = authenticator
        self._reported_bytes = (0, 0)
        self._begun = 0
        self._unrecorded = RouteTrace()
        #: Of the request under way; a `RouteTrace` between requests and while both logs are off.
        self.trace: RequestTrace = self._unrecorded

    def begin(self, head: RequestHead | None) -> None:
        """Begin the trace of a request, if a log is on.

        Args:
            head: Of the request; None: it could not be read.
        """
        self._unrecorded.taken = None
        is_logged = _LOGGER.isEnabledFor(logging.DEBUG)
        if not is_logged and self._service.log_access is None:
            return
        self._begun += 1
        name = f"{self._name}.{self._begun}"
        record = AccessRecord(id=name, client=self._client.peer.rpartition(":")[0])
        log = RequestLogger(_LOGGER, name) if is_logged else None
        self.trace = RecordedTrace(record, self._service.io_loop.now, log)
        if head is not None:
            self.trace.receive_head(head)

    def fail(self, error: PxError) -> None:
        """Report an error; the trace begins here if the head of the request could not be read."""
        if self.trace is self._unrecorded:
            self.begin(None)
        self.trace.fail(error)

    def end(self) -> None:
        """End the trace of the request under way and write its access log line. Safe to call again."""
        trace, self.trace = self.trace, self._unrecorded
        if trace is self._unrecorded:
            return
        early = self._client.take_unread()  # these bytes belong to the next request
        self._client.unread(early)
        received, sent = self._client.received_bytes - len(early), self._client.sent_bytes
        record = trace.end(up=received - self._reported_bytes[0], down=sent - self._reported_bytes[1])
        self._reported_bytes = received, sent
        if record is not None and self._service.log_access is not None:
            record.user = self._authenticator.user if self._authenticator is not None else ""
            self._service.log_access(record)

    def __repr__(self) -> str:
        return f"<TraceLog {self._name} {self.trace}>"
