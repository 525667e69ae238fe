"""Has the client of one connection log in at Px before any request of its goes on."""

from __future__ import annotations

import asyncio

from px.core.client_auth import Admitted, ClientAuth, Refused
from px.core.errors import ClientLoginError
from px.core.head import RequestHead
from px.core.target import TargetForm
from px.net.io_loop import IoLoop
from px.net.request_body import RequestBody
from px.net.stream import Stream

#: A wrong login is answered so long after it came, whatever was wrong with it: that slows guessing down, and
#: the time tells nothing about what was nearly right.
WRONG_LOGIN_SECONDS = 0.5
#: A body up to this size is read away, so that the client can go on over the same connection, as NTLM must.
MAX_DISCARDED_BYTES = 256 * 1024
#: How long that may take.
DISCARD_SECONDS = 10.0
#: When a login that could not be checked is worth another try.
RETRY_SECONDS = 5

#: Requests for pages of Px itself: they go nowhere, and a login at a proxy is not for them (RFC 9112 3.2).
_TO_PX_ITSELF = (TargetForm.ORIGIN, TargetForm.ASTERISK)
_WANTED = "This Px lets nobody pass without a login. It is not the company's proxy that asks."
_WRONG = (
    "This Px refused the login: wrong user name or password. It is not the company's proxy that refused it."
)
_MEND = (
    "Give your program a user name and password of this Px, as in http://USER:PASSWORD@HOST:PORT for its"
    " proxy; whoever runs this Px has set them (--client_username)."
)
_SILENT = "The login cannot be checked now: whoever knows the users of this Px does not answer."


class ClientDoor:
    """The door of one client connection.

    Args:
        client: Its stream.
        io_loop: Of the stream.
        auth: How clients log in.
    """

    def __init__(self, client: Stream, io_loop: IoLoop, auth: ClientAuth) -> None:
        self._client = client
        self._io_loop = io_loop
        self._login = auth.open_login()
        self._challenge = b""
        #: Who sent the request that was let in last; empty: nobody was.
        self.user = ""

    async def admit(self, head: RequestHead) -> None:
        """Return if a request may go on.

        Raises:
            ClientLoginError: It may not; nothing of it may be used.
            BrokenStreamError, BadRequestError: Of its body.
        """
        self.user, self._challenge = "", b""
        if head.form in _TO_PX_ITSELF:
            return
        began = self._io_loop.now()
        try:
            verdict = await self._login.receive(head)
        except TimeoutError:
            raise ClientLoginError(_SILENT, status=503, retry_after=RETRY_SECONDS) from None
        if isinstance(verdict, Admitted):
            self.user, self._challenge = verdict
            return
        is_body_read = await self._discard_body(head)
        if verdict.reason:
            await asyncio.sleep(began + WRONG_LOGIN_SECONDS - self._io_loop.now())
        raise self._explain(verdict, is_body_read=is_body_read)

    async def _discard_body(self, head: RequestHead) -> bool:
        """Return whether the client's next request can be read."""
        body = RequestBody(self._client, head.framing, self._io_loop)
        if head.expects_continue and head.framing.length <= MAX_DISCARDED_BYTES:
            self._client.deadline = self._io_loop.now() + DISCARD_SECONDS
            await self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(DISCARD_SECONDS):
                return await body.discard(MAX_DISCARDED_BYTES)
        except TimeoutError:
            return False

    def _explain(self, refused: Refused, *, is_body_read: bool) -> ClientLoginError:
        error = ClientLoginError(_WRONG if refused.reason else _WANTED, _MEND)
        error.fields = [(b"Proxy-Authenticate", challenge) for challenge in refused.challenges]
        error.is_body_read = is_body_read
        error.is_routine = not refused.reason
        if refused.reason:
            error.detail = f"refused the login of the client at {self._client.peer}: {refused.reason}"
        return error

    def take_fields(self) -> list[tuple[bytes, bytes]]:
        """Return what the answer to the request has to carry, once."""
        challenge, self._challenge = self._challenge, b""
        return [(b"Proxy-Authenticate", challenge)] if challenge else []

    def __repr__(self) -> str:
        return f"<ClientDoor {self._login!r}>"
