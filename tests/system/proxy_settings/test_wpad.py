"""Automatic detection ends in time and finds the script by DHCP or DNS."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from px.system.proxy_settings import wpad
from px.system.proxy_settings.wpad import detect_pac_url
from tests.windows import TICK_SECONDS

not_windows = pytest.mark.skipif(sys.platform == "win32", reason="WinHTTP does the whole detection")


@pytest.fixture
def silence() -> Iterator[threading.Event]:
    """Return an event that is set at the end of the test."""
    ended = threading.Event()
    yield ended
    ended.set()


def test_a_network_that_does_not_answer_costs_no_more_than_the_timeout(
    silence: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wpad, "_ask_system", lambda: None if silence.wait() else "")
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 seconds"):
        detect_pac_url(0.2)
    assert 0.2 - TICK_SECONDS <= time.monotonic() - start < 5


def test_an_error_of_the_system_means_no_script(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise OSError("the service has not been started")

    monkeypatch.setattr(wpad, "_ask_system", fail)
    assert detect_pac_url(5) is None
    assert "the service has not been started" in caplog.text


@not_windows
@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        (["10.1.2.3"], "http://wpad/wpad.dat"),
        (["2001:db8::1", "10.1.2.3"], "http://wpad/wpad.dat"),
        (["0.0.0.0"], None),
        (["::", "0.0.0.0"], None),
        ([], None),
    ],
)
def test_a_host_named_wpad_has_the_script(
    addresses: list[str], url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int, *, type: int) -> list[object]:  # noqa: A002 - as in socket
        assert (host, port, type) == ("wpad", 80, socket.SOCK_STREAM)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, type, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(wpad, "_ask_dhcp", lambda: None)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert detect_pac_url(5) == url


@not_windows
def test_dhcp_comes_before_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wpad, "_ask_dhcp", lambda: "http://dhcp/proxy.pac")
    monkeypatch.setattr(wpad, "_ask_dns", lambda: pytest.fail("DNS was asked"))
    assert detect_pac_url(5) == "http://dhcp/proxy.pac"


@pytest.mark.skipif(sys.platform != "win32", reason="needs WinHTTP")
def test_winhttp_finds_no_script_in_a_network_without_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "px"):
        assert detect_pac_url(30) is None
    assert caplog.messages == ["automatic detection (WPAD): this network names no script"]
