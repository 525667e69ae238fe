"""The ports of a Px: HTTP, SOCKS5 and static tunnels, at its start, with several workers, over a reload."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from px.config.settings import Settings, default_settings
from px.core.rules.access import LOCALHOST, ListenAddresses
from px.core.rules.tunnel_list import parse_tunnels
from px.core.startup_errors import PortInUseError
from px.io.listening_socket import open_listening_socket
from px.processes.listen_sockets import ListenSockets
from tests.downstream.socks_client import CHOSEN, GREETING, IPV4, OPENED, request
from tests.free_ports import free_port
from tests.loopback import has_ipv6, loopback_places
from tests.px_process import PxProcess, until

from .origin import Client, Origin, get, running_origin
from .test_processes import are_ready, for_one_and_two
from .test_reload import reload, write_ini


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def settings_with(**changes: object) -> Settings:
    return default_settings(port=free_port(), **changes)


def close(sockets: ListenSockets) -> None:
    sockets.shut()
    sockets.instance.release()


def get_by_socks(port: int, origin: Origin) -> bytes:
    """Send a GET through SOCKS5; return the body of the answer."""
    with Client(port, origin) as client:
        asked = request(ip_address("127.0.0.1").packed, origin.port, kind=IPV4)
        client.sock.sendall(GREETING + asked)
        received = b""
        while len(received) < len(CHOSEN + OPENED):
            piece = client.sock.recv(len(CHOSEN + OPENED) - len(received))
            assert piece, received
            received += piece
        assert received == CHOSEN + OPENED
        return client.get()


def get_by_tunnel(port: int, origin: Origin) -> bytes:
    """Send a GET through a static tunnel; return the body of the answer."""
    with Client(port, origin) as client:
        return client.get()


def is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_all_ports_are_open_at_all_listen_addresses(tmp_path: Path) -> None:
    listen = ListenAddresses(LOCALHOST)
    socks, own = free_port(), free_port()
    settings = settings_with(listen=listen, socks=socks, tunnel=parse_tunnels(f"{own}:git.example:22"))
    sockets = ListenSockets.take(settings, tmp_path)
    try:
        assert sockets.addresses == (f"127.0.0.1:{settings.port}", f"[::1]:{settings.port}")
        assert sockets.hosts == ("127.0.0.1", "::1")
        assert sockets.addresses_at(socks) == (f"127.0.0.1:{socks}", f"[::1]:{socks}")
        assert sockets.addresses_at(own) == (f"127.0.0.1:{own}", f"[::1]:{own}")
        assert len(sockets.sockets) == 6
    finally:
        close(sockets)


@pytest.mark.parametrize("option", ["--socks", "--tunnel"])
def test_the_error_for_a_port_in_use_names_its_option_and_the_other_ports_are_free_again(
    tmp_path: Path, option: str
) -> None:
    with open_listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        changes = {"socks": port} if option == "--socks" else {"tunnel": parse_tunnels(f"{port}:h:1")}
        settings = settings_with(**changes)
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use.*another {option}"):
            ListenSockets.take(settings, tmp_path)
    close(ListenSockets.take(settings, tmp_path))


def test_a_reload_keeps_the_sockets_of_unchanged_ports_and_closes_the_others(tmp_path: Path) -> None:
    socks, own = free_port(), free_port()
    settings = settings_with(socks=socks)
    old = ListenSockets.take(settings, tmp_path)
    changed = default_settings(port=settings.port, tunnel=parse_tunnels(f"{own}:git.example:22"))
    new = ListenSockets.take(changed, tmp_path, old)
    try:
        old.leave_to(new)
        assert list(new.addresses) == loopback_places(settings.port)
        assert new.sockets[0] is old.sockets[0]
        assert is_closed(socks)
        assert not is_closed(own)
    finally:
        close(new)


@pytest.mark.skipif(not has_ipv6(), reason="NOT TESTED: this computer has no ::1")
@pytest.mark.shows("--listen")
@for_one_and_two
def test_px_listens_on_the_ipv6_address_of_localhost_as_soon_as_it_is_free(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    port = free_port()
    with (
        open_listening_socket("::1", port) as taken,
        PxProcess(tmp_path, "--noproxy=*", port=port, workers=workers) as px,
    ):
        warning = "px: warning: Px does not listen on ::1, where some programs look for localhost: "
        assert f"{warning}port {port} on ::1 is in use" in px.output
        assert px.status()["listen"] == [f"127.0.0.1:{port}"]
        assert px.command("--reload").stderr.startswith(warning)
        assert get(px, origin) == b"ok"
        taken.close()
        assert px.command("--reload").stderr == ""
        assert px.status()["listen"] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
        for host in ("127.0.0.1", "::1"):
            assert get(px, origin, host) == b"ok"


@pytest.mark.shows("--socks", "--tunnel")
@for_one_and_two
def test_px_serves_and_shows_socks_and_tunnels_also_after_a_reload(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    socks, own, other = free_port(), free_port(), free_port()
    target = f"127.0.0.1:{origin.port}"
    flags = ("--noproxy=*", f"--socks={socks}", f"--tunnel={own}:{target}", f"--tunnel={other}:{target}")
    with PxProcess(tmp_path, *flags, workers=workers) as px:
        until(lambda: are_ready(px, workers))
        places = ", ".join(loopback_places(own))
        assert f"SOCKS5: {', '.join(loopback_places(socks))}. Tunnels: {places} to {target}; " in px.output
        for _ in range(4):
            assert get(px, origin) == b"ok"
            assert get_by_socks(socks, origin) == b"ok"
            assert get_by_tunnel(own, origin) == get_by_tunnel(other, origin) == b"ok"
        status = px.status()
        assert status["listen"] == loopback_places(px.port)
        assert status["socks"] == loopback_places(socks)
        assert status["tunnels"][1] == {"listen": loopback_places(other), "target": target}
        assert status["counters"]["tunnels"] == 12
        reload(px)
        assert get_by_socks(socks, origin) == get_by_tunnel(other, origin) == b"ok"


def test_a_reload_opens_a_socks_port_and_closes_a_tunnel(tmp_path: Path, origin: Origin) -> None:
    socks, own = free_port(), free_port()
    write_ini(tmp_path, "noproxy = *", f"tunnel = {own}:127.0.0.1:{origin.port}")
    with PxProcess(tmp_path, workers=2) as px, Client(own, origin) as tunnel:
        tunnel.echo(b"ECHO")
        write_ini(tmp_path, "noproxy = *", f"socks = {socks}")
        reload(px)
        assert get_by_socks(socks, origin) == b"ok"
        assert is_closed(own)
        tunnel.echo(b"still here")
        write_ini(tmp_path, "noproxy = *", f"socks = {px.port}")
        done = px.command("--reload")
        assert done.returncode == 2
        assert f"--socks: port {px.port} is that of --port" in done.stderr
        assert get_by_socks(socks, origin) == b"ok"
