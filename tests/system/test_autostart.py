"""The rules of starting at login, and the command line that shows them, on Linux for real."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from px.core.startup_errors import InstallError
from px.system.autostart import Start, install, run_tool, start_of_own, uninstall
from tests.px_process import PxProcess
from tests.test_cli import run_px


class Place:
    """Keeps a command in memory; the rules are what is tested."""

    place = "the place"

    def __init__(self, there: str | None = None) -> None:
        self.there = there
        self.removals = 0

    def format(self, start: Start) -> str:
        return " ".join(start.command)

    def read(self) -> str | None:
        return self.there

    def write(self, start: Start) -> str:
        self.there = self.format(start)
        return "To start it now: start it"

    def remove(self) -> None:
        self.there = None
        self.removals += 1


class BrokenPlace(Place):
    def read(self) -> str | None:
        raise PermissionError(13, "Permission denied")


OURS = Start(("px", "--config=a"), Path("/"))


def test_it_is_there_after_the_first_time_and_the_second_says_so():
    place = Place()
    assert install(place, OURS, replaces=False) == (
        "Px will start at login: px --config=a\nIt stands in the place\nTo start it now: start it"
    )
    assert install(place, OURS, replaces=False).startswith("Px starts at login already: px --config=a\n")
    assert place.there == "px --config=a"


def test_another_one_is_replaced_only_where_that_is_asked_for():
    place = Place("other")
    with pytest.raises(InstallError, match="the place has another one: other; --install --force replaces it"):
        install(place, OURS, replaces=False)
    assert place.there == "other"
    assert install(place, OURS, replaces=True).startswith("Px will start at login: px --config=a\n")
    assert place.there == "px --config=a"


def test_removing_twice_is_fine_and_looks_for_remains():
    place = Place("px")
    assert uninstall(place) == "Px no longer starts at login: removed the place\nIf it runs, it goes on."
    assert uninstall(place) == "Px does not start at login: there is no the place"
    assert place.removals == 2


def test_what_the_system_refuses_is_one_line():
    with pytest.raises(InstallError, match=r"^the place cannot be written: Permission denied$"):
        install(BrokenPlace(), OURS, replaces=False)
    with pytest.raises(InstallError, match=r"^the place cannot be removed: Permission denied$"):
        uninstall(BrokenPlace())


def test_the_px_ini_goes_with_the_command_and_gives_the_directory():
    start = start_of_own(Path("/a b/px.ini"))
    assert f"--config={Path('/a b/px.ini')}" in start.command
    assert start.directory == Path("/a b")
    assert ("--foreground" in start.command) is (sys.platform != "win32")


def test_without_a_px_ini_it_is_looked_for_at_login():
    start = start_of_own(None)
    assert not [word for word in start.command if word.startswith("--config")]
    assert start.directory == Path.home()


@pytest.mark.skipif(sys.platform == "win32", reason="tools of POSIX")
def test_a_tool_that_fails_or_is_missing_is_no_error():
    assert run_tool("true")
    assert not run_tool("false")
    assert not run_tool("no-such-tool-anywhere")


# The command line, in a home of its own


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the unit is Linux'")


def unit_of(home: Path) -> Path:
    return home / "config" / "systemd" / "user" / "px.service"


def command_of(unit: Path) -> list[str]:
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


@linux_only
@pytest.mark.shows("--install", "--uninstall", "--force")
def test_install_and_uninstall_twice_each(home):
    run_px("--proxy=a:1", "--save", cwd=home)
    first, second = run_px("--install", cwd=home), run_px("--install", cwd=home)
    unit = unit_of(home)
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr) == (0, "")
    assert first.stdout.startswith("Px will start at login: ")
    assert second.stdout.startswith("Px starts at login already: ")
    assert f"It stands in {unit}\n" in first.stdout
    assert command_of(unit)[-2:] == [f"--config={home / 'px.ini'}", "--foreground"]
    gone, again = run_px("--uninstall", cwd=home), run_px("--uninstall", cwd=home)
    assert (gone.returncode, again.returncode) == (0, 0)
    assert f"removed {unit}\n" in gone.stdout
    assert again.stdout == f"Px does not start at login: there is no {unit}\n"
    assert list((home / "config").iterdir()) == []


@linux_only
@pytest.mark.shows("--install", "--force")
def test_another_px_ini_needs_force(home):
    run_px("--config=a.ini", "--save", cwd=home)
    run_px("--config=b.ini", "--save", cwd=home)
    run_px("--config=a.ini", "--install", cwd=home)
    refused = run_px("--config=b.ini", "--install", cwd=home)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "has another one: " in refused.stderr
    assert f"--config={home / 'a.ini'}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert run_px("--config=b.ini", "--install", "--force", cwd=home).returncode == 0
    assert f"--config={home / 'b.ini'}" in command_of(unit_of(home))


@linux_only
def test_what_login_will_lack_is_said(home):
    done = run_px("--proxy=a:1", "--port", "7", "--install", cwd=home, PX_USERNAME="alice")
    assert done.returncode == 0
    flags, outside, no_ini = done.stderr.splitlines()
    assert flags.startswith("px: warning: --proxy, --port: --install does not save it")
    assert outside.startswith("px: warning: PX_USERNAME: ")
    assert f"--config={home / 'config' / 'px' / 'px.ini'} --save makes it" in no_ini
    assert not [word for word in command_of(unit_of(home)) if word.startswith(("--proxy", "--config"))]


@linux_only
@pytest.mark.shows("--install")
def test_the_installed_command_starts_px_from_anywhere_with_its_px_ini(home):
    ini, port = home / "a b" / "my px.ini", PxProcess(home).port
    run_px(f"--config={ini}", "--noproxy=127.*", f"--port={port}", "--save", cwd=home)
    run_px(f"--config={ini}", "--install", cwd=home)
    command = command_of(unit_of(home))
    with subprocess.Popen(command, cwd="/", env={"HOME": str(home)}, stdout=subprocess.PIPE, text=True) as px:
        try:
            assert px.stdout
            assert px.stdout.readline().startswith(f"Px listens on 127.0.0.1:{port}")
        finally:
            px.terminate()
    assert px.returncode == 0


@linux_only
def test_what_cannot_be_installed_is_one_line_and_exit_6(home):
    (home / "config").mkdir()
    (home / "config" / "systemd").write_text("in the way")
    done = run_px("--install", "--config=px.ini", cwd=home)
    assert done.returncode == 2
    (home / "px.ini").touch()
    done = run_px("--install", cwd=home)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"px: {unit_of(home)} cannot be written: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--force"], "px: --force: goes with --install"),
        (["--uninstall", "--force"], "px: --force: goes with --install"),
        (["--install", "--force=1"], "px: --force takes no value"),
        (["--install", "--forse"], "px: --forse: unknown option; did you mean --force?"),
    ],
    ids=" ".join,
)
def test_force_belongs_to_install(home, argv, message):
    done = run_px(*argv, cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
