"""The methods that the login of one request has tried, and the methods that are left."""

from __future__ import annotations

from collections.abc import Sequence

from px.core.errors import LoginError
from px.core.login.method import Method
from px.core.login.report import make_failure_error
from px.core.login.upstream_state import UpstreamLogin


class LoginChoice:
    """Chooses the next method for a login.

    Args:
        login: What Px knows of the upstream.
        target: What the request asks for there.
    """

    def __init__(self, login: UpstreamLogin, target: str) -> None:
        self._login = login
        self._target = target
        #: Methods that the upstream, or a KDC, refused to this login.
        self.refused: list[Method] = []
        self._ruled_out: dict[Method, str] = {}  # methods that this login does not try again, and why
        self._hints: list[str] = []  # what a person can do about these reasons

    def prefer_others(self, refused: Sequence[Method]) -> None:
        """Verify a secret by other methods than those that were refused, if there are others."""
        login = self._login
        blamed = login.guard.refused_method(login.source)
        refused = refused or [method for method in login.methods(self._target) if method.value == blamed]
        if self.left(without=refused):
            self.refused = list(refused)
            self._ruled_out = dict.fromkeys(refused, "the upstream refused it")

    def left(self, without: Sequence[Method] = ()) -> list[Method]:
        """Return the methods to try, strongest first.

        Basic is not among them when the upstream refused the password by another method: Basic would show
        that password in clear.
        """
        login = self._login
        able = login.methods(self._target)
        left = [each for each in able if each not in self._ruled_out and each not in without]
        refused = {method.value for method in self.refused}
        refused |= {login.guard.refused_method(login.source)} - {""}
        if refused - {Method.BASIC.value}:
            left = [method for method in left if method is not Method.BASIC]
        return left

    def rule_out(self, method: Method, reason: str, hint: str = "", *, is_failure: bool = False) -> None:
        """Do not try a method again in this login.

        Args:
            method: That cannot be used.
            reason: Why, as a clause for the error.
            hint: What a person can do about that.
            is_failure: Whether the handshake broke off. Then this login does not try Basic in clear either.
        """
        if is_failure:
            self._login.note_failure(method)
        self._ruled_out[method] = reason
        if hint:
            self._hints.append(hint)

    def refuse(self, method: Method, reason: str) -> None:
        """Note that the upstream, or a KDC, refused the secret by a method."""
        self.refused.append(method)
        self.rule_out(method, reason)

    def make_error(self) -> LoginError:
        """Return the error for a login that has no method left."""
        return make_failure_error(self._login, self._target, self.refused, self._ruled_out, self._hints)

    def __repr__(self) -> str:
        return f"<LoginChoice {', '.join(method.value for method in self._ruled_out) or 'nothing'} tried>"
