"""The proxy settings of one place."""

from __future__ import annotations

from px.core.rules.host_rules import HostRules
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import parse_upstreams

A, B = parse_upstreams("a,b")


def test_the_upstreams_of_a_scheme_come_before_those_of_all_schemes() -> None:
    settings = ProxySettings(source="test", upstreams={"https": (A,), "": (B,)})
    assert settings.upstreams_for("https") == (A,)
    assert settings.upstreams_for("http") == (B,)


def test_a_scheme_with_an_empty_list_is_reached_directly() -> None:
    settings = ProxySettings(source="test", upstreams={"http": (), "": (B,)})
    assert settings.upstreams_for("http") == ()


def test_settings_without_a_proxy_script_or_detection_are_false() -> None:
    assert not ProxySettings(source="test", bypass=HostRules.parse("*.test", names=True))
    assert not ProxySettings(source="test", upstreams={"http": ()})
    assert ProxySettings(source="test", is_auto_detected=True)
    assert ProxySettings(source="test", pac="http://pac.test/")
    assert ProxySettings(source="test", upstreams={"": (A,)})
