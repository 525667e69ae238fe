"""The system's Kerberos library verifies tickets of a real KDC with a keytab."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from px.core.client_login.acceptor import Acceptance, ClientAcceptor, ClientRefusedError
from px.system.client_login.acceptors import find_keytab
from px.system.login.gssapi import GssapiError, load_gssapi
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.system_programs import SYSTEM_PATH


async def inline(function, *args):
    return function(*args)


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
def place(network: CorporateNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(network, tmp_path, monkeypatch)


def open_acceptor() -> ClientAcceptor:
    return find_keytab(inline)["kerberos"]()


@pytest.mark.parametrize("host", ["localhost", "proxy.test"])
async def test_px_accepts_a_ticket_for_any_name_in_the_keytab(place, host):
    assert await open_acceptor().step(place.make_token(host)) == Acceptance(b"", "alice@MIT.TEST")


async def test_px_accepts_a_token_only_once(place):
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


def test_a_keytab_without_a_key_for_http_is_an_error(place, tmp_path):
    keytab = tmp_path / "host.keytab"
    script = f"addent -password -p host/localhost@MIT.TEST -k 1 -e aes256-cts\nsecret\nwkt {keytab}\nq\n"
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    subprocess.run(
        ["ktutil"], input=script.encode(), env=environment, check=True, capture_output=True, timeout=30
    )
    place.set_keytab(keytab)
    with pytest.raises(GssapiError, match="HTTP"):
        find_keytab(inline)
