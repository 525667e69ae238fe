"""Clients verified by the operating system: SSPI with pyspnego's server replaced, Kerberos for real.

The real SSPI runs on Windows only.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import spnego

from px.core.client_acceptor import Acceptance, ClientAcceptor, ClientRefusedError
from px.core.errors import LoginUnusableError
from px.system.client_acceptors import find_keytab, find_sspi
from px.system.gssapi import GssapiError, load_gssapi
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.system_programs import SYSTEM_PATH


async def inline(function, *args):
    return function(*args)


class WindowsFailedError(OSError):
    """As sspilib raises it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Windows says {number:#x}")
        self.winerror = number - (1 << 32)


class Context:
    """Stands for pyspnego's SSPIProxy at the accepting side."""

    def __init__(self, answers: list[Any], principal: str = "CORP\\alice", attributes: int = 0) -> None:
        self._answers = answers
        self._context_attr = attributes
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
    def client_principal(self) -> str:
        assert self.complete, "Windows knows no name before the end"
        return self._principal


@pytest.fixture
def windows(monkeypatch):
    """Give a function that says what Windows will do; what it was asked for is in its attribute `asked`."""

    def prepare(*answers: Any, **options: Any) -> dict[str, ClientAcceptor]:
        context = Context(list(answers), **options)

        def server(**kwargs: Any) -> Context:
            prepare.asked = kwargs  # type: ignore[attr-defined]
            return context

        monkeypatch.setattr(spnego, "server", server)
        return {name: opener() for name, opener in find_sspi(inline).items()}

    return prepare


async def test_windows_verifies_ntlm_in_two_steps_and_names_the_user(windows):
    acceptor = windows(b"challenge", None)["ntlm"]
    assert await acceptor.step(b"one") == Acceptance(b"challenge", "")
    assert await acceptor.step(b"three") == Acceptance(b"", "CORP\\alice")
    assert windows.asked["protocol"] == "ntlm"
    assert windows.asked["service"] == "HTTP"
    assert windows.asked["options"] == spnego.NegotiateOptions.use_sspi


async def test_windows_verifies_kerberos_by_its_own_package_in_one_step(windows):
    acceptor = windows(b"answer")["kerberos"]
    assert await acceptor.step(b"ticket") == Acceptance(b"answer", "CORP\\alice")
    assert windows.asked["protocol"] == "kerberos"


@pytest.mark.parametrize(
    "error", [WindowsFailedError(0x8009030C), ValueError("odd"), spnego.exceptions.SpnegoError(1)]
)
async def test_what_windows_refuses_is_refused(windows, error):
    with pytest.raises(ClientRefusedError, match="Windows, ntlm: "):
        await windows(error)["ntlm"].step(b"one")


@pytest.mark.parametrize("number", [0x80090311, 0x80090304])
async def test_a_domain_controller_that_cannot_be_asked_says_nothing_about_the_client(windows, number):
    with pytest.raises(TimeoutError):
        await windows(WindowsFailedError(number))["ntlm"].step(b"one")


async def test_a_login_by_nobody_is_refused(windows):
    with pytest.raises(ClientRefusedError, match="anonymous"):
        await windows(None, attributes=0x00100000)["ntlm"].step(b"three")


async def test_a_context_without_a_name_lets_nobody_in(windows):
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


class Place:
    """A client with a ticket and Px with a keytab, in the environment of this process, for the library."""

    def __init__(self, network: CorporateNetwork, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._network = network
        self._monkeypatch = monkeypatch
        for name, value in network.mit.realm.kinit(network.mit.alice, directory / "ccache").items():
            monkeypatch.setenv(name, value)
        self.set_keytab(network.mit.keytab)

    def set_keytab(self, keytab: Path) -> None:
        self._monkeypatch.setenv("KRB5_KTNAME", f"FILE:{keytab}")

    def make_token(self, host: str = "localhost") -> bytes:
        library = load_gssapi()
        return library.make_token(library.acquire_ticket(), host, None)


@pytest.fixture
def place(corporate_network: CorporateNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(corporate_network, tmp_path, monkeypatch)


def open_acceptor() -> ClientAcceptor:
    return find_keytab(inline)["kerberos"]()


@pytest.mark.parametrize("host", ["localhost", "proxy.test"])
async def test_a_ticket_for_any_name_in_the_keytab_is_taken(place, host):
    assert await open_acceptor().step(place.make_token(host)) == Acceptance(b"", "alice@MIT.TEST")


async def test_a_token_is_good_once(place):
    token = place.make_token()
    await open_acceptor().step(token)
    with pytest.raises(ClientRefusedError, match="replay"):
        await open_acceptor().step(token)


@pytest.mark.parametrize("damage", [slice(0, 10), slice(0, 300), slice(-40, None)], ids=str)
async def test_a_damaged_token_is_refused(place, damage):
    token = bytearray(place.make_token())
    token[damage] = bytes(len(token[damage]))
    with pytest.raises(ClientRefusedError, match="Kerberos: "):
        await open_acceptor().step(bytes(token))


def test_a_keytab_without_a_key_for_http_is_none(place, tmp_path):
    keytab = tmp_path / "host.keytab"
    script = f"addent -password -p host/localhost@MIT.TEST -k 1 -e aes256-cts\nsecret\nwkt {keytab}\nq\n"
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    subprocess.run(
        ["ktutil"], input=script.encode(), env=environment, check=True, capture_output=True, timeout=30
    )
    place.set_keytab(keytab)
    with pytest.raises(GssapiError, match="HTTP"):
        find_keytab(inline)
