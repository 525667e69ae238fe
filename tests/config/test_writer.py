"""``--save``: what it writes, and that Px reads back the same settings."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from px.config.invocation import Invocation, load_settings
from px.config.option import Option
from px.config.options import OPTIONS
from px.config.settings import Settings
from px.config.writer import save_settings
from px.core.startup_errors import ConfigError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")

#: Texts, each of them valid for at least one option.
TEXTS = (
    *("0", "1", "3", "7.5", "65535", "NTLM", "ANYSAFE", "alice", "CORP\\alice", "alice@CORP.EXAMPLE"),
    *("http://wpad.corp.example/proxy.pac", "latin-1", "json"),
    *("10.1.2.3", "127.0.0.1,::1", "10.*, 192.168.0.0/16", "10.*\n.corp.example", "<local>;*.corp.example"),
    *(
        "a:1,http://b:2",
        "2222:git.example:22,25:[::1]:25",
        "https://[::1]:8443",
        "100 %s # of ; it = all",
        "ä",
        "'quoted'",
        "0123456789abcdef" * 2,
    ),
)


class Directories:
    """A working directory and the path of the user's configuration directory."""

    def __init__(self, directory: Path) -> None:
        self.cwd, self.user_dir = directory / "work", directory / "user"
        self.cwd.mkdir(mode=0o700)
        self.ini = self.cwd / "px.ini"

    def load(self, *argv: str, **environ: str) -> Invocation:
        return load_settings(["--save", *argv], environ, self.cwd, (self.user_dir,))

    def save(self, *argv: str, **environ: str) -> str:
        """Save, and return the text of the file."""
        invocation = self.load(*argv, **environ)
        assert invocation.config_file
        assert invocation.settings
        save_settings(invocation.config_file, invocation.given, invocation.settings)
        return invocation.config_file.read_text(encoding="utf-8")

    def write(self, text: str) -> Path:
        self.ini.write_bytes(text.encode())
        self.ini.chmod(0o600)
        return self.ini


@pytest.fixture
def dirs(tmp_path):
    return Directories(tmp_path)


@functools.cache
def texts_of(option: Option) -> list[str]:
    """Return the texts in `TEXTS` that are valid for an option on the command line."""
    return [text for text in TEXTS if is_taken(option, text)]


def is_taken(option: Option, text: str) -> bool:
    try:
        value = (option.parse_flag or option.parse)(text)
    except ValueError:
        return False
    return not getattr(value, "skipped", ())  # the warnings before and after would name different places


SAVED = [option for option in OPTIONS if option.is_flag and option.name != "config"]
some_options = st.dictionaries(st.sampled_from(SAVED), st.none(), max_size=len(SAVED)).flatmap(
    lambda chosen: st.fixed_dictionaries({option: st.sampled_from(texts_of(option)) for option in chosen})
)


@pytest.mark.parametrize("option", SAVED, ids=lambda option: option.name)
def test_the_texts_have_a_value_other_than_the_default_for_each_option(option):
    assert [text for text in texts_of(option) if option.parse(text) != option.parse(option.default)]


@pytest.mark.shows("--save")
@settings(deadline=None)  # it writes files
@given(some_options, some_options, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
def test_saved_settings_are_read_back_unchanged(flags, present, end, mark):
    with tempfile.TemporaryDirectory() as directory:
        dirs = Directories(Path(directory))
        before = format_ini(present, end)
        dirs.write(mark + before)
        argv = [f"--{option.name}={text}" for option, text in flags.items()]
        wanted = dirs.load(*argv)
        assert wanted.settings
        assert wanted.config_file
        lost = save_settings(wanted.config_file, wanted.given, wanted.settings)
        after = dirs.ini.read_bytes().decode()
        read = dirs.load()
    assert read.settings
    assert differences(wanted.settings, read.settings) <= ({"verbose", "foreground"} if lost else set())
    assert after.startswith(mark)
    assert kept_lines(before) == kept_lines(after)
    assert after.count("\n") == after.count(end)
    assert read.warnings == wanted.warnings


def format_ini(values: dict[Option, str], end: str) -> str:
    lines = ["; mine"]
    for section in ("proxy", "client", "settings"):
        lines += [f"[{section}]", f"# about {section}", "unknown ="]
        lines += [
            f"{option.key}: {text}".replace("\n", end + "   ")
            for option, text in values.items()
            if option.section == section
        ]
    return end.join([*lines, ""])


def kept_lines(text: str) -> list[str]:
    return [
        line for line in text.lstrip("\ufeff").splitlines() if line.startswith((";", "#", "[", "unknown"))
    ]


def differences(one: Settings, other: Settings) -> set[str]:
    fields = [field.name for field in dataclasses.fields(Settings)]
    return {name for name in fields if getattr(one, name) != getattr(other, name)}


# What is written


def test_a_new_file_has_every_key_with_the_given_value_or_its_default(dirs):
    text = dirs.save("--proxy=a:1,b", "--idle", "7").replace(os.linesep, "\n")
    for option in SAVED:
        if option.section:
            value = {"proxy": "a:1,b", "idle": "7"}.get(option.name, option.default)
            assert f"\n{option.key} = {value}".rstrip() + "\n" in text
    assert text.startswith("[proxy]\nserver = a:1,b\npac =\n")


def test_saving_changes_only_the_given_values_of_an_existing_file(dirs):
    written = (
        "# Px of the lab\n[settings]\nIdle: 60\t\nfuture = 1\n\n[proxy]\n; the old one: server = old:1\n"
        "server=alice:s3cret@a:1\nnoproxy = .lab\nnthash = 0123456789abcdef0123456789abcdef\n"
    )
    dirs.write(written)
    text = dirs.save("--port=4", "--noproxy=10.*")
    left = [line for line in text.splitlines() if line and line in written.splitlines()]
    assert left == [line for line in written.splitlines() if line not in ("", "noproxy = .lab")]
    assert "\nfuture = 1\nworkers = 2\nthreads = 5\n" in text
    assert "\nnoproxy = 10.*\nnthash = " in text
    assert "\nport = 4\n" in text


def test_values_from_the_environment_are_not_saved(dirs):
    (dirs.cwd / ".env").write_text("PX_NTHASH=0123456789abcdef0123456789abcdef\nPX_USERAGENT=dotenv\n")
    (dirs.cwd / ".env").chmod(0o600)
    text = dirs.save(
        "--port=1", PX_PASSWORD="s3cret", PX_PROXY="alice:s3cret@a:1", PX_USERNAME="alice", PX_IDLE="9"
    )
    assert not [word for word in ("s3cret", "0123456789", "alice", "dotenv", "= 9") if word in text]
    assert "password" not in text
    assert "nthash" not in text


def test_a_flag_replaces_an_invalid_value_in_the_file(dirs):
    dirs.write("[proxy]\nport = broken\n")
    with pytest.raises(ConfigError, match=r"port=broken .*px.ini:2"):
        dirs.save("--idle=5")
    assert "port = 5\n" in dirs.save("--port=5")


@pytest.mark.parametrize(
    ("argv", "log", "lost"),
    [
        (["--debug"], "2", []),
        (["--uniqlog", "--debug"], "3", []),
        (["--verbose"], "4", []),
        (["--log=5", "--debug"], "5", []),
        (["--log=0", "--debug=0"], "0", []),
        (["--verbose", "--debug"], "2", ["--verbose is not saved: px.ini has no key for it of its own"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_the_logging_flags_are_saved_as_the_key_log(dirs, argv, log, lost):
    wanted = dirs.load(*argv)
    assert save_settings(dirs.ini, wanted.given, wanted.settings) == lost
    assert f"\nlog = {log}\n" in dirs.ini.read_text()


def test_a_value_that_px_ini_cannot_hold_is_an_error_and_leaves_the_file_unchanged(dirs):
    dirs.write("[proxy]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"--noproxy='a\\r\\nb': px.ini cannot hold"):
        dirs.save("--noproxy=a\r\nb")
    assert dirs.ini.read_text() == "[proxy]\nport = 1\n"


def test_saving_warns_of_values_that_the_environment_overrides(dirs):
    warnings = dirs.load("--port=1", "--idle=2", PX_PORT="3", PX_USERNAME="alice").warnings
    assert warnings == ("PX_PORT (in the environment) comes before px.ini: the saved --port will not count",)


# Where it is written


def test_saving_updates_the_px_ini_in_use_wherever_it_is(dirs):
    dirs.user_dir.mkdir()
    theirs = dirs.user_dir / "px.ini"
    theirs.write_text("[proxy]\nserver = a:1\n")
    dirs.save("--port=1")
    assert "port = 1" in theirs.read_text()
    assert not dirs.ini.exists()


@pytest.mark.parametrize("environ", [{}, {"PX_CONFIG": "new/dir/my.ini"}], ids=["--config", "PX_CONFIG"])
def test_saving_creates_a_named_file_and_its_directory(dirs, environ):
    dirs.write("[proxy]\nport = 1\n")
    dirs.save("--port=2", *([] if environ else ["--config=new/dir/my.ini"]), **environ)
    assert "port = 2" in (dirs.cwd / "new" / "dir" / "my.ini").read_text()
    assert dirs.ini.read_text() == "[proxy]\nport = 1\n"


def test_the_relative_path_of_a_script_is_saved_as_an_absolute_path(dirs, monkeypatch):
    script = dirs.cwd / "proxy.pac"
    script.touch()
    monkeypatch.chdir(dirs.cwd)
    dirs.save("--pac=proxy.pac")
    monkeypatch.chdir(dirs.cwd.parent)
    settings = load_settings([f"--config={dirs.ini}"], {}, dirs.cwd.parent).settings
    assert settings is not None
    assert settings.pac == str(script)


@posix_only
def test_px_ini_is_saved_in_the_users_directory_if_the_working_directory_is_not_trusted(dirs):
    dirs.cwd.chmod(0o777)
    invocation = dirs.load("--port=1")
    assert invocation.config_file == dirs.user_dir / "px.ini"
    assert invocation.warnings == (
        f"a px.ini in {dirs.cwd} would not be used: everybody can write to {dirs.cwd}",
    )


@pytest.mark.parametrize("name", ["px.ini/x.ini", "."])
def test_a_file_that_cannot_be_written_is_an_error_of_one_line(dirs, name):
    dirs.write("[proxy]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"cannot be written|no such file|a directory, not a file"):
        dirs.save(f"--config={name}")
    assert [*dirs.cwd.iterdir()] == [dirs.ini]
