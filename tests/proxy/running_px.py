"""A Px on the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from px.app.own_pages import PageQuestions
from px.app.px import Px
from px.config.settings import default_settings
from px.core.auth.policy import AuthPolicy
from px.core.rules.host_rules import HostRules
from px.core.rules.route import parse_upstreams
from px.core.secret import Secret
from px.downstream.front_end import FrontEndKind
from px.downstream.listener import Listener
from px.io.listening_socket import open_listening_socket
from px.logs.access_log import Sink
from px.system.state.installation import load_installation
from tests.scripted_upstream import PASSWORD, USERNAME, ScriptedUpstream, Wire

STOP_SECONDS = 0.5
_PARSERS: dict[str, Callable[[str], object]] = {
    "auth": AuthPolicy.parse,
    "client_auth": AuthPolicy.parse_list,
    "noproxy": partial(HostRules.parse, names=True),
    "allow": partial(HostRules.parse, names=False),
}


class RunningPx:
    """A Px, and the clients of a test."""

    def __init__(self, px: Px, port: int) -> None:
        self.px = px
        self.port = port
        self._stack = contextlib.ExitStack()

    async def connect(self) -> Wire:
        """Open a client connection; it is closed with the Px."""
        return self._stack.enter_context(await Wire.connect(self.port))

    async def get(self, url: bytes, *fields: bytes) -> tuple[bytes, bytes]:
        """Send one GET over a connection of its own; return the answer's head and body."""
        client = await self.connect()
        await client.send(get(url, *fields))
        return await client.read_answer()

    @property
    def kept(self) -> str:
        """The `repr` of the pool, which shows its connections."""
        return repr(self.px._pool)

    def close_clients(self) -> None:
        """Close the connections that `connect` has opened."""
        self._stack.close()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(logging.Formatter().format(record))


@asynccontextmanager
async def running_px(
    *upstreams: ScriptedUpstream | str,
    state: Path | None = None,
    access_sink: Sink | None = None,
    page_questions: PageQuestions | None = None,
    **changes: object,
) -> AsyncIterator[RunningPx]:
    """Run a Px with these upstreams; without Via and without a user, unless `changes` sets them."""
    sock = open_listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    proxy = ",".join(each if isinstance(each, str) else each.authority for each in upstreams)
    given = {"proxy": parse_upstreams(proxy), "port": port, "via": False, "socktimeout": 2.0, **changes}
    for name, parse in _PARSERS.items():
        if isinstance(text := given.get(name), str):
            given[name] = parse(text)
    made = TemporaryDirectory(
        prefix="px-test-", ignore_cleanup_errors=True
    )  # on Windows a lock may still be open
    errors = _Errors()
    for name in ("px", "asyncio"):
        logging.getLogger(name).addHandler(errors)
    state = state or Path(made.name)
    px = Px(
        default_settings(**given),
        [sock],
        state,
        load_installation(state),
        access_sink,
        page_questions=page_questions,
    )
    serving = asyncio.create_task(px.serve())
    running = RunningPx(px, port)
    try:
        yield running
    finally:
        running.close_clients()
        px._own_pages.close()
        await px._listener.stop(STOP_SECONDS)
        px._pool.clear()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        made.cleanup()
        for name in ("px", "asyncio"):
            logging.getLogger(name).removeHandler(errors)
    assert not errors.records, errors.records


@asynccontextmanager
async def listening(kind: FrontEndKind, px: RunningPx) -> AsyncIterator[RunningPx]:
    """Also listen with another front end, for the same service and with the same access rules."""
    http = px.px._listener
    sock = open_listening_socket("127.0.0.1", 0)
    listener = Listener({sock: kind}, http._service, http._admits, http._is_from_here, http._refusals)
    serving = asyncio.create_task(listener.serve())
    running = RunningPx(px.px, sock.getsockname()[1])
    try:
        yield running
    finally:
        running.close_clients()
        await listener.stop(STOP_SECONDS)
        serving.cancel()


def as_user(password: str = PASSWORD) -> dict[str, Any]:
    """Return the settings for the account that the scripted upstreams know."""
    return {"username": USERNAME, "password": Secret(password)}


def get(url: bytes, *fields: bytes, method: bytes = b"GET") -> bytes:
    """Return a request without a body."""
    host = url.split(b"/")[2] if b"//" in url else url
    lines = b"".join(line + b"\r\n" for line in fields)
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, url, host, lines)


def connect(authority: bytes, *fields: bytes) -> bytes:
    """Return a CONNECT request."""
    return get(authority, *fields, method=b"CONNECT")


def post(url: bytes, body: bytes, *fields: bytes) -> bytes:
    """Return a request with a body of known length."""
    return get(url, *fields, b"Content-Length: %d" % len(body), method=b"POST") + body
