"""The Digest side of one request's login: the nonce it holds, and the credentials made with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from px.core.challenge import Challenge, parse_challenges
from px.core.digest import NonceLease, NoncePool, answer_digest, choose_digest
from px.core.errors import LoginUnusableError
from px.core.login_parts import RequestLine
from px.core.token_source import TokenSource


class DigestLogin:
    """Holds at most one nonce; `give_back` it at the end, whatever happened.

    Args:
        nonces: Of the upstream and the identity.
        source: Of the password.
        request: What is hashed.
        make_cnonce: Returns unpredictable text.
    """

    def __init__(
        self, nonces: NoncePool, source: TokenSource, request: RequestLine, make_cnonce: Callable[[], str]
    ) -> None:
        self._nonces = nonces
        self._source = source
        self._request = request
        self._make_cnonce = make_cnonce
        self._lease: NonceLease | None = None
        #: Whether the nonce came with a 407 to this request: if it is refused, the password is.
        self.is_fresh = False

    def receive_challenge(self, challenges: Sequence[Challenge]) -> None:
        """Keep a nonce that came with a 407: the next answer uses it."""
        chosen = choose_digest(challenges)
        if chosen is not None:
            self._lease = self._nonces.receive_challenge(
                chosen, cnonce=self._make_cnonce(), replaces=self._lease
            )
            self.is_fresh = True

    def open(self, *, is_challenged: bool) -> bytes:
        """Return credentials; empty without a nonce: the request goes as it is, and brings one.

        Args:
            is_challenged: Whether the upstream has sent its challenges.

        Raises:
            LoginUnusableError: The password is not known, or none of the challenges can be answered.
        """
        self._source.password_credentials()
        if self._lease is None:
            self._lease = self._nonces.lease()
            self.is_fresh = False
        if self._lease is None and is_challenged:
            raise LoginUnusableError("the upstream asks for a kind of Digest that Px cannot compute")
        return b"" if self._lease is None else self.format()

    def format(self) -> bytes:
        """Return credentials with the nonce at hand.

        Raises:
            LoginUnusableError: The password is not known.
        """
        assert self._lease is not None  # noqa: S101 - the callers know that there is one
        username, password = self._source.password_credentials()
        return answer_digest(
            self._lease.challenge,
            method=self._request.method,
            uri=self._request.uri,
            username=username,
            password=password,
            nonce_count=self._lease.nonce_count,
            cnonce=self._lease.cnonce,
        )

    def receive_next_nonce(self, authentication_info: bytes) -> None:
        """Take up what an answer's ``Proxy-Authentication-Info`` says (RFC 7616 3.5)."""
        for challenge in parse_challenges([b"Digest " + authentication_info])[:1]:
            self.give_back(challenge.params.get("nextnonce"))

    def give_back(self, next_nonce: str | None = None) -> None:
        """Let others use the nonce, or the one that the upstream named in its place."""
        if self._lease is not None:
            self._nonces.give_back(self._lease, next_nonce=next_nonce)
            self._lease = None

    def drop(self) -> None:
        """Forget the nonce: the upstream no longer takes it."""
        if self._lease is not None:
            self._nonces.drop(self._lease)
            self._lease = None

    def __repr__(self) -> str:
        return f"<DigestLogin {self._lease and self._lease.challenge.scheme} fresh={self.is_fresh}>"
