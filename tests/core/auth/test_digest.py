"""Digest answers and the nonce pool."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.auth.challenge import Challenge, parse_challenges
from px.core.auth.digest import NonceLease, NoncePool, answer_digest, choose_digest
from px.core.errors import LoginUnusableError


def challenge(**params: str) -> Challenge:
    return Challenge("digest", None, {"realm": "r", "nonce": "n", "qop": "auth", **params})


def answer(asked: Challenge, **changes) -> dict[str, str]:
    request = {"method": b"GET", "uri": b"/", "username": "u", "password": "p"}
    line = answer_digest(asked, **{**request, "nonce_count": 1, "cnonce": "c", **changes})
    assert line.startswith(b"Digest ")
    # Read by other code than the one under test.
    found = re.findall(r'([\w*]+)=("(?:[^"\\]|\\.)*"|[^,]+)', line.decode("utf-8", "surrogateescape")[7:])
    return {name: value.strip('"') for name, value in found}


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


#: RFC 7616 3.9.1.
RFC_REQUEST = {
    "uri": b"/dir/index.html",
    "username": "Mufasa",
    "password": "Circle of Life",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}


def rfc_challenge(algorithm: str) -> Challenge:
    line = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=' + algorithm + ","
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",'
        ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    return parse_challenges([line.encode()])[0]


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_3_9_1_holds(algorithm, response):
    fields = answer(rfc_challenge(algorithm), **RFC_REQUEST)
    assert fields["response"] == response
    assert fields["algorithm"] == algorithm
    assert fields["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    assert (fields["qop"], fields["nc"]) == ("auth", "00000001")


def test_the_example_of_rfc_7616_3_9_2_holds_as_its_erratum_4897_corrects_it():
    asked = challenge(
        realm="api@example.org",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        algorithm="SHA-512-256",
        charset="UTF-8",
        userhash="true",
    )
    fields = answer(
        asked,
        uri=b"/doe.json",
        username="J\u00e4s\u00f8n Doe",
        password="Secret, or not?",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert fields["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert fields["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert fields["userhash"] == "true"


def test_without_userhash_a_name_beyond_ascii_goes_in_the_extended_form():
    fields = answer(challenge(charset="UTF-8"), username="J\u00e4s\u00f8n Doe")
    assert fields["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert "username" not in fields


def test_a_session_algorithm_hashes_nonce_and_cnonce_into_a1():
    fields = answer(challenge(algorithm="MD5-sess"))
    ha1 = md5(md5("u:r:p") + ":n:c")
    assert fields["response"] == md5(f"{ha1}:n:00000001:c:auth:{md5('GET:/')}")


def test_without_qop_the_form_of_rfc_2069_is_used():
    fields = answer(Challenge("digest", None, {"realm": "r", "nonce": "n"}))
    assert fields["response"] == md5(f"{md5('u:r:p')}:n:{md5('GET:/')}")
    assert not {"qop", "nc", "cnonce", "algorithm"} & set(fields)


def test_the_count_is_eight_hex_digits():
    assert answer(challenge(), nonce_count=0x1A2B)["nc"] == "00001a2b"


def test_quotes_and_backslashes_are_escaped_on_the_wire_and_bare_in_the_hash():
    line = answer_digest(
        challenge(realm='a"b\\'),
        method=b"GET",
        uri=b"/",
        username="D\\u",
        password="p",
        nonce_count=1,
        cnonce="c",
    )
    assert rb'username="D\\u", realm="a\"b\\"' in line
    a1 = md5('D\\u:a"b\\:p')
    assert md5(f"{a1}:n:00000001:c:auth:{md5('GET:/')}").encode() in line


def test_a_realm_that_is_no_utf8_is_hashed_and_sent_byte_for_byte():
    asked = parse_challenges([b'Digest realm="B\xfcro", nonce="n", qop="auth"'])[0]
    line = answer_digest(
        asked, method=b"GET", uri=b"/", username="u", password="p", nonce_count=1, cnonce="c"
    )
    ha1 = hashlib.md5(b"u:B\xfcro:p").hexdigest()
    assert b'realm="B\xfcro"' in line
    assert md5(f"{ha1}:n:00000001:c:auth:{md5('GET:/')}").encode() in line


def test_the_strongest_algorithm_is_chosen_whatever_the_order():
    offers = [challenge(algorithm=name) for name in ("MD5", "SHA-256-sess", "SHA-512-256", "SHA-256")]
    assert choose_digest(offers) is offers[2]


def test_of_equally_strong_ones_the_first_is_chosen():
    offers = [challenge(realm="a"), challenge(realm="b")]
    assert choose_digest(offers) is offers[0]


@pytest.mark.parametrize(
    "params",
    [
        {"algorithm": "SHA-1"},
        {"qop": "auth-int"},
        {"qop": "", "algorithm": "MD5-sess"},
        {"nonce": ""},
    ],
)
def test_a_challenge_that_cannot_be_answered_is_not_chosen_and_raises(params):
    assert choose_digest([challenge(**params)]) is None
    with pytest.raises(LoginUnusableError):
        answer(challenge(**params))


def test_a_challenge_of_another_scheme_is_not_chosen():
    assert choose_digest([Challenge("basic", None, {"realm": "r", "nonce": "n"})]) is None


def test_a_challenge_without_realm_is_not_chosen():
    assert choose_digest([Challenge("digest", None, {"nonce": "n"})]) is None


def test_an_openssl_without_sha512_256_takes_the_next_best(monkeypatch):
    real = hashlib.new

    def without(name: str, data: bytes = b"", *, usedforsecurity: bool = True):
        if name == "sha512_256":
            raise ValueError("unsupported hash type")
        return real(name, data, usedforsecurity=usedforsecurity)

    monkeypatch.setattr(hashlib, "new", without)
    offers = [challenge(algorithm="SHA-512-256"), challenge(algorithm="SHA-256")]
    assert choose_digest(offers) is offers[1]


@pytest.mark.parametrize(("username", "password"), [("a\r\nb", "p"), ("u", "\ud800")])
def test_a_login_that_digest_cannot_carry_raises_and_stays_secret(username, password):
    with pytest.raises(LoginUnusableError) as caught:
        answer(challenge(), username=username, password=password)
    assert caught.value.__cause__ is None


def leased(pool: NoncePool) -> NonceLease:
    lease = pool.lease()
    assert lease is not None
    return lease


EVENTS = ["lease", "challenge", "back", "next", "drop"]


class TestNoncePool:
    def test_an_empty_pool_has_no_lease(self):
        assert NoncePool().lease() is None

    def test_who_is_challenged_uses_the_new_nonce_first_and_its_count_ascends(self):
        pool = NoncePool()
        first = pool.receive_challenge(challenge(), cnonce="x")
        pool.give_back(first)
        second = leased(pool)
        assert (first.nonce_count, second.nonce_count) == (1, 2)
        assert first.cnonce == second.cnonce == "x"

    def test_a_leased_nonce_is_not_leased_again(self):
        pool = NoncePool()
        pool.receive_challenge(challenge(), cnonce="x")
        assert pool.lease() is None

    def test_the_nonce_given_back_last_is_leased_first(self):
        pool = NoncePool()
        leases = [pool.receive_challenge(challenge(nonce=name), cnonce="x") for name in "ab"]
        pool.give_back(leases[1])
        pool.give_back(leases[0])
        assert leased(pool).challenge.params["nonce"] == "a"

    def test_a_stale_nonce_is_forgotten(self):
        pool = NoncePool()
        stale = pool.receive_challenge(challenge(nonce="a"), cnonce="x")
        fresh = pool.receive_challenge(challenge(nonce="b", stale="true"), cnonce="y", replaces=stale)
        pool.give_back(stale)  # too late, and harmless
        pool.give_back(fresh)
        assert leased(pool).challenge.params["nonce"] == "b"
        assert pool.lease() is None

    def test_the_same_nonce_asked_for_again_keeps_counting(self):
        pool = NoncePool()
        first = pool.receive_challenge(challenge(), cnonce="x")
        again = pool.receive_challenge(challenge(), cnonce="y", replaces=first)
        assert (again.nonce_count, again.cnonce) == (2, "x")

    def test_one_nonce_handed_to_two_exchanges_never_repeats_a_count(self):
        pool = NoncePool()
        one, two = (pool.receive_challenge(challenge(), cnonce="x") for _ in range(2))
        assert (one.nonce_count, two.nonce_count) == (1, 2)
        pool.give_back(one)
        assert pool.lease() is None
        pool.give_back(two)
        assert leased(pool).nonce_count == 3

    def test_nextnonce_takes_the_place_of_the_nonce_and_counts_from_one(self):
        pool = NoncePool()
        lease = pool.receive_challenge(challenge(nonce="a"), cnonce="x")
        pool.give_back(lease, next_nonce="b")
        following = leased(pool)
        assert (following.challenge.params["nonce"], following.nonce_count) == ("b", 1)
        assert pool.lease() is None

    def test_the_oldest_idle_nonces_fall_out(self):
        pool = NoncePool(max_idle=2)
        leases = [pool.receive_challenge(challenge(nonce=name), cnonce="x") for name in "abc"]
        for lease in leases:
            pool.give_back(lease)
        assert [leased(pool).challenge.params["nonce"] for _ in range(2)] == ["c", "b"]
        assert pool.lease() is None

    def test_a_dropped_nonce_is_gone(self):
        pool = NoncePool()
        pool.drop(pool.receive_challenge(challenge(), cnonce="x"))
        assert pool.lease() is None

    @given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 4))))
    def test_no_order_of_events_repeats_a_count_of_a_nonce(self, events):
        pool, seen = NoncePool(max_idle=3), set()
        held: list[NonceLease] = []
        for number, (event, pick) in enumerate(events):
            lease = None
            if event == "lease":
                lease = pool.lease()
            elif event == "challenge":
                lease = pool.receive_challenge(challenge(nonce=f"{number}"), cnonce="x")
            elif held:
                ended = held.pop(pick % len(held))
                if event == "drop":
                    pool.drop(ended)
                else:
                    pool.give_back(ended, next_nonce=f"next{number}" if event == "next" else None)
            if lease is not None:
                held.append(lease)
                use = (lease.challenge.params["nonce"], lease.nonce_count)
                assert use not in seen
                seen.add(use)
        assert len(pool._idle) <= 3

    def test_the_repr_shows_the_state(self):
        pool = NoncePool()
        pool.receive_challenge(challenge(), cnonce="x")
        assert repr(pool) == "<NoncePool 0 idle, 1 leased>"
