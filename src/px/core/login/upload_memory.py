"""What Px remembers about uploads at an upstream, so that a login does not interrupt them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: How long Px does not rely on kept logins of an upstream that dropped one after a single request.
DISTRUST_SECONDS: Final = 60.0
#: How long Px adds no ``Expect: 100-continue`` for an upstream that did not answer one.
DEAF_SECONDS: Final = 600.0


class UploadMemory:
    """The memory of one upstream and one identity.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        #: Whether a login lasts for more than one request of its connection; None: not seen yet.
        self.keeps_login: bool | None = None
        #: Whether a 407 has interrupted an upload that could not be replayed.
        self.interrupts = False
        #: Whether such a 407 was the challenge to a first token: then the next upload gets one, too.
        self.challenges_uploads = False
        self._distrusted_until = 0.0
        self._deaf_until = 0.0

    @property
    def heeds_expect(self) -> bool:
        """Whether to wait for a 100 before a body goes."""
        return self._now() >= self._deaf_until

    def note_expect(self, *, is_heeded: bool) -> None:
        """Note whether a 100 came in time."""
        self._deaf_until = 0.0 if is_heeded else self._now() + DEAF_SECONDS

    def note_interrupted(self, *, had_first_token: bool) -> None:
        """Note that a 407 interrupted an upload that could not be replayed."""
        self.interrupts = True
        self.challenges_uploads = self.challenges_uploads or had_first_token

    def note_lost_login(self) -> None:
        """Note that a kept connection had lost its login: only a new login let the same request through."""
        self.keeps_login = False
        self._distrusted_until = self._now() + DISTRUST_SECONDS

    def trusts_kept_login(self, *, for_long_body: bool) -> bool:
        """Return whether a request may go without a token over a connection that is logged in.

        For a body that cannot be replayed, Px must be certain. For anything else, an error costs a 407.
        """
        if for_long_body:
            return self.keeps_login is True and not self.interrupts
        return self.keeps_login is not False or self._now() >= self._distrusted_until

    def __repr__(self) -> str:
        return f"<UploadMemory keeps_login={self.keeps_login} interrupts={self.interrupts}>"
