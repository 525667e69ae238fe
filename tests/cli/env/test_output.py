"""The output of ``--env`` as a whole. What shells and tools of Linux make of it is in tests/clients."""

from __future__ import annotations

import io
import sys

import pytest

from px.cli.env.endpoint import Endpoint
from px.cli.env.output import KINDS, find_endpoint, format_env
from px.config.actions import ACTIONS
from px.config.settings import default_settings
from px.processes.control_client import ControlClient
from tests.cli.env.test_endpoint import endpoint_with

ELSEWHERE = "this Px serves this computer alone; containers and WSL may need --hostonly or --gateway"
LOGIN = "this Px requires clients to log in (--client_auth): replace USER and PASSWORD below"


def output_of(value: str, endpoint: Endpoint, said: list[str]) -> str:
    return format_env(value, lambda: endpoint, said.append)


def no_endpoint() -> Endpoint:
    raise AssertionError("asked for a Px")


def test_every_kind_that_env_accepts_has_a_format():
    (action,) = (action for action in ACTIONS if action.name == "env")
    assert set(action.choices) == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_used_and_undone(kind):
    said: list[str] = []
    assert "3129" in output_of(kind, endpoint_with(), said)
    undo = format_env(f"{kind}:undo", no_endpoint, said.append)
    assert undo
    assert "3129" not in undo
    assert said == [ELSEWHERE] * (kind in {"docker", "container", "wsl"})


def test_the_default_is_the_shell_of_the_system():
    shell = "powershell" if sys.platform == "win32" else "sh"
    assert output_of("", endpoint_with(), []) == output_of(shell, endpoint_with(), [])
    assert format_env("undo", no_endpoint, print) == format_env(f"{shell}:undo", no_endpoint, print)


def test_env_for_containers_warns_of_a_login_and_not_of_the_address_of_a_gateway():
    said: list[str] = []
    endpoint = endpoint_with(gateway=True)
    output_of("container", Endpoint(endpoint.listen, 3129, endpoint.noproxy, has_login=True), said)
    assert said == [LOGIN]


@pytest.mark.parametrize(("kind", "end"), [("sh", b"\n"), ("cmd", b"\r\n")])
def test_only_shells_of_windows_get_carriage_returns(monkeypatch, kind, end):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, newline="\r\n"))  # as on Windows
    lines = output_of(kind, endpoint_with(), []).splitlines()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
    assert written.getvalue() == b"".join(line.encode() + end for line in lines)


def test_without_a_running_px_the_settings_are_those_of_the_configuration(tmp_path):
    said: list[str] = []
    client = ControlClient(tmp_path, 3129)
    endpoint = find_endpoint(client, default_settings(port=3129), said.append, may_be_other=True)
    assert endpoint.values.url == "http://127.0.0.1:3129"
    assert said == ["Px is not running on port 3129; the settings below are for a Px with your configuration"]
