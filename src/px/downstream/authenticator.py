"""Asks the client of one connection to log in at Px before Px answers a request or sends it on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from px.core.client_login.login import Admitted, ClientAuth, Refused
from px.core.errors import ClientLoginError
from px.core.http.request_head import RequestHead
from px.downstream.client_request import is_for_px_itself
from px.io.io_loop import IoLoop
from px.io.stream import Stream
from px.upstream.request_body import RequestBody

#: Time from a wrong login to its answer, whatever was wrong. This slows guessing down, and the time does not
#: show which part of the login was right.
WRONG_LOGIN_SECONDS = 0.5
#: Px reads and drops a body up to this size, so that the client can use the connection again, as NTLM must.
MAX_DISCARDED_BYTES = 256 * 1024
#: How long Px reads such a body.
DISCARD_SECONDS = 10.0
#: When the client may try again a login that could not be checked.
RETRY_SECONDS = 5

_WANTED = "This Px lets nobody pass without a login. It is not the company's proxy that asks."
_WRONG = (
    "This Px refused the login: wrong user name or password. It is not the company's proxy that refused it."
)
_HINT = (
    "Give your program a user name and password of this Px, as in http://USER:PASSWORD@HOST:PORT for its"
    " proxy; the person who runs this Px has set them (--client_username)."
)
_PAGE_HINT = (
    "Log in to the page with a user name and password of this Px; the person who runs this Px has set them"
    " (--client_username)."
)
_SILENT = (
    "Px cannot check the login now: the keyring or domain controller that knows its users does not answer."
)


async def _wait_for(checking: Awaitable[Admitted | Refused]) -> Admitted | Refused:
    try:
        return await checking
    except TimeoutError:
        raise ClientLoginError(_SILENT, status=503, retry_after=RETRY_SECONDS) from None


class ClientAuthenticator:
    """The login of one client connection.

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
        self._is_for_page = False
        #: The user that sent the last admitted request; empty: none was admitted, or it needed no login.
        self.user = ""

    async def admit(self, head: RequestHead) -> None:
        """Return if the client may have a request served.

        A request for a page of Px is a request for a web server: browsers log in there with Authorization
        after a 401, and take a 407 for an error (RFC 9110 11.6, 11.7).

        Raises:
            ClientLoginError: The client has to log in first; nothing of the request may be used.
            BadRequestError: The body of the request is malformed.
            BrokenStreamError: The client is gone.
        """
        self.user, self._challenge = "", b""
        self._is_for_page = is_for_px_itself(head)
        field = b"authorization" if self._is_for_page else b"proxy-authorization"
        began = self._io_loop.now()
        verdict = await _wait_for(self._login.receive(head, field))
        if isinstance(verdict, Admitted):
            self.user, self._challenge = verdict
            return
        is_body_read = await self._discard_body(head)
        raise await self._refuse(verdict, began, is_body_read=is_body_read)

    async def check_password(self, username: bytes, password: bytes) -> None:
        """Return if the password of a SOCKS client is right; `admit` then admits the connection's requests.

        Raises:
            ClientLoginError: The password is wrong, or cannot be checked now.
        """
        began = self._io_loop.now()
        verdict = await _wait_for(self._login.receive_password(username, password))
        if isinstance(verdict, Refused):
            raise await self._refuse(verdict, began)

    def ask_for_login(self) -> ClientLoginError:
        """Return the error for a SOCKS client that does not offer to log in: it will not do so later."""
        error = self._explain(Refused([]))
        error.is_routine = False
        return error

    async def _refuse(
        self, refused: Refused, began: float, *, is_body_read: bool = False
    ) -> ClientLoginError:
        """Return the error for a login; if the login was wrong, not before its time has passed."""
        if refused.reason:
            await asyncio.sleep(began + WRONG_LOGIN_SECONDS - self._io_loop.now())
        return self._explain(refused, is_body_read=is_body_read)

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

    def _explain(self, refused: Refused, *, is_body_read: bool = False) -> ClientLoginError:
        cause = _WRONG if refused.reason else _WANTED
        if self._is_for_page:
            error = ClientLoginError(cause, _PAGE_HINT, status=401)
        else:
            error = ClientLoginError(cause, _HINT)
        error.fields = [(self._challenge_field, challenge) for challenge in refused.challenges]
        error.is_body_read = is_body_read
        error.is_routine = not refused.reason
        if refused.reason:
            error.detail = f"refused the login of the client at {self._client.peer}: {refused.reason}"
        return error

    @property
    def _challenge_field(self) -> bytes:
        return b"WWW-Authenticate" if self._is_for_page else b"Proxy-Authenticate"

    def take_fields(self) -> list[tuple[bytes, bytes]]:
        """Return the fields that the answer to the request must carry; the next call returns none."""
        challenge, self._challenge = self._challenge, b""
        return [(self._challenge_field, challenge)] if challenge else []

    def __repr__(self) -> str:
        return f"<ClientAuthenticator {self._login!r}>"
