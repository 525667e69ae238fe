"""Errors for logins that failed at an upstream: the cause, and what a person can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from px.core.auth.password_advice import advise_check, advise_correction, advise_missing, describe_secret
from px.core.errors import ForbiddenError, LoginError, LoginRefusedError, LoginUnusableError
from px.core.login.lockout_report import RETRY_AFTER_SECONDS
from px.core.login.method import SCHEME_NAMES, Method, is_allowed
from px.core.login.upstream_state import UpstreamLogin


def check_target(login: UpstreamLogin, target: str) -> None:
    """Return unless a login for this target was lately refused.

    Raises:
        ForbiddenError: A rule denies the target.
        LoginBlockedError: No token may be sent for any target.
        LoginRefusedError: The secret is uncertain, and only another target can tell if it is right.
    """
    guard, source = login.guard, login.source
    if login.targets.denied_for(target) > 0:
        guard.check(source)
        raise make_denied_error(login, target)
    if login.can_verify or guard.budget_used(source) == 0 or not login.targets.is_avoided(target):
        return
    guard.check(source)
    raise make_refused_error(
        login, (), target, by=[guard.refused_method(source)], retry_after=RETRY_AFTER_SECONDS
    )


def make_denied_error(login: UpstreamLogin, target: str) -> ForbiddenError:
    """Return the error for a target that a rule of the upstream denies."""
    seconds = max(1, math.ceil(login.targets.denied_for(target)))
    return ForbiddenError(
        f"{login.subject} accepts the login of {login.source.identity.name}, but refuses {target}:"
        " a rule of the upstream denies that site.",
        f"Ask the administrator of the upstream for access; Px asks again after {seconds} s.",
        retry_after=seconds,
    )


def make_undecided_error(login: UpstreamLogin) -> LoginRefusedError:
    """Return the error for a login that waits for the verdict on another one."""
    cause = f"{login.subject} has not decided yet on another login of {login.source.identity.name}."
    return LoginRefusedError(cause, "Try again in a moment.")


def make_refused_error(
    login: UpstreamLogin,
    methods: Sequence[Method],
    target: str = "",
    *,
    by: Sequence[str] = (),
    retry_after: int | None = None,
) -> LoginRefusedError:
    """Return the error for a login that the upstream refused.

    Args:
        login: At which upstream, as whom.
        methods: The refused methods.
        target: What the request asked for, if a rule about that target may be the reason.
        by: Names of the refused methods, where only the names are known.
        retry_after: Seconds after which trying again makes sense.
    """
    names = ", ".join(by or [method.value for method in methods])
    how = f" by {names}" if names else ""
    rule = f" If other sites can be reached, a rule of the upstream denies {target}." if target else ""
    return LoginRefusedError(
        f"{login.subject} refused the login of {login.source.identity.name}{how}.",
        f"{advise_check(login.source)}{rule}",
        retry_after=retry_after,
    )


def make_failure_error(
    login: UpstreamLogin,
    target: str,
    refused: Sequence[Method],
    ruled_out: Mapping[Method, str],
    hints: Sequence[str],
) -> LoginError:
    """Return the error for an upstream where no method is left.

    Args:
        login: At which upstream, as whom.
        target: What the request asked for.
        refused: Methods that the upstream, or a KDC, refused.
        ruled_out: Why each method that was tried cannot be used.
        hints: What a person can do about these reasons.
    """
    if refused:
        return make_refused_error(login, refused)
    reasons = "; ".join(f"{method.value}: {reason}" for method, reason in ruled_out.items())
    offer = _Offer(login, target)
    return LoginUnusableError(
        f"{login.subject} wants a login that Px cannot make as {login.source.identity.name}."
        f" {reasons or offer.describe_lack()}.",
        " ".join(dict.fromkeys(hints)) or offer.advise(),
    )


class _Offer:
    """The schemes that an upstream offers, and why Px can use none of them."""

    def __init__(self, login: UpstreamLogin, target: str) -> None:
        self._login, self._target = login, target
        self._schemes = login.offered_at(target)
        allowed = {method.scheme for method in Method if is_allowed(login.policy, method)}
        #: Whether the user allows nothing of what the upstream offers.
        self._is_forbidden = not allowed & self._schemes
        #: Whether only Basic could be used, and the upstream is untrusted.
        self._is_hidden_from = (
            self._is_forbidden and login.policy.is_for_untrusted and "basic" in self._schemes
        )

    @property
    def _is_refused_password(self) -> bool:
        """Whether only a refusal of the password by another method keeps Px from Basic."""
        guard, source = self._login.guard, self._login.source
        return "basic" in self._schemes and guard.refused_method(source) not in ("", Method.BASIC.value)

    def advise(self) -> str:
        if self._login.has_failed(self._target):
            is_hidden = self._login.hides_password(self._target) and "basic" in self._schemes
            is_hidden = is_hidden and self._login.policy.allows("basic")
            hidden = (
                " Until then, Px does not send the password by Basic; --auth=BASIC allows that."
                if is_hidden
                else ""
            )
            return f"Ask the administrator of the upstream why it does not finish the login.{hidden}"
        if self._is_withdrawn:
            return "Ask the administrator of the upstream, or allow Basic with --auth=BASIC."
        if self._is_hidden_from:
            return "Name the upstream with --proxy, or allow Basic with --auth=BASIC."
        if self._is_forbidden:
            return (
                "Allow one of these with --auth,"
                " or ask the administrator of the upstream for another login scheme."
            )
        if self._is_refused_password:
            return advise_correction(self._login.source.secret_place)
        return advise_missing(self._login.source)

    @property
    def _is_withdrawn(self) -> bool:
        """Whether the upstream offers only Basic now, and offered something safer before."""
        login, target = self._login, self._target
        return login.hides_password(target) and login.has_withdrawn(target) and login.policy.allows("basic")

    def describe_lack(self) -> str:
        offered = ", ".join(SCHEME_NAMES.get(scheme, scheme) for scheme in sorted(self._schemes))
        if self._is_withdrawn:
            return f"It offers only {offered} now, after a safer login, and Px sends no password in clear"
        if self._is_hidden_from:
            return (
                f"It offers {offered}, and Px sends no password in clear to an upstream"
                " that only a PAC script names"
            )
        if self._is_forbidden:
            return f"It offers {offered or 'nothing'}, and --auth={self._login.policy} allows none of these"
        if self._is_refused_password:
            return f"It offers {offered}, and Px does not send in clear a password that was just refused"
        return f"It offers {offered}, {describe_secret(self._login.source)}"
