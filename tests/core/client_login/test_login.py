"""Logins of clients, message by message: which are admitted, and what the others get."""

from __future__ import annotations

import hmac
import sys
from base64 import b64encode

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego._spnego import NegTokenInit, unpack_token

from px.core.auth.challenge import parse_challenges
from px.core.client_login.digest_verifier import NONCE_SECONDS
from px.core.client_login.login import Admitted, ClientLogin, Refused
from px.system.login.spnego_frame import frame_kerberos
from tests.core.client_login.clients import (
    PASSWORD,
    USER,
    Desk,
    ask,
    basic,
    challenges,
    credentials,
    decode_field,
    digest,
    is_in,
    log_in,
    ntlm_client,
    token_of,
    with_kerberos,
)

KERBEROS_OID, MS_KERBEROS_OID = "1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2"
NTLM_OID = "1.3.6.1.4.1.311.2.2.10"

by_pyspnegos_own_spnego = pytest.mark.skipif(
    sys.platform == "win32", reason="there pyspnego asks SSPI, with a user whom Windows does not know"
)


def refusal(verdict: Admitted | Refused) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize(
    ("policy", "schemes"),
    [
        ("ANY", ["negotiate", "ntlm", "digest", "digest", "basic"]),
        ("ANYSAFE", ["negotiate", "ntlm", "digest", "digest"]),
        ("NEGOTIATE", ["negotiate"]),
        ("NTLM,BASIC", ["ntlm", "basic"]),
        ("NONTLM", ["negotiate", "digest", "digest", "basic"]),
    ],
)
async def test_allowed_schemes_are_offered_strongest_first(policy, schemes):
    verdict = await ask(with_kerberos(policy).connect())
    assert [challenge.scheme for challenge in challenges(verdict)] == schemes
    assert refusal(verdict) == ""


@pytest.mark.parametrize(
    ("policy", "schemes"), [("ANY", ["ntlm", "digest", "basic"]), ("NEGOTIATE", ["negotiate"])]
)
def test_negotiate_with_ntlm_alone_is_offered_only_where_ntlm_is_not(policy, schemes):
    assert Desk(policy).auth.schemes == schemes


def test_without_a_password_only_kerberos_is_left():
    assert with_kerberos(with_password=False).auth.schemes == ["negotiate"]
    assert Desk(with_password=False).auth.schemes == []
    assert with_kerberos("NTLM,DIGEST,BASIC", with_password=False).auth.schemes == []


# Basic


async def test_basic_lets_one_request_in():
    login = Desk().connect()
    assert await ask(login, basic()) == Admitted(USER)
    assert not is_in(await ask(login))


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (USER, "wrong"),
        (USER, ""),
        (USER, PASSWORD + "x"),
        (USER, PASSWORD[:-1]),
        ("bob", PASSWORD),
        ("", PASSWORD),
    ],
)
async def test_basic_with_anything_wrong_is_refused_in_the_same_words(user, password):
    verdict = await ask(Desk().connect(), basic(user, password))
    assert refusal(verdict) == f"Basic: wrong user or password, as {user!r}"
    assert len(challenges(verdict)) == 4


@pytest.mark.parametrize("value", [b"Basic", b"Basic !", b"Basic " + b64encode(b"no colon"), b"Basic YQ"])
async def test_malformed_basic_is_no_login(value):
    assert not is_in(await ask(Desk().connect(), value))


async def test_a_password_with_colons_is_one_password():
    verdict = await ask(Desk().connect(), b"Basic " + b64encode(f"{USER}:{PASSWORD}:x".encode()))
    assert not is_in(verdict)


# A password without HTTP


async def test_the_password_of_a_socks_client_logs_its_connection_in():
    login = Desk("BASIC").connect()
    assert await login.receive_password(USER.encode(), PASSWORD.encode()) == Admitted(USER)
    assert await ask(login) == Admitted(USER)


@pytest.mark.parametrize(
    ("user", "password"), [(USER, "wrong"), ("bob", PASSWORD), ("", PASSWORD), (f"{USER}:x", PASSWORD)]
)
async def test_a_wrong_password_of_a_socks_client_logs_nothing_in(user, password):
    login = Desk("BASIC").connect()
    verdict = await login.receive_password(user.encode(), password.encode())
    assert refusal(verdict) == f"SOCKS: wrong user or password, as {user!r}"
    assert not is_in(await ask(login))


@pytest.mark.parametrize("policy", ["NTLM,DIGEST", "ANYSAFE"])
async def test_a_password_as_it_is_counts_only_where_basic_is_allowed(policy):
    verdict = await Desk(policy).connect().receive_password(USER.encode(), PASSWORD.encode())
    assert "no client may log in by Basic" in refusal(verdict)


async def test_passwords_are_compared_in_constant_time(monkeypatch):
    compared = []
    truly_compare = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return truly_compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for user, password in ((USER, "short"), ("bob", PASSWORD), ("bob", "x" * 1000)):
        await ask(Desk().connect(), basic(user, password))
    assert compared == [(32, 32)] * 3


# Digest


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_digest_lets_one_request_in(method):
    login = Desk().connect()
    first = await ask(login, method=method)
    assert await ask(login, digest(first, method=method), method=method) == Admitted(USER)
    assert not is_in(await ask(login, method=method))


async def test_digest_lets_a_tunnel_in():
    login = Desk().connect()
    request = {"method": b"CONNECT", "target": b"origin.test:443"}
    answer = digest(await ask(login, **request), method=b"CONNECT", uri=b"origin.test:443")
    assert is_in(await ask(login, answer, **request))


async def test_a_digest_is_good_over_another_connection_but_only_once():
    desk = Desk()
    answer = digest(await ask(desk.connect()))
    assert is_in(await ask(desk.connect(), answer))
    for login in (desk.connect(), desk.connect()):
        replayed = await ask(login, answer)
        assert refusal(replayed) == ""
        assert all(each.params["stale"] == "true" for each in challenges(replayed) if each.scheme == "digest")


async def test_a_nonce_is_used_again_with_the_next_count():
    login = Desk().connect()
    first = await ask(login)
    for number in (1, 2, 3):
        assert is_in(await ask(login, digest(first, nonce_count=number)))


async def test_an_old_nonce_is_stale_and_the_new_one_good():
    desk = Desk()
    login = desk.connect()
    first = await ask(login)
    desk.seconds += NONCE_SECONDS + 1
    second = await ask(login, digest(first))
    assert b"stale=true" in b"".join(second.challenges if isinstance(second, Refused) else [])
    assert is_in(await ask(login, digest(second)))


async def test_a_wrong_password_is_never_called_stale():
    desk = Desk()
    first = await ask(desk.connect())
    desk.seconds += NONCE_SECONDS + 1
    verdict = await ask(desk.connect(), digest(first, password="wrong"))
    assert refusal(verdict) == f"Digest: wrong user or password, as {USER!r}"
    assert not any("stale" in each.params for each in challenges(verdict))


@pytest.mark.parametrize(
    "wrong",
    [{"password": "wrong"}, {"user": "bob"}, {"method": b"POST"}, {"uri": b"http://other.test/"}],
    ids=str,
)
async def test_digest_with_anything_wrong_is_refused(wrong):
    login = Desk().connect()
    assert "Digest: " in refusal(await ask(login, digest(await ask(login), **wrong)))


# NTLM


async def test_ntlm_logs_the_connection_in():
    desk = Desk()
    login = desk.connect()
    assert await log_in(login) == Admitted(USER)
    assert await ask(login) == Admitted(USER)
    assert not is_in(await ask(desk.connect()))


async def test_only_the_challenge_comes_with_the_second_407():
    client = ntlm_client()
    verdict = await ask(Desk().connect(), credentials(b"NTLM", client.step()))
    assert refusal(verdict) == ""
    assert token_of(verdict).startswith(b"NTLMSSP\0\x02")


async def test_a_windows_spelling_logs_in():
    assert await log_in(Desk().connect(), client=ntlm_client(f"CORP\\{USER.upper()}")) == Admitted(
        f"CORP\\{USER.upper()}"
    )
    assert await log_in(Desk().connect(), client=ntlm_client(f"{USER}@corp.test")) == Admitted(
        f"corp.test\\{USER}"
    )


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("bob", PASSWORD), ("bob", "wrong")])
async def test_ntlm_with_anything_wrong_is_refused_in_the_same_words(user, password):
    login = Desk().connect()
    verdict = await log_in(login, client=ntlm_client(user, password))
    assert refusal(verdict) == "wrong user or password, or an answer to another challenge"
    assert len(challenges(verdict)) == 4
    assert not is_in(await ask(login))


async def test_a_final_token_is_good_on_its_own_connection_only():
    desk = Desk()
    victim, thief = desk.connect(), desk.connect()
    client = ntlm_client()
    first = credentials(b"NTLM", client.step())
    proof = credentials(b"NTLM", client.step(token_of(await ask(victim, first))))
    await ask(thief, first)  # it has a challenge of its own
    assert "another challenge" in refusal(await ask(thief, proof))
    assert "out of turn" in refusal(await ask(desk.connect(), proof))
    assert is_in(await ask(victim, proof))
    assert "out of turn" in refusal(await ask(desk.connect(), proof))


async def test_a_final_token_is_good_once():
    login = Desk().connect()
    client = ntlm_client()
    challenge = token_of(await ask(login, credentials(b"NTLM", client.step())))
    proof = credentials(b"NTLM", client.step(challenge))
    assert is_in(await ask(login, proof))
    assert not is_in(await ask(login, proof))
    assert not is_in(await ask(login))


async def test_a_challenge_cannot_be_tried_twice():
    login = Desk().connect()
    good, bad = ntlm_client(), ntlm_client(password="wrong")
    first = good.step()
    bad.step()
    challenge = token_of(await ask(login, credentials(b"NTLM", first)))
    assert not is_in(await ask(login, credentials(b"NTLM", bad.step(challenge))))
    assert "out of turn" in refusal(await ask(login, credentials(b"NTLM", good.step(challenge))))


async def test_a_new_login_takes_the_place_of_the_old_one():
    login = Desk().connect()
    await log_in(login)
    client = ntlm_client(password="wrong")
    assert not is_in(await ask(login, credentials(b"NTLM", client.step())))
    assert not is_in(await ask(login)), "half a login is none"
    assert await log_in(login) == Admitted(USER)
    assert not is_in(await ask(login, basic(password="wrong")))
    assert not is_in(await ask(login)), "who got it wrong is a stranger again"


async def test_a_request_in_the_middle_of_a_login_neither_ends_nor_completes_it():
    login = Desk().connect()
    client = ntlm_client()
    challenge = token_of(await ask(login, credentials(b"NTLM", client.step())))
    assert not is_in(await ask(login))
    assert is_in(await ask(login, credentials(b"NTLM", client.step(challenge))))


# Negotiate


async def test_bare_ntlm_inside_negotiate_logs_in():
    login = Desk("NEGOTIATE").connect()
    assert await log_in(login, b"Negotiate") == Admitted(USER)
    assert await ask(login) == Admitted(USER)


@by_pyspnegos_own_spnego
async def test_ntlm_in_spnego_logs_in_and_pyspnego_accepts_the_reply():
    login = Desk("NEGOTIATE").connect()
    client = ntlm_client(protocol="negotiate")
    verdict = await log_in(login, b"Negotiate", client)
    assert isinstance(verdict, Admitted)
    assert verdict.user == USER
    client.step(decode_field(verdict.challenge))
    assert client.complete
    assert is_in(await ask(login))


@by_pyspnegos_own_spnego
async def test_ntlm_in_spnego_with_a_wrong_password_is_refused():
    client = ntlm_client(password="wrong", protocol="negotiate")
    assert "wrong user" in refusal(await log_in(Desk("NEGOTIATE").connect(), b"Negotiate", client))


async def test_kerberos_in_spnego_logs_in_at_once_and_gets_its_answer():
    login = with_kerberos().connect()
    verdict = await ask(login, credentials(b"Negotiate", frame_kerberos(b"ticket of alice@CORP.TEST")))
    assert isinstance(verdict, Admitted)
    assert verdict.user == "alice@CORP.TEST"
    reply = unpack_token(decode_field(verdict.challenge))
    assert reply.response_token == b"and I am Px"
    assert reply.supported_mech == KERBEROS_OID
    assert await ask(login) == Admitted("alice@CORP.TEST")


async def test_a_windows_client_whose_ticket_is_not_for_px_goes_on_with_ntlm():
    login = with_kerberos("NEGOTIATE").connect()
    first = NegTokenInit([MS_KERBEROS_OID, KERBEROS_OID, NTLM_OID], mech_token=b"for somebody else").pack()
    reply = unpack_token(token_of(await ask(login, credentials(b"Negotiate", first))))
    assert reply.supported_mech == NTLM_OID
    assert await log_in_inside(login) == Admitted(USER)


async def log_in_inside(login: ClientLogin) -> Admitted | Refused:
    """Go on by NTLM where Px has chosen it; the final token of Px's does not matter here."""
    client = ntlm_client()
    first = await ask(login, credentials(b"Negotiate", frame_response(client.step())))
    proof = client.step(unpack_token(token_of(first)).response_token)
    verdict = await ask(login, credentials(b"Negotiate", frame_response(proof)))
    return Admitted(verdict.user) if isinstance(verdict, Admitted) else verdict


def frame_response(token: bytes) -> bytes:
    return spnego._spnego.NegTokenResp(response_token=token).pack()


async def test_where_ntlm_is_not_allowed_a_wrong_ticket_is_refused():
    first = NegTokenInit([MS_KERBEROS_OID, NTLM_OID], mech_token=b"for somebody else").pack()
    for policy in ("KERBEROS", "NONTLM"):
        verdict = await ask(with_kerberos(policy).connect(), credentials(b"Negotiate", first))
        assert refusal(verdict) == "Kerberos: no ticket of ours"


async def test_kerberos_is_not_taken_where_it_is_forbidden():
    ticket = credentials(b"Negotiate", frame_kerberos(b"ticket of alice@CORP.TEST"))
    assert "none of the client's mechanisms" in refusal(
        await ask(with_kerberos("NOKERBEROS").connect(), ticket)
    )
    assert refusal(await ask(with_kerberos("NTLM").connect(), ticket)) == ""


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate"])
@pytest.mark.parametrize(
    "token", [b"\0", b"NTLMSSP\0", b"NTLMSSP\0\x03\0\0\0", b"\x60\x03\x06\x01\x2a", b"\xa1\0"]
)
async def test_nonsense_is_refused(scheme, token):
    assert refusal(await ask(Desk("NTLM,NEGOTIATE").connect(), credentials(scheme, token)))


async def test_a_kerberos_token_is_refused_as_ntlm():
    token = frame_kerberos(b"ticket of alice@CORP.TEST")
    assert "not an NTLM message" in refusal(await ask(with_kerberos().connect(), credentials(b"NTLM", token)))


# Whom


@pytest.mark.parametrize("only", ["alice", "CORP\\alice", "alice@CORP.TEST", "ALICE@corp.test"])
async def test_the_only_allowed_client_is_admitted(only):
    login = with_kerberos(only=only).connect()
    assert is_in(await ask(login, credentials(b"Negotiate", frame_kerberos(b"ticket of alice@CORP.TEST"))))
    assert is_in(await ask(login, basic()))


async def test_another_client_is_refused_even_with_a_right_login():
    ticket = credentials(b"Negotiate", frame_kerberos(b"ticket of bob@CORP.TEST"))
    assert is_in(await ask(with_kerberos().connect(), ticket))
    login = with_kerberos(only="alice").connect()
    assert "is not alice" in refusal(await ask(login, ticket))
    assert not is_in(await ask(login))
    other = with_kerberos(only="carol").connect()
    assert not is_in(await ask(other, basic()))
    assert not is_in(await ask(other, digest(await ask(other))))
    assert not is_in(await log_in(other))


async def test_a_name_that_would_break_a_line_of_a_log_is_refused():
    token = frame_kerberos(b"ticket of bob\n2026 alice@CORP.TEST")
    assert "control characters" in refusal(
        await ask(with_kerberos().connect(), credentials(b"Negotiate", token))
    )
    assert "\n" not in refusal(await ask(Desk().connect(), b"Basic " + b64encode(b"a\nb:c")))


# Anything else


@pytest.mark.parametrize("value", [b"", b"Bearer abc", b"NTLM", b"Negotiate", b"Negotiate ,", b"Digest"])
async def test_a_login_that_px_does_not_offer_gets_all_offers(value):
    verdict = await ask(with_kerberos().connect(), value)
    assert len(challenges(verdict)) == 5


async def test_a_request_with_two_logins_has_no_login():
    both = basic() + b", " + basic()
    assert len(parse_challenges([both])) == 2
    assert refusal(await ask(Desk().connect(), both)) == ""


async def test_a_scheme_that_is_not_offered_is_not_verified():
    for policy, value in (("NTLM", basic()), ("BASIC", credentials(b"NTLM", ntlm_client().step()))):
        verdict = await ask(Desk(policy).connect(), value)
        assert [challenge.scheme for challenge in challenges(verdict)] == [policy.lower()]
        assert refusal(verdict) == ""


async def test_a_login_that_cannot_be_verified_raises_a_timeout():
    class Silent:
        async def step(self, token: bytes):
            raise TimeoutError

    login = Desk(acceptors={"ntlm": Silent}).connect()
    with pytest.raises(TimeoutError):
        await ask(login, credentials(b"NTLM", ntlm_client().step()))
    assert not is_in(await ask(login))


@given(st.binary(max_size=300).map(lambda data: bytes(byte for byte in data if byte not in b"\r\n\0")))
async def test_noise_admits_no_client(noise):
    login = with_kerberos().connect()
    for value in (noise, *(scheme + b" " + b64encode(noise) for scheme in (b"Basic", b"NTLM", b"Negotiate"))):
        text = bytes(byte for byte in value if byte == 9 or 32 <= byte != 127)
        assert not is_in(await ask(login, text))


async def test_ten_thousand_bad_logins_leave_nothing_behind():
    desk = Desk()
    login = desk.connect()
    first = await ask(login)
    for number in range(10_000):
        await ask(
            login, digest(first, password="wrong", nonce_count=number + 1) if number % 2 else basic("x")
        )
    assert not desk.auth.nonces._used
    assert repr(login) == "<ClientLogin new>"


async def test_nothing_shows_a_secret():
    desk = Desk(only=USER)
    login = desk.connect()
    client = ntlm_client()
    challenge = token_of(await ask(login, credentials(b"NTLM", client.step())))
    shown = [repr(each) for each in (desk.auth, login, login._negotiation, desk.auth.nonces)]
    await ask(login, credentials(b"NTLM", client.step(challenge)))
    shown.append(repr(login))
    assert shown[1] == "<ClientLogin challenged>"
    assert shown[-1] == "<ClientLogin logged in>"
    assert not any(PASSWORD in each for each in shown)
