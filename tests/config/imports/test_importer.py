"""The import as a whole: which file is which, and how the result meets what px.ini has already."""

from __future__ import annotations

import sys

import pytest

from px.config.imports.importer import FORMATS
from px.core.auth.ntlm.md4 import nt_hash
from px.core.startup_errors import ConfigError
from tests.markdown import ROOT

from .conversion import Converter
from .test_cntlm import LOGIN, OFFICE


def test_other_keys_and_comments_of_px_ini_stay_and_flags_come_first(converter: Converter):
    converter.write("; mine\n[proxy]\nport = 1\nidle = x\n[settings]\n; patient\nidle = 7\n", "px.ini")
    (converter.cwd / "px.ini").write_text("; mine\n[proxy]\nport = 1\n[settings]\n; patient\nidle = 7\n")
    done = converter.convert(OFFICE, "--port=3333", "--via=0")
    assert done.ini.startswith("; mine\n[proxy]\nport = 3333\n")
    assert "\n; patient\nidle = 7\n" in done.ini
    assert (done.settings.port, done.settings.via) == (3333, False)
    assert "port = 3128" not in done.found.shown


def test_the_hash_of_another_user_does_not_stay(converter: Converter):
    before = f"[proxy]\nusername = bob\nnthash = {nt_hash('x').hex()}\n"
    converter.write(before, "px.ini")
    done = converter.convert(f"{LOGIN}Password x\n")
    assert done.settings.nthash is None
    assert "nthash in px.ini is empty now" in done.lost
    converter.write(before.replace("bob", "CORP\\alice"), "px.ini")
    assert converter.convert(f"{LOGIN}Password x\n").settings.nthash is not None


def test_a_user_of_the_command_line_does_not_get_the_imported_hash(converter: Converter):
    done = converter.convert(OFFICE, "--username=bob")
    assert (done.settings.username, done.settings.nthash) == ("bob", None)
    assert "--username names the user" in done.lost


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_px_ini_that_others_can_read_is_a_warning_where_it_gets_a_hash(converter: Converter):
    converter.write("", "px.ini").chmod(0o644)
    assert "chmod 600" in converter.convert(OFFICE).lost
    converter.ini.unlink()
    assert "chmod" not in converter.convert(OFFICE).lost
    assert converter.ini.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to import; valid is: a px.ini, or settings of cntlm"),
        ("Dear all,\nthe proxy has moved.\n", "nothing to import"),
        ("function FindProxyForURL(url, host) {}\n", "this is a PAC script; give it to Px with --pac="),
        ('{"a": 1}', "nothing to import"),
    ],
)
def test_a_file_of_no_known_kind_is_an_error(converter: Converter, text, message):
    assert message in converter.error(text)


def test_settings_that_px_cannot_run_with_are_not_written(converter: Converter):
    error = converter.error(f"{LOGIN}Listen 3128\nSOCKS5Proxy 3128\n")
    assert "3128" in error
    assert not converter.ini.exists()


def test_the_px_ini_in_use_is_not_imported_into_itself(converter: Converter):
    converter.write("[proxy]\nserver = a:1\n", "px.ini")
    with pytest.raises(ConfigError, match="Px uses this file already"):
        converter.run("px.ini")


def test_the_document_has_every_setting_of_every_format():
    text = (ROOT / "docs" / "coming-from-others.md").read_text(encoding="utf-8").lower()
    own = FORMATS[0]  # docs/options.md has the keys of px.ini
    missing = [
        name for each in FORMATS if each is not own for name in each.rules if f"`{name.lower()}`" not in text
    ]
    assert missing == []
