"""The order in which sources of proxy settings are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings import reader as reader_module
from px.system.proxy_settings.reader import load_proxy_settings
from tests.places import is_px_itself, shown

not_windows = pytest.mark.skipif(sys.platform == "win32", reason="test_windows.py has tests for Windows")


@not_windows
def test_without_system_settings_the_environment_is_read() -> None:
    environ = {"PATH": "", "HOME": "/nonexistent", "http_proxy": "proxy:8080"}
    settings = load_proxy_settings(environ, is_px_itself)
    assert settings is not None
    assert (settings.source, shown(settings)) == ("environment", {"http": "http://proxy:8080"})


@not_windows
def test_without_any_settings_there_are_none() -> None:
    assert load_proxy_settings({"PATH": "", "HOME": "/nonexistent"}, is_px_itself) is None


@not_windows
def test_settings_that_name_only_px_itself_count_as_none() -> None:
    environ = {"PATH": "", "HOME": "/nonexistent", "all_proxy": "http://localhost:3128"}
    assert load_proxy_settings(environ, is_px_itself) is None


def test_sources_after_the_first_with_a_proxy_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def places(*_: object) -> Iterator[ProxySettings | None]:
        yield None
        yield ProxySettings(source="empty")
        yield ProxySettings(source="script", pac="http://intranet/proxy.pac")
        pytest.fail("was asked, though there is a way")

    monkeypatch.setattr(reader_module, "_load_all", places)
    settings = load_proxy_settings({}, is_px_itself)
    assert settings is not None
    assert settings.source == "script"
