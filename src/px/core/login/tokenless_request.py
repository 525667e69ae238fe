"""Asks an upstream once more, without a token, when the answer to a token has no clear meaning.

There are three occasions:

- a 407 does not name the scheme of the token: the configuration of the upstream has changed, another member
  of a cluster answers, or one site wants another scheme;
- a 407 on a connection that is logged in does not name the scheme of that login: an origin may have made the
  407 up;
- the upstream falls silent when it gets a token for a target that needs no login.

A request without any login goes over a fresh connection. The upstream itself answers that one.
"""

from __future__ import annotations

from typing import NamedTuple

from px.core.errors import LoginError
from px.core.login.method import Method

#: An upstream that asks for another scheme more often than this never finishes a login.
MAX_OTHER_OFFERS = 2


class UnjudgedToken(NamedTuple):
    """A token that was sent, and whose verdict is not known yet.

    Attributes:
        method: By which the token was made.
        is_final: Whether the answer to the token is a verdict.
    """

    method: Method
    is_final: bool


class TokenlessRequest:
    """Whether the next message of a request goes without a token, and which token its answer judges.

    Args:
        subject: The upstream, for messages.
        is_wanted: Whether the very first message goes without a token.
    """

    def __init__(self, subject: str, *, is_wanted: bool) -> None:
        self._subject = subject
        self._count = 0
        #: The next first message goes without a token.
        self.is_wanted = is_wanted
        #: The upstream fell silent at the first token of a login.
        self.was_silent = False
        #: The token that the answer to the next request will judge.
        self.token: UnjudgedToken | None = None
        self._declined: Method | None = None

    def ask_about(self, token: UnjudgedToken) -> None:
        """Ask without a token: the upstream answered this one by a challenge without its scheme.

        Raises:
            LoginError: The upstream has done so too often.
        """
        self.token, self.is_wanted = token, True
        self._count += 1
        if self._count > MAX_OTHER_OFFERS:
            raise LoginError(f"{self._subject} asks for another kind of login each time.")

    def ask_after_silence(self) -> bool:
        """Ask without a token: the upstream is silent. Return False when that was tried already."""
        if self.was_silent:
            return False
        self.was_silent = self.is_wanted = True
        return True

    def take_token(self) -> UnjudgedToken | None:
        """Return the token that is still to be judged, and forget it."""
        token, self.token = self.token, None
        return token

    def declines_again(self, method: Method) -> bool:
        """Return whether the upstream declines a method that it offers, now and the last time.

        The first time, another member of a cluster may have had the token.
        """
        is_again, self._declined = self._declined is method, method
        return is_again

    def __repr__(self) -> str:
        return f"<TokenlessRequest wanted={self.is_wanted} about={self.token}>"
