"""GNOME's proxy settings: real ones in dconf, written by gsettings, and the meaning of each key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from px.core.rules.proxy_settings import ProxySettings
from px.core.secret import Secret
from px.system.proxy_settings.gnome import interpret_values, load_gnome, parse_gsettings
from px.system.proxy_settings.reader import load_proxy_settings
from tests.desktops import GnomeDesktop, gnome_desktop
from tests.places import is_px_itself, shown

Write = Callable[..., None]


@pytest.fixture(scope="module")
def gnome() -> Iterator[GnomeDesktop]:
    with gnome_desktop() as desktop:
        yield desktop


@pytest.fixture
def desktop(gnome: GnomeDesktop) -> Mapping[str, str]:
    """The environment of a user whose settings are in dconf."""
    return gnome.environment


@pytest.fixture
def write(gnome: GnomeDesktop) -> Iterator[Write]:
    """Return a function that changes a key; all keys are restored after the test."""
    yield gnome.write
    gnome.reset()


def load(environ: Mapping[str, str]) -> ProxySettings:
    settings = load_proxy_settings(environ, is_px_itself)
    assert settings is not None
    assert settings.source == "GNOME settings"
    return settings


def test_by_default_gnome_has_no_settings(desktop: Mapping[str, str]) -> None:
    settings = load_gnome(desktop, is_px_itself)
    assert settings is not None
    assert not settings
    assert load_proxy_settings(desktop, is_px_itself) is None


def test_a_proxy_for_each_scheme(desktop: Mapping[str, str], write: Write) -> None:
    write("mode", "manual")
    write("http.host", "proxy.corp.example")
    write("http.port", "3128")
    write("https.host", "secure.corp.example")
    write("https.port", "8443")
    write("ignore-hosts", "['localhost', '10.0.0.0/8', '*.corp.example', 'it\\'s', '::1']")
    settings = load({**desktop, "http_proxy": "never:1"})
    assert shown(settings) == {
        "http": "http://proxy.corp.example:3128",
        "https": "http://secure.corp.example:8443",
        "": "http://proxy.corp.example:3128",
    }
    assert settings.bypass.matches_name("10.1.2.3", 80)
    assert settings.bypass.matches_name("www.corp.example", 80)
    assert settings.bypass.matches_name("corp.example", 80)  # as in GLib
    assert not settings.bypass.matches_name("other.example", 80)


def test_the_http_proxy_serves_the_schemes_without_another(desktop: Mapping[str, str], write: Write) -> None:
    write("mode", "manual")
    write("http.host", "proxy")
    assert shown(load(desktop)) == dict.fromkeys(("http", "https", ""), "http://proxy:8080")
    write("use-same-proxy", "false")
    assert shown(load(desktop)) == dict.fromkeys(("http", "https"), "http://proxy:8080")


def test_socks_serves_the_schemes_without_a_proxy_of_their_own(
    desktop: Mapping[str, str], write: Write
) -> None:
    write("mode", "manual")
    write("http.host", "proxy")
    write("socks.host", "2001:db8::1")
    write("socks.port", "1081")
    assert shown(load(desktop)) == {
        "http": "http://proxy:8080",
        "https": "http://proxy:8080",
        "": "socks5://[2001:db8::1]:1081",
    }


def test_the_login_is_for_the_http_proxy_and_never_shown(
    desktop: Mapping[str, str], write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "px")
    write("mode", "manual")
    write("http.host", "proxy")
    write("http.authentication-user", r"CORP\alice@home")
    write("http.authentication-password", "p@ss:wörd'\"%2F")
    assert not load(desktop).upstreams_for("http")[0].username
    write("http.use-authentication", "true")
    settings = load(desktop)
    upstream = settings.upstreams_for("https")[0]
    assert (upstream.username, upstream.password) == (r"CORP\alice@home", Secret("p@ss:wörd'\"%2F"))
    write("http.host", "no host")
    assert load_proxy_settings(desktop, is_px_itself) is None
    assert "GNOME settings: the http proxy is left out: " in caplog.text
    assert "wörd" not in caplog.text + repr(settings)


def test_mode_auto_means_a_script_or_detection_without_a_url(
    desktop: Mapping[str, str], write: Write
) -> None:
    write("mode", "auto")
    settings = load(desktop)
    assert (settings.is_auto_detected, settings.pac) == (True, "")
    write("autoconfig-url", "http://intranet/proxy.pac")
    settings = load(desktop)
    assert (settings.is_auto_detected, settings.pac) == (False, "http://intranet/proxy.pac")


def test_gnome_settings_count_without_a_known_desktop_and_not_under_kde(
    desktop: Mapping[str, str], write: Write
) -> None:
    write("mode", "auto")
    assert load_proxy_settings({**desktop, "XDG_CURRENT_DESKTOP": "sway"}, is_px_itself)
    assert load_proxy_settings({**desktop, "XDG_CURRENT_DESKTOP": "KDE"}, is_px_itself) is None


def test_px_itself_as_the_proxy_of_gnome_is_dropped(desktop: Mapping[str, str], write: Write) -> None:
    write("mode", "manual")
    write("http.host", "127.0.0.1")
    write("http.port", "3128")
    write("https.host", "localhost")
    write("https.port", "3128")
    assert load_proxy_settings(desktop, is_px_itself) is None


# What gsettings prints


def test_each_kind_of_value_is_read() -> None:
    output = """\
org.gnome.system.proxy ignore-hosts @as []
org.gnome.system.proxy mode 'auto'
org.gnome.system.proxy use-same-proxy false
org.gnome.system.proxy.http host "it's"
org.gnome.system.proxy.http port 8080
org.gnome.system.proxy.http strange <[('x', uint32 1)]>
org.gnome.system.proxies host 'another schema'
"""
    assert parse_gsettings(output) == {
        "ignore-hosts": [],
        "mode": "auto",
        "use-same-proxy": False,
        "http.host": "it's",
        "http.port": 8080,
    }


@pytest.mark.parametrize("host", ["http://proxy:3128/", "http://proxy", " proxy "])
def test_a_url_instead_of_a_host_is_understood(host: str) -> None:
    settings = interpret_values({"mode": "manual", "http.host": host, "http.port": 3128}, is_px_itself)
    assert shown(settings)["http"] == "http://proxy:3128"


@pytest.mark.parametrize("output", ["", "No such schema", "org.gnome.system.proxy mode"])
def test_unexpected_output_gives_no_settings(output: str) -> None:
    assert not interpret_values(parse_gsettings(output), is_px_itself)
