"""What ``px --setup`` says when saving or starting fails half-way."""

from __future__ import annotations

from pathlib import Path

import pytest

from px.cli.invocation import load_invocation
from px.cli.setup import saving
from px.cli.setup.saving import Plan, carry_out
from px.cli.setup.screen import Screen
from px.core.startup_errors import StartupError
from px.processes.control_client import ControlClient
from tests.free_ports import free_port
from tests.guard import home_variables


class Shown:
    """What a person sees, in one text."""

    def __init__(self) -> None:
        self.text = ""
        self.screen = Screen(self._add, self._add, None)

    def _add(self, line: str) -> None:
        self.text += f"{line}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    for name, value in home_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def plan_for(path: Path) -> Plan:
    invocation = load_invocation(["--setup", "--noproxy=*", f"--port={free_port()}", f"--config={path}"])
    return Plan(
        invocation=invocation,
        settings=invocation.known_settings,
        path=path,
        password=None,
        must_keep=False,
        starts=True,
        is_running=True,
    )


def test_if_the_new_px_does_not_start_the_user_learns_that_none_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlClient, "quit", lambda _: 7)  # the Px that ran
    shown, path = Shown(), home / "my px.ini"
    assert carry_out(plan_for(path), shown.screen, lambda *_: (3, "the reason")) == 3
    assert f"Saved     {saving._shorten(path)}\n" in shown.text
    assert "Started   FAILED: the reason\n" in shown.text
    assert f"The Px that ran has ended. This starts Px again: px '--config={path}'\n" in shown.text


def test_a_password_that_is_stored_before_px_ini_fails_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setattr(saving, "_keep", lambda _: "the keyring of a test")
    shown = Shown()
    with pytest.raises(StartupError):
        carry_out(plan_for(home / "file" / "px.ini"), shown.screen, lambda *_: (0, ""))
    assert "the password is in the keyring of a test already" in shown.text
