"""Logins at the domain through a proxy that accepts none or only some of the requests for a verification."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid_config import DENIED_HOSTS

from . import exchanges
from .exchanges import HOST
from .gate import Gate
from .http_client import Client
from .logins import Login, only
from .squid_watch import bad_passwords

WRONG = "Wr0ng-Secret-5c7d"
_LOGINS = only("ntlm", "negotiate-no-ticket")
_BARE = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
_NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
#: The answers to the requests of a verification; empty: the proxy closes the connection.
_SAID = [
    pytest.param(b"", id="dropped"),
    pytest.param(_BARE, id="bare-407"),
    pytest.param(_NOT_ALLOWED, id="405"),
]
_ODD = [pytest.param((b"TRACE ",), id="TRACE"), pytest.param((b"TRACE ", b"OPTIONS ", b"HEAD "), id="all")]


class PickyGate(Gate):
    """A relay that answers some requests itself.

    Args:
        target_port: The port of the server behind it.
        odd: The beginning of these requests.
        said: The answer; empty: it drops the connection.
    """

    def __init__(self, target_port: int, odd: tuple[bytes, ...], said: bytes) -> None:
        self._odd, self._said = odd, said
        super().__init__(target_port)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        is_from_client = source.getsockname()[1] == self.port
        with suppress(OSError):
            while data := source.recv(262_144):
                if not (is_from_client and data.startswith(self._odd)):
                    sink.sendall(data)
                    continue
                if not self._said:
                    break
                source.sendall(self._said)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def _px_behind(
    network: CorporateNetwork, directory: Path, login: Login, gate: Gate, **secret: str
) -> Iterator[int]:
    proxied = replace(login, options=(*login.options, f"--proxy=localhost:{gate.port}"))
    with proxied.running_px(network, directory, **secret) as px:
        yield px.port


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("said", _SAID)
@pytest.mark.parametrize("login", _LOGINS)
def test_a_right_password_works_even_if_the_first_site_is_denied(
    network: CorporateNetwork, tmp_path: Path, login: Login, said: bytes, odd: tuple[bytes, ...]
) -> None:
    with (
        bad_passwords(network, login.account(network)),
        PickyGate(login.upstream(network).port, odd, said) as gate,
        _px_behind(network, tmp_path, login, gate) as port,
    ):
        statuses = []
        for host in (DENIED_HOSTS[0], DENIED_HOSTS[0], HOST, DENIED_HOSTS[0], HOST):
            with Client(port) as client:
                statuses.append(client.get(network.origin.url("/", host)).status)
        assert statuses[0] == 502
        assert statuses[2:] == [200, 403, 200]
        with Client(port) as client:
            exchanges.open_tunnel(client, network)


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("said", _SAID)
@pytest.mark.parametrize("login", _LOGINS)
def test_a_wrong_password_costs_no_more_than_two_logins(
    network: CorporateNetwork, tmp_path: Path, login: Login, said: bytes, odd: tuple[bytes, ...]
) -> None:
    with (
        bad_passwords(network, login.account(network), at_least=1, at_most=2),
        PickyGate(login.upstream(network).port, odd, said) as gate,
        _px_behind(network, tmp_path, login, gate, PX_PASSWORD=WRONG) as port,
    ):
        for host in (HOST, HOST, DENIED_HOSTS[0], DENIED_HOSTS[1], HOST):
            with Client(port) as client:
                assert client.get(network.origin.url("/", host)).status == 502
