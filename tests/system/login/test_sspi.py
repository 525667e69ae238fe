"""SSPI sessions with sspilib replaced: its arguments, and the meaning of its errors.

The real SSPI runs on Windows only.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from px.core.errors import LoginRefusedError, LoginUnusableError
from px.core.secret import Secret
from px.system.login.sspi import SspiLogin, SspiSession, explain_failure
from px.system.login.tokens import make_token_source
from tests.system.login.fake_sspilib import FakeSspilib


def is_complete(session: SspiSession) -> bool:
    return session.is_complete  # a call, so that mypy does not take the answer for the last one


async def inline(function, *args):
    return function(*args)


class Context:
    """Stands for sspilib's ClientSecurityContext."""

    def __init__(self, tokens: list[bytes | None]) -> None:
        self._tokens = tokens
        self.challenges: list[bytes | None] = []
        self.complete = False

    def step(self, challenge: bytes | None) -> bytes | None:
        self.challenges.append(challenge)
        self.complete = len(self._tokens) == 1
        return self._tokens.pop(0)


@pytest.fixture
def asked(monkeypatch):
    """Collect the arguments of sspilib; answer with the tokens in ``asked["tokens"]``."""
    seen: dict[str, Any] = {"tokens": [b"token"]}

    def open_context(credential, target_name, *, flags, channel_bindings):
        seen.update(
            credential,
            target_name=target_name,
            flags=flags,
            bindings=channel_bindings,
            context=Context(seen["tokens"]),
        )
        return seen["context"]

    monkeypatch.setitem(sys.modules, "sspilib", FakeSspilib(ClientSecurityContext=open_context))
    return seen


def open_session(mechanism: str, username: str = "", password: str | None = None) -> SspiSession:
    login = SspiLogin(username, Secret(password) if password else None, inline)
    return login.open_session(mechanism, "proxy.test", b"tls-server-end-point:x")


async def test_the_logged_in_users_kerberos_token_is_framed_and_final(asked):
    session = open_session("kerberos")
    token = await session.step(None)
    assert token.startswith(b"\x60")
    assert token.endswith(b"token")
    assert is_complete(session)
    assert (asked["identity"], asked["package"], asked["use"]) == (None, "kerberos", "outbound")
    assert (asked["target_name"], asked["flags"]) == ("HTTP/proxy.test", 0)
    assert asked["bindings"] == {"application_data": b"tls-server-end-point:x"}


async def test_ntlm_takes_two_steps_and_goes_out_bare(asked):
    asked["tokens"] = [b"one", b"three"]
    session = open_session("ntlm")
    assert await session.step(None) == b"one"
    assert not is_complete(session)
    assert await session.step(b"two") == b"three"
    assert is_complete(session)
    assert asked["context"].challenges == [None, b"two"]


@pytest.mark.parametrize(
    ("username", "domain", "user"), [("D\\u", "D", "u"), ("u@D.TEST", None, "u@D.TEST"), ("u", None, "u")]
)
async def test_explicit_credentials_are_handed_over(asked, username, domain, user):
    await open_session("kerberos", username, "pw").step(None)
    assert asked["identity"] == {"username": user, "domain": domain, "password": "pw"}


async def test_a_challenge_out_of_turn_is_unusable(asked):
    session = open_session("ntlm")
    with pytest.raises(LoginUnusableError, match="out of turn"):
        await session.step(b"x")


async def test_an_empty_token_is_unusable(asked):
    asked["tokens"] = [None]
    with pytest.raises(LoginUnusableError, match="no ntlm token"):
        await open_session("ntlm").step(None)


async def test_off_windows_sspi_is_unusable():
    with pytest.raises(LoginUnusableError):
        await open_session("ntlm").step(None)


class NativeError(OSError):
    """Windows' OSError, on every system."""

    winerror = 0


def windows_error(number: int) -> Exception:
    """Return an error as sspilib raises it, with a signed `winerror`."""
    error = NativeError("in the system's language")
    error.winerror = number - (1 << 32)
    return error


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0x80090303, "no service HTTP/proxy.test"),
        (0x8009030E, "no credentials"),
        (0x80090311, "No domain controller"),
        (0x80090324, "clock"),
    ],
)
def test_windows_errors_are_put_in_plain_words(number, text):
    explained = explain_failure(windows_error(number), "", "proxy.test")
    assert isinstance(explained, LoginUnusableError)
    assert text in explained.cause
    assert explained.hint


def test_a_denied_logon_is_a_refusal_of_the_explicit_password_only():
    assert isinstance(explain_failure(windows_error(0x8009030C), "D\\u", "h"), LoginRefusedError)
    assert isinstance(explain_failure(windows_error(0x8009030C), "", "h"), LoginUnusableError)


async def test_on_windows_the_logged_in_users_sessions_come_from_sspi(asked):
    source = make_token_source(
        username="", password=None, nt_hash=None, run_in_thread=inline, platform="win32"
    )
    for mechanism in ("kerberos", "ntlm"):
        asked["tokens"] = [b"token"]
        session = source.open_session(mechanism, "proxy.test", None)
        assert session.mechanism == mechanism
        await session.step(None)
        assert asked["package"] == mechanism
        assert asked["bindings"] is None
