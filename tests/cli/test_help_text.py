"""``--help``: for a newcomer at a terminal of 80 columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from px.cli import main as main_module
from px.cli.help_text import _summarize, format_help
from px.config.actions import ACTIONS
from px.config.option import Action, Option
from px.config.options import GROUPS, OPTIONS
from px.core.startup_errors import ConfigError

ENTRIES: list[Action | Option] = [*ACTIONS, *OPTIONS]


@pytest.mark.parametrize("topic", ["", "all"])
def test_the_help_fits_a_terminal_and_names_everything(topic):
    text = format_help(None, topic)
    assert max(map(len, text.splitlines())) < 80
    assert text.isascii()
    assert all(entry.usage in text for entry in ENTRIES)


def test_the_overview_has_at_most_two_lines_for_each_entry():
    lines = format_help(None).partition("Actions:\n")[2].splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(("  -", "  PX_"))]
    for entry, start in zip(ENTRIES, starts, strict=False):
        end = next(n for n in range(start + 1, len(lines)) if n in starts or not lines[n].startswith("   "))
        assert end - start <= 2, f"begin the help of {entry.usage} with a short sentence: {lines[start:end]}"


def test_the_overview_describes_each_entry():
    summaries = [_summarize(entry).removeprefix(f"  {entry.usage}") for entry in ENTRIES]
    assert not [summary for summary in summaries if len(summary.split()) < 2]


def test_the_overview_shows_how_to_start_and_where_px_ini_is():
    text = format_help(None)
    assert "px --proxy=proxy.corp.example:8080\n" in text
    assert all(f"\n{group}:\n" in text for group in GROUPS)
    assert "px.ini in use: none found" in text
    assert f"px.ini in use: {Path('/x/px.ini')}" in format_help(Path("/x/px.ini"))


def test_the_overview_names_each_exit_code():
    assert main_module.__doc__ is not None
    said = [
        re.findall(r"\b([0-9]) \w", text.partition("Exit codes:")[2])
        for text in (main_module.__doc__, format_help(None))
    ]
    assert said == [list("0123456")] * 2


@pytest.mark.parametrize("topic", ["noproxy", "--noproxy", "NoProxy", "PX_NOPROXY"])
def test_the_name_of_an_option_as_topic_shows_all_about_that_option(topic):
    text = format_help(None, topic)
    assert text.startswith("--noproxy=LIST\n    Targets to connect to directly")
    assert text.endswith("    In px.ini: noproxy in [proxy]\n    In the environment: PX_NOPROXY")


@pytest.mark.parametrize(
    ("topic", "usages"),
    [
        ("server", ["--proxy=LIST"]),
        ("force", ["--install [--force]"]),
        ("nthash", ["PX_NTHASH=HASH"]),
        ("logging", ["--debug", "--uniqlog", "--verbose", "--log=N"]),
        ("local security", []),
        ("SAFENO", ["--auth=POLICY"]),
    ],
)
def test_a_topic_matches_names_first_then_groups_then_words(topic, usages):
    if not usages:
        with pytest.raises(ConfigError, match=f"--help={topic}: no option or action matches; --help has"):
            format_help(None, topic)
        return
    shown = [line for line in format_help(None, topic).splitlines() if line and not line.startswith(" ")]
    assert set(usages) <= set(shown)
    assert len(shown) < len(ENTRIES) / 2


def test_the_error_for_a_misspelt_topic_suggests_an_option():
    with pytest.raises(
        ConfigError, match="--help=prxt: no option or action matches; did you mean --help=port"
    ):
        format_help(None, "prxt")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_help_of_an_option_has_its_places_and_its_default(option):
    text = format_help(None, option.name)
    assert not option.section or f"In px.ini: {option.key} in [{option.section}]" in text
    assert all(variable in text for variable in option.variables)
    assert not option.default or f"Default: {option.default}\n" in f"{text}\n"
