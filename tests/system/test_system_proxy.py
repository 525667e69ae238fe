"""Where proxy settings are looked for, and in which order."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from px.core.proxy_settings import ProxySettings
from px.system import system_proxy
from px.system.system_proxy import load_proxy_settings
from tests.system.places import is_px_itself, shown

not_windows = pytest.mark.skipif(sys.platform == "win32", reason="test_system_proxy_windows has its own")


@not_windows
def test_where_the_system_says_nothing_the_environment_is_asked() -> None:
    environ = {"PATH": "", "HOME": "/nonexistent", "http_proxy": "proxy:8080"}
    settings = load_proxy_settings(environ, is_px_itself)
    assert settings is not None
    assert (settings.source, shown(settings)) == ("environment", {"http": "http://proxy:8080"})


@not_windows
def test_where_nobody_says_anything_there_are_none() -> None:
    assert load_proxy_settings({"PATH": "", "HOME": "/nonexistent"}, is_px_itself) is None


@not_windows
def test_what_points_at_px_only_is_nothing_said() -> None:
    environ = {"PATH": "", "HOME": "/nonexistent", "all_proxy": "http://localhost:3128"}
    assert load_proxy_settings(environ, is_px_itself) is None


def test_the_first_place_that_gives_a_way_is_the_only_one_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def places(*_: object) -> Iterator[ProxySettings | None]:
        yield None
        yield ProxySettings(source="empty")
        yield ProxySettings(source="script", pac="http://intranet/proxy.pac")
        pytest.fail("was asked, though there is a way")

    monkeypatch.setattr(system_proxy, "_load_all", places)
    settings = load_proxy_settings({}, is_px_itself)
    assert settings is not None
    assert settings.source == "script"
