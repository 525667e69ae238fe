"""The shells of Windows, and WSL, run the output. tests/clients/test_shells.py has those of Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from px.cli.env.shells import SHELLS
from tests.cli.env.test_endpoint import LOCAL, endpoint_with

URL = "http://127.0.0.1:3129"


def runs(shell: str) -> bool:
    """Tell whether a shell of Windows works here; Wine has a powershell.exe that does nothing."""
    if not shutil.which(shell):
        return False
    option = "/c" if shell == "cmd" else "-Command"
    done = subprocess.run(
        [shell, option, "echo works"], capture_output=True, text=True, check=False, timeout=60
    )
    return "works" in done.stdout


@pytest.mark.skipif(sys.platform != "win32", reason="shells of Windows")
@pytest.mark.shows("--env")
@pytest.mark.parametrize(
    ("tool", "suffix", "command"),
    [
        ("cmd", "bat", ["cmd", "/d", "/c"]),
        ("powershell", "ps1", ["powershell", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File"]),
    ],
    ids=["cmd", "powershell"],
)
def test_a_shell_of_windows_has_the_variables_until_it_undoes_them(tmp_path, tool, suffix, command):
    if not runs(command[0]):
        pytest.skip(f"no {command[0]} here")
    show = (
        "import os; print(*[os.environ.get(n, 'unset') for n in ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY')])"
    )
    script = tmp_path / f"script.{suffix}"
    kind = SHELLS[tool]
    call = f'{"& " if tool == "powershell" else ""}"{sys.executable}" -c "{show}"'
    lines = [*kind.use(endpoint_with("10.*, .corp.example").values), call, *kind.undo(), call]
    script.write_text("\n".join(lines) + "\n")
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=True, timeout=60)
    shown = done.stdout.splitlines()
    assert f"{URL} {URL} {LOCAL},10.0.0.0/8,corp.example" in shown
    assert shown[-1] == "unset unset unset"


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize(("mode", "host"), [("nat", "172.30.1.1"), ("mirrored", "127.0.0.1")])
def test_a_shell_in_wsl_finds_windows(tmp_path, mode, host):
    programs = {
        "wslinfo": f"echo {mode}",
        "ip": "echo 'default via 172.30.1.1 dev eth0 proto kernel'",
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o700)
    lines = "\n".join(SHELLS["wsl"].use(endpoint_with(gateway=True).values))
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert run_sh(f'{lines}\necho "$https_proxy $NO_PROXY [${{px_host-}}]"', tmp_path, PATH=path) == (
        f"http://{host}:3129 {LOCAL} []\n"
    )


def run_sh(code: str, home: Path, **environ: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}
    done = subprocess.run(
        ["sh", "-eu", "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
