"""What was sent last on a connection, by each method."""

from __future__ import annotations

from base64 import b64encode

import pytest

from px.core.auth.challenge import parse_challenges
from px.core.errors import LoginUnusableError
from px.core.login.handshake import Handshake
from px.core.login.method import Method
from px.core.login.request_line import RequestLine
from tests.core.login.test_attempt import CHALLENGE, NTLM_1, NTLM_3, Bench
from tests.scripted_upstream import digest_challenge


def begin_at(bench: Bench) -> Handshake:
    return Handshake(bench.login, RequestLine(b"GET", b"/", "origin:80"))


async def begin(handshake: Handshake, method: Method) -> bytes:
    return await handshake.begin(method, None, is_challenged=True, is_accepted_lately=False)


async def test_only_the_second_token_of_ntlm_is_final() -> None:
    handshake = begin_at(Bench("ntlm"))
    assert handshake.may_reach_origin  # nothing was sent
    assert await begin(handshake, Method.NTLM) == NTLM_1
    assert (handshake.method, handshake.is_final, handshake.may_reach_origin) == (Method.NTLM, False, False)
    token, is_bare = handshake.find_token(parse_challenges([b"Basic realm=x", CHALLENGE]))
    assert (token, is_bare) == (b"challenge", False)
    assert await handshake.go_on(token) == NTLM_3
    assert (handshake.is_final, handshake.may_reach_origin) == (True, True)
    handshake.forget()
    assert (handshake.method, handshake.has_session, handshake.is_final) == (None, False, False)


async def test_a_scheme_without_a_token_comes_bare() -> None:
    handshake = begin_at(Bench("ntlm"))
    await begin(handshake, Method.NTLM)
    assert handshake.find_token(parse_challenges([b"NTLM"])) == (b"", True)
    assert handshake.find_token(parse_challenges([b"Basic realm=x"])) == (b"", False)


async def test_basic_is_final_at_once_and_digest_once_it_has_a_nonce() -> None:
    basic, digest = begin_at(Bench("basic")), begin_at(Bench("digest"))
    assert await begin(basic, Method.BASIC) == b"Basic " + b64encode(b"DOM\\user:secret")
    assert basic.is_final
    assert await digest.begin(Method.DIGEST, None, is_challenged=False, is_accepted_lately=True) == b""
    assert (digest.method, digest.is_final) == (None, False)
    digest.digest.receive_challenge(parse_challenges([digest_challenge("n1")]))
    assert (await begin(digest, Method.DIGEST)).startswith(b"Digest ")
    assert (digest.method, digest.is_final) == (Method.DIGEST, True)


async def test_a_method_that_cannot_begin_leaves_nothing_sent() -> None:
    bench = Bench("kerberos")
    bench.source.failures["kerberos"] = LoginUnusableError("no ticket")
    handshake = begin_at(bench)
    with pytest.raises(LoginUnusableError):
        await begin(handshake, Method.KERBEROS)
    assert (handshake.method, handshake.is_final, handshake.may_reach_origin) == (None, False, True)
