"""How long Px waits for the answer of an upstream, and the error when no answer comes."""

from __future__ import annotations

from px.core.errors import HopTimeoutError, PxError, UpstreamSilentError
from px.core.login.attempt import LoginAttempt

#: An origin's answer may take this long.
ANSWER_SECONDS = 300.0
#: How long Px waits where it can go on without the answer: after a login that no 407 asked for, or a request
#: of its own that some upstreams drop.
QUICK_SECONDS = 1.0
#: How long a verification waits for its verdict, in units of socktimeout. A lost verdict counts as refused.
VERDICT_TIMEOUTS = 6


class AnswerTimeout:
    """How long one exchange waits for answers of its hop.

    Args:
        name: Of the hop, for messages.
        attempt: The login there; None: Px does not log in.
        socktimeout: Seconds for an answer that only the upstream can give.
        is_verification: The exchange only finds out whether a secret is good; no origin answers it.
    """

    def __init__(
        self, name: str, attempt: LoginAttempt | None, socktimeout: float, *, is_verification: bool
    ) -> None:
        self._name = name
        self._attempt = attempt
        self._socktimeout = socktimeout
        self._is_verification = is_verification

    @property
    def is_upstream_known(self) -> bool:
        """Whether the hop has answered before, so that only the origin can be slow."""
        return self._attempt is None or self._is_verification or self._attempt.is_upstream_known

    @property
    def is_origin_to_blame(self) -> bool:
        """Whether a slow origin may be why an upstream that never answered before is silent."""
        attempt = self._attempt
        return attempt is not None and not self.is_upstream_known and attempt.may_reach_origin

    @property
    def may_be_prolonged(self) -> bool:
        """Whether a 1xx extends the time, because it shows that an origin is at work."""
        return not self._is_verification and (self._attempt is None or self._attempt.may_reach_origin)

    @property
    def page_seconds(self) -> float:
        """How long the page of a 407 may be silent; short while other requests wait for a verification."""
        return self._quick_seconds if self._is_verification else self._socktimeout

    @property
    def _quick_seconds(self) -> float:
        return min(QUICK_SECONDS, self._socktimeout / 2)

    def answer_seconds(self) -> float:
        """Return how long to wait for the answer to the last message."""
        attempt, socktimeout = self._attempt, self._socktimeout
        if attempt is None:
            return ANSWER_SECONDS
        is_first_try = self._is_verification and attempt.method is None
        if is_first_try or attempt.began_unasked:
            return self._quick_seconds
        if not attempt.may_reach_origin:
            return socktimeout
        if self._is_verification:
            return VERDICT_TIMEOUTS * socktimeout
        return ANSWER_SECONDS if attempt.is_upstream_known else socktimeout / 2  # the rest is for `is_alive`

    def make_timeout_error(self) -> PxError:
        """Return the error for an answer that did not come in time."""
        attempt, name = self._attempt, f"The {self._name}"
        if self._is_verification:
            return UpstreamSilentError(f"{name} did not answer a request of Px's own.")
        if attempt is None or attempt.may_reach_origin:
            cause = f"{name} gave no answer within {ANSWER_SECONDS:g} s."
            return HopTimeoutError(cause, "The site or the upstream is overloaded; try again later.")
        cause = f"{name} did not go on with the login within {self._socktimeout:g} s."
        return UpstreamSilentError(cause, "If the upstream is only slow, raise --socktimeout.")

    def make_silence_error(self) -> UpstreamSilentError:
        """Return the error for an upstream that answers no request at all."""
        return UpstreamSilentError(
            f"The {self._name} accepts connections, but sends no answer.",
            "Check --proxy: perhaps it wants TLS (https://), or something else listens there.",
        )

    def __repr__(self) -> str:
        return f"<AnswerTimeout {self.answer_seconds():g} s with the {self._name}>"
