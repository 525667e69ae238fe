"""Decides the form of each message of a request (`px.core.http.message_form`) by how its upstream behaves."""

from __future__ import annotations

from px.core.http.message_form import BodyState, MessageForm, Situation, TokenKind, choose_form
from px.core.login.attempt import LoginAttempt
from px.core.login.method import Method
from px.upstream.connections.connection import Connection
from px.upstream.request_body import RequestBody

_ERRORS = 400


class UploadPlan:
    """How one request goes to one hop.

    Args:
        body: Of the request.
        attempt: The login at the hop; None: Px does not log in there.
    """

    __slots__ = ("_attempt", "_body", "_has_lost_login", "_is_asked", "_is_tried")

    def __init__(self, body: RequestBody, attempt: LoginAttempt | None) -> None:
        self._body = body
        self._attempt = attempt
        self._is_asked = False
        self._is_tried = False
        self._has_lost_login = False
        if attempt is not None and self._is_long and not attempt.login.uploads.heeds_expect:
            attempt.want_new_nonce()

    @property
    def _is_long(self) -> bool:
        return not (self._body.is_empty or self._body.is_small)

    @property
    def trusts_kept_logins(self) -> bool:
        """Whether the request may go without a token over a connection that was logged in before."""
        attempt = self._attempt
        return attempt is None or attempt.login.uploads.trusts_kept_login(for_long_body=self._is_long)

    def choose_form(self, connection: Connection) -> MessageForm:
        """Return the form of the next message over a connection."""
        attempt = self._attempt
        if attempt is None or self._body.is_empty:
            return MessageForm.WHOLE
        uploads = attempt.login.uploads
        is_basic_accepted = attempt.method is Method.BASIC and attempt.login.has_logged_in
        return choose_form(
            Situation(
                self._body_state,
                _token_kind(attempt),
                is_asked=self._is_asked or (self._is_long and uploads.challenges_uploads),
                is_tried=self._is_tried,
                is_open=attempt.login.is_open,
                is_logged_in=connection.logged_in_by is not None,
                heeds_expect=uploads.heeds_expect and not is_basic_accepted,
            )
        )

    @property
    def _body_state(self) -> BodyState:
        if self._is_long:
            return BodyState.LONG
        is_here = self._body.take_ready() is not None
        return BodyState.SHORT_HERE if is_here else BodyState.SHORT_COMING

    def receive_407(self, form: MessageForm, logged_in_by: Method | None) -> None:
        """Learn from a 407.

        Args:
            form: Of the message.
            logged_in_by: The method that had logged in the connection before.
        """
        attempt = self._attempt
        if attempt is None:
            return
        token = _token_kind(attempt)
        if token is TokenKind.FIRST and form is not MessageForm.GET:
            self._is_asked = True
        if token is TokenKind.NONE and logged_in_by not in (None, Method.KERBEROS):
            self._has_lost_login = True

    def note_expect(self, *, is_heeded: bool) -> None:
        """Learn whether a 100 came in time."""
        if self._attempt is not None:
            self._attempt.login.uploads.note_expect(is_heeded=is_heeded)

    def receive_interruption(self, *, had_first_token: bool) -> None:
        """Learn that a 407 interrupted a body that cannot be sent again."""
        if self._attempt is not None:
            self._attempt.login.uploads.note_interrupted(had_first_token=had_first_token)

    def receive_answer(self, form: MessageForm, logged_in_by: Method | None, status: int) -> None:
        """Learn from an answer that is no 407; called before the attempt receives the answer.

        Args:
            form: Of the message.
            logged_in_by: As in `receive_407`.
            status: Of the answer. An error shows nothing about a kept login: an upstream may send one, as
                with a 417, before it checks the login.
        """
        attempt = self._attempt
        if not form.is_whole_request:
            self._is_tried = True
            if attempt is not None and form is MessageForm.EMPTY:  # else it would be sent for ever
                self._is_asked = attempt.login.uploads.challenges_uploads = False
        elif attempt is not None and attempt.method is None and logged_in_by is not None:
            if status < _ERRORS:
                attempt.login.uploads.keeps_login = True
        elif attempt is not None and self._has_lost_login and _token_kind(attempt) is TokenKind.FINAL:
            attempt.login.uploads.note_lost_login()

    def __repr__(self) -> str:
        return f"<UploadPlan for {self._body!r} asked={self._is_asked} tried={self._is_tried}>"


def _token_kind(attempt: LoginAttempt) -> TokenKind:
    if attempt.method is None:
        return TokenKind.NONE
    return TokenKind.FINAL if attempt.may_reach_origin else TokenKind.FIRST
