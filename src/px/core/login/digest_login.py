"""The Digest part of one request's login: its nonce, and the credentials that are made with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from px.core.auth.challenge import Challenge, parse_challenges
from px.core.auth.digest import NonceLease, NoncePool, answer_digest, choose_digest
from px.core.auth.token_source import TokenSource
from px.core.errors import LoginUnusableError
from px.core.login.request_line import RequestLine


class DigestLogin:
    """Has at most one nonce; always `give_back` it at the end.

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
        #: Whether the nonce came with a 407 to this request: then a refusal means the password.
        self.is_fresh = False
        #: Whether to use the nonce of an earlier 407. Only another 407 tells that such a nonce is used up.
        self.takes_old_nonces = True

    def receive_challenge(self, challenges: Sequence[Challenge]) -> None:
        """Keep the nonce that came with a 407: the next credentials use it."""
        chosen = choose_digest(challenges)
        if chosen is not None:
            self._lease = self._nonces.receive_challenge(
                chosen, cnonce=self._make_cnonce(), replaces=self._lease
            )
            self.is_fresh = True

    def open(self, *, is_challenged: bool, is_accepted_lately: bool) -> bytes:
        """Return credentials; empty: there is no nonce, and the next 407 brings one.

        Args:
            is_challenged: Whether the upstream has sent its challenges.
            is_accepted_lately: Whether the password was accepted lately. Otherwise no nonce from before this
                request is used: a 407 could mean that nonce as well as the password.

        Raises:
            LoginUnusableError: The password is not known, or none of the challenges can be answered.
        """
        self._source.password_credentials()
        if self._lease is None and self.takes_old_nonces and (is_accepted_lately or is_challenged):
            self._lease = self._nonces.lease()
            self.is_fresh = False
        if self._lease is None and is_challenged:
            raise LoginUnusableError("the upstream asks for a kind of Digest that Px cannot compute")
        return b"" if self._lease is None else self.format()

    def format(self) -> bytes:
        """Return credentials with the nonce that this login has.

        Raises:
            LoginUnusableError: The password is not known.
        """
        assert self._lease is not None  # noqa: S101 - the callers have checked that
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
        """Use the next nonce that an answer's ``Proxy-Authentication-Info`` names (RFC 7616 3.5)."""
        for challenge in parse_challenges([b"Digest " + authentication_info])[:1]:
            self.give_back(challenge.params.get("nextnonce"))

    def give_back(self, next_nonce: str | None = None) -> None:
        """Let other logins use the nonce, or the one that the upstream named in its place."""
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
