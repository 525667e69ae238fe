"""Errors of failed logins: they never advise to set what is set already."""

from __future__ import annotations

import pytest

from px.core.auth.password_advice import AS_HASH, IN_ENVIRONMENT, IN_KEYRING, WITH_UPSTREAM, advise_missing
from px.core.auth.token_source import LOGGED_IN
from px.core.errors import LoginBlockedError, LoginError, LoginRefusedError, LoginUnusableError
from px.core.login.report import make_refused_error
from tests.core.login.test_attempt import CHALLENGE, Bench

#: Where a secret was set -> what the hint names then.
PLACES = {
    IN_ENVIRONMENT: "PX_PASSWORD",
    IN_KEYRING: "px --password",
    AS_HASH: "PX_NTHASH",
    WITH_UPSTREAM: "px.ini or PX_PROXY",
}
TELLS_TO_SET = ("or set PX_PASSWORD", "Store the password of", "its password by")


def bench_with(place: str, *mechanisms: str) -> Bench:
    bench = Bench(*(mechanisms or ("ntlm", "digest", "basic")))
    bench.source.secret_place = place
    return bench


async def fail(bench: Bench, offers: list[bytes]) -> LoginError:
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    with pytest.raises(LoginError) as caught:
        await attempt.receive_407(offers, None, can_continue=True)
    return caught.value


def check_tells_to_set_nothing(error: LoginError) -> None:
    assert error.hint
    assert not any(each in error.hint for each in TELLS_TO_SET), error.hint
    assert "has no password" not in error.cause


@pytest.mark.parametrize("place", PLACES)
async def test_a_block_says_how_to_correct_the_secret_where_it_was_set(place: str) -> None:
    bench = bench_with(place)
    for _ in range(2):
        bench.guard.receive_refusal(bench.source, "The upstream", "NTLM")
    error = await fail(bench, [b"NTLM"])
    assert isinstance(error, LoginBlockedError)
    assert PLACES[place] in error.hint
    check_tells_to_set_nothing(error)


@pytest.mark.parametrize("place", PLACES)
def test_a_refusal_says_where_the_secret_comes_from(place: str) -> None:
    bench = bench_with(place)
    error = make_refused_error(bench.login, ())
    assert place in error.hint
    check_tells_to_set_nothing(error)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "offers",
    [[], [b"Bearer"], [b"Negotiate"], [b'Digest realm="x", nonce="y", algorithm=SHA-9'], [b"Digest"]],
    ids=["nothing", "unknown scheme", "Negotiate", "odd Digest", "empty Digest"],
)
async def test_an_error_does_not_advise_to_set_a_secret_that_is_set(place: str, offers: list[bytes]) -> None:
    check_tells_to_set_nothing(await fail(bench_with(place, "digest", "basic"), offers))


@pytest.mark.parametrize("place", PLACES)
async def test_after_an_unfinished_handshake_the_error_blames_the_upstream(place: str) -> None:
    bench = bench_with(place, "ntlm")
    attempt = bench.attempt()
    await attempt.first_credentials(None, None)
    await attempt.receive_407([b"NTLM"], None, can_continue=True)
    await attempt.receive_407([CHALLENGE], None, can_continue=False)
    with pytest.raises(LoginUnusableError) as caught:
        await attempt.first_credentials(None, None)
    check_tells_to_set_nothing(caught.value)


async def test_the_error_says_that_basic_is_left_out_after_a_refusal() -> None:
    bench = bench_with(IN_ENVIRONMENT)
    bench.guard.receive_refusal(bench.source, "The upstream", "NTLM")
    bench.login.note_unverifiable()
    error = await fail(bench, [b"Basic realm=x"])
    assert "does not send in clear a password that was just refused" in error.cause
    assert "Correct PX_PASSWORD" in error.hint


async def test_with_only_a_hash_the_error_advises_to_set_the_password_where_one_is_needed() -> None:
    error = await fail(bench_with(AS_HASH, "ntlm"), [b"Basic realm=x"])
    assert "only the NT hash of the password is set" in error.cause
    assert error.hint.startswith("Set the password in PX_PASSWORD")
    assert "px --password" not in error.hint  # the keyring is not asked while a hash is set


async def test_with_nothing_set_the_error_says_what_to_set() -> None:
    error = await fail(bench_with("", "kerberos"), [b"NTLM"])
    assert "px --password" in error.hint
    assert "PX_PASSWORD" in error.hint


def test_with_a_secret_but_no_user_the_error_asks_for_the_user_name() -> None:
    bench = bench_with(IN_ENVIRONMENT)
    bench.source.identity = bench.source.identity._replace(key=LOGGED_IN)
    assert advise_missing(bench.source) == "Give --username: a secret is set (PX_PASSWORD), but no user name."


def test_with_a_ticket_the_error_does_not_mention_a_password() -> None:
    bench = bench_with("", "kerberos")
    error = make_refused_error(bench.login, ())
    assert isinstance(error, LoginRefusedError)
    assert "assword" not in error.hint


@pytest.mark.parametrize(
    ("name", "is_bare"), [("CORPalice", True), ("CORP\\alice", False), ("alice@CORP", False)]
)
def test_a_refused_name_without_a_domain_may_lack_its_quotes(name: str, is_bare: bool) -> None:
    bench = bench_with(IN_ENVIRONMENT)
    bench.source.identity = bench.source.identity._replace(name=name)
    assert ("Use quotes." in make_refused_error(bench.login, ()).hint) is is_bare
