"""The Run key, in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from px.core.startup_errors import InstallError
from px.system.autostart.install import find_autostart, install, uninstall
from px.system.autostart.start import Start
from tests.cli.px_command import run_px
from tests.free_ports import free_port
from tests.px_process import STOP_SECONDS, PxProcess
from tests.windows import running_apart

winreg = pytest.importorskip("winreg", reason="needs the registry of Windows")
RunKey = pytest.importorskip("px.system.autostart.windows").RunKey

RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
START = Start((r"C:\Program Files\Px\pxw.exe", r"--config=C:\My Files\100%\px.ini"), Path("C:\\"))
LINE = r'"C:\Program Files\Px\pxw.exe" "--config=C:\My Files\100%\px.ini"'


def read_value(path: str = RUN) -> tuple[object, int] | None:
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
            value, kind = winreg.QueryValueEx(key, "Px")
            return value, kind
    except FileNotFoundError:
        return None


@pytest.fixture(autouse=True)
def restored_value() -> Iterator[None]:
    """Restore the value of the user's own Px after the test."""
    before = read_value()
    RunKey().remove()
    yield
    RunKey().remove()
    if before:
        with winreg.CreateKey(winreg.HKEY_CURRENT_USER, RUN) as key:
            winreg.SetValueEx(key, "Px", 0, before[1], before[0])


def test_the_run_key_has_the_command_line_as_windows_reads_it():
    assert isinstance(find_autostart(), RunKey)
    install(RunKey(), START, replaces=False)
    assert read_value() == (LINE, winreg.REG_SZ)
    assert RunKey().read() == RunKey().format(START) == LINE


def test_another_px_is_replaced_only_on_request():
    install(RunKey(), START, replaces=False)
    with pytest.raises(InstallError, match="has another one: "):
        install(RunKey(), Start(("other",), Path("C:\\")), replaces=False)
    assert read_value() == (LINE, winreg.REG_SZ)
    install(RunKey(), Start(("other",), Path("C:\\")), replaces=True)
    assert read_value() == ("other", winreg.REG_SZ)


def test_install_enables_what_the_task_manager_disabled():
    with winreg.CreateKey(winreg.HKEY_CURRENT_USER, APPROVED) as key:
        winreg.SetValueEx(key, "Px", 0, winreg.REG_BINARY, b"\x03" + bytes(11))
    install(RunKey(), START, replaces=False)
    assert read_value(APPROVED) is None


def test_a_second_removal_succeeds():
    install(RunKey(), START, replaces=False)
    assert uninstall(RunKey()).startswith("Px no longer starts at login")
    assert uninstall(RunKey()).startswith("Px does not start at login")
    assert read_value() is None


def test_a_command_line_that_windows_would_not_start_is_an_error():
    with pytest.raises(InstallError, match="no command of over 260 characters"):
        install(RunKey(), Start(("x" * 261,), Path("C:\\")), replaces=False)
    assert read_value() is None


@pytest.mark.shows("--install", "--uninstall")
def test_install_and_uninstall_from_the_command_line(tmp_path):
    port = free_port()
    run_px("--proxy=a:1", f"--port={port}", "--save", cwd=tmp_path)
    done = run_px("--install", cwd=tmp_path)
    assert run_px("--quit", f"--port={port}", cwd=tmp_path).returncode == 0
    assert (done.returncode, done.stderr) == (0, "")
    assert "Px runs in the background, pid " in done.stdout
    value = read_value()
    assert value
    assert str(value[0]).endswith(f"--config={tmp_path / 'px.ini'}")
    assert run_px("--uninstall", cwd=tmp_path).returncode == 0
    assert read_value() is None


def test_the_command_in_the_run_key_starts_the_installed_px(tmp_path):
    px = PxProcess(tmp_path)
    (tmp_path / "px.ini").write_text(f"[proxy]\nport = {px.port}\nnoproxy = *\n")
    assert px.command("--install", names_port=False).returncode == 0
    assert px.command("--quit").returncode == 0  # that one has started at once
    value = read_value()
    assert value
    with running_apart(px, str(value[0])) as process:
        assert px.status()["pid"] == process.pid
        assert px.command("--quit").returncode == 0
        assert process.wait(STOP_SECONDS) == 0
