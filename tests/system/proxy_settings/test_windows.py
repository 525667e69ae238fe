"""Internet Options: their syntax on every system, the real ones on Windows."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator

import pytest

from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.reader import load_proxy_settings
from px.system.proxy_settings.windows import InternetOptions, parse_internet_options, translate_exception
from tests.desktops import DETECT, MANUAL, SCRIPT, internet_options
from tests.places import is_px_itself, shown


def parse(
    servers: str = "", exceptions: str = "", *, pac: str = "", is_auto_detected: bool = False
) -> ProxySettings:
    return parse_internet_options(InternetOptions(is_auto_detected, pac, servers, exceptions), is_px_itself)


@pytest.mark.parametrize(
    ("servers", "upstreams"),
    [
        ("proxy:8080", {"": "http://proxy:8080"}),
        ("proxy", {"": "http://proxy:80"}),
        ("http://proxy:8080", {"": "http://proxy:8080"}),
        ("[2001:db8::1]:8080", {"": "http://[2001:db8::1]:8080"}),
        ("http=a:1;https=b:2", {"http": "http://a:1", "https": "http://b:2"}),
        ("HTTP=a:1 https=http://b:2", {"http": "http://a:1", "https": "http://b:2"}),
        ("https=https://b:2", {"https": "https://b:2"}),
        ("http=a:1;https=a:1;ftp=f:1;gopher=g:1", {"http": "http://a:1", "https": "http://a:1"}),
        ("http=a:1;c:3", {"http": "http://a:1", "": "http://c:3"}),
        ("a:1;b:2", {"": "http://a:1,http://b:2"}),
        ("http=a:1;socks=c:1081", {"http": "http://a:1", "": "socks4://c:1081"}),
        ("socks=c", {"": "socks4://c:1080"}),
        ("socks=socks5://c", {"": "socks5://c:1080"}),
    ],
)
def test_a_server_serves_all_schemes_or_one(servers: str, upstreams: object) -> None:
    assert shown(parse(servers)) == upstreams


def test_detection_a_script_and_servers_may_be_set_together() -> None:
    settings = parse("proxy:80", pac="http://intranet/proxy.pac", is_auto_detected=True)
    assert (settings.source, settings.is_auto_detected) == ("Windows Internet Options", True)
    assert settings.pac == "http://intranet/proxy.pac"
    assert shown(settings) == {"": "http://proxy:80"}


def test_options_that_are_all_off_give_no_settings() -> None:
    assert not parse()
    assert not parse("", "*.corp.example;<local>")


@pytest.mark.parametrize(
    ("exceptions", "host", "is_direct"),
    [
        ("corp.example", "corp.example", True),
        ("corp.example", "www.corp.example", False),
        ("*.corp.example", "www.corp.example", True),
        ("*.corp.example", "corp.example", False),
        ("build*.corp.example", "build7.corp.example", True),
        ("10.*", "10.1.2.3", True),
        ("10.*", "11.1.2.3", False),
        ("172.1*", "172.1.2.3", True),
        ("172.1*", "172.16.2.3", True),
        ("172.1*", "172.199.2.3", True),
        ("172.1*", "172.2.2.3", False),
        ("172.1*", "172.20.2.3", False),
        ("192.168.0.25*", "192.168.0.255", True),
        ("192.168.0.25*", "192.168.0.25", True),
        ("192.168.0.25*", "192.168.0.26", False),
        ("192.168.10.20", "192.168.10.20", True),
        (
            "10.0.0.0/8",
            "10.1.2.3",
            True,
        ),  # Windows does not know this form, but the meaning of users is clear
        ("<local>", "intranet", True),
        ("<local>", "intranet.corp.example", False),
        ("10.;192.168.", "10.1.2.3", True),
        ("10.;192.168.", "192.168.9.9", True),
        ("10.;192.168.", "11.1.2.3", False),
        ("https://a.example/", "a.example", True),
        ("a..b;10.0.0.0/40;good.example", "good.example", True),
        ("a.example; b.example,c.example d.example", "a.example", True),
        ("a.example; b.example,c.example d.example", "b.example", True),
        ("a.example; b.example,c.example d.example", "c.example", True),
        ("a.example; b.example,c.example d.example", "d.example", True),
        ("2001:db8::1", "2001:db8::1", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("*", "anything.example", True),
        ("", "localhost", True),
        ("", "127.3.2.1", True),
        ("", "::1", True),
        ("", "fe80::1", True),
        ("", "169.254.1.1", True),
        ("", "intranet", False),
        ("<-loopback>", "localhost", False),
        ("<-loopback>", "127.0.0.1", False),
        ("<-loopback>;10.*", "10.1.1.1", True),
    ],
)
def test_exceptions_are_interpreted_as_windows_does(exceptions: str, host: str, is_direct: bool) -> None:
    assert parse("proxy:80", exceptions).bypass.matches_name(host, 443) is is_direct


@pytest.mark.parametrize(
    ("exception", "rule"),
    [
        ("https://a.example", "=a.example:443"),
        ("http://a.example", "=a.example:80"),
        ("http://a.example:8080", "=a.example:8080"),
        ("http://*.example", "*.example:80"),
        ("https://10.1.2.3", "10.1.2.3:443"),
        ("a.example:8080", "=a.example:8080"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
        (".a.example", ".a.example"),
    ],
)
def test_the_scheme_of_an_exception_gives_its_port(exception: str, rule: str) -> None:
    assert list(translate_exception(exception)) == [rule]
    parse("proxy:80", exception)


def test_only_the_broken_entries_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    settings = parse("http=a:99999;https=b:2;telnet=c:3", "bad_*_.*.5.5/x;good.example")
    assert shown(settings) == {"https": "http://b:2"}
    assert settings.bypass.matches_name("good.example", 443)
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "the proxy server is left out",
        "the proxy server is left out",
        "the list of exceptions is left out",
    ]
    assert "'telnet' is not http, https or socks" in caplog.text


def test_px_itself_as_the_proxy_of_windows_is_dropped() -> None:
    assert not parse("127.0.0.1:3128", pac="http://localhost:3128/proxy.pac")


# The real Internet Options

windows_only = pytest.mark.skipif(sys.platform != "win32", reason="needs Internet Options")


@pytest.fixture
def set_options() -> Iterator[Callable[..., None]]:
    with internet_options() as write:
        yield write


@windows_only
def test_internet_options_are_read(set_options: Callable[..., None]) -> None:
    set_options(
        MANUAL | SCRIPT | DETECT,
        "http=a:1;https=b:2",
        "*.corp.example;<local>",
        "http://intranet/proxy.pac",
    )
    settings = load_proxy_settings({"http_proxy": "never:1"}, is_px_itself)
    assert settings is not None
    assert settings.is_auto_detected
    assert settings.pac == "http://intranet/proxy.pac"
    assert shown(settings) == {"http": "http://a:1", "https": "http://b:2"}
    assert settings.bypass.matches_name("intranet", 80)
    assert settings.bypass.matches_name("www.corp.example", 80)
    assert not settings.bypass.matches_name("www.other.example", 80)


@windows_only
def test_each_internet_option_may_be_set_alone(set_options: Callable[..., None]) -> None:
    for flags, servers, pac, is_there in (
        (DETECT, "", "", (True, "", {})),
        (SCRIPT, "", "http://intranet/proxy.pac", (False, "http://intranet/proxy.pac", {})),
        (MANUAL, "proxy:8080", "", (False, "", {"": "http://proxy:8080"})),
    ):
        set_options(flags, servers, "", pac)
        settings = load_proxy_settings({}, is_px_itself)
        assert settings is not None
        assert (settings.is_auto_detected, settings.pac, shown(settings)) == is_there


@windows_only
def test_without_internet_options_the_environment_is_read(set_options: Callable[..., None]) -> None:
    set_options(0, "unchecked:1", "", "http://unchecked/")
    assert load_proxy_settings({}, is_px_itself) is None
    settings = load_proxy_settings({"https_proxy": "proxy:1"}, is_px_itself)
    assert settings is not None
    assert settings.source == "environment"


@windows_only
def test_reading_internet_options_leaks_no_memory(set_options: Callable[..., None]) -> None:
    import psutil  # noqa: PLC0415

    set_options(MANUAL, "proxy:8080", "x" * 60_000)
    windows = importlib.import_module("px.system.proxy_settings.windows")
    process = psutil.Process()
    for _ in range(20):
        windows.load_internet_options()
    before = process.memory_info().vms
    for _ in range(200):
        assert len(windows.load_internet_options().exceptions) == 60_000
    assert process.memory_info().vms - before < 6_000_000  # 200 lists would be 24 MB
