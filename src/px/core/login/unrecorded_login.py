"""The right to send a token that no record counts: one at a time, until the first one is not accepted.

Where neither the disk nor the computer's memory can keep the record, all workers of one Px share this right
(`px.system.state.shared_right`). A worker takes the right before it sends a token that should be charged, and
gives it back when the token is accepted. After a refusal or a lost verdict the right is used up until Px
starts again. If a worker is killed while it has the right, the right is used up, too.
"""

from __future__ import annotations

from typing import Protocol


class UnrecordedLogin(Protocol):
    """The right that all workers of one Px share."""

    @property
    def is_free(self) -> bool:
        """Whether a worker can take the right now."""

    @property
    def is_used_up(self) -> bool:
        """Whether no worker can take the right any more."""

    def take(self) -> bool:
        """Take the right if it is free; return whether this process has it now."""

    def give_back(self) -> None:
        """Give the right back: the token was accepted, or not sent."""

    def use_up(self) -> None:
        """End the right: the token was not accepted. Only the process that has the right may call this."""


class OwnUnrecordedLogin:
    """Implements `UnrecordedLogin` for a Px with one worker."""

    def __init__(self) -> None:
        self.is_free = True
        self.is_used_up = False

    def take(self) -> bool:
        """See `UnrecordedLogin.take`."""
        was_free, self.is_free = self.is_free, False
        return was_free

    def give_back(self) -> None:
        """See `UnrecordedLogin.give_back`."""
        self.is_free = True

    def use_up(self) -> None:
        """See `UnrecordedLogin.use_up`."""
        self.is_used_up = True

    def __repr__(self) -> str:
        return f"<OwnUnrecordedLogin free={self.is_free} used_up={self.is_used_up}>"
