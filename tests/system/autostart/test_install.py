"""The rules of --install and --uninstall, and both from the command line on Linux."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.core.startup_errors import InstallError
from px.system.autostart.install import install, make_own_start, uninstall
from px.system.autostart.start import Start, try_command
from tests.cli.px_command import run_px
from tests.free_ports import free_port


class Place:
    """Keeps the command in memory, so that the tests need no system."""

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
        return "a note"

    def start_now(self) -> bool:
        return False

    def remove(self) -> None:
        self.there = None
        self.removals += 1


class BrokenPlace(Place):
    def read(self) -> str | None:
        raise PermissionError(13, "Permission denied")


OURS = Start(("px", "--config=a"), Path("/"))


def test_a_second_install_reports_that_px_already_starts():
    place = Place()
    assert install(place, OURS, replaces=False) == (
        "Px will start at login: px --config=a\nThe entry is in the place\na note"
    )
    assert install(place, OURS, replaces=False).startswith("Px starts at login already: px --config=a\n")
    assert place.there == "px --config=a"


def test_another_command_is_replaced_only_on_request():
    place = Place("other")
    with pytest.raises(InstallError, match="the place has another one: other; --install --force replaces it"):
        install(place, OURS, replaces=False)
    assert place.there == "other"
    assert install(place, OURS, replaces=True).startswith("Px will start at login: px --config=a\n")
    assert place.there == "px --config=a"


def test_a_second_uninstall_succeeds_and_removes_leftovers():
    place = Place("px")
    assert uninstall(place) == "Px no longer starts at login: removed the place\nIf it runs, it goes on."
    assert uninstall(place) == "Px does not start at login: there is no the place"
    assert place.removals == 2


def test_an_error_of_the_system_becomes_one_line():
    with pytest.raises(InstallError, match=r"^the place cannot be written: Permission denied$"):
        install(BrokenPlace(), OURS, replaces=False)
    with pytest.raises(InstallError, match=r"^the place cannot be removed: Permission denied$"):
        uninstall(BrokenPlace())


def test_the_command_names_the_px_ini_and_runs_in_its_directory():
    start = make_own_start(Path("/a b/px.ini"))
    assert f"--config={Path('/a b/px.ini')}" in start.command
    assert start.directory == Path("/a b")
    assert ("--foreground" in start.command) is (sys.platform != "win32")


def test_without_a_px_ini_px_looks_for_one_at_login():
    start = make_own_start(None)
    assert not [word for word in start.command if word.startswith("--config")]
    assert start.directory == Path.home()


@pytest.mark.skipif(sys.platform == "win32", reason="tools of POSIX")
def test_a_failing_or_missing_tool_is_no_error():
    assert try_command("true")
    assert not try_command("false")
    assert not try_command("no-such-tool-anywhere")


# The command line, in a temporary home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    """Return a port; a Px that has been started there ends with the test."""
    port = free_port()
    yield port
    assert run_px("--quit", f"--port={port}", cwd=home).returncode in {0, 3}


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the unit is for Linux")


def unit_of(home: Path) -> Path:
    return home / "config" / "systemd" / "user" / "px.service"


def command_of(unit: Path) -> list[str]:
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


@linux_only
@pytest.mark.shows("--install", "--uninstall", "--force")
def test_install_and_uninstall_twice_each(home, port):
    run_px("--proxy=a:1", f"--port={port}", "--save", cwd=home)
    first, second = run_px("--install", cwd=home), run_px("--install", cwd=home)
    unit = unit_of(home)
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr) == (0, "")
    assert "Px runs in the background, pid " in first.stdout
    assert "Px runs already, pid " in second.stdout
    assert first.stdout.startswith("Px will start at login: ")
    assert second.stdout.startswith("Px starts at login already: ")
    assert f"The entry is in {unit}\n" in first.stdout
    assert command_of(unit)[-2:] == [f"--config={home / 'px.ini'}", "--foreground"]
    gone, again = run_px("--uninstall", cwd=home), run_px("--uninstall", cwd=home)
    assert (gone.returncode, again.returncode) == (0, 0)
    assert f"removed {unit}\n" in gone.stdout
    assert again.stdout == f"Px does not start at login: there is no {unit}\n"
    assert list((home / "config").iterdir()) == []


@linux_only
@pytest.mark.shows("--install", "--force")
def test_another_px_ini_needs_force(home, port):
    for name in ("a", "b"):
        run_px(f"--config={name}.ini", "--noproxy=*", f"--port={port}", "--save", cwd=home)
    run_px("--config=a.ini", "--install", cwd=home)
    refused = run_px("--config=b.ini", "--install", cwd=home)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "has another one: " in refused.stderr
    assert f"--config={home / 'a.ini'}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert run_px("--config=b.ini", "--install", "--force", cwd=home).returncode == 0
    assert f"--config={home / 'b.ini'}" in command_of(unit_of(home))


@linux_only
def test_install_warns_of_settings_that_px_will_lack_at_login(home):
    done = run_px("--proxy=a:1", "--port", "7", "--install", cwd=home, PX_USERNAME="alice")
    assert done.returncode == 2
    flags, outside, no_ini, cause, result = done.stderr.splitlines()
    assert flags.startswith("px: warning: --proxy, --port: --install does not save options")
    assert outside.startswith("px: warning: PX_USERNAME: ")
    assert f"--config={home / 'config' / 'px' / 'px.ini'} --save creates it" in no_ini
    assert cause.startswith("px: no upstream proxy is known")
    assert result.startswith("px: warning: Px is installed, but could not start now")
    assert not [word for word in command_of(unit_of(home)) if word.startswith(("--proxy", "--config"))]


@linux_only
@pytest.mark.shows("--install")
def test_the_installed_command_starts_px_now_and_from_anywhere_with_its_px_ini(home, port):
    ini = home / "a b" / "my px.ini"
    run_px(f"--config={ini}", "--noproxy=127.*", f"--port={port}", "--save", cwd=home)
    assert f"listens on 127.0.0.1:{port}" in run_px(f"--config={ini}", "--install", cwd=home).stdout
    assert run_px("--quit", f"--port={port}", cwd=home).returncode == 0
    command = command_of(unit_of(home))
    with subprocess.Popen(command, cwd="/", env={"HOME": str(home)}, stdout=subprocess.PIPE, text=True) as px:
        try:
            assert px.stdout
            assert px.stdout.readline().startswith(f"Px listens on 127.0.0.1:{port}")
        finally:
            px.terminate()
    assert px.returncode == 0


@linux_only
def test_a_failed_install_prints_one_line_and_exits_with_6(home):
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
        (["--force"], "px: --force: can only be used with --install"),
        (["--uninstall", "--force"], "px: --force: can only be used with --install"),
        (["--install", "--force=1"], "px: --force takes no value"),
        (["--install", "--forse"], "px: --forse: unknown option; did you mean --force?"),
    ],
    ids=" ".join,
)
def test_force_belongs_to_install(home, argv, message):
    done = run_px(*argv, cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
