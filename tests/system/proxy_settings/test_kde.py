"""KDE's proxy settings: kioslaverc."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.kde import load_kde
from px.system.proxy_settings.reader import load_proxy_settings
from tests.places import is_px_itself, shown

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the places of KDE's files are those on Linux"
)

#: A file in the form of System Settings of Plasma 5.27.
_MANUAL = """\
PersistentProxyConnection=false

[$Version]
update_info=kioslave.upd:kde2.2/r1

[Proxy Settings]
AuthMode=0
NoProxyFor=localhost,127.0.0.0/8,.corp.example
Proxy Config Script=http://unused/proxy.pac
ProxyType=1
ReversedException=false
ftpProxy=
httpProxy=http://proxy.corp.example 8080
httpsProxy=http://secure.corp.example 8443
socksProxy=

[Other]
ProxyType=0
"""

Load = Callable[..., ProxySettings | None]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that reads the settings of a user with a given kioslaverc."""

    def write_and_load(text: str, **environ: str) -> ProxySettings | None:
        (tmp_path / ".config").mkdir(exist_ok=True)
        (tmp_path / ".config" / "kioslaverc").write_text(text, "utf-8")
        base = {
            "HOME": str(tmp_path),
            "XDG_CURRENT_DESKTOP": "KDE",
            "XDG_CONFIG_DIRS": str(tmp_path / "none"),
        }
        return load_proxy_settings(base | environ, is_px_itself)

    return write_and_load


def group(*lines: str) -> str:
    return "\n".join(["[Proxy Settings]", *lines])


def test_a_proxy_for_each_scheme(load: Load) -> None:
    settings = load(_MANUAL)
    assert settings is not None
    assert (settings.source, settings.pac, settings.is_auto_detected) == ("KDE settings", "", False)
    assert shown(settings) == {
        "http": "http://proxy.corp.example:8080",
        "https": "http://secure.corp.example:8443",
    }
    assert settings.bypass.matches_name("www.corp.example", 80)
    assert settings.bypass.matches_name("127.0.0.1", 80)
    assert not settings.bypass.matches_name("www.other.example", 80)


@pytest.mark.parametrize("value", ["socks://socks 1081", "socks5://socks:1081", "socks 1081"])
def test_socks_serves_the_schemes_without_a_proxy_of_their_own(load: Load, value: str) -> None:
    settings = load(group("ProxyType=1", "httpProxy=http://proxy 8080", f"socksProxy={value}"))
    assert settings is not None
    assert shown(settings) == {"http": "http://proxy:8080", "": "socks5://socks:1081"}


@pytest.mark.parametrize(
    ("value", "upstream"),
    [
        ("http://proxy 8080", "http://proxy:8080"),
        ("http://proxy:8080", "http://proxy:8080"),
        ("http://proxy:8080/", "http://proxy:8080"),
        ("proxy 8080", "http://proxy:8080"),
        ("proxy", "http://proxy:80"),
        ("https://proxy 8443", "https://proxy:8443"),
        ("http://[2001:db8::1] 8080", "http://[2001:db8::1]:8080"),
    ],
)
def test_host_and_port_are_written_in_several_ways(load: Load, value: str, upstream: str) -> None:
    settings = load(group("ProxyType=1", f"httpProxy={value}"))
    assert settings is not None
    assert shown(settings) == {"http": upstream}


def test_type_2_means_a_script_and_type_3_detection(load: Load) -> None:
    settings = load(_MANUAL.replace("ProxyType=1", "ProxyType=2"))
    assert settings is not None
    assert (settings.pac, shown(settings)) == ("http://unused/proxy.pac", {})
    settings = load(_MANUAL.replace("ProxyType=1", "ProxyType=3"))
    assert settings is not None
    assert (settings.is_auto_detected, settings.pac, shown(settings)) == (True, "", {})


def test_type_4_names_variables(load: Load) -> None:
    settings = load(
        group(
            "ProxyType=4", "httpProxy=CORP_PROXY,http_other", "httpsProxy=NOWHERE", "NoProxyFor=CORP_DIRECT"
        ),
        CORP_PROXY="http://proxy:8080",
        CORP_DIRECT="a.example,b.example",
    )
    assert settings is not None
    assert shown(settings) == {"http": "http://proxy:8080"}
    assert settings.bypass.matches_name("b.example", 80)


def test_type_0_has_no_settings_and_the_environment_is_read(load: Load) -> None:
    text = _MANUAL.replace("ProxyType=1", "ProxyType=0")
    assert load(text) is None
    settings = load(text, http_proxy="proxy:1")
    assert settings is not None
    assert settings.source == "environment"


def test_keys_may_have_options_and_values_may_have_variables(load: Load) -> None:
    settings = load(
        group(
            "ProxyType[$i]=1", "httpProxy[$ei]=http://$HTTP_HOST ${PORT}", "httpsProxy=http://$HTTP_HOST 1"
        ),
        HTTP_HOST="proxy",
        PORT="8080",
    )
    assert settings is not None
    assert shown(settings) == {"http": "http://proxy:8080"}


def test_escapes_of_kconfig_are_undone(load: Load) -> None:
    settings = load(group("ProxyType=2", r"Proxy Config Script=\shttp://intranet/a\\b;c\sd\s"))
    assert settings is not None
    assert settings.pac == r"http://intranet/a\b;c d"


def test_the_file_of_the_user_overrides_that_of_the_system(load: Load, tmp_path: Path) -> None:
    for name, port in (("near", 1), ("far", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kioslaverc").write_text(
            group("ProxyType=1", f"httpProxy={name} {port}", f"httpsProxy={name} {port}")
        )
    directories = f"{tmp_path / 'near'}:{tmp_path / 'far'}"
    settings = load(group("httpProxy=own 3"), XDG_CONFIG_DIRS=directories)
    assert settings is not None
    assert shown(settings) == {"http": "http://own:3", "https": "http://near:1"}


def test_without_a_file_there_are_no_settings(tmp_path: Path) -> None:
    assert (
        load_kde({"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": "/nonexistent"}, is_px_itself) is None
    )


def test_only_the_broken_entries_are_left_out(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    settings = load(
        group(
            "no entry",
            "=nothing",
            "ProxyType=1",
            "httpProxy=http://u:hunter2@proxy 80800",
            "httpsProxy=good 1",
            "NoProxyFor=a.example",
            "ReversedException=true",
        )
    )
    assert settings is not None
    assert shown(settings) == {"https": "http://good:1"}
    assert not settings.bypass
    assert [record.getMessage().partition(" is left out")[0] for record in caplog.records] == [
        "KDE settings: httpProxy",
        "KDE settings: ReversedException",
    ]
    assert "hunter2" not in caplog.text


def test_kde_settings_count_without_a_known_desktop_and_not_under_gnome(load: Load) -> None:
    assert load(_MANUAL, XDG_CURRENT_DESKTOP="GNOME") is None
    assert load(_MANUAL, XDG_CURRENT_DESKTOP="")
