"""The flags of a running Px: the effect of each on the programs that use Px."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.proxy.running_px import running_px
from tests.px_process import PxProcess
from tests.scripted_upstream import until
from tests.small_origin import get, running_origin

_SECONDS = 15.0
needs_127_8 = pytest.mark.skipif(sys.platform == "darwin", reason="has 127.0.0.1 only")


@pytest.mark.parametrize("flag", ["--proxy", "--server"])
@pytest.mark.shows("--proxy", "--server", "--port")
def test_requests_at_the_port_go_to_the_upstream(tmp_path: Path, flag: str) -> None:
    heads: list[bytes] = []
    with running_origin(heads) as port, PxProcess(tmp_path, f"{flag}=127.0.0.1:{port}") as px:
        assert get(px, "site.example").endswith(b"ok")
    assert heads[0].startswith(b"GET http://site.example/ HTTP/1.1\r\n")


@pytest.mark.shows("--noproxy")
def test_without_an_upstream_px_is_a_regular_proxy_for_what_noproxy_names(tmp_path: Path) -> None:
    heads: list[bytes] = []
    with running_origin(heads) as port, PxProcess(tmp_path, "--noproxy=127.0.0.0/8") as px:
        assert get(px, f"127.0.0.1:{port}").endswith(b"ok")
        assert get(px, "192.0.2.1").startswith(b"HTTP/1.1 403 ")
    assert heads[0].startswith(b"GET / HTTP/1.1\r\n")


@needs_127_8
@pytest.mark.shows("--listen")
def test_px_listens_at_the_given_addresses_and_no_others(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=127.*", "--listen=127.0.0.2,127.0.0.3") as px:
        for address in ("127.0.0.2", "127.0.0.3"):
            assert get(px, "192.0.2.1", at=address).startswith(b"HTTP/1.1 403 ")
        with pytest.raises(ConnectionRefusedError):
            get(px, "192.0.2.1", at="127.0.0.1")


@needs_127_8
@pytest.mark.shows("--allow")
def test_only_the_clients_that_are_allowed_are_served(tmp_path: Path) -> None:
    heads: list[bytes] = []
    with (
        running_origin(heads) as port,
        PxProcess(tmp_path, "--noproxy=*", "--allow=127.0.0.2-127.0.0.9") as px,
    ):
        refused = get(px, f"127.0.0.1:{port}")
        assert refused.startswith(b"HTTP/1.1 403 ")
        assert b"--allow" in refused
        assert get(px, f"127.0.0.1:{port}", by="127.0.0.3").endswith(b"ok")


@pytest.mark.shows("--useragent")
def test_origins_see_the_given_user_agent(tmp_path: Path) -> None:
    heads: list[bytes] = []
    with running_origin(heads) as port, PxProcess(tmp_path, "--noproxy=*", "--useragent=Mozilla/5.0 x") as px:
        get(px, f"127.0.0.1:{port}")
    assert b"\r\nUser-Agent: Mozilla/5.0 x\r\n" in heads[0]


@pytest.mark.shows("--config")
def test_px_uses_the_file_that_config_names_and_ignores_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nuseragent = other\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "my.ini").write_text("[proxy]\nnoproxy = *\nuseragent = mine\n")
    heads: list[bytes] = []
    with running_origin(heads) as port, PxProcess(tmp_path, "--config=elsewhere/my.ini") as px:
        get(px, f"127.0.0.1:{port}")
    assert b"\r\nUser-Agent: mine\r\n" in heads[0]


@pytest.mark.shows("--threads")
async def test_threads_limits_concurrent_name_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    release = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> object:
        started.append(host)
        release.wait(_SECONDS)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with running_px(noproxy="*", threads=6, socktimeout=_SECONDS) as px:
        monkeypatch.setattr("px.upstream.connections.resolver.socket.getaddrinfo", look_up)
        asking = [asyncio.create_task(px.get(b"http://%d.example/" % number)) for number in range(9)]
        await until(lambda: "under_way=9" in repr(px.px._resolver) and len(started) >= 3)
        assert len(started) == 3  # of 6 threads, 2 are reserved for logins and 1 for PAC scripts
        release.set()
        heads = [head for head, _ in await asyncio.gather(*asking)]
        assert len(started) == 9
    assert all(b" 502 " in head for head in heads)


@pytest.mark.shows("--debug")
def test_debug_logs_to_a_file_in_the_working_directory_that_the_next_start_overwrites(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--noproxy=127.*", "--debug")
    log = tmp_path / f"debug-{px.port}-main.log"
    with px:
        get(px, "first.example")
    assert "first.example" in log.read_text()
    with px:
        get(px, "second.example")
    assert "second.example" in log.read_text()
    assert "first.example" not in log.read_text()


@pytest.mark.shows("--uniqlog")
def test_uniqlog_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with PxProcess(tmp_path, "--noproxy=127.*", "--uniqlog"):
            pass
    assert len(list(tmp_path.glob("debug-*.log"))) == 2
