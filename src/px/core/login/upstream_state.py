"""What Px remembers about logins at one upstream, and which methods can be used there."""

from __future__ import annotations

from collections.abc import Callable

from px.core.auth.digest import NoncePool
from px.core.auth.policy import AuthPolicy
from px.core.auth.token_source import TokenSource
from px.core.login.lockout import Charge, LockoutGuard
from px.core.login.method import SCHEME_NAMES, Method, is_allowed
from px.core.login.target_memory import TargetMemory
from px.core.login.upload_memory import UploadMemory

#: How long Px does not try a method that could not be used, while another one can be used.
UNUSABLE_SECONDS = 30.0
#: How long Px does not try a method whose first token the upstream did not answer, while another one can be
#: used. A Squid whose helper knows only Kerberos gives no answer to NTLM in Negotiate; nor does a busy one.
DECLINED_SECONDS = 300.0
#: How long Px does not try a method that the upstream refused, while another one works there.
REFUSED_SECONDS = 1800.0
#: How long Px asks for no verification at an upstream where none brought a verdict.
UNVERIFIABLE_SECONDS = 1800.0


class UpstreamLogin:
    """What Px knows about logins at one upstream as one identity.

    Args:
        upstream: Name of the upstream for messages, ``http://host:port``.
        host: Its host as the user wrote it, for the SPN.
        source: Makes the tokens.
        policy: Methods that the user allows.
        is_tls: Whether connections to it are TLS, so that Basic does not go in clear.
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
        is_tls: bool = False,
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
        #: Schemes that the upstream offers for targets without an offer of their own; None: not contacted.
        self.offered: frozenset[str] | None = None
        #: What is different for single targets.
        self.targets = TargetMemory(now)
        #: The upstream answered a request without asking for a login, and never asked for one.
        self.is_open = False
        #: Kerberos logs in only one request here, not the connection. Px has seen that.
        self.wants_token_each_request = False
        #: The method by which the upstream accepted a login last; None: it has accepted none.
        self.accepted_method: Method | None = None
        self._is_safe = False  # a method that hides the password was accepted here
        self._binding_methods = [
            method for method in Method if method.is_bound_to_connection and is_allowed(policy, method)
        ]
        self._shows_basic = is_tls or policy.basic_in_clear
        self._failed: set[Method] = set()  # methods whose handshakes broke off here for a technical reason
        self._has_offered_safer = False  # than Basic: a method that Px can use
        #: How the upstream treats uploads.
        self.uploads = UploadMemory(now)
        #: Whether a page comes with a 407 to HEAD, which RFC 9110 9.3.2 forbids; None: not seen yet.
        self.sends_page_to_head: bool | None = None
        #: The upstream answered the first token of a login, but late.
        self.is_slow = False
        #: Which request verifies a login (`px.upstream.verification`), and whether that is known to work.
        self.verification_index, self.is_verification_known = 0, False
        self._unverifiable_until = 0.0
        self._unusable_until: dict[Method, float] = {}
        self._other_offer: tuple[str, frozenset[str]] | None = None  # the last one that was not `offered`

    @property
    def subject(self) -> str:
        """The upstream as the subject of a sentence."""
        return f"The upstream {self.upstream}"

    @property
    def has_logged_in(self) -> bool:
        """Whether the upstream has accepted a login, whether or not Px trusts the secret now."""
        return self.accepted_method is not None

    @property
    def is_contacted(self) -> bool:
        """Whether the upstream has answered, so that Px knows if it wants a login, and by which schemes."""
        return self.is_open or self.offered is not None

    @property
    def offered_names(self) -> list[str]:
        """The names of the offered schemes, the strongest first; empty if none is known."""
        return [name for scheme, name in SCHEME_NAMES.items() if scheme in (self.offered or ())]

    @property
    def may_bind_connection(self) -> bool:
        """Whether a login here may belong to its connection: then Px has to keep the connection."""
        offered, mechanisms = self.offered, self.source.mechanisms
        return not self.is_open and any(
            (offered is None or method.scheme in offered) and method.mechanism in mechanisms
            for method in self._binding_methods
        )

    @property
    def can_verify(self) -> bool:
        """Whether a verification may bring a verdict here; False for a while after one did not."""
        return self._unverifiable_until <= self.now()

    def note_verification(self, index: int) -> None:
        """Note that this kind of verification has brought a verdict."""
        self.verification_index, self.is_verification_known = index, True

    def note_unverifiable(self) -> None:
        """Note that no kind of verification brings a verdict here, or that its verdict was lost."""
        self.verification_index, self.is_verification_known = 0, False
        self._unverifiable_until = self.now() + UNVERIFIABLE_SECONDS

    def offered_at(self, target: str) -> frozenset[str]:
        """Return the schemes that the upstream offers for a target; empty: not known."""
        own = self.targets.offer_at(target)
        return (self.offered or frozenset()) if own is None else own

    def learn_offer(self, target: str, schemes: frozenset[str], *, is_own: bool = False) -> None:
        """Note what the upstream offers in a 407 to a request that carried no login.

        Args:
            target: What the request asked for.
            schemes: The offered schemes.
            is_own: Whether the request was one of Px's own, which an upstream may treat differently. Then Px
                uses only schemes that clients are offered, too, and shows no password in clear.

        One target may have an offer of its own. When a second target has the same offer, that is what the
        upstream offers now. Basic alone never replaces a safer scheme, so that no password goes out in clear
        before the target itself has asked for Basic.
        """
        self._has_offered_safer = self._has_offered_safer or (
            bool(schemes) and not self._is_basic_only(schemes)
        )
        if is_own:
            common = schemes & (self.offered or frozenset())
            is_weaker = self._is_basic_only(common) and not self._is_basic_only(self.offered or common)
            self.targets.learn_offer(target, frozenset() if is_weaker else common)
            return
        self.targets.learn_offer(target, schemes)
        if not self.offered or (self._is_basic_only(self.offered) and not self._is_basic_only(schemes)):
            self.offered = schemes
        if not schemes or schemes == self.offered:
            return
        other, self._other_offer = self._other_offer, (target, schemes)
        if other and other[0] != target and other[1] == schemes and not self._is_basic_only(schemes):
            self.offered, self._other_offer = schemes, None

    def _is_basic_only(self, schemes: frozenset[str]) -> bool:
        return not any(self._may_use(method, schemes) for method in Method if method is not Method.BASIC)

    def methods(self, target: str) -> list[Method]:
        """Return the methods to try for a target, strongest first.

        Methods that were lately found unusable are left out, unless all were.
        """
        schemes = self.offered_at(target)
        able = [method for method in Method if self._may_use(method, schemes)]
        if Method.KERBEROS in able and self._has_no_own_ticket:
            return [Method.KERBEROS]
        own_offer = self.targets.offer_at(target)
        is_made_up = self._is_safe and not (own_offer and self._is_basic_only(own_offer))
        if is_made_up or self.hides_password(target):
            able = [method for method in able if method is not Method.BASIC]
        now = self.now()
        fit = [method for method in able if self._unusable_until.get(method, 0.0) <= now]
        return fit or able

    @property
    def _has_no_own_ticket(self) -> bool:
        """Whether the user wants Kerberos (--kerberos), and no KDC has accepted the password yet.

        Another method would only hide why there is no ticket, and would try an uncertain password.
        """
        ticket = self.source.own_ticket
        return ticket is not None and ticket.renew_at is None

    def _may_use(self, method: Method, schemes: frozenset[str]) -> bool:
        return (
            method.scheme in schemes
            and is_allowed(self.policy, method)
            and method.mechanism in self.source.mechanisms
        )

    def hides_password(self, target: str) -> bool:
        """Whether a safer login broke off or was withdrawn, and Basic would show the password in clear.

        A proxy that restarts or is overloaded, or an attacker who breaks handshakes or offers Basic instead,
        must not see the password.
        """
        return not self._shows_basic and (self.has_failed(target) or self.has_withdrawn(target))

    def has_withdrawn(self, target: str) -> bool:
        """Whether the upstream offers only Basic for a target, after it offered something safer."""
        offered = self.offered_at(target)
        return (
            self._has_offered_safer and not self._is_safe and bool(offered) and self._is_basic_only(offered)
        )

    def has_failed(self, target: str) -> bool:
        """Whether a login that the upstream offers for a target broke off there for a technical reason."""
        schemes = self.offered_at(target)
        return any(self._may_use(method, schemes) for method in self._failed)

    def note_failure(self, method: Method) -> None:
        """Note that a handshake broke off: not a refusal, and not for a lack on this side."""
        self._failed.add(method)

    def mark_unusable(self, method: Method, seconds: float) -> None:
        """Do not try a method for a while if there is another one."""
        self._unusable_until[method] = self.now() + seconds

    def deny(self, target: str, charge: Charge | None, *, is_charged: bool) -> bool:
        """Take a refusal for a denial of the target if a rule may explain it; return whether that was done.

        See `LockoutGuard.receive_denial` for the arguments.
        """
        if not self.guard.was_accepted(self.source):
            return False
        seconds = self.targets.deny(target)
        return self.guard.receive_denial(self.source, target, seconds, charge, is_charged=is_charged)

    def receive_acceptance(self, method: Method, target: str, charge: Charge | None, sent_at: float) -> None:
        """Note that a final token was accepted for a target.

        See `LockoutGuard.receive_acceptance` for `charge` and `sent_at`.
        """
        self.targets.receive_acceptance(target)
        if method.scheme in (self.offered or ()):
            self._other_offer = None
        self.accepted_method = method
        self._failed.discard(method)
        # From now on, a 407 that offers only Basic may come from an origin that wants to see the password.
        self._is_safe = self._is_safe or method is not Method.BASIC
        self.guard.receive_acceptance(self.source, charge, sent_at)

    def __repr__(self) -> str:
        offered = "not contacted" if self.offered is None else ",".join(sorted(self.offered))
        return f"<UpstreamLogin {self.upstream} as {self.source.identity.name} offered={offered}>"
