"""Which places may name a proxy, in which order, and what Px uses when a PAC script cannot be loaded."""

from __future__ import annotations

from typing import Any

import pytest

from px.core.errors import PacError
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import parse_upstreams
from px.routing.discovered_proxy import DiscoveredProxy, Script
from px.routing.pac.source import LoadedPac
from px.routing.source_reader import SourceReader

UPSTREAMS = {"": parse_upstreams("a")}


class Network:
    """The surroundings of a source reader: the settings, the PAC scripts by location, the result of WPAD."""

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
        return object()  # type: ignore[return-value]  # the test only passes it on

    def source_reader(self, pac: str = "") -> SourceReader:
        return SourceReader(
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
    found = await network.source_reader("http://a/").read(DiscoveredProxy(), False)
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
    assert str(await network.source_reader().read(DiscoveredProxy(), False)) == said


async def test_a_script_that_has_not_changed_is_not_made_again() -> None:
    network = Network(None, "http://a/")
    source_reader = network.source_reader("http://a/")
    first = await source_reader.read(DiscoveredProxy(), False)
    assert (await source_reader.read(first, False)).script is first.script
    assert len(network.made) == 1


async def test_a_script_that_can_no_longer_be_loaded_stays_in_use() -> None:
    network = Network(None, "http://a/")
    source_reader = network.source_reader("http://a/")
    first = await source_reader.read(DiscoveredProxy(), False)
    network.scripts.clear()
    again = await source_reader.read(first, False)
    assert again.script is first.script
    assert not again.is_from_other_network
    assert again.trouble == "http://a/: no answer"


async def test_in_another_network_an_old_script_is_marked_as_such() -> None:
    network = Network(None, "http://a/")
    source_reader = network.source_reader("http://a/")
    first = await source_reader.read(DiscoveredProxy(), False)
    network.scripts.clear()
    moved = await source_reader.read(first, True)
    assert (moved.script, moved.is_from_other_network) == (first.script, True)
    still = await source_reader.read(moved, False)
    assert (still.script, still.is_from_other_network) == (first.script, True)
    network.scripts.add("http://a/")
    assert str(await source_reader.read(still, True)) == "--pac: PAC script http://a/"


async def test_a_detected_script_belongs_to_its_network() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    source_reader = network.source_reader()
    first = await source_reader.read(DiscoveredProxy(), False)
    network.detected = None
    flaw = await source_reader.read(first, False)
    assert (flaw.script, flaw.trouble) == (first.script, "the network no longer names a PAC script")
    assert str(await source_reader.read(first, True)) == "Internet Options: directly"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"is_auto_detected": True}, "environment: http://a:80"),
        (
            {"is_auto_detected": True, "upstreams": {"": parse_upstreams("b")}},
            "Internet Options: http://b:80",
        ),
        ({"pac": "http://p/"}, "Internet Options: directly (http://p/: no answer)"),
    ],
)
async def test_the_environment_decides_where_automatic_detection_finds_no_proxy(
    fields: dict[str, Any], said: str
) -> None:
    network = Network(settings(**fields))
    network.environment = ProxySettings(source="environment", upstreams=UPSTREAMS)
    assert str(await network.source_reader().read(DiscoveredProxy(), False)) == said


async def test_a_detected_script_that_vanishes_stays_in_use_whatever_the_environment_says() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    network.environment = ProxySettings(source="environment", upstreams=UPSTREAMS)
    source_reader = network.source_reader()
    first = await source_reader.read(DiscoveredProxy(), False)
    network.detected = None
    assert (await source_reader.read(first, False)).script is first.script
    assert str(await source_reader.read(first, True)) == "environment: http://a:80"


async def test_px_keeps_its_proxy_if_the_system_does_not_answer() -> None:
    network = Network(settings(upstreams=UPSTREAMS, is_auto_detected=True))
    source_reader = network.source_reader()
    network.detect_pac = network.fall_silent  # type: ignore[method-assign]
    source_reader = network.source_reader()
    first = await source_reader.read(DiscoveredProxy(), False)
    trouble = "the network did not say whether it has a PAC script"
    assert str(first) == f"Internet Options: http://a:80 ({trouble})"
    network.load_settings = network.fall_silent  # type: ignore[method-assign]
    again = await network.source_reader().read(first, False)
    assert again.settings is first.settings
    assert again.trouble == "the system did not report its proxy settings"


async def test_a_network_without_an_answer_yet_does_not_count_as_one_without_a_script() -> None:
    network = Network(settings(is_auto_detected=True), "http://w/", detected="http://w/")
    source_reader = network.source_reader()
    first = await source_reader.read(DiscoveredProxy(), False)
    network.detect_pac = network.fall_silent  # type: ignore[method-assign]
    source_reader._detect_pac = network.detect_pac
    moved = await source_reader.read(first, True)
    assert (moved.script, moved.is_from_other_network) == (first.script, True)
    assert moved.trouble  # so that Px soon looks again


async def test_px_drops_a_script_that_the_settings_no_longer_name() -> None:
    network = Network(settings(pac="http://p/"), "http://p/")
    source_reader = network.source_reader()
    first = await source_reader.read(DiscoveredProxy(), False)
    network.settings = settings(upstreams=UPSTREAMS)
    assert str(await source_reader.read(first, False)) == "Internet Options: http://a:80"
