"""The tokens of one login on the connection in use, and which of them was sent last."""

from __future__ import annotations

from collections.abc import Sequence

from px.core.auth.challenge import Challenge, format_basic, format_token
from px.core.auth.token_source import TokenSession
from px.core.login.digest_login import DigestLogin
from px.core.login.method import Method
from px.core.login.request_line import RequestLine
from px.core.login.upstream_state import UpstreamLogin


class Handshake:
    """Makes the tokens of one request's login; `forget` what was sent when the connection changes.

    Args:
        login: What Px knows of the upstream.
        request: What Digest hashes.
    """

    def __init__(self, login: UpstreamLogin, request: RequestLine) -> None:
        self._login = login
        self._session: TokenSession | None = None
        #: The nonce of Digest. It outlives a connection.
        self.digest = DigestLogin(login.nonces, login.source, request, login.make_cnonce)
        #: The method of what was sent last on this connection; None: no token was sent.
        self.method: Method | None = None
        #: Whether a final token is out: the next answer is the verdict on it.
        self.is_final = False

    @property
    def has_session(self) -> bool:
        """Whether Kerberos or NTLM has begun on this connection."""
        return self._session is not None

    @property
    def may_reach_origin(self) -> bool:
        """Whether the origin may answer what was sent last; else only the upstream can."""
        return self.is_final or self._session is None

    async def begin(
        self, method: Method, channel_bindings: bytes | None, *, is_challenged: bool, is_accepted_lately: bool
    ) -> bytes:
        """Return the first credentials of a method; empty: Digest has no nonce yet.

        Args:
            method: To log in by.
            channel_bindings: Of the connection, when it is TLS.
            is_challenged: Whether the upstream has sent its challenges for this request.
            is_accepted_lately: Whether the secret was accepted lately.

        Raises:
            LoginUnusableError: The method has no token to send.
            LoginRefusedError: The KDC refused the password.
        """
        source, session = self._login.source, None
        if method is Method.BASIC:
            credentials = format_basic(*source.password_credentials())
        elif method is Method.DIGEST:
            credentials = self.digest.open(is_challenged=is_challenged, is_accepted_lately=is_accepted_lately)
        else:
            session = source.open_session(method.mechanism, self._login.host, channel_bindings)
            credentials = format_token(method.wire_name, await session.step(None))
        self.method, self._session = (method if credentials else None), session
        self.is_final = session.is_complete if session else bool(credentials)
        return credentials

    async def go_on(self, challenge: bytes) -> bytes:
        """Return the credentials that answer the upstream's token.

        Raises:
            LoginUnusableError: The challenge cannot be answered.
            LoginRefusedError: The platform knows without the upstream that the password is wrong.
        """
        assert self.method is not None  # noqa: S101 - only a token of a session has a challenge
        assert self._session is not None  # noqa: S101
        credentials = format_token(self.method.wire_name, await self._session.step(challenge))
        self.is_final = self._session.is_complete
        return credentials

    def answer_new_nonce(self) -> bytes:
        """Return Digest credentials with the nonce that has just come."""
        self.is_final = True
        return self.digest.format()

    def find_token(self, challenges: Sequence[Challenge]) -> tuple[bytes, bool]:
        """Return the token that challenges have for the method in use, and whether its scheme came bare.

        Args:
            challenges: Of the 407.
        """
        scheme = self.method.scheme if self.method is not None else ""
        tokens = [each.token for each in challenges if each.scheme == scheme]
        return next(filter(None, tokens), b""), None in tokens

    def forget(self) -> None:
        """Begin again: on the next connection nothing was sent yet."""
        self.method, self._session, self.is_final = None, None, False

    def __repr__(self) -> str:
        return f"<Handshake {self.method.value if self.method else 'nothing sent'} final={self.is_final}>"
