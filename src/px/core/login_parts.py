"""What a login at an upstream is handed, and how it asks for a proof; see `px.core.upstream_auth`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from px.core.errors import LoginError, LoginRefusedError
from px.core.upstream_login import Method


class ProofWantedError(LoginRefusedError):
    """The secret is in doubt: the next token must settle that, and no rule about targets may disturb it.

    Attributes:
        refused: Methods that were refused to the request at hand; none: it sent no token.
    """

    def __init__(self, error: LoginRefusedError, refused: Sequence[Method]) -> None:
        super().__init__(error.cause, error.mend)
        self.refused = tuple(refused)

    def settled_by(self, error: LoginError) -> LoginError:
        """Return what the client is told when the proof has failed: its own refusal, if it had one."""
        return LoginRefusedError(self.cause, self.mend) if self.refused else error


class LoginTurn(Protocol):
    """Lets one login at a time pass while a secret is unproven."""

    async def take(self, refusals_left: Callable[[], int], *, is_known_good: bool) -> None:
        """Wait for the turn; one that was taken before is given back first.

        Args:
            refusals_left: How many logins may be in flight at the most, when the first is slow.
            is_known_good: The secret has logged in and was not refused since, but some time ago.

        Raises:
            LoginBlockedError: It did not come in time.
        """

    def give_back(self) -> None:
        """Let the next one pass; nothing when the turn was not taken."""


class RequestLine(NamedTuple):
    """What a login needs to know of the request.

    Attributes:
        method: As sent.
        uri: The request-target as sent: part of Digest's hash.
        target: ``host:port`` of the origin: what a rule of the upstream may deny.
    """

    method: bytes
    uri: bytes
    target: str
