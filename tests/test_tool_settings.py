"""``--env``: its output is run by the shells and tools that it is for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from px.config import Settings, default_settings
from px.core.hostrules import HostRules
from px.option_values import parse_listen
from px.options import ACTIONS
from px.tool_settings import _FORMATS, format_tool_settings
from tests.clients.program import Place, need
from tests.px_process import PxProcess
from tests.small_origin import running_origin

ROOT = Path(__file__).resolve().parent.parent
LOCAL = "localhost,127.0.0.1,::1"
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="shells and tools of POSIX")
windows_only = pytest.mark.skipif(sys.platform != "win32", reason="shells of Windows")


def settings_with(noproxy: str = "", listen: str = "127.0.0.1", *, gateway: bool = False) -> Settings:
    rules = HostRules.parse(noproxy, names=True)
    return default_settings(noproxy=rules, listen=parse_listen(listen), port=3129, gateway=gateway)


def no_proxy_of(noproxy: str) -> str:
    text = format_tool_settings("sh", settings_with(noproxy))
    (line,) = (line for line in text.splitlines() if line.startswith("export no_proxy="))
    return line.removeprefix('export no_proxy="').removesuffix('"')


def url_of(settings: Settings) -> str:
    text = format_tool_settings("pip", settings)
    return text.splitlines()[0].removeprefix('pip config set global.proxy "').removesuffix('"')


def test_every_tool_that_can_be_asked_for_is_known():
    (action,) = (action for action in ACTIONS if action.name == "env")
    assert set(action.choices) == _FORMATS.keys()


@pytest.mark.parametrize(
    ("noproxy", "added"),
    [
        ("", ""),
        ("10.1.2.3", ",10.1.2.3"),
        ("10.*;192.168.0.*", ",10.0.0.0/8,192.168.0.0/24"),
        ("10.0.0.1-10.0.0.4", ",10.0.0.1,10.0.0.2/31,10.0.0.4"),
        ("fd00::/8, ::2", ",::2,fd00::/8"),
        ("host .corp.example *.dom.example", ",host,corp.example,.dom.example"),
        ("host:8080, 10.1.1.1:80, build*.corp.example, <local>", ""),
        ("*", ""),
        ("0.0.0.0/0", ""),
    ],
)
def test_noproxy_becomes_what_programs_understand(noproxy, added):
    assert no_proxy_of(noproxy) == LOCAL + added


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.0.1,127.0.0.5", "127.0.0.5"),
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
    ],
)
def test_the_address_is_one_that_px_listens_on(listen, host):
    assert url_of(settings_with(listen=listen)) == f"http://{host}:3129"


def test_a_gateway_listens_on_loopback_too():
    assert url_of(settings_with(listen="10.0.0.1", gateway=True)) == "http://127.0.0.1:3129"


def test_docker_gets_two_files_of_json():
    text = format_tool_settings("docker", settings_with("10.*"))
    code = "".join(line for line in text.splitlines() if not line.startswith("#"))
    pulls, end = json.JSONDecoder().raw_decode(code)
    runs = json.loads(code[end:])
    no_proxy = f"{LOCAL},10.0.0.0/8"
    assert pulls["proxies"] == {
        "http-proxy": "http://127.0.0.1:3129",
        "https-proxy": "http://127.0.0.1:3129",
        "no-proxy": no_proxy,
    }
    assert runs["proxies"]["default"] == {
        "httpProxy": "http://host.docker.internal:3129",
        "httpsProxy": "http://host.docker.internal:3129",
        "noProxy": no_proxy,
    }


# Shells and tools themselves


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


NO_PROXY = f"{LOCAL},10.0.0.0/8,corp.example"
URL = "http://127.0.0.1:3129"


@posix_only
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


@posix_only
@pytest.mark.shows("--env")
def test_git_goes_by_px(shell):
    need("git")
    shell.run("sh", "-c", 'eval "$(px --env=git)"')
    assert (
        shell.run("git", "config", "--global", "--get-urlmatch", "http.proxy", "https://x.example/").strip()
        == URL
    )


@posix_only
@pytest.mark.shows("--env")
def test_npm_goes_by_px(shell):
    need("npm")
    shell.run("sh", "-c", 'eval "$(px --env=npm)"')
    for key, value in (("proxy", f"{URL}/"), ("https-proxy", f"{URL}/"), ("noproxy", NO_PROXY)):
        assert shell.run("npm", "config", "get", key).strip() in {value, value.removesuffix("/")}


@posix_only
@pytest.mark.shows("--env")
def test_pip_goes_by_px(shell):
    pip = Path(shell.path.partition(":")[0]) / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
    pip.chmod(0o700)
    shell.run("sh", "-c", 'eval "$(px --env=pip)"')
    assert shell.run("pip", "config", "get", "global.proxy").strip() == URL


@posix_only
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


@windows_only
@pytest.mark.shows("--env")
@pytest.mark.parametrize(
    ("tool", "suffix", "command"),
    [
        ("cmd", "bat", ["cmd", "/d", "/c"]),
        ("powershell", "ps1", ["powershell", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File"]),
    ],
    ids=["cmd", "powershell"],
)
def test_a_shell_of_windows_that_runs_it_has_the_variables(tmp_path, tool, suffix, command):
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} here")
    show = "import os; [print(n, os.environ[n]) for n in ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY')]"
    script = tmp_path / f"script.{suffix}"
    lines = format_tool_settings(tool, settings_with("10.*, .corp.example"))
    call = "& " if tool == "powershell" else ""
    script.write_text(f'{lines}\n{call}"{sys.executable}" -c "{show}"\n')
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=True, timeout=60)
    for line in (f"HTTP_PROXY {URL}", f"HTTPS_PROXY {URL}", f"NO_PROXY {NO_PROXY}"):
        assert line in done.stdout.splitlines()
