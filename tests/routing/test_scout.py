"""Where a proxy may be named, which place has the say, and what holds when a PAC script cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from px.core.errors import PacError
from px.core.proxy_settings import ProxySettings
from px.core.route import parse_upstreams
from px.routing.finding import Finding, Script
from px.routing.pac_source import LoadedPac
from px.routing.scout import Scout

UPSTREAMS = {"": parse_upstreams("a")}


class Network:
    """What a scout can see: the settings, the PAC scripts by location, what WPAD says."""

    def __init__(
        self, settings: ProxySettings | None = None, *scripts: str, detected: str | None = None
    ) -> None:
        self.settings = settings
        self.scripts = set(scripts)
        self.detected = detected
        self.made: list[LoadedPac] = []
        self.environment: ProxySettings | None = None

    async def load_settings(self) -> ProxySettings | None:
        return self.settings

    async def fall_silent(self) -> None:
        raise TimeoutError

    async def detect_pac(self) -> str | None:
        return self.detected

    async def load_pac(self, location: str, known: LoadedPac | None) -> LoadedPac:
        if location not in self.scripts:
            raise PacError(f"{location}: no answer")
        return known or LoadedPac("", location, "auto")

    def make_script(self, loaded: LoadedPac) -> Script:
        self.made.append(loaded)
        return object()  # type: ignore[return-value]  # it is only handed on

    def scout(self, pac: str = "") -> Scout:
        return Scout(
            pac=pac,
            load_settings=self.load_settings,
            detect_pac=self.detect_pac,
            load_pac=self.load_pac,
            make_script=self.make_script,
            environment=self.environment,
        )


def settings(**fields: object) -> ProxySettings:
    return ProxySettings(source="Internet Options", **fields)  # type: ignore[arg-type]


async def test_the_users_script_comes_before_the_systems_settings() -> None:
    network = Network(settings(pac="http://b/"), "http://a/", "http://b/")
    found = await network.scout("http://a/").look(Finding(), False)
    assert str(found) == "--pac: PAC script http://a/"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Network(), "no proxy is set anywhere"),
        (Network(settings(upstreams=UPSTREAMS)), "Internet Options: http://a:80"),
        (
            Network(settings(pac="http://p/", upstreams=UPSTREAMS), "http://p/"),
            "Internet Options: PAC script http://p/",
        ),
        (
            Network(settings(pac="http://p/", upstreams=UPSTREAMS)),
            "Internet Options: http://a:80 (http://p/: no answer)",
        ),
        (
            Network(settings(is_auto_detected=True, pac="http://p/"), "http://w/", "http://p/", detected="http://w/"),
            "Internet Options: PAC script http://w/",
        ),
        (
            Network(settings(is_auto_detected=True, pac="http://p/"), "http://p/"),
            "Internet Options: PAC script http://p/",
        ),
        (Network(settings(is_auto_detected=True)), "Internet Options: directly"),
    ],
)  # fmt: skip
async def test_the_systems_settings_are_tried_in_their_order(network: Network, said: str) -> None:
    assert str(await network.scout().look(Finding(), False)) == said


async def test_a_script_that_has_not_changed_is_not_made_again() -> None:
    network = Network(None, "http://a/")
    scout = network.scout("http://a/")
    first = await scout.look(Finding(), False)
    assert (await scout.look(first, False)).script is first.script
    assert len(network.made) == 1


async def test_a_script_that_cannot_be_had_any_more_goes_on_being_used() -> None:
    network = Network(None, "http://a/")
    scout = network.scout("http://a/")
    first = await scout.look(Finding(), False)
    network.scripts.clear()
    again = await scout.look(first, False)
    assert again.script is first.script
    assert not again.is_left_behind
    assert again.trouble == "http://a/: no answer"


async def test_in_another_network_it_is_known_that_the_script_may_not_be_right() -> None:
    network = Network(None, "http://a/")
    scout = network.scout("http://a/")
    first = await scout.look(Finding(), False)
    network.scripts.clear()
    moved = await scout.look(first, True)
    assert (moved.script, moved.is_left_behind) == (first.script, True)
    still = await scout.look(moved, False)
    assert (still.script, still.is_left_behind) == (first.script, True)
    network.scripts.add("http://a/")
    assert str(await scout.look(still, True)) == "--pac: PAC script http://a/"


async def test_a_detected_script_belongs_to_its_network() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    scout = network.scout()
    first = await scout.look(Finding(), False)
    network.detected = None
    flaw = await scout.look(first, False)
    assert (flaw.script, flaw.trouble) == (first.script, "no PAC script is found in the network any more")
    assert str(await scout.look(first, True)) == "Internet Options: directly"


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ({"is_auto_detected": True}, "environment: http://a:80"),
        (
            {"is_auto_detected": True, "upstreams": {"": parse_upstreams("b")}},
            "Internet Options: http://b:80",
        ),
        ({"pac": "http://p/"}, "Internet Options: directly (http://p/: no answer)"),
    ],
)
async def test_the_environment_is_asked_where_proxies_are_looked_for_in_vain(
    ways: dict[str, Any], said: str
) -> None:
    network = Network(settings(**ways))
    network.environment = ProxySettings(source="environment", upstreams=UPSTREAMS)
    assert str(await network.scout().look(Finding(), False)) == said


async def test_a_detected_script_that_goes_is_used_on_whatever_the_environment_says() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    network.environment = ProxySettings(source="environment", upstreams=UPSTREAMS)
    scout = network.scout()
    first = await scout.look(Finding(), False)
    network.detected = None
    assert (await scout.look(first, False)).script is first.script
    assert str(await scout.look(first, True)) == "environment: http://a:80"


async def test_a_system_that_does_not_answer_changes_nothing() -> None:
    network = Network(settings(upstreams=UPSTREAMS, is_auto_detected=True))
    scout = network.scout()
    network.detect_pac = network.fall_silent  # type: ignore[method-assign]
    scout = network.scout()
    first = await scout.look(Finding(), False)
    trouble = "the network does not tell whether it has a PAC script"
    assert str(first) == f"Internet Options: http://a:80 ({trouble})"
    network.load_settings = network.fall_silent  # type: ignore[method-assign]
    again = await network.scout().look(first, False)
    assert again.settings is first.settings
    assert again.trouble == "the system does not tell its proxy settings"


async def test_a_network_that_does_not_say_yet_is_none_without_a_script() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    scout = network.scout()
    first = await scout.look(Finding(), False)
    network.detect_pac = network.fall_silent  # type: ignore[method-assign]
    scout._detect_pac = network.detect_pac
    moved = await scout.look(first, True)
    assert (moved.script, moved.is_left_behind) == (first.script, True)
    assert moved.trouble  # so that it is looked again soon


async def test_settings_that_want_no_script_any_more_get_none() -> None:
    network = Network(settings(pac="http://p/"), "http://p/")
    scout = network.scout()
    first = await scout.look(Finding(), False)
    network.settings = settings(upstreams=UPSTREAMS)
    assert str(await scout.look(first, False)) == "Internet Options: http://a:80"
