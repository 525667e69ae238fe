"""Begins and ends the journeys of a client connection's requests."""

from __future__ import annotations

import logging

from px.core.access_record import AccessRecord
from px.core.errors import PxError
from px.core.head import RequestHead
from px.core.journey import Journey
from px.core.request_log import RequestLog
from px.net.client_door import ClientDoor
from px.net.service import Service
from px.net.stream import Stream

_LOGGER = logging.getLogger("px.request")


class Chronicle:
    """What is told about the requests of one client connection.

    Args:
        client: Its stream.
        service: What all sessions share.
        name: Of the connection in logs.
        door: Knows whom the client logged in as; None: it need not.
    """

    __slots__ = ("_begun", "_client", "_door", "_name", "_service", "_told_bytes", "journey")

    def __init__(self, client: Stream, service: Service, name: str, door: ClientDoor | None) -> None:
        self._client = client
        self._service = service
        self._name = name
        self._door = door
        self._told_bytes = (0, 0)
        self._begun = 0
        #: Of the request under way; None where nobody listens.
        self.journey: Journey | None = None

    def begin(self, head: RequestHead | None) -> None:
        """Have a request told of, if anybody listens.

        Args:
            head: None when it could not be read.
        """
        is_logged = _LOGGER.isEnabledFor(logging.DEBUG)
        if not is_logged and self._service.log_access is None:
            return
        self._begun += 1
        name = f"{self._name}.{self._begun}"
        record = AccessRecord(id=name, client=self._client.peer.rpartition(":")[0])
        log = RequestLog(_LOGGER, name) if is_logged else None
        self.journey = Journey(record, self._service.io_loop.now, log)
        if head is not None:
            self.journey.receive_head(head)

    def begin_answer(self, status: int, hop: str = "") -> None:
        """See `Journey.begin_answer`."""
        if self.journey is not None:
            self.journey.begin_answer(status, hop)

    def fail(self, error: PxError) -> None:
        """See `Journey.fail`; the request may not have begun, if its head could not be read."""
        if self.journey is None:
            self.begin(None)
        if self.journey is not None:
            self.journey.fail(error)

    def break_off(self, how: str, cause: object) -> None:
        """See `Journey.break_off`."""
        if self.journey is not None:
            self.journey.break_off(how, cause)

    def end(self) -> None:
        """The request under way has ended. Safe to call again."""
        journey, self.journey = self.journey, None
        if journey is None:
            return
        early = self._client.take_unread()  # it is of the next request
        self._client.unread(early)
        received, sent = self._client.received_bytes - len(early), self._client.sent_bytes
        record = journey.end(up=received - self._told_bytes[0], down=sent - self._told_bytes[1])
        self._told_bytes = received, sent
        record.user = self._door.user if self._door is not None else ""
        if self._service.log_access is not None:
            self._service.log_access(record)

    def __repr__(self) -> str:
        return f"<Chronicle {self._name} {self.journey}>"
