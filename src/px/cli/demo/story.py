"""``px --demo``: a program that cannot log in, a proxy that wants a login, and Px between them.

Nothing is simulated: the demo runs the real Px (`px.app.px.Px`), the proxy verifies the login
(`px.cli.demo.upstream`), and the printed lines are shortened messages of real connections. The demo checks
each claim of its text, and fails with a message if one is false.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import textwrap
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TextIO

from px.app.px import Px
from px.cli.demo.upstream import PROGRAM, PROXY, PX, DemoUpstream, Message
from px.config.settings import default_settings
from px.core.auth.challenge import Challenge, format_token, parse_challenges
from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.messages import message_type
from px.core.http.request_head import RequestHead, parse_request
from px.core.http.response_head import ResponseHead, parse_response
from px.core.rules.route import UpstreamAddress
from px.core.secret import Secret
from px.core.startup_errors import StartupError
from px.io.listening_socket import open_listening_socket
from px.system.process.standard_output import until_reader_leaves
from px.system.state.installation import load_installation

EXIT_OK: Final = 0
EXIT_FAILED: Final = 4

_LOOPBACK: Final = "127.0.0.1"
_DOMAIN, _USER = "DEMO", "alice"
#: The request of the program. The name never leaves this process (RFC 6761 6.5: no such site can exist).
_GET: Final = (
    b"GET http://www.example/ HTTP/1.1\r\nHost: www.example\r\nUser-Agent: demo\r\nAccept: text/plain\r\n\r\n"
)
_CONNECT: Final = b"CONNECT www.example:443 HTTP/1.1\r\nHost: www.example:443\r\n\r\n"
#: The demo takes well under a second; an overloaded computer may need several.
_TIMEOUT_SECONDS: Final = 15.0

_OK, _LOGIN_REQUIRED = 200, 407
_REFUSED = 400
_CHALLENGE_TYPE, _AUTHENTICATE_TYPE = 2, 3
#: The first characters of a token show the type of its message (..B, ..C, ..D for 1, 2, 3) and no secret.
_TOKEN_CHARS: Final = 12

_Record = Callable[[Message], None]


class DemoFailedError(Exception):
    """A claim of the demo is false on this computer; the text says which."""


def run_demo(upstream_password: str | None = None) -> int:
    """Show a request without Px and two through Px; return the exit code.

    Args:
        upstream_password: For tests: the password that the upstream knows, if it differs from that of Px.
            The login then fails, and so does the demo.
    """
    screen = Screen(sys.stdout)
    try:
        asyncio.run(_run_steps(screen, secrets.token_urlsafe(18), upstream_password))
    except DemoFailedError as error:
        return _fail(str(error))
    except TimeoutError:
        return _fail(f"it was not through after {_TIMEOUT_SECONDS:g} s")
    except (OSError, StartupError) as error:
        return _fail(f"no connection within this computer: {error}")
    return EXIT_OK


def _fail(reason: str) -> int:
    print(f"px: the demo failed: {reason}", file=sys.stderr, flush=True)
    return EXIT_FAILED


# The steps of the demo


async def _run_steps(screen: Screen, password: str, upstream_password: str | None) -> None:
    wire: list[Message] = []
    known = {(_USER, _DOMAIN): nt_hash(upstream_password or password)}
    upstream = DemoUpstream(lambda user, domain: known.get((user, domain)), wire.append)
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        try:
            upstream_port = await upstream.start()
            _introduce(screen)
            await _show_without_px(screen, upstream_port, wire)
            with tempfile.TemporaryDirectory(prefix="px-demo-", ignore_cleanup_errors=True) as state:
                async with _running_px(upstream_port, password, Path(state)) as port:
                    await _show_login(screen, port, wire, password)
                    await _show_tunnel(screen, port, wire)
        finally:
            await upstream.stop()
    _demand([login.user for login in upstream.logins] == [_USER], "Px logged in more than once")
    _advise(screen)


@contextlib.asynccontextmanager
async def _running_px(upstream_port: int, password: str, state: Path) -> AsyncIterator[int]:
    """Run Px on a free port; yield the port."""
    listening = open_listening_socket(_LOOPBACK, 0)
    port = int(listening.getsockname()[1])
    settings = default_settings(
        proxy=(UpstreamAddress("http", _LOOPBACK, upstream_port),),
        port=port,
        username=f"{_DOMAIN}\\{_USER}",
        password=Secret(password),
    )
    px = Px(settings, [listening], state, load_installation(state))
    serving = asyncio.create_task(px.serve())
    try:
        yield port
    finally:
        await px.stop()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def _introduce(screen: Screen) -> None:
    screen.say(
        "A company proxy that wants a login (NTLM), a program that cannot log in, and Px between them:"
        " all in this one process. No network is needed."
    )


async def _show_without_px(screen: Screen, upstream_port: int, wire: list[Message]) -> None:
    screen.head("1. Without Px")
    head, _ = await _get(upstream_port)
    screen.show(wire)
    _demand(head.status == _LOGIN_REQUIRED, f"the upstream answered {head.status} without a login")
    screen.say("This is what pip, npm, git or curl get there, and where they stop.")


async def _show_login(screen: Screen, port: int, wire: list[Message], password: str) -> None:
    screen.head("2. The same request through Px")
    start = len(wire)
    head, body = await _get(port, wire.append)
    screen.show(wire[start:])
    if head.status != _OK:
        screen.say(" ".join(body.decode("utf-8", "replace").split()))
        raise DemoFailedError(f"Px answered {head.status}, not 200")
    _demand(not _is_on_wire(password, wire), "the password went over the wire")
    screen.say(
        "The program sent one plain request and got its page. Px logged in for it: the proxy saw a proof"
        " that Px knows the password, never the password."
    )


async def _show_tunnel(screen: Screen, port: int, wire: list[Message]) -> None:
    screen.head("3. The next request, a tunnel for https")
    start = len(wire)
    head = await _open_tunnel(port, wire.append)
    screen.show(wire[start:])
    _demand(head.status == _OK, f"Px answered {head.status} to CONNECT, not 200")
    at_proxy = {message.connection for message in wire if message.login}
    _demand(len(at_proxy) == 1, "Px did not use its connection again")
    screen.say("No new login: Px keeps the connection that is logged in.")


def _advise(screen: Screen) -> None:
    screen.head("For real")
    screen.command("px --proxy=proxy.corp.example:8080")
    if os.name == "nt":
        screen.command("set HTTPS_PROXY=http://127.0.0.1:3128")
        screen.say("Px logs in as the user who is logged in to Windows. More: px --help")
        return
    screen.command("export http_proxy=http://127.0.0.1:3128 https_proxy=http://127.0.0.1:3128")
    screen.say(
        "Px logs in with your Kerberos ticket (kinit), or as --username='CORP\\alice' with the password"
        " from the environment variable PX_PASSWORD. More: px --help"
    )


def _demand(is_so: bool, complaint: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not is_so:
        raise DemoFailedError(complaint)


def _is_on_wire(password: str, wire: list[Message]) -> bool:
    heads = b"".join(message.head for message in wire)
    tokens = b"".join(challenge.token or b"" for message in wire for challenge in _credentials(message))
    plain, wide = password.encode(), password.encode("utf-16-le")
    return any(form in text for text in (heads, tokens) for form in (plain, wide, b64encode(plain)))


# The program


async def _get(port: int, record: _Record | None = None) -> tuple[ResponseHead, bytes]:
    """Send the GET of the program to the proxy on a port; return the head and body of the answer."""
    async with _connect(port) as (reader, writer):
        head = await _exchange(reader, writer, _GET, record)
        return head, await reader.readexactly(head.framing.length)


async def _open_tunnel(port: int, record: _Record) -> ResponseHead:
    """Open a tunnel and check that its far end echoes some bytes; return the head of the answer."""
    async with _connect(port) as (reader, writer):
        head = await _exchange(reader, writer, _CONNECT, record)
        if head.status == _OK:
            sent = secrets.token_bytes(64)
            writer.write(sent)
            _demand(await reader.readexactly(len(sent)) == sent, "the tunnel garbled what went through it")
        return head


@contextlib.asynccontextmanager
async def _connect(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(_LOOPBACK, port)
    try:
        yield reader, writer
    except asyncio.IncompleteReadError as error:
        raise DemoFailedError("a connection was closed in the middle of an answer") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, record: _Record | None
) -> ResponseHead:
    """Send a request; return the head of its answer. `record` is None if the proxy records both heads."""
    if record:
        record(Message(PROGRAM, PX, request))
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    if record:
        record(Message(PX, PROGRAM, answer))
    return parse_response(answer, request.split(b" ")[0])


# Messages as text


def _parse(message: Message) -> RequestHead | ResponseHead:
    if message.head.startswith(b"HTTP/"):
        return parse_response(message.head, b"GET")
    return parse_request(message.head)


def _credentials(message: Message) -> list[Challenge]:
    """Return the credentials of a request, or the challenges of an answer."""
    head = _parse(message)
    return parse_challenges(head.values(b"proxy-authorization") + head.values(b"proxy-authenticate"))


def _describe(message: Message) -> str:
    """Return a message as one short text."""
    head = _parse(message)
    token = next((each.token for each in _credentials(message) if each.token), None)
    if token:
        shown = format_token(b"NTLM", token)[: len(b"NTLM ") + _TOKEN_CHARS].decode("ascii")
        begin = head.method.decode("ascii") if isinstance(head, RequestHead) else str(head.status)
        return f"{begin}, {shown}..."
    if isinstance(head, RequestHead):
        return f"{head.method.decode('ascii')} {head.target.decode('ascii')}"
    return f"{head.status} {head.reason.decode('ascii', 'replace')}"


def _explain(message: Message) -> str:
    """Return what a message means for the login; empty if the message needs no explanation."""
    token = next((each.token for each in _credentials(message) if each.token), None)
    if token:
        meanings = {_CHALLENGE_TYPE: "prove who you are", _AUTHENTICATE_TYPE: "the proof"}
        return meanings.get(message_type(token), "let me log in")
    login = message.login
    if login is None or PROXY not in (message.sender, message.receiver):
        return ""
    if message.receiver == PROXY:
        return "no login needed"
    return f"let in as {login.domain}\\{login.user}"


class Screen:
    """Prints the demo on a terminal, or to a file or pipe.

    Args:
        stream: The stream to write to; None (pythonw) discards all output.
    """

    _MAX_COLUMNS = 79
    #: On a narrower terminal, each explanation has a line of its own.
    _MIN_COLUMNS = 76
    #: The width of a message in front of its explanation.
    _TEXT_COLUMNS = 28

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._columns = min(shutil.get_terminal_size().columns - 1, self._MAX_COLUMNS)
        self._has_colour = _wants_colour(stream)
        self._has_arrows = stream is not None and _is_utf8(stream)

    def head(self, text: str) -> None:
        """Write a heading."""
        self._write("\n" + self._paint(text, "1"))

    def say(self, text: str) -> None:
        """Write a paragraph."""
        lines = textwrap.wrap(text, max(self._columns, 20), break_on_hyphens=False, break_long_words=False)
        self._write("\n".join(lines))

    def command(self, text: str) -> None:
        """Write a command that the user can copy."""
        self._write(f"  {text}")

    def show(self, messages: list[Message]) -> None:
        """Write one line per message, with its sender and receiver in their columns."""
        for message in messages:
            self._show(message)

    def _show(self, message: Message) -> None:
        text, note, is_wide = _describe(message), _explain(message), self._columns >= self._MIN_COLUMNS
        between = self._between(message) if is_wide else self._between_short(message)
        line = between + self._paint(text, self._colour_of(message))
        if note and is_wide:
            line += " " * (self._TEXT_COLUMNS - len(text)) + self._paint(note, "2")
        elif note:
            line += "\n" + " " * len(between) + self._paint(f"({note})", "2")
        self._write(line)

    def _between(self, message: Message) -> str:
        """Return the sender and receiver in fixed columns, with an arrow between them."""
        pair = {message.sender, message.receiver}
        is_right = message.sender == PROGRAM or message.receiver == PROXY
        if PX not in pair:
            return f"  program {self._arrow(9, is_right=is_right)} proxy   "
        if PROXY not in pair:
            return f"  program {self._arrow(2, is_right=is_right)} Px            "
        return f"             Px {self._arrow(2, is_right=is_right)} proxy   "

    def _between_short(self, message: Message) -> str:
        return f"{message.sender:>7} {self._arrow(2, is_right=True)} {message.receiver:<7} "

    def _arrow(self, columns: int, *, is_right: bool) -> str:
        shaft = ("\u2500" if self._has_arrows else "-") * (columns - 1)
        if is_right:
            return shaft + ("\u2192" if self._has_arrows else ">")
        return ("\u2190" if self._has_arrows else "<") + shaft

    @staticmethod
    def _colour_of(message: Message) -> str:
        head = _parse(message)
        if not isinstance(head, ResponseHead):
            return ""
        return "31" if head.status >= _REFUSED else "32"

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._has_colour and code else text

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        with until_reader_leaves():
            print(text, file=self._stream, flush=True)


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def _wants_colour(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal with colours, and the user has not turned them off (no-color.org)."""
    if (
        stream is None
        or not stream.isatty()
        or os.environ.get("NO_COLOR")
        or os.environ.get("TERM") == "dumb"
    ):
        return False
    return os.name != "nt" or "WT_SESSION" in os.environ  # the old Windows console prints the codes
