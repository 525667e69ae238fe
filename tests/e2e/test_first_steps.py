"""The pictures in docs/first-steps.md show what Px prints at a real Squid and domain."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs a keyring of Linux", allow_module_level=True)
pytest.importorskip("rich", reason="rich, a package for developers, draws the pictures")

from scripts.terminal_svg import Picture
from tests.corpnet.network import CorporateNetwork
from tests.markdown import ROOT, find_links
from tests.pictures import read_parts

from .first_steps import take_first_steps
from .squid_watch import bad_passwords

DOCUMENT = ROOT / "docs" / "first-steps.md"
SHOWN = sorted(link for link in find_links(DOCUMENT.read_text("utf-8")) if link.endswith(".svg"))


@pytest.fixture(scope="module")
def pictures(network: CorporateNetwork) -> Mapping[str, Picture]:
    """Return the pictures of this run, by the link to each."""
    with (
        tempfile.TemporaryDirectory(prefix="px-") as directory,
        bad_passwords(network, network.ad.carol, at_least=1, at_most=1),
        bad_passwords(network, network.ad.bob),
    ):
        return {f"{each.name}.svg": each for each in take_first_steps(network, Path(directory))}


def test_the_document_shows_each_picture(pictures: Mapping[str, Picture]) -> None:
    assert sorted(pictures) == SHOWN


@pytest.mark.parametrize("link", SHOWN)
def test_a_picture_shows_what_px_prints(pictures: Mapping[str, Picture], link: str) -> None:
    kept = pictures[link].path.read_text("utf-8")
    assert read_parts(kept) == read_parts(pictures[link].format()), "run `make pictures`"


def test_the_pictures_have_no_secrets_and_nothing_of_this_computer(
    network: CorporateNetwork, pictures: Mapping[str, Picture]
) -> None:
    shown = "\n".join(picture.shown for picture in pictures.values())
    assert not [user for user in network.ad.users if user.password in shown]
    assert re.findall(r"/tmp|:\d{5}", shown) == []
