"""The state machine that answers 407s: every row of its tables."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

import pytest

from px.core.auth_policy import AuthPolicy
from px.core.errors import (
    ForbiddenError,
    LoginBlockedError,
    LoginError,
    LoginRefusedError,
    LoginUnusableError,
)
from px.core.lockout import DENIED_SECONDS, PROOF_SECONDS, LockoutGuard
from px.core.login_parts import Doubt, ProofWantedError, RequestLine
from px.core.token_source import Identity
from px.core.upstream_auth import MAX_CHALLENGES, LoginAttempt
from px.core.upstream_login import Method, UpstreamLogin
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
    own_ticket = None
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

    def load_record(self, identity_key: str) -> dict[str, object]:
        return self.records.get(identity_key, {})

    def change_record(
        self, identity_key: str, change: Callable[[dict[str, object]], dict[str, object]]
    ) -> None:
        if fields := change(self.records.pop(identity_key, {})):
            self.records[identity_key] = fields

    def list_keys(self) -> list[str]:
        return list(self.records)


class Turn:
    def __init__(self) -> None:
        self.taken = self.given = 0
        self.doubts: list[Doubt] = []
        self.is_alone = True
        self.meanwhile: Callable[[], None] = lambda: None

    async def take(self, doubt: Doubt) -> bool:
        self.taken += 1
        self.meanwhile()
        self.doubts.append(doubt)
        return self.is_alone

    def give_back(self) -> None:
        self.given += 1


class Bench:
    """One upstream, one identity, a clock."""

    def __init__(self, *mechanisms: str, auth: str = "ANY") -> None:
        self.now = 1000.0
        self.source = Source(*mechanisms)
        self.turn = Turn()
        self.memory = Memory()
        self.guard = LockoutGuard(self.memory, lambda: self.now)
        self.login = UpstreamLogin(
            "http://up:8080",
            "up",
            source=self.source,
            policy=AuthPolicy.parse(auth),
            guard=self.guard,
            now=lambda: self.now,
            make_cnonce=lambda: "cnonce",
        )

    def attempt(
        self, target: str = "origin:443", verifies_after: Sequence[Method] | None = None
    ) -> LoginAttempt:
        line = RequestLine(b"CONNECT", target.encode(), target)
        return LoginAttempt(self.login, line, self.turn, verifies_after=verifies_after)

    def share(self, other: Bench) -> None:
        """Be another process with the same state directory."""
        self.guard._store = other.memory

    def proof(self, *refused: Method) -> LoginAttempt:
        """What settles a doubt, after methods that were refused."""
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
    assert bench.turn.taken == 0


async def test_an_answer_without_a_login_opens_the_upstream_and_a_407_closes_it() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    assert attempt.receive_answer() is None
    assert bench.login.is_open is True
    again = bench.attempt()
    await again.first_credentials(None, None)
    await again.receive_407([b"NTLM"], None, can_continue=True)
    assert (bench.login.is_open, bench.login.is_known) == (False, True)


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


async def test_kerberos_that_an_upstream_wants_with_each_request_is_noticed() -> None:
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


async def test_a_login_that_is_refused_for_no_site_is_not_put_down_to_a_rule_about_sites() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError) as caught:
        await bench.refuse(attempt=bench.attempt("up:8080", verifies_after=()))
    assert "rule" not in caught.value.mend
    with pytest.raises(LoginRefusedError) as caught:
        await Bench("ntlm").refuse("origin:443")
    assert caught.value.mend.endswith("a rule of the upstream denies origin:443.")


async def test_an_upstream_that_only_a_script_named_is_shown_no_password_and_the_error_says_so() -> None:
    bench = Bench("basic")
    bench.login.policy = bench.login.policy.for_strangers
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginUnusableError, match="a PAC script named it") as caught:
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    assert "ANYSAFE" not in caught.value.cause
    assert caught.value.mend == "Name it with --proxy, or allow that with --auth=BASIC."


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


@pytest.mark.parametrize(("values", "can_continue"), [([b"NTLM"], True), ([CHALLENGE], False)])
async def test_a_handshake_that_does_not_go_on_gives_way_to_the_next_method(
    values: list[bytes], *, can_continue: bool
) -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"NTLM", b"Basic realm=x"], None, can_continue=True)
    assert await attempt.receive_407([*values, b"Basic realm=x"], None, can_continue=can_continue) is None
    assert (await attempt.first_credentials(None, None) or b"").startswith(b"Basic ")
    assert bench.guard.is_clear(bench.source)


async def test_a_broken_challenge_gives_way_and_is_no_refusal() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"NTLM", b"Basic realm=x"], None, can_continue=True)
    bench.source.failures["ntlm"] = LoginUnusableError("broken challenge")
    assert await attempt.receive_407([CHALLENGE], None, can_continue=True) is None
    assert bench.guard.is_clear(bench.source)


async def test_a_connection_that_breaks_in_the_handshake_twice_spends_the_method() -> None:
    attempt = Bench().attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"NTLM", b"Basic realm=x"], None, can_continue=True)
    attempt.receive_break()
    assert await attempt.first_credentials(None, None) == NTLM_1
    attempt.receive_break()
    assert (await attempt.first_credentials(None, None) or b"").startswith(b"Basic ")


async def test_an_upstream_that_asks_for_ever_is_given_up() -> None:
    attempt = Bench().attempt()
    await attempt.first_credentials(None, None)
    for count in range(MAX_CHALLENGES):
        value = digest_challenge(f"n{count}", stale=True)
        assert await attempt.receive_407([value], None, can_continue=True)
    with pytest.raises(LoginError, match="again and again"):
        await attempt.receive_407([digest_challenge("last", stale=True)], None, can_continue=True)


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
    assert bench.guard.is_clear(bench.source)


async def test_a_fresh_nonce_that_is_refused_is_a_refusal() -> None:
    bench = Bench("digest")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([digest_challenge("one")], None, can_continue=True)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407([digest_challenge("two")], None, can_continue=True)
    assert not bench.guard.is_clear(bench.source)
    attempt.close()
    assert await bench.proof().first_credentials(None, None) is None  # the refused nonce is forgotten


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
        await bench.refuse(attempt=bench.proof(Method.NTLM))
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
    later = bench.proof(Method.NTLM)
    assert await later.first_credentials(None, None) == NTLM_1


async def test_a_refused_basic_may_be_tried_once_more() -> None:
    bench = Bench("basic")
    for attempt in (bench.attempt(), bench.proof(Method.BASIC)):
        if await attempt.first_credentials(None, None) is None:
            assert await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
        with pytest.raises(LoginError):
            await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    with pytest.raises(LoginBlockedError):
        await bench.attempt().first_credentials(None, None)


async def test_a_password_that_the_kdc_refuses_counts() -> None:
    bench = Bench("kerberos", "basic")
    bench.source.failures["kerberos"] = LoginRefusedError("pre-authentication failed")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginRefusedError):
        await attempt.receive_407([b"Negotiate", b"Basic realm=x"], None, can_continue=True)
    assert not bench.guard.is_clear(bench.source)


async def test_a_refusal_of_a_proven_identity_is_held_against_the_target_for_a_minute() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError, match="denied:443"):
        await bench.refuse("denied:443")
    assert bench.guard.is_clear(bench.source)
    with pytest.raises(ForbiddenError):
        await bench.attempt("denied:443").first_credentials(None, None)
    assert await bench.attempt("other:443").first_credentials(None, None) == NTLM_1
    bench.now += DENIED_SECONDS
    assert await bench.attempt("denied:443").first_credentials(None, None) == NTLM_1


async def test_a_second_target_refused_counts_only_with_no_login_between() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("one:443")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("two:443")
    assert bench.guard.is_clear(bench.source)
    with pytest.raises(LoginRefusedError):
        await bench.refuse("three:443")
    assert not bench.guard.is_clear(bench.source)


async def test_a_login_that_works_clears_a_doubt() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    await bench.log_in(bench.proof())
    assert bench.guard.is_proven(bench.source)


async def test_after_a_refusal_the_next_token_is_a_proof() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError, match="by NTLM"):
        await bench.refuse()
    with pytest.raises(ProofWantedError) as later:
        await bench.attempt("other:443").first_credentials(None, None)
    assert later.value.refused == ()
    assert await bench.proof().first_credentials(None, None) == NTLM_1


async def test_a_proof_goes_by_the_next_method_and_leaves_the_refused_one_alone() -> None:
    bench = Bench("kerberos", "ntlm")
    bench.login.offered = frozenset({"negotiate", "ntlm"})
    bench.guard.receive_refusal(bench.source, "The upstream", Method.KERBEROS.value)
    proof = bench.proof(Method.KERBEROS, Method.NEGOTIATE_NTLM)
    assert await bench.log_in(proof) is Method.NTLM
    assert bench.login.methods() == [Method.NTLM]


async def test_an_upstream_that_settles_no_doubt_gets_the_request_itself() -> None:
    bench = Bench("ntlm")
    with pytest.raises(LoginRefusedError):
        await bench.refuse()
    bench.login.can_verify = False
    assert await bench.attempt().first_credentials(None, None) == NTLM_1


async def test_the_same_target_refused_again_with_no_login_between_counts() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("denied:443")
    bench.now += DENIED_SECONDS
    with pytest.raises(ProofWantedError):
        await bench.refuse("denied:443")
    assert not bench.guard.is_clear(bench.source)


async def test_two_connections_dropped_in_place_of_a_verdict_count_as_one_refusal() -> None:
    bench = Bench("ntlm")
    for is_clear in (True, False):
        attempt = bench.attempt()
        if await attempt.first_credentials(None, None) is None:
            await attempt.receive_407([b"NTLM"], None, can_continue=True)
        assert await attempt.receive_407([CHALLENGE], None, can_continue=True) == NTLM_3
        assert attempt.awaits_verdict
        attempt.receive_break()
        assert bench.guard.is_clear(bench.source) is is_clear


async def test_tokens_that_were_on_their_way_when_the_first_was_refused_do_not_count() -> None:
    """A page with three denied hosts: all were asked for before anything spoke against the secret."""
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
    assert bench.guard.is_clear(bench.source)
    assert bench.turn.taken == 1
    with pytest.raises(ProofWantedError):  # but the next one was sent in doubt
        await bench.refuse("four:443")
    assert bench.turn.taken == 2


async def test_a_target_that_another_process_was_refused_is_not_asked_for() -> None:
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
    """One is held against a target, two count, whoever met them."""
    bench, *others = (Bench("ntlm") for _ in range(4))
    for each in others:
        each.share(bench)
    for each in (bench, *others):
        await each.log_in()
    with pytest.raises(ForbiddenError):
        await bench.refuse("one:443")
    with pytest.raises(ProofWantedError):
        await others[0].refuse("two:443")
    with pytest.raises(LoginRefusedError):
        await others[1].refuse(attempt=others[1].proof())
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
    attempt = bench.attempt()
    assert await attempt.first_credentials(None, None) is None
    with pytest.raises(LoginBlockedError):
        await attempt.receive_407([b"Negotiate"], None, can_continue=True)


# turns


async def test_the_record_is_read_anew_once_the_turn_has_come() -> None:
    bench = Bench("ntlm")

    def refuse_elsewhere() -> None:
        for _ in range(2):
            bench.guard.receive_refusal(bench.source, "http://up:8080", "NTLM")

    bench.turn.meanwhile = refuse_elsewhere
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginBlockedError):
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    assert bench.turn.taken == 1


async def test_a_turn_knows_when_there_is_nothing_to_wait_for() -> None:
    bench = Bench("ntlm")
    await bench.attempt().receive_407([b"NTLM"], None, can_continue=True)
    (doubt,) = bench.turn.doubts
    assert (doubt.is_settled(), doubt.refusals_left(), doubt.is_known_good) == (False, 2, False)
    doubt.receive_no_verdict()
    assert (doubt.is_settled(), doubt.refusals_left()) == (True, 1)  # a proof is wanted
    bench.login.can_verify = False
    assert not doubt.is_settled()
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "up", "NTLM")
    assert doubt.is_settled()  # blocked
    bench.guard.receive_acceptance(bench.source)
    assert doubt.is_settled()  # proven


async def test_while_another_login_waits_for_its_verdict_a_proof_goes_first() -> None:
    """Else a second site that does not answer would hold everybody up."""
    bench = Bench("ntlm")
    bench.turn.is_alone = False
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(ProofWantedError, match="not decided yet") as caught:
        await attempt.receive_407([b"NTLM"], None, can_continue=True)
    assert caught.value.refused == ()
    assert await bench.log_in(bench.proof()) is Method.NTLM
    bench.now += PROOF_SECONDS + 1
    bench.login.can_verify = False
    assert await bench.attempt().first_credentials(None, None) == NTLM_1


async def test_only_an_unproven_secret_waits_for_its_turn_and_gives_it_back() -> None:
    bench = Bench("ntlm")
    await bench.log_in()
    assert bench.turn.taken == 1
    assert bench.turn.given >= 1
    await bench.log_in()
    assert bench.turn.taken == 1


async def test_no_secret_shows_in_a_repr() -> None:
    bench = Bench()
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
    shown = repr(attempt) + repr(bench.login) + repr(bench.guard)
    assert PASSWORD not in shown
    assert "Basic" in shown


async def test_basic_is_not_believed_where_a_safer_method_has_logged_in() -> None:
    """An origin may make a 407 up, to have the password sent in clear as far as the upstream."""
    bench = Bench("ntlm", "basic")
    await bench.log_in()
    attempt = bench.attempt()
    assert await attempt.first_credentials(Method.NTLM, None) is None
    with pytest.raises(LoginError):
        await attempt.receive_407([b"Basic realm=x"], None, can_continue=True)
