"""NTLM sessions, judged by our own verifying side (itself checked against MS-NLMP and curl)."""

from __future__ import annotations

import hmac
import logging
import struct

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.messages import NtlmLogin as Proved
from px.core.auth.ntlm.messages import format_challenge, parse_negotiate
from px.core.auth.ntlm.verifier import verify_authenticate
from px.core.errors import LoginUnusableError
from px.system.login.ntlm import NtlmLogin, NtlmSession

HASH = nt_hash("Pässwörd1€")
NOW = 133_000_000_000_000_000
BINDINGS = b"tls-server-end-point:" + bytes(32)


def is_complete(session: NtlmSession) -> bool:
    return session.is_complete  # a call, so that mypy does not take the answer for the last one


def open_session(username: str, *, workstation: str = "", bindings: bytes | None = None) -> NtlmSession:
    return NtlmLogin(username, HASH, workstation).open_session("proxy.test", bindings)


async def log_in(session: NtlmSession, demanded: bytes | None = None) -> tuple[Proved, bytes]:
    """Complete a handshake; return the user who logged in, and the last message."""
    negotiate = await session.step(None)
    assert not is_complete(session)
    flags = parse_negotiate(negotiate).flags
    challenge = format_challenge(b"12345678", "PX", NOW, negotiate_flags=flags)
    authenticate = await session.step(challenge)
    assert is_complete(session)
    return verify_authenticate(negotiate, challenge, authenticate, lambda *_: HASH, demanded), authenticate


@pytest.mark.parametrize(
    ("username", "user", "domain"),
    [("DOM\\jürgen", "jürgen", "DOM"), ("jürgen@dom.test", "jürgen@dom.test", ""), ("u", "u", "")],
)
async def test_every_way_to_write_a_user_logs_in(username, user, domain):
    proved, _ = await log_in(open_session(username))
    assert proved[:2] == (user, domain)


async def test_a_user_name_with_a_sharp_s_is_hashed_as_windows_does_it():
    proved, _ = await log_in(open_session("DOM\\groß"))
    assert proved.user == "groß"


async def test_the_last_message_has_a_mic_and_an_ntlmv2_response():
    _, authenticate = await log_in(open_session("DOM\\u"))
    assert authenticate[72:88] != bytes(16)
    assert struct.unpack_from("<H", authenticate, 20)[0] > 24


async def test_the_workstation_is_the_one_that_is_set():
    proved, _ = await log_in(open_session("DOM\\u", workstation="DESK7"))
    assert proved.workstation == "DESK7"


@pytest.mark.parametrize(
    ("host_name", "workstation"),
    [("desk7", "DESK7"), ("desk7.corp.example", "DESK7"), ("a-computer-with-a-long-name", "A-COMPUTER-WITH")],
)
async def test_without_one_the_workstation_is_the_host_name_as_netbios_cuts_it(
    monkeypatch, host_name, workstation
):
    monkeypatch.setattr("socket.gethostname", lambda: host_name)
    proved, _ = await log_in(open_session("DOM\\u"))
    assert proved.workstation == workstation


async def test_the_login_is_bound_to_the_tls_channel():
    proved, _ = await log_in(open_session("DOM\\u", bindings=BINDINGS), demanded=BINDINGS)
    assert proved.user == "u"


async def test_the_response_covers_the_service_name():
    _, authenticate = await log_in(open_session("DOM\\u"))
    assert "HTTP/proxy.test".encode("utf-16-le") in authenticate


@pytest.mark.parametrize("challenge", [b"", b"garbage", b"NTLMSSP\0\x02\0\0\0", b"NTLMSSP\0\x03" + bytes(60)])
async def test_a_broken_challenge_is_unusable(challenge):
    session = open_session("DOM\\u")
    await session.step(None)
    with pytest.raises(LoginUnusableError, match="broken NTLM challenge"):
        await session.step(challenge)


@pytest.mark.parametrize("length", [32, 40, 48])
async def test_a_challenge_without_the_newer_fields_is_answered_by_ntlmv2(length):
    session = open_session("DOM\\u")
    flags = parse_negotiate(await session.step(None)).flags & ~0x02800004  # without what is missing
    challenge = b"NTLMSSP\0" + struct.pack("<IHHIIQ", 2, 0, 0, 32, flags, 0x0807060504030201) + bytes(16)
    authenticate = await session.step(challenge[:length])
    assert is_complete(session)
    start, size = struct.unpack_from("<I", authenticate, 24)[0], struct.unpack_from("<H", authenticate, 20)[0]
    response = authenticate[start : start + size]
    key = hmac.digest(HASH, "UDOM".encode("utf-16-le"), "md5")
    assert response[:16] == hmac.digest(key, challenge[24:32] + response[16:], "md5")


async def test_a_name_that_the_upstream_cannot_read_is_unusable():
    session = open_session("DOM\\jürgen")
    await session.step(None)
    with pytest.raises(LoginUnusableError, match=r"cannot be used at proxy\.test: a name of the login"):
        await session.step(format_challenge(b"12345678", "PX", NOW, negotiate_flags=0x2))


async def test_a_session_may_begin_again_on_another_connection():
    session = open_session("DOM\\u")
    await log_in(session)
    await log_in(session)


async def test_a_challenge_out_of_turn_is_unusable():
    session = open_session("DOM\\u")
    with pytest.raises(LoginUnusableError, match="out of turn"):
        await session.step(b"x")
    await log_in(session)
    with pytest.raises(LoginUnusableError, match="out of turn"):
        await session.step(b"x")


async def test_tokens_stay_out_of_debug_logs(caplog):
    caplog.set_level(logging.DEBUG)
    await log_in(open_session("DOM\\u"))
    assert "TlRMTVNTUA" not in caplog.text


async def test_the_repr_shows_the_state():
    session = open_session("DOM\\u")
    assert repr(session) == "<NtlmSession new to proxy.test>"
    await session.step(None)
    assert repr(session) == "<NtlmSession open to proxy.test>"
