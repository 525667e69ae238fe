"""systemd itself checks the unit."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.core.startup_errors import InstallError
from px.system.autostart.linux import UserUnit
from px.system.autostart.start import Start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs systemd")

MANAGER = "/lib/systemd/systemd"
NOBODY = 65534
ODD = ("--config=/a b/100% $HOME ${x} \"q\" 'q' \\n ;/px.ini", "--username=ä", "", "--foreground")


@pytest.fixture
def home() -> Iterator[Path]:
    """Return the home of a user other than root: systemd's user manager refuses root."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def give_to_nobody(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def ask_systemd(home: Path, *command: str) -> str:
    """Run one of systemd's programs for a user with this home; return its output."""
    if not shutil.which(command[0]):
        pytest.skip(f"NOT TESTED: no {command[0]} here")
    run = home / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    is_root = os.getuid() == 0
    if is_root:
        give_to_nobody(home)
    done = subprocess.run(
        command,
        env={"HOME": str(home), "XDG_RUNTIME_DIR": str(run), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        user=NOBODY if is_root else None,
        group=NOBODY if is_root else None,
        extra_groups=[] if is_root else None,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def units_of(home: Path) -> Path:
    return home / ".config" / "systemd" / "user"


def program_with_an_odd_path(home: Path) -> str:
    program = home / "a $b" / "px 100%; ä"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program)


def test_systemd_finds_nothing_wrong_with_the_unit(home):
    unit = UserUnit(units_of(home))
    unit.write(Start((program_with_an_odd_path(home), *ODD), home / "a 100%"))
    assert ask_systemd(home, "systemd-analyze", "--user", "verify", unit.place) == ""


def test_systemd_reports_the_unit_as_enabled(home):
    unit = UserUnit(units_of(home))
    unit.write(Start(("/bin/true",), home))
    assert ask_systemd(home, "systemctl", "--user", "is-enabled", "px").strip() == "enabled"


def test_systemd_starts_every_word_of_the_command_at_login(home):
    """``systemd --user --test`` loads the units of a session and lists the ones that it would start."""
    unit, program = UserUnit(units_of(home)), program_with_an_odd_path(home)
    unit.write(Start((program, *ODD), home / "a 100%"))
    told = ask_systemd(home, MANAGER, "--user", "--test").partition("-> Unit px.service:")[2]
    told = told.partition("-> Unit ")[0]
    facts = {name.strip(): fact for name, _, fact in (line.partition(": ") for line in told.splitlines())}
    assert facts["WorkingDirectory"] == str(home / "a 100%")
    assert "Action: px.service -> start" in told
    command = shlex.split(facts["Command Line"].replace("\\$", "$"))
    assert [command[0], *(word.replace("$$", "$") for word in command[1:])] == [program, *ODD]


def test_reading_returns_what_was_written_or_none(home):
    unit, start = UserUnit(units_of(home)), Start(("/bin/true", *ODD), home)
    assert unit.read() is None
    unit.write(start)
    assert unit.read() == unit.format(start)
    unit.write(start)
    assert unit.read() == unit.format(start)


def test_a_unit_without_a_command_differs_from_the_unit_of_px(home):
    units_of(home).mkdir(parents=True)
    (units_of(home) / "px.service").write_text("[Unit]\n")
    assert UserUnit(units_of(home)).read() == "no command"


def test_removing_leaves_no_files(home):
    unit = UserUnit(units_of(home))
    unit.remove()
    unit.write(Start(("/bin/true",), home))
    unit.remove()
    assert list((home / ".config").iterdir()) == []


def test_removing_keeps_the_files_of_others(home):
    unit = UserUnit(units_of(home))
    unit.write(Start(("/bin/true",), home))
    (units_of(home) / "other.service").touch()
    unit.remove()
    assert list(units_of(home).iterdir()) == [units_of(home) / "other.service"]


def test_a_unit_that_the_user_wrote_is_not_removed(home):
    units_of(home).mkdir(parents=True)
    theirs = units_of(home) / "px.service"
    theirs.write_text("[Service]\nExecStart=/opt/px\n")
    with pytest.raises(InstallError, match="was not made by --install"):
        UserUnit(units_of(home)).remove()
    assert theirs.exists()


@pytest.mark.parametrize("command", [("/a\nb",), ("/a", "b\nc"), ('/a"b',), ("/a\\b",)], ids=repr)
def test_a_command_that_systemd_would_refuse_is_an_error(home, command):
    with pytest.raises(InstallError, match="systemd cannot start a command with such characters"):
        UserUnit(units_of(home)).write(Start(command, home))
    assert not units_of(home).exists()


def test_systemd_reloads_its_units_and_starts_px_if_it_runs(home, monkeypatch):
    """A fake systemctl records its arguments, because the tests have no systemd session."""
    systemctl, notes = home / "bin" / "systemctl", home / "notes"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    systemctl.chmod(0o700)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    unit = UserUnit(units_of(home))
    assert unit.write(Start(("/bin/true",), home)) == ""
    assert unit.start_now()
    unit.remove()
    assert notes.read_text() == "--user daemon-reload\n--user start px.service\n--user daemon-reload\n"
