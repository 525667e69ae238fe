"""macOS' proxy settings in the output of `scutil --proxy`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.macos import interpret_entries, load_macos, parse_scutil
from tests.places import is_px_itself, shown

_MANUAL = """\
<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
    2 : corp.example
    3 : 10.1.2.3
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 8080
  HTTPProxy : proxy.corp.example
  HTTPSEnable : 1
  HTTPSPort : 8443
  HTTPSProxy : 2001:db8::1
  HTTPUser : alice
  ProxyAutoConfigEnable : 0
  ProxyAutoConfigURLString : http://unchecked/proxy.pac
  ProxyAutoDiscoveryEnable : 0
  SOCKSEnable : 0
  SOCKSPort : 1080
  SOCKSProxy : unchecked.corp.example
  __SCOPED__ : <dictionary> {
    en0 : <dictionary> {
      HTTPEnable : 1
      HTTPPort : 9
      HTTPProxy : scoped.corp.example
      ProxyAutoConfigEnable : 1
      ProxyAutoConfigURLString : http://scoped/proxy.pac
    }
  }
}
"""
_SCRIPT = """\
<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  FTPPassive : 1
  HTTPEnable : 0
  ProxyAutoConfigEnable : 1
  ProxyAutoConfigURLString : http://intranet.corp.example/proxy.pac?site=a b
  ProxyAutoDiscoveryEnable : 1
}
"""
_NOTHING = """\
<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  FTPPassive : 1
}
"""


def read(output: str) -> ProxySettings:
    return interpret_entries(parse_scutil(output), is_px_itself)


def test_enabled_entries_count_and_those_of_single_interfaces_do_not() -> None:
    settings = read(_MANUAL)
    assert settings.source == "macOS network settings"
    assert (settings.is_auto_detected, settings.pac) == (False, "")
    assert shown(settings) == {"http": "http://proxy.corp.example:8080", "https": "http://[2001:db8::1]:8443"}


@pytest.mark.parametrize(
    ("host", "is_direct"),
    [
        ("printer.local", True),
        ("169.254.1.2", True),
        ("corp.example", True),
        ("www.corp.example", False),
        ("10.1.2.3", True),
        ("intranet", True),
        ("www.example", False),
    ],
)
def test_exceptions_may_be_plain_names_globs_and_networks(host: str, is_direct: bool) -> None:
    assert read(_MANUAL).bypass.matches_name(host, 443) is is_direct


def test_detection_and_a_script_can_be_set_together() -> None:
    settings = read(_SCRIPT)
    assert settings.is_auto_detected
    assert settings.pac == "http://intranet.corp.example/proxy.pac?site=a b"
    assert not read(_NOTHING)


def test_socks_serves_the_schemes_without_a_proxy_of_their_own() -> None:
    output = _MANUAL.replace("SOCKSEnable : 0", "SOCKSEnable : 1").replace("unchecked.corp", "socks.corp")
    assert shown(read(output))[""] == "socks5://socks.corp.example:1080"


@pytest.mark.parametrize(
    "output", ["", "No proxies", "<dictionary> {", "<dictionary> {\n}\n", "{\n a : <x> {\n"]
)
def test_unexpected_output_gives_no_settings(output: str) -> None:
    assert not read(output)


def test_only_the_broken_entries_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    output = _MANUAL.replace("HTTPPort : 8080", "HTTPPort : 80800").replace("*.local", "10.*.*.1")
    settings = read(output)
    assert shown(settings) == {"https": "http://[2001:db8::1]:8443"}
    assert settings.bypass.matches_name("corp.example", 80)
    assert [record.getMessage().partition(" is left out")[0] for record in caplog.records] == [
        "macOS network settings: HTTPProxy",
        "macOS network settings: ExceptionsList",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_the_output_of_scutil_is_read(tmp_path: Path) -> None:
    tool = tmp_path / "scutil"
    (tmp_path / "output").write_text(_MANUAL)
    tool.write_text(f'#!/bin/sh\n[ "$*" = --proxy ] && [ "$LC_ALL" = C.UTF-8 ] && cat {tmp_path}/output\n')
    tool.chmod(0o755)
    settings = load_macos({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, is_px_itself)
    assert settings is not None
    assert shown(settings)["http"] == "http://proxy.corp.example:8080"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_tool_that_fails_or_is_missing_gives_no_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_macos({"PATH": str(tmp_path)}, is_px_itself) is None
    tool = tmp_path / "scutil"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    assert load_macos({"PATH": str(tmp_path)}, is_px_itself) is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
