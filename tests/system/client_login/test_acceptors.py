"""Clients verified by the operating system: SSPI, with sspilib replaced, and no keytab.

The real SSPI runs on Windows only; Kerberos with a keytab is in tests/e2e/test_client_keytab.py.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from px.core.client_login.acceptor import Acceptance, ClientAcceptor, ClientRefusedError
from px.core.errors import LoginUnusableError
from px.system.client_login.acceptors import find_keytab, find_sspi
from px.system.login.gssapi import GssapiError, load_gssapi
from tests.system.login.fake_sspilib import FakeSspilib


async def inline(function, *args):
    return function(*args)


class WindowsFailedError(OSError):
    """The error as sspilib raises it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Windows says {number:#x}")
        self.winerror = number - (1 << 32)


class Context:
    """Stands in for sspilib's ServerSecurityContext, and for the names that Windows finds for it."""

    def __init__(self, answers: list[Any], principal: str = "CORP\\alice", attributes: int = 0) -> None:
        self._answers = answers
        self.attributes = attributes
        self._principal = principal
        self.received: list[bytes] = []
        self.complete = False

    def step(self, token: bytes) -> bytes | None:
        self.received.append(token)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.complete = not self._answers
        return answer  # type: ignore[no-any-return]

    @property
    def username(self) -> str:
        assert self.complete, "Windows knows no name before the end"
        return self._principal


@pytest.fixture
def windows(monkeypatch):
    """Return a function that sets the behaviour of Windows; its attribute `asked` records the requests."""

    def prepare(*answers: Any, **options: Any) -> dict[str, ClientAcceptor]:
        context = Context(list(answers), **options)

        def open_context(credential: dict[str, Any], *, flags: int) -> Context:
            prepare.asked = {**credential, "flags": flags}  # type: ignore[attr-defined]
            return context

        monkeypatch.setitem(sys.modules, "sspilib", FakeSspilib(ServerSecurityContext=open_context))
        return {name: opener() for name, opener in find_sspi(inline).items()}

    return prepare


async def test_windows_verifies_ntlm_in_two_steps_and_names_the_user(windows):
    acceptor = windows(b"challenge", None)["ntlm"]
    assert await acceptor.step(b"one") == Acceptance(b"challenge", "")
    assert await acceptor.step(b"three") == Acceptance(b"", "CORP\\alice")
    assert windows.asked == {"package": "ntlm", "use": "inbound", "identity": None, "flags": 0}


async def test_windows_verifies_kerberos_by_its_own_package_in_one_step(windows):
    acceptor = windows(b"answer")["kerberos"]
    assert await acceptor.step(b"ticket") == Acceptance(b"answer", "CORP\\alice")
    assert windows.asked["package"] == "kerberos"


@pytest.mark.parametrize("error", [WindowsFailedError(0x8009030C), ValueError("odd")])
async def test_a_login_that_windows_refuses_is_refused(windows, error):
    with pytest.raises(ClientRefusedError, match="Windows, ntlm: "):
        await windows(error)["ntlm"].step(b"one")


@pytest.mark.parametrize("number", [0x80090311, 0x80090304])
async def test_a_domain_controller_that_cannot_be_asked_raises_a_timeout(windows, number):
    with pytest.raises(TimeoutError):
        await windows(WindowsFailedError(number))["ntlm"].step(b"one")


async def test_an_anonymous_login_is_refused(windows):
    with pytest.raises(ClientRefusedError, match="anonymous"):
        await windows(None, attributes=0x00100000)["ntlm"].step(b"three")


async def test_a_context_without_a_name_admits_no_client(windows):
    assert await windows(None, principal="")["ntlm"].step(b"three") == Acceptance(b"", "")


# Kerberos


@pytest.fixture
def library():
    try:
        return load_gssapi()
    except LoginUnusableError as missing:
        pytest.skip(missing.cause)


@pytest.mark.parametrize("content", [None, b"", b"\x05\x02", b"noise"])
def test_without_a_usable_keytab_there_is_no_kerberos(library, tmp_path, monkeypatch, content):
    keytab = tmp_path / "px.keytab"
    if content is not None:
        keytab.write_bytes(content)
    monkeypatch.setenv("KRB5_KTNAME", f"FILE:{keytab}")
    with pytest.raises(GssapiError):
        find_keytab(inline)
