"""Answers to 407s: every row of the tables in px.core.login.attempt."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence

import pytest

from px.core.auth.policy import AuthPolicy
from px.core.auth.token_source import Identity, Ticket
from px.core.errors import (
    ForbiddenError,
    LoginBlockedError,
    LoginError,
    LoginRefusedError,
    LoginUnusableError,
)
from px.core.login.attempt import MAX_CHALLENGES, LoginAttempt
from px.core.login.gate import GatedLogin
from px.core.login.lockout import ACCEPTED_LATELY_SECONDS, Charge, LockoutGuard
from px.core.login.method import Method
from px.core.login.permit import VerificationWantedError
from px.core.login.report import check_target
from px.core.login.request_line import RequestLine
from px.core.login.target_memory import DENIED_SECONDS
from px.core.login.token_budget import LOST_BLOCK_SECONDS, parse_record
from px.core.login.tokenless_request import MAX_OTHER_OFFERS
from px.core.login.upstream_state import UpstreamLogin
from tests.scripted_upstream import digest_challenge, verify_digest

USER, PASSWORD = "DOM\\user", "secret"


class Session:
    """Tokens that tell what they were made from, so that a test can check them."""

    def __init__(self, source: Source, mechanism: str, host: str, bindings: bytes | None) -> None:
        self.mechanism = mechanism
        self.is_complete = False
        self._source = source
        self._start = f"{mechanism}@{host}/{(bindings or b'-').decode()}"

    async def step(self, challenge: bytes | None) -> bytes:
        failure = self._source.failures.get(self.mechanism)
        if failure is not None:
            raise failure
        self.is_complete = self.mechanism == "kerberos" or challenge is not None
        return f"{self._start}:{'first' if challenge is None else challenge.decode()}".encode()


class Source:
    identity = Identity(USER, "dom\\user")
    secret_mark = "abc"
    secret_place = "PX_PASSWORD"
    own_ticket: OwnTicket | None = None
    ticket: Ticket | None = None
    marks_when_used: str | None = None

    def __init__(self, *mechanisms: str) -> None:
        self.mechanisms = frozenset(mechanisms or ("ntlm", "digest", "basic"))
        self.failures: dict[str, LoginError] = {}

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> Session:
        self.secret_mark = self.marks_when_used or self.secret_mark
        return Session(self, mechanism, host, channel_bindings)

    def password_credentials(self) -> tuple[str, str]:
        return USER, PASSWORD


class Memory:
    def __init__(self) -> None:
        self.records: dict[str, dict[str, object]] = {}

    def load_record(self, account: str) -> dict[str, object]:
        return self.records.get(account, {})

    def change_record(self, account: str, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
        if fields := change(self.records.pop(account, {})):
            self.records[account] = fields

    def try_change_record(
        self, account: str, change: Callable[[dict[str, object]], dict[str, object]]
    ) -> bool:
        self.change_record(account, change)
        return True

    is_kept = True

    def list_keys(self) -> list[str]:
        return list(self.records)


class Gate:
    def __init__(self) -> None:
        self.entered = self.left = 0
        self.logins: list[GatedLogin] = []
        self.is_alone = True
        self.is_inside = False
        self.grants = self.goes_on = True
        self.meanwhile: Callable[[], None] = lambda: None

    async def enter(self, login: GatedLogin) -> bool:
        self.entered += 1
        self.is_inside = self.grants
        self.meanwhile()
        self.logins.append(login)
        return self.is_alone

    charge: Charge | None = None

    def may_go_on(self) -> bool:
        return self.goes_on

    def note_sent(self) -> None: ...

    def spend(self) -> Charge | None:
        charge, self.charge = self.charge, None
        return charge

    def leave(self, *, is_accepted: bool = False) -> None:
        self.left += 1
        self.is_inside = False


class Bench:
    """One upstream, one identity, a clock."""

    def __init__(self, *mechanisms: str, auth: str = "ANY", is_tls: bool = False) -> None:
        self.now = 1000.0
        self.source = Source(*mechanisms)
        self.gate = Gate()
        self.memory = Memory()
        self.guard = LockoutGuard(self.memory, lambda: self.now)
        self.login = UpstreamLogin(
            "http://up:8080",
            "up",
            source=self.source,
            policy=AuthPolicy.parse(auth),
            is_tls=is_tls,
            guard=self.guard,
            now=lambda: self.now,
            make_cnonce=lambda: "cnonce",
        )

    def attempt(
        self, target: str = "origin:443", verifies_after: Sequence[Method] | None = None
    ) -> LoginAttempt:
        line = RequestLine(b"CONNECT", target.encode(), target)
        return LoginAttempt(self.login, line, self.gate, verifies_after=verifies_after)

    def share(self, other: Bench) -> None:
        """Become another process with the same state directory."""
        self.guard._store = other.memory

    def verification(self, *refused: Method) -> LoginAttempt:
        """A verification after methods that were refused, by a request that is known to work."""
        self.login.note_verification(0)
        return self.attempt("up:8080", refused)

    async def log_in(self, attempt: LoginAttempt | None = None) -> Method | None:
        """A cold NTLM login that is accepted."""
        attempt = attempt or self.attempt()
        assert await attempt.first_credentials(None, None) in (None, NTLM_1)
        if attempt.method is None:
            assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1
        assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
        return attempt.receive_answer()

    async def refuse(self, target: str = "origin:443", *, attempt: LoginAttempt | None = None) -> None:
        """An NTLM login whose final token is refused."""
        attempt = attempt or self.attempt(target)
        if await attempt.first_credentials(None, None) is None:
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
        try:
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        finally:
            attempt.close()


def token(text: bytes, scheme: bytes = b"NTLM") -> bytes:
    return scheme + b" " + b64encode(text)


NTLM_1, NTLM_3 = token(b"ntlm@up/-:first"), token(b"ntlm@up/-:challenge")
CHALLENGE = token(b"challenge")


# nothing sent


async def test_before_the_first_contact_nothing_is_sent() -> None:
    bench = Bench()
    attempt = bench.attempt()
    assert await attempt.first_credentials(None, None) is None
    assert attempt.may_reach_origin
    assert bench.login.offered is None
    assert bench.gate.entered == 0


async def test_an_answer_without_a_login_opens_the_upstream_and_a_407_closes_it() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert attempt.receive_answer() is None
    assert bench.login.is_open is True
    again = bench.attempt()
    await again.first_credentials(None, None)
    await again.receive_407([b"NTLM"], None, can_continue=True)
    assert (bench.login.is_open, bench.login.is_contacted) == (False, True)


async def test_ntlm_takes_two_tokens_and_binds_the_connection() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407([b"NTLM"], b"cb", can_continue=True) == token(b"ntlm@up/cb:first")
    reaches = [attempt.may_reach_origin]
    assert await attempt.receive_407([CHALLENGE], b"cb", can_continue=True) == token(b"ntlm@up/cb:challenge")
    assert [*reaches, attempt.may_reach_origin] == [False, True]
    assert attempt.receive_answer() is Method.NTLM
    assert bench.login.has_logged_in


async def test_a_known_upstream_gets_the_first_token_at_once() -> None:
    bench = Bench()
    await bench.log_in()
    assert await bench.attempt().first_credentials(None, None) == NTLM_1


async def test_a_connection_that_is_logged_in_gets_no_token() -> None:
    bench = Bench()
    await bench.log_in()
    assert await bench.attempt().first_credentials(Method.NTLM, None) is None


@pytest.mark.parametrize(
    ("offers", "auth", "expected"),
    [
        ([b"Basic realm=x, NTLM, Negotiate"], "ANY", token(b"kerberos@up/-:first", b"Negotiate")),
        ([b"Basic realm=x", b"NTLM"], "ANY", token(b"ntlm@up/-:first")),
        ([b"NTLM", b"Negotiate"], "NTLM", token(b"ntlm@up/-:first")),
        ([b"Basic realm=x"], "ANY", b"Basic " + b64encode(b"DOM\\user:secret")),
    ],
)
async def test_the_strongest_method_that_is_offered_and_allowed_goes_first(
    offers: list[bytes], auth: str, expected: bytes
) -> None:
    attempt = Bench("kerberos", "ntlm", "digest", "basic", auth=auth).attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407(offers, None, can_continue=True) == expected


async def test_kerberos_that_cannot_be_used_gives_way_to_ntlm_and_is_left_alone_for_a_while() -> None:
    bench = Bench("kerberos", "ntlm")
    bench.source.failures["kerberos"] = LoginUnusableError("no ticket")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    first = token(b"ntlm@up/-:first", b"Negotiate")
    assert await attempt.receive_407([b"Negotiate"], None, can_continue=True) == first
    del bench.source.failures["kerberos"]
    assert await bench.attempt().first_credentials(None, None) == first
    bench.now += 31
    assert await bench.attempt().first_credentials(None, None) == token(b"kerberos@up/-:first", b"Negotiate")


async def test_kerberos_takes_one_token() -> None:
    bench = Bench("kerberos")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"Negotiate"], None, can_continue=True)
    assert attempt.may_reach_origin
    assert attempt.receive_answer() is Method.KERBEROS


async def test_px_notices_that_an_upstream_wants_kerberos_with_each_request() -> None:
    bench = Bench("kerberos")
    for warm in (None, Method.KERBEROS):
        attempt = bench.attempt()
        credentials = await attempt.first_credentials(warm, None)
        if credentials is None:
            await attempt.receive_407([b"Negotiate"], None, can_continue=True)
        attempt.receive_answer()
    assert bench.login.wants_token_each_request
    assert await bench.attempt().first_credentials(Method.KERBEROS, None) is not None


async def test_offers_that_cannot_be_met_are_an_error_that_says_why() -> None:
    attempt = Bench("ntlm").attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginUnusableError, match="Basic"):
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)


async def test_the_error_of_a_refused_verification_names_no_rule_about_sites() -> None:
    bench = Bench("ntlm")
    bench.login.offered = frozenset({"ntlm"})
    with pytest.raises(LoginRefusedError) as caught:
        await bench.refuse(attempt=bench.attempt("up:8080", verifies_after=()))
    assert "rule" not in caught.value.hint
    with pytest.raises(LoginRefusedError) as caught:
        await Bench("ntlm").refuse("origin:443")
    assert caught.value.hint.endswith("a rule of the upstream denies origin:443.")


async def test_an_untrusted_upstream_gets_no_password_and_the_error_says_so() -> None:
    bench = Bench("basic")
    bench.login.policy = bench.login.policy.for_untrusted
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginUnusableError, match="only a PAC script names") as caught:
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    assert "ANYSAFE" not in caught.value.cause
    assert caught.value.hint == "Name the upstream with --proxy, or allow Basic with --auth=BASIC."


async def test_offers_that_cannot_be_met_are_an_error_on_a_closing_connection_too() -> None:
    attempt = Bench("ntlm").attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginUnusableError):
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=False)


async def test_a_407_that_closes_sends_the_first_token_over_a_fresh_connection() -> None:
    attempt = Bench().attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407([b"NTLM"], None, can_continue=False) is None
    assert await attempt.first_credentials(None, None) == NTLM_1


# a token that is not final


BROKEN = [
    pytest.param([b"NTLM"], True, id="no challenge"),
    pytest.param([b"NTLM !A"], True, id="a token that is no base64"),
    pytest.param([CHALLENGE], False, id="a connection that closes"),
]


@pytest.mark.parametrize(("values", "can_continue"), BROKEN)
async def test_a_handshake_that_does_not_go_on_gives_way_to_digest(
    values: list[bytes], *, can_continue: bool
) -> None:
    bench = Bench()
    attempt = bench.attempt()
    offers = [digest_challenge("n"), b"Basic realm=x"]
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"NTLM", *offers], None, can_continue=True)
    assert await attempt.receive_407([*values, *offers], None, can_continue=can_continue) is None
    await attempt.first_credentials(None, None)
    assert attempt.method is Method.DIGEST
    assert bench.guard.budget_used(bench.source) == 0


async def fail_technically(bench: Bench, how: str) -> None:
    """Let a handshake by NTLM break off, and see what comes next."""
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    offers = [b"NTLM", b"Basic realm=x"]
    await attempt.receive_407(offers, None, can_continue=True)
    if how == "breaks":
        attempt.receive_break()
        assert await attempt.first_credentials(None, None) == NTLM_1
        attempt.receive_break()
    elif how == "closes":
        assert await attempt.receive_407([CHALLENGE], None, can_continue=False) is None
    elif how == "no challenge":
        assert await attempt.receive_407(offers, None, can_continue=True) is None
    elif how == "no base64":
        assert await attempt.receive_407([b"NTLM !A", b"Basic realm=x"], None, can_continue=True) is None
    else:
        bench.source.failures["ntlm"] = LoginUnusableError("broken challenge")
        assert await attempt.receive_407([CHALLENGE], None, can_continue=True) is None
        bench.source.failures.clear()
    try:
        assert (await attempt.first_credentials(None, None) or b"").startswith(b"Basic ")
    finally:
        attempt.close()


_FAILURES = ["breaks", "closes", "no challenge", "no base64", "broken challenge"]


@pytest.mark.parametrize("how", _FAILURES)
async def test_after_a_technical_failure_no_password_goes_in_clear(how: str) -> None:
    bench = Bench()
    with pytest.raises(LoginUnusableError) as caught:
        await fail_technically(bench, how)
    assert "--auth=BASIC" in caught.value.hint
    assert "px --password" not in caught.value.hint
    assert bench.guard.budget_used(bench.source) == 0
    assert await bench.attempt().first_credentials(None, None) == NTLM_1  # nor with the next request


@pytest.mark.parametrize("how", _FAILURES)
async def test_after_a_technical_failure_basic_goes_over_tls(how: str) -> None:
    await fail_technically(Bench(is_tls=True), how)


async def test_basic_that_the_user_asked_for_by_name_goes_in_clear() -> None:
    bench = Bench(auth="BASIC")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    credentials = await attempt.receive_407([b"NTLM", b"Basic realm=x"], None, can_continue=True)
    assert (credentials or b"").startswith(b"Basic ")


async def test_basic_may_follow_where_negotiate_does_not_take_ntlm() -> None:
    """A Squid whose helper knows Kerberos only says so by a 407 without a token: that is an answer."""
    attempt = Bench().attempt()
    await attempt.first_credentials(None, None)
    offers = [b"Negotiate", b"Basic realm=x"]
    assert (await attempt.receive_407(offers, None, can_continue=True) or b"").startswith(b"Negotiate ")
    assert await attempt.receive_407(offers, None, can_continue=True) is None
    assert (await attempt.first_credentials(None, None) or b"").startswith(b"Basic ")


async def test_basic_may_follow_where_there_is_no_ticket() -> None:
    bench = Bench("kerberos", "basic")
    bench.source.failures["kerberos"] = LoginUnusableError("no ticket")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    credentials = await attempt.receive_407([b"Negotiate", b"Basic realm=x"], None, can_continue=True)
    assert (credentials or b"").startswith(b"Basic ")


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("has_failed", [False, True])
async def test_an_upstream_that_withdraws_a_safer_login_is_shown_no_password_in_clear(
    *, has_failed: bool, is_tls: bool
) -> None:
    """Otherwise an attacker on the path only has to answer a login by a 407 that offers Basic."""
    bench = Bench(is_tls=is_tls)
    if has_failed and not is_tls:
        with pytest.raises(LoginUnusableError):
            await fail_technically(bench, "closes")
    attempt = bench.attempt()
    if not bench.login.methods("h:443"):
        assert await attempt.first_credentials(None, None) is None
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    else:
        await attempt.first_credentials(Method.NTLM, None)
    assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) is None
    assert await attempt.first_credentials(None, None) is None
    if is_tls:
        sent = await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
        assert (sent or b"").startswith(b"Basic ")
        return
    with pytest.raises(LoginUnusableError, match="offers only Basic now, after a safer login") as caught:
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    assert "--auth=BASIC" in caught.value.hint
    assert bench.guard.budget_used(bench.source) == 0


async def test_px_gives_up_an_upstream_that_asks_without_end() -> None:
    attempt = Bench().attempt()
    for count in range(MAX_CHALLENGES):
        assert await attempt.receive_407([digest_challenge(f"n{count}")], None, can_continue=False) is None
    with pytest.raises(LoginError, match="again and again"):
        await attempt.receive_407([digest_challenge("last")], None, can_continue=True)


async def test_a_password_refused_with_a_fresh_nonce_is_refused_whatever_is_said_of_the_nonce() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407([digest_challenge("first", stale=True)], None, can_continue=True)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407([digest_challenge("second", stale=True)], None, can_continue=True)
    assert bench.guard.budget_used(bench.source) == 1


# Digest


def heard(credentials: bytes | None) -> bytes:
    return b"CONNECT origin:443 HTTP/1.1\r\nProxy-Authorization: " + (credentials or b"") + b"\r\n\r\n"


async def test_an_older_nonce_is_used_up_and_that_is_no_refusal() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    said = await attempt.receive_407([digest_challenge("one")], None, can_continue=True)
    verify_digest(heard(said), nonce="one", nonce_count=1, username=USER, password=PASSWORD)
    assert attempt.receive_answer() is None
    later = bench.attempt()
    said = await later.first_credentials(None, None)
    verify_digest(heard(said), nonce="one", nonce_count=2, username=USER, password=PASSWORD)
    said = await later.receive_407([digest_challenge("two")], None, can_continue=True)
    verify_digest(heard(said), nonce="two", nonce_count=1, username=USER, password=PASSWORD)
    assert bench.guard.budget_used(bench.source) == 0


async def test_a_fresh_nonce_that_is_refused_is_a_refusal() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([digest_challenge("one")], None, can_continue=True)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407([digest_challenge("two")], None, can_continue=True)
    assert bench.guard.budget_used(bench.source) > 0
    attempt.close()
    assert await bench.verification().first_credentials(None, None) is None  # the refused nonce is forgotten


async def test_the_next_nonce_of_an_answer_is_used() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([digest_challenge("one")], None, can_continue=True)
    attempt.receive_answer(b'nextnonce="two", qop=auth')
    said = await bench.attempt().first_credentials(None, None)
    verify_digest(heard(said), nonce="two", nonce_count=1, username=USER, password=PASSWORD)


async def test_two_attempts_at_once_never_share_a_nonce() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([digest_challenge("one")], None, can_continue=True)
    attempt.receive_answer()
    first, second = bench.attempt(), bench.attempt()
    assert await first.first_credentials(None, None)
    assert await second.first_credentials(None, None) is None
    first.close()
    assert await bench.attempt().first_credentials(None, None)


async def test_digest_of_a_kind_that_cannot_be_computed_is_unusable() -> None:
    attempt = Bench("digest").attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginUnusableError):
        await attempt.receive_407([b'Digest realm="x", nonce="y", algorithm=SHA-9'], None, can_continue=True)


# a final token


async def test_two_refusals_in_a_row_block() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    with pytest.raises(LoginRefusedError):
        await bench.refuse(attempt=bench.verification(Method.NTLM))
    with pytest.raises(LoginBlockedError) as caught:
        await bench.attempt().first_credentials(None, None)
    assert caught.value.retry_after
    assert USER in caught.value.cause
    assert "up:8080" in caught.value.cause


async def test_basic_never_follows_a_refusal() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    offers = [b"NTLM", b"Basic realm=x"]
    await attempt.receive_407(offers, None, can_continue=True)
    await attempt.receive_407([CHALLENGE], None, can_continue=True)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407(offers, None, can_continue=True)
    later = bench.verification(Method.NTLM)
    assert await later.first_credentials(None, None) == NTLM_1


async def test_a_refused_basic_may_be_tried_once_more() -> None:
    bench = Bench("basic")
    for attempt in (bench.attempt(), bench.verification(Method.BASIC)):
        if await attempt.first_credentials(None, None) is None:
            assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
        with pytest.raises(LoginError):
            await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    with pytest.raises(LoginBlockedError):
        await bench.attempt().first_credentials(None, None)


async def test_a_password_that_the_kdc_refuses_counts() -> None:
    bench = Bench("kerberos", "basic")
    bench.source.failures["kerberos"] = LoginRefusedError("the password has expired", "Change it.")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginRefusedError, match="the password has expired") as caught:
        await attempt.receive_407([b"Negotiate", b"Basic realm=x"], None, can_continue=True)
    assert caught.value.hint == "Change it."
    assert bench.guard.budget_used(bench.source) > 0


@pytest.mark.parametrize("first", [b"Negotiate", b"NTLM", b"Basic realm=x"])
async def test_where_one_login_may_fail_no_second_one_follows(first: bytes) -> None:
    bench = Bench("kerberos", "ntlm", "digest", "basic")
    bench.guard.failures_left = 1
    bench.source.failures["kerberos"] = LoginRefusedError("the password has expired")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    offers = [first, b"Basic realm=x"] if first != b"Negotiate" else [first, b"NTLM", digest_challenge("n1")]
    if first != b"Negotiate":
        await attempt.receive_407(offers, None, can_continue=True)
    if first == b"NTLM":
        await attempt.receive_407([CHALLENGE], None, can_continue=True)
    with pytest.raises(LoginRefusedError) as caught:
        await attempt.receive_407(offers, None, can_continue=True)
    assert not isinstance(caught.value, VerificationWantedError)
    with pytest.raises(LoginBlockedError, match="only one login that fails"):
        await bench.attempt().first_credentials(None, None)


async def test_a_lost_verdict_and_a_charged_denial_count_as_failures() -> None:
    for event in ("lost", "denied"):
        bench = Bench("ntlm")
        bench.guard.failures_left = 1
        if event == "lost":
            bench.guard.receive_no_verdict(bench.source, "The upstream")
        else:
            bench.guard.receive_denial(bench.source, "a.test:443", 5.0, is_charged=True)
        assert bench.guard.is_limit_reached


async def test_a_refusal_of_a_secret_accepted_lately_is_a_denial_of_the_target_for_a_while() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError, match="denied:443"):
        await bench.refuse("denied:443")
    assert bench.guard.budget_used(bench.source) == 0
    with pytest.raises(ForbiddenError):
        await bench.attempt("denied:443").first_credentials(None, None)
    assert await bench.attempt("other:443").first_credentials(None, None) == NTLM_1
    bench.now += DENIED_SECONDS[0]
    assert await bench.attempt("denied:443").first_credentials(None, None) == NTLM_1


async def test_a_refusal_long_after_the_last_login_is_a_denial_that_stays_charged() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    bench.now += ACCEPTED_LATELY_SECONDS + 1
    with pytest.raises(ForbiddenError, match="denied:443"):
        await bench.refuse("denied:443")
    with pytest.raises(VerificationWantedError, match="for another target"):  # two refusals would be a block
        await bench.attempt("other:443").first_credentials(None, None)
    await bench.log_in(bench.verification())
    assert await bench.attempt("other:443").first_credentials(None, None) == NTLM_1


async def test_a_block_comes_before_the_denial_of_a_target() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("denied:443")
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "The upstream", "NTLM")
    with pytest.raises(LoginBlockedError):
        await bench.attempt("denied:443").first_credentials(None, None)
    with pytest.raises(LoginBlockedError):
        check_target(bench.login, "denied:443")


async def test_no_token_goes_uncharged_when_a_block_ends_between_two_looks_at_it() -> None:
    bench = Bench("ntlm")
    bench.gate.grants = False  # it was blocked then

    def grant_next() -> None:
        bench.gate.grants = True

    bench.gate.meanwhile = grant_next
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1
    assert bench.gate.entered == 2


async def test_a_second_target_refused_counts_only_with_no_login_between() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("one:443")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("two:443")
    assert bench.guard.budget_used(bench.source) == 0
    with pytest.raises(LoginRefusedError):
        await bench.refuse("three:443")
    assert bench.guard.budget_used(bench.source) > 0


async def test_an_accepted_login_clears_the_record() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    await bench.log_in(bench.verification())
    assert bench.guard.is_accepted_lately(bench.source)


async def test_after_a_refusal_the_next_token_goes_with_a_verification() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError, match="by NTLM"):
        await bench.refuse()
    with pytest.raises(VerificationWantedError) as later:
        await bench.attempt("other:443").first_credentials(None, None)
    assert later.value.refused == ()
    assert await bench.verification().first_credentials(None, None) == NTLM_1


async def test_a_verification_uses_the_next_method_and_not_the_refused_one() -> None:
    bench = Bench("kerberos", "ntlm")
    bench.login.offered = frozenset({"negotiate", "ntlm"})
    bench.guard.receive_refusal(bench.source, "The upstream", Method.KERBEROS.value)
    verification = bench.verification(Method.KERBEROS, Method.NEGOTIATE_NTLM)
    assert await bench.log_in(verification) is Method.NTLM
    assert bench.login.methods("origin:443") == [Method.NTLM]


async def test_an_upstream_that_verifies_nothing_gets_the_request_itself() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    bench.login.note_unverifiable()
    assert await bench.attempt().first_credentials(None, None) == NTLM_1


async def test_the_same_target_refused_again_with_no_login_between_counts() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("denied:443")
    bench.now += DENIED_SECONDS[0]
    with pytest.raises(VerificationWantedError):
        await bench.refuse("denied:443")
    assert bench.guard.budget_used(bench.source) > 0


async def test_two_connections_dropped_in_place_of_a_verdict_make_a_block() -> None:
    bench = Bench("ntlm")
    for attempt in (bench.attempt(), bench.verification()):
        assert not bench.guard.is_blocked(bench.source)
        if await attempt.first_credentials(None, None) is None:
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
        assert attempt.awaits_verdict
        attempt.receive_break()
        assert bench.guard.budget_used(bench.source) > 0
    with pytest.raises(LoginBlockedError, match="neither accepted nor refused 2 logins"):
        await bench.attempt().first_credentials(None, None)
    bench.now += LOST_BLOCK_SECONDS[0]
    assert await bench.log_in(bench.verification()) is Method.NTLM


async def test_tokens_that_were_out_when_the_first_was_refused_do_not_count() -> None:
    """A page with three denied hosts: all were asked for before the first refusal."""
    bench = Bench("ntlm")
    await bench.log_in()
    attempts = [bench.attempt(f"{name}:443") for name in ("one", "two", "three")]
    for attempt in attempts:
        assert await attempt.first_credentials(None, None) == NTLM_1
    for attempt in attempts:
        await attempt.receive_407([CHALLENGE], None, can_continue=True)
        with pytest.raises(ForbiddenError):
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        attempt.close()
    assert bench.guard.budget_used(bench.source) == 0
    with pytest.raises(VerificationWantedError):  # but the next token was uncertain
        await bench.refuse("four:443")


async def test_where_nothing_verifies_each_refusal_after_the_first_counts_and_is_given_back() -> None:
    """All tokens were out when the password was changed: two with a charge, and one without."""
    bench = Bench("ntlm")
    await bench.log_in()
    bench.login.note_unverifiable()
    attempts = []
    for number in range(3):
        bench.gate = Gate()
        attempts.append(bench.attempt(f"{number}.test:443"))
        assert await attempts[-1].first_credentials(None, None) == NTLM_1
        if number:
            bench.gate.charge = bench.guard.charge(bench.source, 2)
            assert bench.gate.charge is not None
    errors = (ForbiddenError, LoginRefusedError, LoginRefusedError)
    for used, (attempt, error) in enumerate(zip(attempts, errors, strict=True)):
        await attempt.receive_407([CHALLENGE], None, can_continue=True)
        with pytest.raises(error):
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        attempt.close()
        assert bench.guard.budget_used(bench.source) == used
    assert not parse_record(bench.memory.load_record(bench.source.identity.account)).out
    assert bench.guard.is_blocked(bench.source)


async def test_an_answer_to_a_login_sent_before_a_refusal_does_not_clear_it() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    late = bench.attempt("slow:443")
    assert await late.first_credentials(None, None) == NTLM_1
    assert await late.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
    bench.now += 1
    bench.guard.receive_refusal(bench.source, "The upstream", "NTLM")
    assert late.receive_answer() is Method.NTLM
    assert bench.guard.budget_used(bench.source) == 1
    await bench.log_in(bench.verification())
    assert bench.guard.budget_used(bench.source) == 0


async def test_a_target_that_was_denied_to_another_process_is_not_asked_for() -> None:
    bench, other = Bench("ntlm"), Bench("ntlm")
    other.share(bench)
    for each in (bench, other):
        await each.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("denied:443")
    with pytest.raises(ForbiddenError, match="denied:443"):
        await other.attempt("denied:443").first_credentials(None, None)
    await other.log_in()
    assert await other.attempt("denied:443").first_credentials(None, None) == NTLM_1


async def test_a_secret_that_was_good_in_all_processes_costs_them_three_refusals_together() -> None:
    """One is a denial of a target, two count against the secret, in whichever process they happen."""
    bench, *others = (Bench("ntlm") for _ in range(4))
    for each in others:
        each.share(bench)
    for each in (bench, *others):
        await each.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("one:443")
    with pytest.raises(VerificationWantedError):
        await others[0].refuse("two:443")
    with pytest.raises(LoginRefusedError):
        await others[1].refuse(attempt=others[1].verification())
    for each in (bench, *others):
        with pytest.raises(LoginBlockedError):
            await each.attempt("three:443").first_credentials(None, None)


async def test_a_ticket_whose_refusals_are_known_only_once_it_is_used_is_not_sent() -> None:
    """A ticket cache is not looked at before the first token is made; the record is kept by its mark."""
    bench = Bench("kerberos")
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "The upstream", "Kerberos")
    bench.source.secret_mark = ""
    bench.source.marks_when_used = "abc"
    with pytest.raises(VerificationWantedError):
        await bench.attempt().receive_407([b"Negotiate"], None, can_continue=True)
    with pytest.raises(LoginBlockedError):
        await bench.verification().first_credentials(None, None)


# login gates


async def test_the_record_is_read_again_once_the_login_is_inside_the_gate() -> None:
    bench = Bench("ntlm")

    def refuse_elsewhere() -> None:
        for _ in range(2):
            bench.guard.receive_refusal(bench.source, "http://up:8080", "NTLM")

    bench.gate.meanwhile = refuse_elsewhere
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginBlockedError):
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    assert bench.gate.entered == 1


async def test_a_gate_learns_when_there_is_nothing_to_wait_for() -> None:
    bench = Bench("ntlm")
    await bench.attempt().receive_407([b"NTLM"], None, can_continue=True)
    (login,) = bench.gate.logins
    assert [login.is_over(), login.is_accepted_lately(), login.was_accepted_last] == [False] * 3
    charge = login.charge(1)
    assert charge is not None
    assert login.charge(1) is None
    bench.guard.receive_no_verdict(bench.source, "up", charge)
    assert login.is_over()  # a verification is wanted
    bench.login.note_unverifiable()
    assert not login.is_over()
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "up", "NTLM")
    assert login.is_over()  # blocked
    bench.guard.receive_acceptance(bench.source)
    assert login.is_accepted_lately()


async def test_while_another_login_waits_for_its_verdict_a_verification_goes_first() -> None:
    """Otherwise a second site that does not answer would delay all requests."""
    bench = Bench("ntlm")
    bench.gate.is_alone = False
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(VerificationWantedError, match="not decided yet") as caught:
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    assert caught.value.refused == ()
    assert await bench.log_in(bench.verification()) is Method.NTLM
    bench.now += ACCEPTED_LATELY_SECONDS + 1
    bench.login.note_unverifiable()
    assert await bench.attempt().first_credentials(None, None) == NTLM_1


async def test_each_login_enters_the_gate_and_leaves_it() -> None:
    bench = Bench("ntlm")
    for entered in (1, 2):
        await bench.log_in()
        assert bench.gate.entered == entered
        assert bench.gate.left >= entered


async def test_no_secret_shows_in_a_repr() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    shown = repr(attempt) + repr(bench.login) + repr(bench.guard)
    assert PASSWORD not in shown
    assert "Basic" in shown


async def test_an_offer_of_basic_alone_is_ignored_where_a_safer_method_has_logged_in() -> None:
    """An origin may make a 407 up, so that the password goes to the upstream in clear."""
    bench = Bench("ntlm", "basic")
    await bench.log_in()
    attempt = bench.attempt()
    assert await attempt.first_credentials(Method.NTLM, None) is None
    assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) is None
    assert await attempt.first_credentials(None, None) is None  # to learn what the upstream itself offers
    assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1
    assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
    assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) is None
    assert await attempt.first_credentials(None, None) is None
    with pytest.raises(ForbiddenError):
        await attempt.receive_407([b"NTLM"], None, can_continue=True)


# new challenges

#: Name of a method -> what the upstream offers, the challenge with a token, the final credentials.
_OFFERS = {
    Method.KERBEROS: (b"Negotiate", b"", token(b"kerberos@up/-:first", b"Negotiate")),
    Method.NTLM: (b"NTLM", CHALLENGE, NTLM_3),
    Method.BASIC: (b"Basic realm=x", b"", b"Basic " + b64encode(b"DOM\\user:secret")),
    Method.DIGEST: (digest_challenge("n1"), b"", b"Digest "),
}
_PAIRS = [(old, new) for old in _OFFERS for new in _OFFERS if old is not new]


async def send_final(attempt: LoginAttempt, method: Method) -> bytes:
    """Begin on a fresh connection and go on to the final token of a method; return that."""
    offer, challenge, _ = _OFFERS[method]
    sent = await attempt.first_credentials(None, None)
    if sent is None:
        sent = await attempt.receive_407([offer], None, can_continue=True)
    if challenge:
        sent = await attempt.receive_407([challenge], None, can_continue=True)
    assert sent is not None
    assert attempt.method is method
    return sent


@pytest.mark.parametrize(("old", "new"), _PAIRS)
async def test_a_407_without_the_scheme_just_used_is_a_new_challenge(old: Method, new: Method) -> None:
    """An upstream that was set up anew, or another member of a cluster."""
    bench = Bench("kerberos", "ntlm", "digest", "basic")
    first = bench.attempt()
    await send_final(first, old)
    first.receive_answer()
    attempt = bench.attempt()
    await send_final(attempt, old)
    assert await attempt.receive_407([_OFFERS[new][0]], None, can_continue=True) is None
    assert (await send_final(attempt, new)).startswith(_OFFERS[new][2])
    attempt.receive_answer()
    attempt.close()
    assert bench.guard.is_accepted_lately(bench.source)
    assert (await send_final(bench.attempt(), new)).startswith(_OFFERS[new][2])


@pytest.mark.parametrize(("old", "new"), _PAIRS)
async def test_a_new_challenge_in_place_of_a_first_verdict_is_a_lost_verdict(
    old: Method, new: Method
) -> None:
    bench = Bench("kerberos", "ntlm", "digest", "basic")
    attempt = bench.attempt()
    await send_final(attempt, old)
    assert await attempt.receive_407([_OFFERS[new][0]], None, can_continue=True) is None
    assert await attempt.first_credentials(None, None) is None
    with pytest.raises(LoginUnusableError if new is Method.BASIC else VerificationWantedError):
        await attempt.receive_407([_OFFERS[new][0]], None, can_continue=True)
    assert bench.guard.refused_method(bench.source) == ""
    assert bench.guard.budget_used(bench.source) == 1


@pytest.mark.parametrize("said", [[], [b"Basic realm=x"]], ids=["bare", "Basic only"])
async def test_a_refusal_that_hides_the_scheme_is_known_by_what_is_offered_without_a_token(
    said: list[bytes],
) -> None:
    """Otherwise Px would show an upstream that falls back to Basic a password that was just refused."""
    bench = Bench("ntlm", "basic")
    attempt = bench.attempt()
    await send_final(attempt, Method.NTLM)
    assert await attempt.receive_407(said, None, can_continue=True) is None
    assert await attempt.first_credentials(None, None) is None
    with pytest.raises(LoginRefusedError, match="by NTLM"):
        await attempt.receive_407([b"NTLM", b"Basic realm=x"], None, can_continue=True)
    assert bench.guard.refused_method(bench.source) == "NTLM"


async def test_a_first_token_may_reach_another_member_of_a_cluster_once() -> None:
    """Such an upstream goes on with NTLM, at the members that offer it."""
    bench = Bench("ntlm", "basic")
    attempt = bench.attempt()
    for _ in range(2):
        assert await attempt.receive_407([b"NTLM"], None, can_continue=True) is not None
        assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) is None
        assert await attempt.first_credentials(None, None) is None
    with pytest.raises(LoginUnusableError, match="did not go on with it"):
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    attempt.close()


async def test_a_token_that_a_new_challenge_left_without_a_verdict_counts_when_the_request_ends_there() -> (
    None
):
    bench = Bench("ntlm", "basic")
    attempt = bench.attempt()
    await send_final(attempt, Method.NTLM)
    await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    attempt.close()
    attempt.close()
    assert bench.guard.budget_used(bench.source) == 1
    assert bench.guard.budget_used(bench.source) > 0


async def test_px_gives_up_an_upstream_that_wants_another_scheme_each_time() -> None:
    bench = Bench("ntlm", "digest")
    await bench.log_in()
    attempt = bench.attempt()
    methods = [Method.NTLM, Method.DIGEST]
    for number in range(MAX_OTHER_OFFERS):
        await send_final(attempt, methods[number % 2])
        await attempt.receive_407([_OFFERS[methods[1 - number % 2]][0]], None, can_continue=True)
    await send_final(attempt, methods[0])
    with pytest.raises(LoginError, match="another kind of login"):
        await attempt.receive_407([_OFFERS[methods[1]][0]], None, can_continue=True)


async def test_one_site_with_another_scheme_costs_the_other_sites_nothing() -> None:
    bench = Bench("ntlm", "basic")
    await bench.log_in()
    basic = _OFFERS[Method.BASIC][2]
    for site in ("one:80", "two:80"):
        attempt = bench.attempt(site)
        assert await attempt.first_credentials(Method.NTLM, None) is None
        assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) is None
        assert await attempt.first_credentials(None, None) is None
        assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True) == basic
        attempt.receive_answer()
        assert await bench.attempt(site).first_credentials(Method.NTLM, None) == basic
        assert await bench.attempt(site).first_credentials(None, None) == basic
        assert await bench.attempt("other:80").first_credentials(None, None) == NTLM_1
        assert await bench.attempt("other:80").first_credentials(Method.NTLM, None) is None


async def test_what_two_sites_have_in_common_is_what_the_upstream_offers_now() -> None:
    bench = Bench("ntlm", "digest")
    await bench.log_in()
    for site in ("one:80", "two:80"):
        assert bench.login.offered_at("other:80") == {"ntlm"}
        await bench.attempt(site).receive_407([digest_challenge("n1")], None, can_continue=True)
    assert bench.login.offered_at("other:80") == {"digest"}


# targets


async def test_a_denied_target_is_asked_for_again_after_5_10_20_and_60_seconds() -> None:
    bench = Bench("ntlm")
    for seconds in (5, 10, 20, 60, 60):
        await bench.log_in()
        with pytest.raises(ForbiddenError) as denied:
            await bench.refuse("denied:443")
        assert denied.value.retry_after == seconds
        bench.now += seconds - 1
        with pytest.raises(ForbiddenError, match="denied:443") as again:
            bench.attempt("denied:443").check_target()
        assert again.value.retry_after == 1
        bench.now += 1
    await bench.log_in(bench.attempt("denied:443"))
    with pytest.raises(ForbiddenError) as first:
        await bench.refuse("denied:443")
    assert first.value.retry_after == 5


async def test_the_last_login_is_not_sent_for_the_target_that_refused_the_first() -> None:
    """Where nothing can be verified, only another target can tell a wrong password from a rule."""
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse("denied:443")
    bench.attempt("denied:443").check_target()  # it may be verified
    bench.login.note_unverifiable()
    with pytest.raises(LoginRefusedError, match="by NTLM") as avoided:
        bench.attempt("denied:443").check_target()
    assert avoided.value.retry_after
    await bench.log_in(bench.attempt("good:443"))
    bench.attempt("denied:443").check_target()


async def test_a_target_that_was_answered_without_a_login_is_asked_for_without_one() -> None:
    bench = Bench("ntlm")
    free = bench.attempt("free:443")
    await free.first_credentials(None, None)
    free.receive_answer()
    await bench.log_in()
    assert await bench.attempt("free:443").first_credentials(None, None) is None
    closed = bench.attempt("free:443")
    await closed.first_credentials(None, None)
    await closed.receive_407([b"NTLM"], None, can_continue=True)
    assert await bench.attempt("free:443").first_credentials(None, None) == NTLM_1


async def test_a_block_does_not_stop_requests_for_a_target_that_needs_no_login() -> None:
    bench = Bench("ntlm")
    free = bench.attempt("free:443")
    await free.first_credentials(None, None)
    free.receive_answer()
    bench.login.offered = frozenset({"ntlm"})
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "The upstream", "NTLM")
    bench.attempt("free:443").check_login_allowed()
    with pytest.raises(LoginBlockedError):
        bench.attempt("other:443").check_login_allowed()


async def test_an_upstream_that_falls_silent_at_a_login_is_asked_without_one_once() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    attempt = bench.attempt("free:443")
    assert await attempt.first_credentials(None, None) == NTLM_1
    assert attempt.began_unasked
    assert attempt.receive_silence()
    assert not attempt.is_upstream_known
    assert await attempt.first_credentials(None, None) is None
    assert not attempt.receive_silence()
    assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1
    assert attempt.may_reach_origin is False
    assert not attempt.receive_silence()  # the upstream wants a login, but does not finish it
    assert bench.login.is_slow
    later = bench.attempt("free:443")
    await later.first_credentials(None, None)
    assert not later.began_unasked


# verification


async def test_a_verification_that_is_not_known_to_work_is_first_tried_without_a_token() -> None:
    bench = Bench("ntlm", "basic")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    attempt = bench.attempt("up:8080", ())
    assert await attempt.first_credentials(None, None) is None
    assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1


@pytest.mark.parametrize("said", [[], [b"Basic realm=x"], [b"Negotiate"]], ids=["bare", "Basic", "Negotiate"])
async def test_a_verification_sends_no_token_where_it_is_offered_no_scheme_of_clients(
    said: list[bytes],
) -> None:
    bench = Bench("ntlm", "basic")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    attempt = bench.attempt("up:8080", ())
    assert await attempt.first_credentials(None, None) is None
    with pytest.raises(LoginUnusableError):
        await attempt.receive_407(said, None, can_continue=True)
    assert bench.login.offered_at("origin:443") == {"ntlm"}


# a ticket of Px's own


class OwnTicket:
    renew_at: float | None = None

    async def renew(self, hosts: Iterable[str]) -> str:
        raise AssertionError(hosts)


@pytest.mark.parametrize(
    "cause", ["No Kerberos KDC is known for the realm", "The Kerberos KDC cannot be reached", "clock"]
)
async def test_with_kerberos_wanted_the_error_says_why_there_is_no_ticket_and_no_other_method_is_used(
    cause: str,
) -> None:
    bench = Bench("kerberos", "ntlm", "digest", "basic")
    bench.source.own_ticket = OwnTicket()
    bench.source.failures["kerberos"] = LoginUnusableError(cause, "Look at krb5.conf.")
    offers = [b"Negotiate", b"NTLM", digest_challenge("n1"), b"Basic realm=x"]
    for _ in range(3):
        attempt = bench.attempt()
        if not bench.login.offered:
            await attempt.first_credentials(None, None)
            with pytest.raises(LoginUnusableError, match=cause) as caught:
                await attempt.receive_407(offers, None, can_continue=True)
        else:
            with pytest.raises(LoginUnusableError, match=cause) as caught:
                await attempt.first_credentials(None, None)
        assert caught.value.hint == "Look at krb5.conf."
    assert bench.guard.budget_used(bench.source) == 0


async def test_with_a_ticket_px_may_log_in_by_ntlm_where_kerberos_cannot_be_used() -> None:
    bench = Bench("kerberos", "ntlm")
    bench.source.own_ticket = OwnTicket()
    bench.source.own_ticket.renew_at = 5000.0
    bench.source.failures["kerberos"] = LoginUnusableError("The Kerberos KDC knows no service HTTP/up")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    first = token(b"ntlm@up/-:first", b"Negotiate")
    assert await attempt.receive_407([b"Negotiate", b"NTLM"], None, can_continue=True) == first


async def test_with_kerberos_wanted_px_logs_in_by_ntlm_where_the_upstream_takes_no_kerberos() -> None:
    bench = Bench("kerberos", "ntlm")
    bench.source.own_ticket = OwnTicket()
    assert await bench.log_in() is Method.NTLM


async def log_in_by_basic(bench: Bench, target: str) -> LoginAttempt:
    """A login by Basic for a target that has asked for a login before this request."""
    attempt = bench.attempt(target)
    if await attempt.first_credentials(None, None) is None:
        assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    return attempt


async def test_an_answer_to_a_token_that_nobody_asked_for_clears_no_refusal() -> None:
    """Sites that need no login answer whatever the password is; it was changed meanwhile."""
    bench = Bench("basic")
    bench.login.note_unverifiable()
    (await log_in_by_basic(bench, "first:443")).receive_answer()
    free = bench.attempt("free-1:443")
    assert await free.first_credentials(None, None)
    denied = await log_in_by_basic(bench, "closed-1:443")
    with pytest.raises(ForbiddenError):
        await denied.receive_407([b"Basic realm=x"], None, can_continue=True)
    free.receive_answer()
    assert bench.guard.is_denied(bench.source)
    refused = 1
    for number in range(2, 10):
        free = bench.attempt(f"free-{number}:443")
        with contextlib.suppress(LoginBlockedError):
            assert await free.first_credentials(None, None) is None  # after a failure Px waits to be asked
            free.receive_answer()
        with contextlib.suppress(LoginError):
            closed = await log_in_by_basic(bench, f"closed-{number}:443")
            refused += 1
            await closed.receive_407([b"Basic realm=x"], None, can_continue=True)
    assert refused == 3  # the first one was free, since a rule might have denied that site
    with pytest.raises(LoginBlockedError):
        await bench.attempt("free-1:443").first_credentials(None, None)


async def test_a_token_that_was_asked_for_clears_a_refusal() -> None:
    bench = Bench("basic")
    bench.login.note_unverifiable()
    (await log_in_by_basic(bench, "first:443")).receive_answer()
    with pytest.raises(ForbiddenError):
        await (await log_in_by_basic(bench, "denied:443")).receive_407(
            [b"Basic realm=x"], None, can_continue=True
        )
    attempt = await log_in_by_basic(bench, "other:443")
    attempt.receive_answer()
    assert not bench.guard.has_failed(bench.source)
    assert await bench.attempt("third:443").first_credentials(None, None)


async def test_a_login_that_may_not_go_on_begins_again_on_a_fresh_connection() -> None:
    bench = Bench("ntlm")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert await attempt.receive_407([b"NTLM"], None, can_continue=True) == NTLM_1
    bench.gate.goes_on = False
    assert await attempt.receive_407([CHALLENGE], None, can_continue=True) is None
    bench.gate.goes_on = True
    assert await attempt.first_credentials(None, None) == NTLM_1
    assert bench.gate.entered == 2
    assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3


async def test_another_secret_is_not_verified_first_and_goes_by_the_same_method() -> None:
    """The KDC refused a wrong password, and this upstream takes no NTLM."""
    bench = Bench("kerberos", "ntlm")
    bench.source.failures["kerberos"] = LoginRefusedError("the password is wrong")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407([b"Negotiate"], None, can_continue=True)
    bench.source.failures.clear()
    bench.source.secret_mark = "right"
    attempt = bench.attempt()
    assert await attempt.first_credentials(None, None) is None  # after a failure Px waits to be asked
    assert await attempt.receive_407([b"Negotiate"], None, can_continue=True) == token(
        b"kerberos@up/-:first", b"Negotiate"
    )
    attempt.receive_answer()
    assert not bench.guard.has_failed(bench.source)
