"""Another user of this computer plants files in the places where Px reads or writes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.free_ports import free_port

from .px_process import PxProcess, run_action

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can create files of another user"
)

_OTHER_UID = 12345


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Make a directory like /tmp, for HOME, the working directory and temporary files."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def in_shared(shared: Path, **variables: str) -> dict[str, str]:
    return {
        "HOME": str(shared),
        "XDG_CONFIG_HOME": str(shared / ".config"),
        "XDG_STATE_HOME": str(shared / ".local" / "state"),
        "TMPDIR": str(shared),
        **variables,
    }


def plant(root: Path, name: str, content: str = "", mode: int = 0o666) -> Path:
    """Create a file of the other user and its parent directories, with write permission for everybody."""
    path = root / name
    for directory in reversed([each for each in path.parents if root in each.parents]):
        if not directory.exists():
            directory.mkdir()
            directory.chmod(0o777)
            os.chown(directory, _OTHER_UID, _OTHER_UID)
    path.write_text(content)
    path.chmod(mode)
    os.chown(path, _OTHER_UID, _OTHER_UID)
    return path


def all_below(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text(errors="replace")
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("where", [".config/px/px.ini", "px.ini", ".env"])
def test_settings_of_another_user_are_not_used(shared: Path, where: str) -> None:
    content = "PX_SERVER=evil.example:1\n" if where == ".env" else "[proxy]\nserver = evil.example:1\n"
    ini = plant(shared, where, content, 0o644)
    done = run_action(shared, "--explain=http://origin.test/", environment=in_shared(shared))
    assert "evil.example" not in done.stdout
    assert f"{ini} is not used: " in done.stderr


def test_a_state_directory_that_another_user_can_change_is_not_used(shared: Path) -> None:
    port = free_port()
    state = shared / ".local" / "state" / "px"
    for name in ("installation.json", "lockout.json", "lockout.lock", f"px-{port}.json", f"px-{port}.lock"):
        plant(shared, f".local/state/px/{name}", "{}")
    before = all_below(state)
    with PxProcess(shared, "--noproxy=*", environment=in_shared(shared), port=port) as px:
        assert px.status()["pid"] == px.pid
        assert all_below(state) == before
        private = shared / f"px-{os.getuid()}"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        record = (private / f"px-{port}.json").stat()
        assert (record.st_uid, stat.S_IMODE(record.st_mode)) == (os.getuid(), 0o600)


#: A program that becomes the other user in the directory of a socket, and connects.
_CONNECT = """
import os, socket, sys
uid, name = int(sys.argv[1]), sys.argv[2]
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
with socket.socket(socket.AF_UNIX) as sock:
    try:
        sock.connect(name)
    except OSError as error:
        sys.exit(type(error).__name__)
"""


def connect_as_other_user(path: Path) -> str:
    """Connect to a socket as the other user; return the name of the error, or "" after success."""
    command = [sys.executable, "-c", _CONNECT, str(_OTHER_UID), path.name]
    return subprocess.run(
        command, cwd=path.parent, capture_output=True, text=True, timeout=60, check=False
    ).stderr.strip()


@pytest.mark.parametrize("is_state_open", [False, True])
def test_another_user_cannot_reach_the_socket_of_the_commands(shared: Path, is_state_open: bool) -> None:
    if is_state_open:
        plant(shared, ".local/state/px/lockout.json", "{}")
    with PxProcess(shared, "--noproxy=*", environment=in_shared(shared)) as px:
        (control,) = shared.rglob("control-*.sock")
        status = control.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.getuid(), 0o600)
        assert stat.S_IMODE(control.parent.stat().st_mode) == 0o700
        assert connect_as_other_user(control) == "PermissionError"
        control.parent.chmod(0o711)  # the mode of the socket alone keeps the other user out, too
        assert connect_as_other_user(control) == "PermissionError"
        control.parent.chmod(0o700)
        assert px.status()["pid"] == px.pid
    assert list(shared.rglob("control-*.sock")) == []


def test_px_does_not_start_if_every_state_directory_belongs_to_another_user(shared: Path) -> None:
    plant(shared, ".local/state/px/lockout.json", "{}")
    plant(shared, f"px-{os.getuid()}/lockout.json", "{}")
    done = run_action(shared, "--noproxy=*", f"--port={free_port()}", environment=in_shared(shared))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{shared / '.local' / 'state' / 'px'} belongs to another user" in done.stderr
    assert "XDG_STATE_HOME" in done.stderr


@pytest.mark.parametrize("flag", ["--debug", "--accesslog=access.log"])
def test_px_does_not_write_to_a_log_that_another_user_has_created(shared: Path, flag: str) -> None:
    port = free_port()
    for name in (f"debug-{port}-main.log", "access.log"):
        plant(shared, name, "before")
    done = run_action(
        shared, "--noproxy=*", f"--port={port}", "--workers=1", flag, environment=in_shared(shared)
    )
    assert done.returncode == 2
    assert "it belongs to another user" in done.stderr
    assert (shared / f"debug-{port}-main.log").read_text() == (shared / "access.log").read_text() == "before"


@pytest.mark.parametrize("flag", ["--debug", "--accesslog=access.log"])
def test_px_does_not_write_to_a_log_through_a_link(shared: Path, tmp_path: Path, flag: str) -> None:
    port = free_port()
    private = tmp_path / "private"
    private.write_text("mine")
    for name in (f"debug-{port}-main.log", "access.log"):
        (shared / name).symlink_to(private)
        os.lchown(shared / name, _OTHER_UID, _OTHER_UID)
    done = run_action(
        shared, "--noproxy=*", f"--port={port}", "--workers=1", flag, environment=in_shared(shared)
    )
    assert done.returncode == 2
    assert private.read_text() == "mine"


def test_no_module_of_the_working_directory_is_imported(shared: Path) -> None:
    trap = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()\n"
    modules = ("argparse", "difflib", "keyring", "platformdirs", "psutil", "quickjs", "sspilib", "tempfile")
    for name in modules:
        plant(shared, f"{name}.py", trap)
    done = run_action(shared, "--demo", environment=in_shared(shared))
    assert done.returncode == 0, done.stderr
    with PxProcess(shared, "--noproxy=*", environment=in_shared(shared), workers=2) as px:
        assert px.command("--status").returncode == 0
    assert [path.name for path in shared.glob("*.ran")] == []
