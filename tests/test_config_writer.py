"""``--save``: what is written, and that it is read again as what it was."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from px.config import Invocation, Settings, load_settings
from px.config_writer import save_settings
from px.core.startup_errors import ConfigError
from px.option import Option
from px.options import OPTIONS

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")

#: Texts that some option or other takes.
TEXTS = (
    *("0", "1", "3", "7.5", "65535", "NTLM", "ANYSAFE", "alice", "CORP\\alice", "alice@CORP.EXAMPLE"),
    *("http://wpad.corp.example/proxy.pac", "latin-1"),
    *("10.1.2.3", "127.0.0.1,::1", "10.*, 192.168.0.0/16", "10.*\n.corp.example", "<local>;*.corp.example"),
    *(
        "a:1,http://b:2",
        "https://[::1]:8443",
        "100 %s # of ; it = all",
        "ä",
        "'quoted'",
        "0123456789abcdef" * 2,
    ),
)


class House:
    """A working directory, and a directory of the user's."""

    def __init__(self, directory: Path) -> None:
        self.cwd, self.user_dir = directory / "work", directory / "user"
        self.cwd.mkdir(mode=0o700)
        self.ini = self.cwd / "px.ini"

    def load(self, *argv: str, **environ: str) -> Invocation:
        return load_settings(["--save", *argv], environ, self.cwd, (self.user_dir,))

    def save(self, *argv: str, **environ: str) -> str:
        """Save, and return what the file says then."""
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
def house(tmp_path):
    return House(tmp_path)


def texts_of(option: Option) -> list[str]:
    """Return the texts among `TEXTS` that an option takes on the command line."""
    return [text for text in TEXTS if is_taken(option, text)]


def is_taken(option: Option, text: str) -> bool:
    try:
        (option.parse_flag or option.parse)(text)
    except ValueError:
        return False
    return True


SAVED = [option for option in OPTIONS if option.is_flag and option.name != "config"]
some_options = st.dictionaries(st.sampled_from(SAVED), st.none(), max_size=len(SAVED)).flatmap(
    lambda chosen: st.fixed_dictionaries({option: st.sampled_from(texts_of(option)) for option in chosen})
)


@pytest.mark.parametrize("option", SAVED, ids=lambda option: option.name)
def test_there_is_a_value_to_try_for_each_option(option):
    assert [text for text in texts_of(option) if option.parse(text) != option.parse(option.default)]


@pytest.mark.shows("--save")
@settings(deadline=None)  # files
@given(some_options, some_options, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
def test_what_is_saved_is_read_again_as_it_was(flags, present, end, mark):
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory))
        before = format_ini(present, end)
        house.write(mark + before)
        argv = [f"--{option.name}={text}" for option, text in flags.items()]
        wanted = house.load(*argv)
        assert wanted.settings
        assert wanted.config_file
        lost = save_settings(wanted.config_file, wanted.given, wanted.settings)
        after = house.ini.read_bytes().decode()
        read = house.load()
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


def test_a_new_file_has_every_key_with_what_was_given_or_its_default(house):
    text = house.save("--proxy=a:1,b", "--idle", "7").replace(os.linesep, "\n")
    for option in SAVED:
        if option.section:
            value = {"proxy": "a:1,b", "idle": "7"}.get(option.name, option.default)
            assert f"\n{option.key} = {value}".rstrip() + "\n" in text
    assert text.startswith("[proxy]\nserver = a:1,b\npac =\n")


def test_what_the_user_wrote_stays_and_only_what_was_given_changes(house):
    written = (
        "# Px of the lab\n[settings]\nIdle: 60\t\nfuture = 1\n\n[proxy]\n; the old one: server = old:1\n"
        "server=alice:s3cret@a:1\nnoproxy = .lab\nnthash = 0123456789abcdef0123456789abcdef\n"
    )
    house.write(written)
    text = house.save("--port=4", "--noproxy=10.*")
    left = [line for line in text.splitlines() if line and line in written.splitlines()]
    assert left == [line for line in written.splitlines() if line not in ("", "noproxy = .lab")]
    assert "\nfuture = 1\nworkers = 2\nthreads = 5\n" in text
    assert "\nnoproxy = 10.*\nnthash = " in text
    assert "\nport = 4\n" in text


def test_nothing_of_the_environment_is_written(house):
    (house.cwd / ".env").write_text("PX_NTHASH=0123456789abcdef0123456789abcdef\nPX_USERAGENT=dotenv\n")
    (house.cwd / ".env").chmod(0o600)
    text = house.save(
        "--port=1", PX_PASSWORD="s3cret", PX_PROXY="alice:s3cret@a:1", PX_USERNAME="alice", PX_IDLE="9"
    )
    assert not [word for word in ("s3cret", "0123456789", "alice", "dotenv", "= 9") if word in text]
    assert "password" not in text
    assert "nthash" not in text


def test_a_broken_value_in_the_file_is_mended_by_the_flag_for_it(house):
    house.write("[proxy]\nport = broken\n")
    with pytest.raises(ConfigError, match=r"port=broken .*px.ini:2"):
        house.save("--idle=5")
    assert "port = 5\n" in house.save("--port=5")


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
def test_the_flags_of_logging_are_saved_as_the_one_key_there_is(house, argv, log, lost):
    wanted = house.load(*argv)
    assert save_settings(house.ini, wanted.given, wanted.settings) == lost
    assert f"\nlog = {log}\n" in house.ini.read_text()


def test_a_value_that_px_ini_cannot_hold_is_an_error_and_the_file_stays(house):
    house.write("[proxy]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"--noproxy='a\\r\\nb': px.ini cannot hold"):
        house.save("--noproxy=a\r\nb")
    assert house.ini.read_text() == "[proxy]\nport = 1\n"


def test_what_the_environment_outweighs_is_warned_of(house):
    warnings = house.load("--port=1", "--idle=2", PX_PORT="3", PX_USERNAME="alice").warnings
    assert warnings == ("PX_PORT (in the environment) comes before px.ini: the saved --port will not count",)


# Where it is written


def test_the_px_ini_in_use_is_updated_wherever_it_is(house):
    house.user_dir.mkdir()
    theirs = house.user_dir / "px.ini"
    theirs.write_text("[proxy]\nserver = a:1\n")
    house.save("--port=1")
    assert "port = 1" in theirs.read_text()
    assert not house.ini.exists()


@pytest.mark.parametrize("environ", [{}, {"PX_CONFIG": "new/dir/my.ini"}], ids=["--config", "PX_CONFIG"])
def test_a_file_that_is_named_is_made_with_its_directory(house, environ):
    house.write("[proxy]\nport = 1\n")
    house.save("--port=2", *([] if environ else ["--config=new/dir/my.ini"]), **environ)
    assert "port = 2" in (house.cwd / "new" / "dir" / "my.ini").read_text()
    assert house.ini.read_text() == "[proxy]\nport = 1\n"


def test_the_script_of_a_relative_path_is_found_from_other_directories_too(house, monkeypatch):
    script = house.cwd / "proxy.pac"
    script.touch()
    monkeypatch.chdir(house.cwd)
    house.save("--pac=proxy.pac")
    monkeypatch.chdir(house.cwd.parent)
    settings = load_settings([f"--config={house.ini}"], {}, house.cwd.parent).settings
    assert settings is not None
    assert settings.pac == str(script)


@posix_only
def test_where_a_px_ini_would_not_be_trusted_the_users_directory_gets_it(house):
    house.cwd.chmod(0o777)
    invocation = house.load("--port=1")
    assert invocation.config_file == house.user_dir / "px.ini"
    assert invocation.warnings == (
        f"a px.ini in {house.cwd} would not be used: everybody can write to {house.cwd}",
    )


@pytest.mark.parametrize("name", ["px.ini/x.ini", "."])
def test_a_target_that_cannot_be_written_is_one_line(house, name):
    house.write("[proxy]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"cannot be written|no such file"):
        house.save(f"--config={name}")
    assert [*house.cwd.iterdir()] == [house.ini]
