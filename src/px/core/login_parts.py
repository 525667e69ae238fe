"""What a login at an upstream is handed, and how it asks for a proof; see `px.core.upstream_auth`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from px.core.errors import LoginError, LoginRefusedError
from px.core.lockout import LockoutGuard
from px.core.token_source import TokenSource
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


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a turn has to know of an unproven secret; asked again, for others may be told meanwhile.

    Attributes:
        is_settled: Whether there is nothing to wait for: it is proven, or may not be sent.
        refusals_left: How many logins may be in flight at the most, when the first is slow.
        receive_no_verdict: Called for a login of a process that ended before the verdict.
        is_known_good: It has logged in and was not refused since, but some time ago.
        is_verification: The login is one that settles a doubt, with a verdict that no origin delays.
    """

    is_settled: Callable[[], bool]
    refusals_left: Callable[[], int]
    receive_no_verdict: Callable[[], None]
    is_known_good: bool
    is_verification: bool

    @classmethod
    def about(
        cls,
        guard: LockoutGuard,
        source: TokenSource,
        asked: str,
        wants_proof: Callable[[], bool] = lambda: False,
        *,
        is_verification: bool = False,
    ) -> Doubt:
        """Return what the lock-out memory says of a secret.

        Args:
            guard: The lock-out memory.
            source: Knows the secret.
            asked: Who gives the verdict.
            wants_proof: Whether the login may not be made before another one has settled the doubt.
            is_verification: See the class.
        """
        return cls(
            is_settled=lambda: guard.is_proven(source) or guard.is_blocked(source) or wants_proof(),
            refusals_left=partial(guard.refusals_left, source),
            receive_no_verdict=partial(guard.receive_no_verdict, source, asked, ""),
            is_known_good=guard.has_logged_in(source) and guard.is_clear(source),
            is_verification=is_verification,
        )


class LoginTurn(Protocol):
    """Lets one login at a time pass while a secret is unproven, over all processes of the user."""

    async def take(self, doubt: Doubt) -> bool:
        """Wait for the turn; one that was taken before is given back first.

        Returns:
            Whether no other login is in flight, or the doubt is settled: then no turn is held. Else the
            verdict on another one is long in coming.

        Raises:
            LoginBlockedError: It did not come in time.
        """

    def give_back(self) -> None:
        """Let the next one pass; nothing when the turn was not taken."""


class LoginSlot(Protocol):
    """A place for one login in flight, which one process of the user can have at a time."""

    def try_acquire(self) -> bool:
        """Take the slot if it is free, and return whether it was.

        Raises:
            OSError: There is no telling.
        """

    def begin(self) -> bool:
        """Note that a login begins; return whether the one before, of a process that is gone, never ended."""

    def release(self) -> None:
        """Free the slot. Safe to call again."""


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
