"""SSPI sessions with pyspnego's client replaced: its arguments, and the meaning of its errors.

The real SSPI runs on Windows only.
"""

from __future__ import annotations

from typing import Any

import pytest
import spnego

from px.core.errors import LoginRefusedError, LoginUnusableError
from px.core.secret import Secret
from px.system.login.sspi import SspiLogin, SspiSession, explain_failure
from px.system.login.tokens import make_token_source


def is_complete(session: SspiSession) -> bool:
    return session.is_complete  # a call, so that mypy does not take the answer for the last one


async def inline(function, *args):
    return function(*args)


class Context:
    """Stands for pyspnego's SSPIProxy."""

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
    """Collect the arguments of pyspnego; answer with the tokens in ``asked["tokens"]``."""
    seen: dict[str, Any] = {"tokens": [b"token"]}

    def client(username, password, **kwargs):
        seen.update(kwargs, username=username, password=password, context=Context(seen["tokens"]))
        return seen["context"]

    monkeypatch.setattr(spnego, "client", client)
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
    assert (asked["username"], asked["password"], asked["protocol"]) == (None, None, "kerberos")
    assert (asked["hostname"], asked["service"]) == ("proxy.test", "HTTP")
    assert asked["options"] == spnego.NegotiateOptions.use_sspi
    assert asked["context_req"] == 0
    assert asked["channel_bindings"].application_data == b"tls-server-end-point:x"


async def test_ntlm_takes_two_steps_and_goes_out_bare(asked):
    asked["tokens"] = [b"one", b"three"]
    session = open_session("ntlm")
    assert await session.step(None) == b"one"
    assert not is_complete(session)
    assert await session.step(b"two") == b"three"
    assert is_complete(session)
    assert asked["context"].challenges == [None, b"two"]


async def test_explicit_credentials_are_handed_over(asked):
    await open_session("kerberos", "D\\u", "pw").step(None)
    assert (asked["username"], asked["password"]) == ("D\\u", "pw")


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
    """Return an error like those of pyspnego: its own class, caused by an error with a signed `winerror`."""
    inner = NativeError("in the system's language")
    inner.winerror = number - (1 << 32)
    outer = spnego.exceptions.SpnegoError(base_error=inner, context_msg="Processing security token")
    outer.__cause__ = inner
    return outer


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
        assert asked["protocol"] == mechanism
        assert asked["channel_bindings"] is None
