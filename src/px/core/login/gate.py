"""The login gate as a login sees it, and what the gate asks about the login.

`px.upstream.login_gate` implements the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from px.core.auth.token_source import TokenSource
from px.core.login.lockout import Charge, LockoutGuard


@dataclass(frozen=True, slots=True)
class GatedLogin:
    """A login that wants to enter a gate: what the gate asks about it, again and again while it waits.

    Attributes:
        is_accepted_lately: Whether the secret was accepted lately.
        is_over: Whether there is nothing to wait for, as no token may be sent now.
        charge: Charges a token, unless more than this many would be out.
        is_charged: Whether a charge still counts.
        release: Refunds a token that was not sent after all.
        was_accepted_last: This process saw the secret accepted, perhaps long ago, and no token of the account
            was refused or lost since.
        is_verification: The login is a verification: no origin delays its verdict.
    """

    is_accepted_lately: Callable[[], bool]
    is_over: Callable[[], bool]
    charge: Callable[[int], Charge | None]
    is_charged: Callable[[Charge], bool]
    release: Callable[[Charge], None]
    was_accepted_last: bool
    is_verification: bool

    @classmethod
    def for_source(
        cls,
        guard: LockoutGuard,
        source: TokenSource,
        wants_verification: Callable[[], bool] = lambda: False,
        *,
        is_verification: bool = False,
    ) -> GatedLogin:
        """Return the questions about the secret of one source.

        Args:
            guard: The lock-out memory.
            source: Makes the tokens.
            wants_verification: Whether a verification has to come before this login.
            is_verification: See the class.
        """
        return cls(
            is_accepted_lately=partial(guard.is_accepted_lately, source),
            is_over=lambda: guard.is_blocked(source) or wants_verification(),
            charge=partial(guard.charge, source),
            is_charged=partial(guard.is_charged, source),
            release=partial(guard.release, source),
            was_accepted_last=guard.was_accepted(source) and guard.budget_used(source) == 0,
            is_verification=is_verification,
        )


class LoginGate(Protocol):
    """Lets one charged login of an account in at a time, over all processes of the user."""

    async def enter(self, login: GatedLogin) -> bool:
        """Wait until the login may send a token; a login that is inside leaves first.

        Returns:
            Whether no other login is inside, or none needs to wait: the secret was accepted a moment ago, or
            no token may be sent. False: this login has waited long for the verdict on another one.

        Raises:
            LoginBlockedError: The verdict on another login did not come in time.
        """

    @property
    def is_inside(self) -> bool:
        """Whether the login may send a token: it is charged, or its secret was accepted a moment ago."""

    @property
    def charge(self) -> Charge | None:
        """The charge of the token that may be sent; None: the token needs none, or has its verdict."""

    def may_go_on(self) -> bool:
        """Return whether a login that is inside may send its final token now, a while after it has entered.

        An acceptance may have refunded its charge meanwhile. Then the token is charged again, if no other is
        out.
        """

    def note_sent(self) -> None:
        """Note that the login sends its final token now."""

    def spend(self) -> Charge | None:
        """Return the charge of the token that was sent, whose verdict is known now; None: it had no charge.

        The login stays inside the gate, but a charge that was spent is not refunded.
        """

    def leave(self, *, is_accepted: bool = False) -> None:
        """Let the next login enter. Safe to call when the login is not inside.

        Args:
            is_accepted: The upstream accepted the token, so that more logins may be inside at once.
        """
