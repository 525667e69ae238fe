"""What ``px --env`` prints is run by the shells and tools that it is for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.px_process import PxProcess
from tests.small_origin import running_origin

ROOT = Path(__file__).resolve().parents[2]
URL = "http://127.0.0.1:3129"
NO_PROXY = "localhost,127.0.0.1,::1,10.0.0.0/8,corp.example"
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class Shell:
    """Runs commands where ``px`` is this Px with a px.ini of its own."""

    def __init__(self, directory: Path) -> None:
        self.place = Place.create(directory)
        ini = self.place.directory / "px.ini"
        ini.write_text("[proxy]\nserver = h\nport = 3129\nnoproxy = 10.*, .corp.example\n")
        px = directory / "bin" / "px"
        px.parent.mkdir()
        px.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "src"}" exec "{sys.executable}" -m px "$@"\n')
        px.chmod(0o700)
        self.path = f"{px.parent}:{self.place.environment()['PATH']}"

    def run(self, *command: str, **environ: str) -> str:
        return self.place.run(*command, env={"PATH": self.path, **environ})


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    tmp_path.chmod(0o700)
    return Shell(tmp_path / "shell")


@pytest.mark.shows("--env")
@pytest.mark.parametrize(
    "command",
    [
        ("sh", 'eval "$(px --env)"'),
        ("sh", "eval $(px --env=sh)"),
        ("bash", 'eval "$(px --env=sh)"'),
        ("bash", "source <(px --env)"),
        ("fish", "px --env=fish | source"),
    ],
    ids=" ".join,
)
def test_a_shell_that_runs_it_has_the_variables(shell, command):
    program, code = command
    need(program)
    output = shell.run(
        program, "-c", f"{code}\n{sys.executable} -c 'import os; print(*os.environ.items(), sep=chr(10))'"
    )
    for name in VARIABLES:
        assert f"('{name}', '{NO_PROXY if name.lower() == 'no_proxy' else URL}')" in output


@pytest.mark.shows("--env")
def test_git_goes_by_px(shell):
    need("git")
    shell.run("sh", "-c", 'eval "$(px --env=git)"')
    assert (
        shell.run("git", "config", "--global", "--get-urlmatch", "http.proxy", "https://x.example/").strip()
        == URL
    )


@pytest.mark.shows("--env")
def test_npm_goes_by_px(shell):
    need("npm")
    shell.run("sh", "-c", 'eval "$(px --env=npm)"')
    for key, value in (("proxy", f"{URL}/"), ("https-proxy", f"{URL}/"), ("noproxy", NO_PROXY)):
        assert shell.run("npm", "config", "get", key).strip() in {value, value.removesuffix("/")}


@pytest.mark.shows("--env")
def test_pip_goes_by_px(shell):
    pip = Path(shell.path.partition(":")[0]) / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
    pip.chmod(0o700)
    shell.run("sh", "-c", 'eval "$(px --env=pip)"')
    assert shell.run("pip", "config", "get", "global.proxy").strip() == URL


@pytest.mark.shows("--env")
def test_curl_in_such_a_shell_goes_by_px_but_not_to_this_computer(shell, tmp_path):
    need("curl")
    heads: list[bytes] = []
    (tmp_path / "px").mkdir(mode=0o700)
    with running_origin(heads) as upstream, PxProcess(tmp_path / "px", f"--proxy=127.0.0.1:{upstream}") as px:
        env = f'eval "$(px --env --port={px.port})"'
        assert shell.run("sh", "-c", f"{env}; curl -sS http://site.example/") == "ok"
    with running_origin(heads) as origin:
        assert shell.run("sh", "-c", f"{env}; curl -sS http://localhost:{origin}/") == "ok"
    assert [head.split(b"\r\n")[0] for head in heads] == [
        b"GET http://site.example/ HTTP/1.1",
        b"GET / HTTP/1.1",
    ]
