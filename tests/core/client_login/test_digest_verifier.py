"""Digest from the verifying side, against RFC 7616's numbers and against Px's own client side."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.auth import digest
from px.core.auth.challenge import parse_challenges
from px.core.auth.digest import answer_digest, choose_digest
from px.core.client_login import digest_verifier
from px.core.client_login.digest_verifier import (
    NONCE_SECONDS,
    WINDOW_COUNTS,
    DigestAnswer,
    DigestAnswerError,
    DigestNonces,
    format_challenges,
    parse_answer,
)

URL = b"http://origin.test/path?q"
TARGETS = (URL, b"/path?q")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


def make_nonces(clock: Clock | None = None, key: bytes = b"k" * 32) -> DigestNonces:
    numbers = count(1)
    return DigestNonces(key, lambda size: next(numbers).to_bytes(size, "big"), clock or Clock())


def answer(
    password: str = "secret", *, user: str = "alice", uri: bytes = URL, changes: dict[str, str] | None = None
) -> DigestAnswer:
    """What Px sends upstream, taken apart again as a client's."""
    challenge = choose_digest(parse_challenges(format_challenges("n1", is_stale=False)))
    assert challenge is not None
    sent = answer_digest(
        challenge,
        method=b"GET",
        uri=uri,
        username=user,
        password=password,
        nonce_count=1,
        cnonce="c1",
    )
    (credentials,) = parse_challenges([sent])
    return parse_answer({**credentials.params, **(changes or {})}, TARGETS)


#: RFC 7616 3.9.1; the realm there is another, so it is put in place of ours.
VECTOR = {
    "username": "Mufasa",
    "realm": "http-auth@example.org",
    "uri": "/dir/index.html",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": "auth",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_are_right(monkeypatch, algorithm, response):
    monkeypatch.setattr(digest_verifier, "REALM", b"http-auth@example.org")
    given_ = {**VECTOR, "algorithm": algorithm, "response": response}
    vector = parse_answer(given_, [b"/dir/index.html"])
    assert vector.is_right(b"GET", b"Circle of Life")
    assert not vector.is_right(b"GET", b"Circle of life")
    assert not vector.is_right(b"POST", b"Circle of Life")


def test_without_an_algorithm_it_is_md5(monkeypatch):
    monkeypatch.setattr(digest_verifier, "REALM", b"http-auth@example.org")
    vector = parse_answer({**VECTOR, "response": "8CA523F5E9506FED4657C9700EEBDBEC"}, [b"/dir/index.html"])
    assert vector.is_right(b"GET", b"Circle of Life")


def test_the_stronger_algorithm_is_offered_first_and_chosen():
    offered = parse_challenges(format_challenges("n", is_stale=False))
    assert [challenge.params["algorithm"] for challenge in offered] == ["SHA-256", "MD5"]
    chosen = choose_digest(offered)
    assert chosen is not None
    assert chosen.params == {
        "realm": "Px",
        "nonce": "n",
        "algorithm": "SHA-256",
        "qop": "auth",
        "charset": "UTF-8",
    }
    assert chosen.scheme == "digest"
    assert all(b"stale=true" in each for each in format_challenges("n", is_stale=True))


def test_where_md5_is_forbidden_it_is_not_offered(monkeypatch):
    monkeypatch.setattr(digest, "_is_hash_available", lambda name: name != "md5")
    (offer,) = format_challenges("n", is_stale=False)
    assert b"SHA-256" in offer


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.text())
def test_credentials_of_the_client_side_are_right_on_the_verifying_side(user, password):
    password = password.encode("utf-8", "ignore").decode()
    proof = answer(password, user=user)
    assert proof.username.decode() == user
    assert proof.is_right(b"GET", password.encode())
    assert not proof.is_right(b"GET", password.encode() + b"x")


def test_a_login_for_the_path_alone_is_one_for_the_target():
    assert answer(uri=b"/path?q").is_right(b"GET", b"secret")


def test_a_login_names_the_target_as_the_client_has_written_it():
    params = {**VECTOR, "realm": "Px", "uri": "/d\u00fcr?q#top"}
    assert parse_answer(params, [b"/d%C3%BCr?q"]).uri == "/d\u00fcr?q#top".encode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"realm": "company"}, "another realm"),
        ({"uri": "http://origin.test/other"}, "another target"),
        ({"uri": ""}, "another target"),
        ({"qop": "auth-int"}, "not offered"),
        ({"qop": ""}, "not offered"),
        ({"algorithm": "MD5-sess"}, "not offered"),
        ({"algorithm": "SHA-512-256"}, "not offered"),
        ({"nc": "1"}, "malformed"),
        ({"nc": "0000000g"}, "malformed"),
        ({"nonce": "é"}, "malformed"),
        ({"cnonce": ""}, "malformed"),
        ({"username": ""}, "no user name"),
        ({"userhash": "true"}, "no user name"),
    ],
)
def test_credentials_that_answer_no_challenge_of_px_are_refused(change, reason):
    with pytest.raises(DigestAnswerError, match=reason):
        answer(changes=change)


@pytest.mark.parametrize("missing", ["response", "nonce", "nc", "cnonce", "username", "uri", "realm", "qop"])
def test_an_answer_without_a_part_is_refused_or_wrong(missing):
    params = {"username": "a", "realm": "Px", "uri": URL.decode(), "nonce": "n", "nc": "00000001"}
    params |= {"cnonce": "c", "qop": "auth", "response": "0" * 32}
    del params[missing]
    try:
        assert not parse_answer(params, TARGETS).is_right(b"GET", b"secret")
    except DigestAnswerError:
        return
    assert missing == "response"


def test_a_nonce_is_good_again_and_again_with_new_counts():
    nonces = make_nonces()
    nonce = nonces.make()
    assert nonce != nonces.make()
    assert [nonces.use(nonce, f"{number:08x}") for number in (1, 2, 3, 10)] == [True] * 4


def test_the_same_count_again_is_a_replay():
    nonces = make_nonces()
    nonce = nonces.make()
    assert nonces.use(nonce, "0000000a")
    assert not nonces.use(nonce, "0000000a")
    assert not nonces.use(nonce, "0000000A")


@given(st.lists(st.integers(0, 300), max_size=60))
def test_no_count_is_accepted_twice_in_any_order(counts):
    nonces = make_nonces()
    nonce = nonces.make()
    taken = [number for number in counts if nonces.use(nonce, f"{number:08x}")]
    assert len(taken) == len(set(taken))
    assert 0 not in taken
    highest = 0
    for number in counts:  # within the window nothing new is refused
        if number and number not in counts[: counts.index(number)] and highest - number < WINDOW_COUNTS:
            assert number in taken
        highest = max(highest, number)


def test_a_huge_leap_of_the_count_costs_nothing():
    nonces = make_nonces()
    nonce = nonces.make()
    assert nonces.use(nonce, "ffffffff")
    assert nonces._used.popitem()[1].seen.bit_length() <= WINDOW_COUNTS
    assert not nonces.use(make_nonces(key=b"other").make(), "00000001")


def test_a_nonce_grows_stale():
    clock = Clock()
    nonces = make_nonces(clock)
    nonce = nonces.make()
    clock.seconds += NONCE_SECONDS
    assert nonces.use(nonce, "00000001")
    clock.seconds += 0.01
    assert not nonces.use(nonce, "00000002")


@pytest.mark.parametrize("nonce", ["", "n", "====", "A" * 40, "!" * 40])
def test_a_nonce_that_px_did_not_make_is_stale(nonce):
    assert not make_nonces().use(nonce, "00000001")
    assert not make_nonces().use(make_nonces(key=b"x" * 32).make(), "00000001")


def test_a_nonce_that_was_altered_is_stale():
    nonces = make_nonces()
    nonce = nonces.make()
    for position in range(len(nonce)):
        changed = nonce[:position] + ("B" if nonce[position] != "B" else "C") + nonce[position + 1 :]
        assert not nonces.use(changed, "00000001")


def test_a_nonce_from_the_future_is_stale():
    clock = Clock()
    nonces = make_nonces(clock)
    nonce = nonces.make()
    clock.seconds -= 1
    assert not nonces.use(nonce, "00000001")


def test_unused_nonces_cost_no_memory():
    nonces = make_nonces()
    for _ in range(1000):
        nonces.make()
    assert not nonces._used


def test_used_nonces_are_bounded_and_a_forgotten_one_cannot_be_replayed(monkeypatch):
    monkeypatch.setattr(digest_verifier, "MAX_NONCES", 10)
    clock = Clock()
    nonces = make_nonces(clock)
    made = []
    for _ in range(30):
        clock.seconds += 0.001
        made.append(nonces.make())
    assert all(nonces.use(nonce, "00000001") for nonce in made)
    assert len(nonces._used) <= 10
    assert not any(nonces.use(nonce, "00000001") for nonce in made)
    clock.seconds += 0.001
    assert nonces.use(nonces.make(), "00000001")


def test_old_nonces_make_room():
    clock = Clock()
    nonces = make_nonces(clock)
    nonces.use(nonces.make(), "00000001")
    clock.seconds += NONCE_SECONDS + 1
    nonces.use(nonces.make(), "00000001")
    assert len(nonces._used) == 1
