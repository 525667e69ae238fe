"""What Px remembers of logging in at one upstream, and the methods there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from px.core.auth_policy import AuthPolicy
from px.core.digest import NoncePool
from px.core.errors import ForbiddenError, LoginError, LoginRefusedError, LoginUnusableError
from px.core.lockout import DENIED_SECONDS, LockoutGuard
from px.core.token_source import TokenSource

MAX_DENIED_TARGETS = 256
#: How long a method that could not be used is not tried again while another one can.
UNUSABLE_SECONDS = 30.0
#: How long a method whose first token an upstream did not answer is not tried again while another one can:
#: a Squid whose helper knows Kerberos only does so with NTLM in Negotiate, but one with busy helpers, too.
DECLINED_SECONDS = 300.0
#: How long a method that an upstream refused is not tried again while another one works there.
REFUSED_SECONDS = 1800.0

#: Names of schemes on the wire, lower case -> as they are usually written.
SCHEME_NAMES = {"negotiate": "Negotiate", "ntlm": "NTLM", "digest": "Digest", "basic": "Basic"}


class Method(Enum):
    """A way to log in, strongest first."""

    KERBEROS = "Negotiate (Kerberos)"
    NEGOTIATE_NTLM = "Negotiate (NTLM)"
    NTLM = "NTLM"
    DIGEST = "Digest"
    BASIC = "Basic"

    def __init__(self, text: str) -> None:
        #: Name of the scheme on the wire, lower case.
        self.scheme = text.split(maxsplit=1)[0].lower()
        #: Name of the scheme as it is usually written.
        self.wire_name = SCHEME_NAMES[self.scheme].encode("ascii")
        #: Of `TokenSource.mechanisms`: what makes its tokens.
        self.mechanism = text.partition("(")[2].rstrip(")").lower() or self.scheme
        #: Whether one login serves all requests of a connection.
        self.is_bound_to_connection = self.scheme not in ("digest", "basic")


def is_allowed(policy: AuthPolicy, method: Method) -> bool:
    """Whether the user allows a method."""
    if method is Method.NEGOTIATE_NTLM:
        return policy.allows_ntlm_in_negotiate
    return policy.allows(method.name.lower())  # type: ignore[arg-type]  # the names are the policy's


class UpstreamLogin:
    """What Px knows of logging in at one upstream as one identity.

    Args:
        upstream: Name of the upstream for messages, ``http://host:port``.
        host: Its host as the user wrote it: the SPN is made from it.
        source: Of the tokens.
        policy: Methods that the user allows.
        guard: The lock-out memory.
        now: Monotonic seconds.
        make_cnonce: Returns unpredictable text for Digest.
    """

    def __init__(  # noqa: PLR0913 - handed in by the composition root, once
        self,
        upstream: str,
        host: str,
        *,
        source: TokenSource,
        policy: AuthPolicy,
        guard: LockoutGuard,
        now: Callable[[], float],
        make_cnonce: Callable[[], str],
    ) -> None:
        self.upstream = upstream
        self.host = host
        self.source = source
        self.policy = policy
        self.guard = guard
        self.now = now
        self.make_cnonce = make_cnonce
        self.nonces = NoncePool()
        #: Schemes of the last 407 to a request without a token; None before the first contact.
        self.offered: frozenset[str] | None = None
        #: The upstream answered a request without asking for a login, and never asked for one.
        self.is_open = False
        #: Kerberos here is good for one request only, whatever the connection (seen, not guessed).
        self.wants_token_each_request = False
        self.has_logged_in = False
        self._is_safe = False  # a method that hides the password was accepted here
        #: Targets at which a 407 has interrupted an upload that could not be replayed: HEAD goes first there.
        self.interrupted: set[str] = set()
        #: Whether a login for a TRACE settles doubts here; False once one has not.
        self.can_verify = True
        self._unusable_until: dict[Method, float] = {}
        self._denied: dict[str, float] = {}

    @property
    def subject(self) -> str:
        """The upstream as the subject of a sentence."""
        return f"The upstream {self.upstream}"

    @property
    def is_known(self) -> bool:
        """Whether it is known what this upstream wants of a request."""
        return self.is_open or self.offered is not None

    def methods(self) -> list[Method]:
        """Return the methods to try, strongest first; those lately found unusable only if all were."""
        able = [method for method in Method if self._is_able(method)]
        now = self.now()
        fit = [method for method in able if self._unusable_until.get(method, 0.0) <= now]
        return fit or able

    def _is_able(self, method: Method) -> bool:
        if method is Method.BASIC and self._is_safe:
            return False  # a 407 that an origin made up, to see the password
        return (
            method.scheme in (self.offered or ())
            and is_allowed(self.policy, method)
            and method.mechanism in self.source.mechanisms
        )

    def mark_unusable(self, method: Method, seconds: float) -> None:
        """Do not try a method for a while if there is another one."""
        self._unusable_until[method] = self.now() + seconds

    def deny(self, target: str) -> bool:
        """Hold a refusal against a target; return whether that explains it."""
        if not self.guard.has_logged_in(self.source):
            return False
        now = self.now()
        self._denied = {each: until for each, until in self._denied.items() if until > now}
        if len(self._denied) < MAX_DENIED_TARGETS:
            self._denied[target] = now + DENIED_SECONDS
        return self.guard.receive_denial(self.source, target)

    def is_denied(self, target: str) -> bool:
        """Whether the upstream lately refused this target to an identity that is not in doubt."""
        return self._denied.get(target, 0.0) > self.now()

    def note_interrupted(self, target: str) -> None:
        """A 407 has interrupted an upload to a target that could not be replayed."""
        if len(self.interrupted) >= MAX_DENIED_TARGETS:
            self.interrupted.clear()
        self.interrupted.add(target)

    def receive_acceptance(self, method: Method) -> None:
        """A final token was accepted."""
        self.has_logged_in = True
        self._is_safe = self._is_safe or method is not Method.BASIC
        self.guard.receive_acceptance(self.source)

    def say_denied(self, target: str) -> ForbiddenError:
        """Return the error for a target that a rule of the upstream denies."""
        return ForbiddenError(
            f"{self.subject} refuses {target} to {self.source.identity.name},"
            " who is logged in there: a rule of the upstream denies it.",
            "Ask who runs the upstream for access; Px asks again in a minute.",
        )

    def say_undecided(self) -> LoginRefusedError:
        """Return why a proof is wanted though nothing was refused."""
        cause = f"{self.subject} has not decided yet on another login of {self.source.identity.name}."
        return LoginRefusedError(cause, "Try again in a moment.")

    def say_refused(
        self, methods: Sequence[Method], target: str = "", *, by: Sequence[str] = ()
    ) -> LoginRefusedError:
        """Return the error for a login that was refused by all these methods.

        Args:
            methods: Those.
            target: What was asked for, where a rule about it may be why.
            by: Their names, where they are known by name only.
        """
        names = ", ".join(by or [method.value for method in methods])
        how = f" by {names}" if names else ""
        rule = f" If other sites can be reached, a rule of the upstream denies {target}." if target else ""
        return LoginRefusedError(
            f"{self.subject} refused the login of {self.source.identity.name}{how}.",
            f"Check the user name and the password, and that the account is not locked or expired.{rule}",
        )

    def say_failure(
        self, refused: Sequence[Method], spent: Mapping[Method, str], mends: Sequence[str]
    ) -> LoginError:
        """Return the error for an upstream where no method is left.

        Args:
            refused: Methods that were refused.
            spent: Why each method that was tried did not do.
            mends: What can be done about these reasons.
        """
        if refused:
            return self.say_refused(refused)
        reasons = "; ".join(f"{method.value}: {reason}" for method, reason in spent.items())
        return LoginUnusableError(
            f"{self.subject} wants a login that Px cannot make as {self.source.identity.name}."
            f" {reasons or self._say_what_is_missing()}.",
            " ".join(dict.fromkeys(mends)) or self._mend_what_is_missing(),
        )

    @property
    def _is_forbidden(self) -> bool:
        """Whether the user allows nothing of what the upstream offers."""
        schemes = {method.scheme for method in Method if is_allowed(self.policy, method)}
        return not schemes & (self.offered or frozenset())

    @property
    def _is_hidden_from(self) -> bool:
        """Whether only Basic would do, which nobody has allowed for an upstream that no person named."""
        return self._is_forbidden and self.policy.is_for_strangers and "basic" in (self.offered or ())

    def _mend_what_is_missing(self) -> str:
        if self._is_hidden_from:
            return "Name it with --proxy, or allow that with --auth=BASIC."
        if self._is_forbidden:
            return "Allow one of these with --auth, or ask who runs the upstream for another way to log in."
        who = self.source.identity
        if who.is_named:
            return f"Store the password of {who.name} with px --password, or set PX_PASSWORD."
        return "Give --username, and its password by px --password or in PX_PASSWORD."

    def _say_what_is_missing(self) -> str:
        offered = ", ".join(SCHEME_NAMES.get(scheme, scheme) for scheme in sorted(self.offered or ()))
        if self._is_hidden_from:
            return f"It offers {offered}: a PAC script named it, so Px does not show it a password in clear"
        if self._is_forbidden:
            return f"It offers {offered or 'nothing'}, and --auth={self.policy} allows none of that"
        return f"It offers {offered}, and there is no password or ticket for that"

    def __repr__(self) -> str:
        offered = "unmet" if self.offered is None else ",".join(sorted(self.offered))
        return f"<UpstreamLogin {self.upstream} as {self.source.identity.name} offered={offered}>"
