"""Log lines that say which request they are about."""

from __future__ import annotations

import logging


class RequestLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines carry the id of the request, or connection, they are about.

    The id is the attribute ``request`` of each record, with a dot before it; `px.log` prints it behind the
    number of the process, which makes it one of all processes.
    """

    def __init__(self, logger: logging.Logger, request: str) -> None:
        super().__init__(logger, {"request": f".{request}"})
