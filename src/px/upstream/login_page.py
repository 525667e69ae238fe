"""The page of a 407, and whether the login can go on over the connection after it.

A login that is bound to its connection is lost with it. So the page is read to its end, as long as it keeps
coming, and where an upstream announces a close in the middle of a handshake, Px looks whether it comes:

==================================  ======================  ===================================
the 407                             in a handshake          else
==================================  ======================  ===================================
Content-Length or chunked           read over               read over, unless it says ``close``
neither, and the connection closes  not this connection     not this connection
neither, and nothing follows        an empty page           not this connection
says ``close``, and closes          not this connection     not this connection
does not say it, and closes         not this connection     not this connection
says ``close``, and stays open      the login goes on       not this connection
to HEAD, with a page all the same   read over               read over
==================================  ======================  ===================================

curl and cntlm go on in the same cases.
"""

from __future__ import annotations

from px.core.errors import BadResponseError
from px.core.http.body_reader import body_reader
from px.core.http.framing import Framing, FramingKind, response_framing
from px.core.http.response_head import ResponseHead
from px.core.login.attempt import CLOSES
from px.core.login.upstream_state import UpstreamLogin
from px.io.io_loop import IoLoop
from px.upstream.connections.connection import Connection

#: Most of a page that is read: pages of a megabyte with pictures in them exist.
MAX_PAGE_BYTES = 1024 * 1024
#: Most seconds for a page, however steadily it comes.
MAX_PAGE_SECONDS = 300.0
#: How soon after a 407 its page begins, or the upstream closes, if there is no saying which it will be.
LOOK_SECONDS = 0.2


class LoginPage:
    """Reads the page of one 407.

    Args:
        connection: Over which it comes.
        login: Of the upstream, which remembers how this one answers HEAD.
        io_loop: Of the connection.
        silence_seconds: How long the page may be silent.
    """

    def __init__(
        self, connection: Connection, login: UpstreamLogin, io_loop: IoLoop, silence_seconds: float
    ) -> None:
        self._connection = connection
        self._login = login
        self._io_loop = io_loop
        self._silence_seconds = silence_seconds

    async def read_over(self, head: ResponseHead, method: bytes, *, is_in_handshake: bool) -> str:
        """Read the page away.

        Args:
            head: Of the 407.
            method: Of the request that it answers.
            is_in_handshake: Whether the login is lost with the connection.

        Returns:
            Why the connection cannot be used for the next message, as a clause; empty: it can.
        """
        if not (head.keep_alive or is_in_handshake):
            return CLOSES
        if head.framing.kind is FramingKind.CLOSE:
            return CLOSES if await self._is_something_coming() else ""
        framing = await self._hidden_framing(head) if method == b"HEAD" else head.framing
        if trouble := await self._read(framing):
            return trouble
        if not head.keep_alive and await self._is_something_coming():
            return CLOSES
        # Some upstreams close after each 407 without a word: a token sent now would get no verdict.
        return "" if self._connection.stream.is_quiet() else CLOSES

    async def _read(self, framing: Framing) -> str:
        stream = self._connection.stream
        reader = body_reader(framing, decode_chunked=True, error=BadResponseError)
        begun, read_bytes = self._io_loop.now(), 0
        while not reader.is_complete:
            stream.deadline = self._io_loop.now() + self._silence_seconds
            try:
                data = await stream.read()
                if not data:
                    return CLOSES
                rest = reader.receive(data)[1]
            except TimeoutError:
                return "the upstream stops in the middle of the page that comes with its challenge"
            except (OSError, BadResponseError):
                return CLOSES
            stream.unread(rest)
            read_bytes += len(data) - len(rest)
            if read_bytes > MAX_PAGE_BYTES or self._io_loop.now() > begun + MAX_PAGE_SECONDS:
                return "the page that the upstream sends with its challenge does not end"
        return ""

    async def _hidden_framing(self, head: ResponseHead) -> Framing:
        """Return the framing of a page that comes though the request was a HEAD, which forbids one."""
        framing = response_framing(head.notable)
        if framing.kind in (FramingKind.NONE, FramingKind.CLOSE):
            return head.framing
        login = self._login
        if login.sends_page_to_head is None:
            login.sends_page_to_head = await self._is_something_coming()
        return framing if login.sends_page_to_head else head.framing

    async def _is_something_coming(self) -> bool:
        """Whether bytes or the end of the stream are there, or come at once."""
        stream = self._connection.stream
        stream.deadline = self._io_loop.now() + LOOK_SECONDS
        try:
            data = await stream.read()
        except TimeoutError:
            return False
        except OSError:
            return True
        stream.unread(data)
        return True
