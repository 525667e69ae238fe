"""The messages to SOCKS upstreams, byte for byte as in RFC 1928, RFC 1929 and SOCKS 4A."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import PxError, TargetError, UnreachableError
from px.core.http.target import Authority
from px.core.rules.route import parse_upstreams
from px.core.secret import Secret
from px.core.socks.messages import Awaited, SocksHandshake

FIVE, FIVE_AS_ALICE, FOUR, FOUR_AS_BOB = parse_upstreams(
    "socks5://five,socks5://alice:s3cr%C3%A9t@five,socks4://four,socks4://bob@four"
)
NAME = Authority("origin.example", 443)
IPV4 = Authority("192.0.2.7", 80)
IPV6 = Authority("2001:db8::7", 8080)

ASK_5 = b"\5\1\0\3\x0eorigin.example\x01\xbb"
GRANTED_5 = b"\5\0\0\1\xc0\0\2\1\x12\x34"
GRANTED_4 = b"\0\x5a\x12\x34\xc0\0\2\1"


def asked(upstream=FIVE, target=NAME) -> SocksHandshake:
    """Return a handshake that has sent its request."""
    handshake = SocksHandshake(upstream, target)
    handshake.begin()
    if upstream.scheme == "socks5":
        handshake.receive(b"\5\0")
    assert handshake.awaited is Awaited.REPLY
    return handshake


def test_socks5_without_a_login():
    handshake = SocksHandshake(FIVE, NAME)
    assert handshake.begin() == b"\5\1\0"
    assert handshake.receive(b"\5\0") == ASK_5
    assert handshake.receive(GRANTED_5) == b""
    assert handshake.awaited is Awaited.NOTHING
    assert handshake.rest == b""


def test_socks5_with_user_and_password():
    handshake = SocksHandshake(FIVE_AS_ALICE, NAME)
    assert handshake.begin() == b"\5\2\0\2"
    assert handshake.receive(b"\5\2") == b"\1\5alice\7" + "s3crét".encode()
    assert handshake.awaited is Awaited.VERDICT
    assert handshake.receive(b"\1\0") == ASK_5


def test_a_password_is_not_sent_to_an_upstream_that_wants_none():
    handshake = SocksHandshake(FIVE_AS_ALICE, NAME)
    assert handshake.begin() == b"\5\2\0\2"
    assert handshake.receive(b"\5\0") == ASK_5


def test_a_user_without_a_password_has_an_empty_one():
    handshake = SocksHandshake(replace(FIVE_AS_ALICE, password=None), NAME)
    handshake.begin()
    assert handshake.receive(b"\5\2") == b"\1\5alice\0"


def test_a_verdict_that_begins_with_five_is_understood():
    handshake = SocksHandshake(FIVE_AS_ALICE, NAME)
    handshake.begin()
    handshake.receive(b"\5\2")
    assert handshake.receive(b"\5\0") == ASK_5


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (IPV4, b"\5\1\0\1\xc0\0\2\7\0\x50"),
        (IPV6, b"\5\1\0\4\x20\1\x0d\xb8" + bytes(11) + b"\7\x1f\x90"),
        (Authority("a" * 255, 1), b"\5\1\0\3\xff" + b"a" * 255 + b"\0\1"),
    ],
)
def test_socks5_asks_for_names_and_addresses(target, expected):
    handshake = SocksHandshake(FIVE, target)
    handshake.begin()
    assert handshake.receive(b"\5\0") == expected


@pytest.mark.parametrize(
    ("upstream", "target", "expected"),
    [
        (FOUR, IPV4, b"\4\1\0\x50\xc0\0\2\7\0"),
        (FOUR_AS_BOB, IPV4, b"\4\1\0\x50\xc0\0\2\7bob\0"),
        (FOUR, NAME, b"\4\1\x01\xbb\0\0\0\1\0origin.example\0"),
        (FOUR_AS_BOB, NAME, b"\4\1\x01\xbb\0\0\0\1bob\0origin.example\0"),
        (FOUR, IPV6, b"\4\1\x1f\x90\0\0\0\1\x002001:db8::7\0"),
    ],
)
def test_socks4_asks_at_once(upstream, target, expected):
    handshake = SocksHandshake(upstream, target)
    assert (handshake.begin(), handshake.awaited) == (expected, Awaited.REPLY)
    assert handshake.receive(GRANTED_4) == b""
    assert handshake.awaited is Awaited.NOTHING


@pytest.mark.parametrize(
    "reply",
    [
        GRANTED_5,
        b"\5\0\0\3\4abcd\0\1",
        b"\5\0\0\3\0\0\1",
        b"\5\0\0\4" + bytes(16) + b"\0\1",
    ],
)
@pytest.mark.parametrize("rest", [b"", b"220 origin.example ESMTP\r\n"])
def test_the_origins_first_bytes_come_after_the_reply(reply, rest):
    handshake = asked()
    handshake.receive(reply + rest)
    assert (handshake.awaited, handshake.rest) == (Awaited.NOTHING, rest)


@given(st.lists(st.integers(1, 5)))
def test_answers_may_come_in_pieces_of_any_size(sizes):
    handshake = SocksHandshake(FIVE_AS_ALICE, NAME)
    sent = [handshake.begin()]
    stream = b"\5\2\1\0" + GRANTED_5 + b"hello"
    for size in [*sizes, len(stream)]:
        if handshake.awaited is not Awaited.NOTHING:
            piece, stream = stream[:size], stream[size:]
            sent.append(handshake.receive(piece))
    assert b"".join(sent) == b"\5\2\0\2" + b"\1\5alice\7" + "s3crét".encode() + ASK_5
    assert handshake.rest + stream == b"hello"


@pytest.mark.parametrize(
    ("code", "status", "proxy_status", "text"),
    [
        (2, 403, "http_request_denied", "its rules do not allow that"),
        (3, 502, "destination_ip_unroutable", "no network leads there"),
        (4, 502, "destination_unavailable", "it cannot find that host"),
        (5, 502, "connection_refused", "nothing listens there"),
        (6, 504, "connection_timeout", "no answer in time"),
        (8, 502, "destination_ip_unroutable", "addresses of that kind"),
    ],
)
def test_a_reply_of_socks5_about_a_target_is_an_answer(code, status, proxy_status, text):
    with pytest.raises(TargetError, match=text) as caught:
        asked().receive(bytes((5, code)))  # some upstreams then close without more bytes
    assert caught.value.cause.startswith(
        "The upstream socks5://five:1080 does not connect to origin.example:443"
    )
    assert f"(SOCKS5 reply {code})" in caught.value.cause
    assert (caught.value.status, caught.value.proxy_status) == (status, proxy_status)


@pytest.mark.parametrize("code", [1, 7, 9, 255])
def test_after_a_reply_of_socks5_about_itself_another_upstream_is_tried(code):
    with pytest.raises(UnreachableError, match=rf"\(SOCKS5 reply {code}\)") as caught:
        asked().receive(bytes((5, code, 0, 1)))
    assert caught.value.status == 502


def test_the_replies_of_socks4():
    with pytest.raises(TargetError, match=r"SOCKS4 has no details \(SOCKS4 reply 91\)"):
        asked(FOUR).receive(b"\0\x5b")
    for code in (0x5C, 0x5D, 0, 1):
        with pytest.raises(UnreachableError, match=rf"\(SOCKS4 reply {code}\)"):
            asked(FOUR).receive(bytes((0, code)))


def test_an_upstream_that_wants_a_missing_login():
    handshake = SocksHandshake(FIVE, NAME)
    handshake.begin()
    with pytest.raises(UnreachableError, match=r"five:1080 wants a login\.") as caught:
        handshake.receive(b"\5\xff")
    assert "socks5://USER:PASSWORD@five:1080" in caught.value.hint


def test_a_method_that_was_not_offered():
    for method in (1, 2, 0xFF):
        handshake = SocksHandshake(FIVE if method == 2 else FIVE_AS_ALICE, NAME)
        handshake.begin()
        with pytest.raises(UnreachableError, match=r"five:1080 wants a"):
            handshake.receive(bytes((5, method)))


def test_a_login_that_is_refused_names_the_user_and_no_password():
    handshake = SocksHandshake(FIVE_AS_ALICE, NAME)
    handshake.begin()
    handshake.receive(b"\5\2")
    with pytest.raises(UnreachableError, match=r"five:1080 refuses the login of alice \(status 7") as caught:
        handshake.receive(b"\1\7")
    assert "s3cr" not in repr(handshake) + caught.value.cause + caught.value.hint


def test_a_stored_password_that_is_too_long_is_not_sent():
    handshake = SocksHandshake(replace(FIVE_AS_ALICE, password=Secret("x" * 256)), NAME)
    handshake.begin()
    with pytest.raises(UnreachableError, match="255 bytes"):
        handshake.receive(b"\5\2")


@pytest.mark.parametrize("upstream", [FIVE, FOUR], ids=["socks5", "socks4"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"\x15\3\1\0\2", b"\6"])
def test_another_protocol_is_known_by_its_first_byte(upstream, answer):
    handshake = SocksHandshake(upstream, NAME)
    handshake.begin()
    with pytest.raises(UnreachableError, match=r"does not speak SOCKS[45]\.") as caught:
        handshake.receive(answer)
    assert "http://" in caught.value.hint


def test_a_grant_with_an_unknown_kind_of_address_is_broken():
    with pytest.raises(UnreachableError, match="unknown kind 9"):
        asked().receive(b"\5\0\0\x09\0\0")


@pytest.mark.parametrize(
    ("upstream", "answers", "due"),
    [
        (FIVE, [], "method"),
        (FIVE_AS_ALICE, [b"\5\2"], "verdict"),
        (FIVE, [b"\5\0"], "reply"),
        (FOUR, [], "reply"),
    ],
)
def test_a_closed_connection_is_the_upstreams_failure(upstream, answers, due):
    handshake = SocksHandshake(upstream, NAME)
    handshake.begin()
    for answer in answers:
        handshake.receive(answer)
    error = handshake.receive_end()
    assert isinstance(error, UnreachableError)
    assert f"before its {due}." in error.cause


def test_silence_is_the_upstreams_unless_it_may_be_waiting_for_the_origin():
    handshake = SocksHandshake(FIVE, NAME)
    handshake.begin()
    silent: PxError = handshake.receive_silence(5)
    assert isinstance(silent, UnreachableError)
    assert "was silent for 5 s" in silent.cause
    slow = asked().receive_silence(60)
    assert isinstance(slow, TargetError)
    assert (slow.status, slow.proxy_status) == (504, "connection_timeout")
    assert "within 60 s whether it reaches origin.example:443" in slow.cause
    assert isinstance(asked(FOUR).receive_silence(60), UnreachableError), "it has never said a thing"
