"""The form in which a request goes to an upstream, so that its body arrives exactly once.

A body can be sent only once, except for the 256 KiB that Px keeps of it. So if a 407 is likely, the body is
held back:

===========  ======  =============================================  =========
body         token   condition                                      form
===========  ======  =============================================  =========
none         any                                                    WHOLE
any          first   the request itself got a 407 to a first token  EMPTY
any          first   not yet tried by GET                           GET
short, here  first   GET was let through                            WHOLE
other        first   GET was let through                            EXPECTING
short        other                                                  WHOLE
long         none    the connection is logged in                    WHOLE
long         none    the upstream is not known, or wants a login    GET
long         other                                                  EXPECTING
===========  ======  =============================================  =========

- A *first* token is one that only a challenge can answer (NTLM type 1). Proxies that answer it before they
  have read a body often close then, and the login would be lost with the connection. A *final* token lets the
  request through.
- GET asks for the same target. It is safe (RFC 9110 9.2.1), every proxy treats it like other requests, and
  its 407 has a page that can be read: some proxies answer HEAD with 405, or with a body. An answer other than
  407 says only that this GET was let through.
- EMPTY is the request itself with ``Content-Length: 0``, as curl and cntlm send it. An origin would take it
  for the user's request, so Px sends it only if a 407 is certain.
- EXPECTING sends the head with ``Expect: 100-continue``. The body follows after a 100, or after a second
  without an answer; if an upstream is known to ignore Expect, the form is WHOLE.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class MessageForm(Enum):
    """The form of a message; see the module."""

    WHOLE = auto()
    EXPECTING = auto()
    EMPTY = auto()
    GET = auto()

    @property
    def is_whole_request(self) -> bool:
        """Whether the message is the request itself, so that the answer is for the client."""
        return self in (MessageForm.WHOLE, MessageForm.EXPECTING)


class BodyState(Enum):
    """The length of a request's body, and whether Px has received all of it."""

    NONE = auto()
    SHORT_HERE = auto()
    SHORT_COMING = auto()
    LONG = auto()


class TokenKind(Enum):
    """The token that the message carries."""

    NONE = auto()
    FIRST = auto()
    FINAL = auto()


class Situation(NamedTuple):
    """The facts that decide the form of a message.

    Attributes:
        body: Whether the body can be sent again.
        token: The token that the message carries.
        is_asked: Whether the request itself got a 407 to a first token, which is certain to come again.
        is_tried: Whether a GET was let through.
        is_open: Whether the upstream wants no login, so far as Px knows.
        is_logged_in: Whether the connection is logged in, and will be when the request comes.
        heeds_expect: Whether the upstream answers an Expect.
    """

    body: BodyState
    token: TokenKind
    is_asked: bool = False
    is_tried: bool = False
    is_open: bool = False
    is_logged_in: bool = False
    heeds_expect: bool = True


def choose_form(situation: Situation) -> MessageForm:
    """Return the form of the next message of a request."""
    body, token = situation.body, situation.token
    if body is BodyState.NONE:
        return MessageForm.WHOLE
    if token is TokenKind.FIRST:
        return _choose_opening(situation)
    if body is not BodyState.LONG or (token is TokenKind.NONE and situation.is_logged_in):
        return MessageForm.WHOLE
    if token is TokenKind.NONE and not (situation.is_open or situation.is_tried):
        return MessageForm.GET
    return _expecting(situation)


def _choose_opening(situation: Situation) -> MessageForm:
    if situation.is_asked:
        return MessageForm.EMPTY
    if not situation.is_tried:
        return MessageForm.GET
    return MessageForm.WHOLE if situation.body is BodyState.SHORT_HERE else _expecting(situation)


def _expecting(situation: Situation) -> MessageForm:
    return MessageForm.EXPECTING if situation.heeds_expect else MessageForm.WHOLE
