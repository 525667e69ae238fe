"""The px.ini of the original Px."""

from __future__ import annotations

import dataclasses

import pytest

from px.config.invocation import load_settings
from px.config.settings import Settings
from px.core.rules.host_rule_parser import split_rules
from px.core.rules.host_rules import HostRules
from tests.original_inis import HOSTONLY_INI, ORIGINAL_INIS

from .conversion import Converter


def normalize(settings: Settings) -> Settings:
    """Return settings without the place of px.ini and the way in which rules are separated."""
    targets = HostRules.parse_readable(", ".join(split_rules(str(settings.noproxy))))
    return dataclasses.replace(settings, config=None, noproxy=targets)


@pytest.mark.parametrize("text", [*ORIGINAL_INIS.values(), HOSTONLY_INI], ids=[*ORIGINAL_INIS, "hostonly"])
def test_the_copy_has_the_settings_of_the_file_and_loads_without_a_warning(converter: Converter, text):
    read = load_settings([f"--config={converter.write(text)}"], {}, converter.cwd).settings
    done = converter.convert(text)
    assert read
    assert normalize(done.settings) == normalize(read)
    assert (done.found.kind, done.lost, done.warnings) == ("a px.ini", "", ())


def test_what_px_does_not_know_is_left_out_with_its_line(converter: Converter):
    done = converter.convert(
        f"{ORIGINAL_INIS['0.12'].rstrip()}\nauthretry = 30\npasword = x\n[proxi]\na = b\n"
    )
    assert [warning.partition(" is not")[0] for warning in done.found.warnings] == [
        "foreign.conf:30: settings:pasword",
        "foreign.conf:32: proxi:a",
    ]
    assert [note.partition(" is not")[0] for note in done.found.notes] == [
        "foreign.conf:29: settings:authretry"
    ]


def test_a_password_among_the_upstreams_stays_out(converter: Converter):
    done = converter.convert("[proxy]\nserver = alice:s3cret@p:1\nuseragent = x\n")
    assert (done.settings.username, done.found.password_users) == ("alice", [""])
    assert "s3cret" not in done.ini + done.lost


def test_a_file_in_utf_16_with_a_mark_is_read(converter: Converter):
    done = converter.convert("[proxy]\r\nserver = p:1\r\n".encode("utf-16"))
    assert [str(each) for each in done.settings.proxy] == ["http://p:1"]
    assert "was read as UTF-16" in done.lost


def test_a_malformed_file_is_an_error_with_its_place(converter: Converter):
    assert converter.error("[proxy]\nport = 1\nport = 2\n").endswith(
        "foreign.conf:3: port is set a second time; keep one of the two"
    )
    assert converter.error("[proxy]\nserver = p:1\nport = x\n").startswith(
        "proxy:port=x (foreign.conf:3): not a"
    )
