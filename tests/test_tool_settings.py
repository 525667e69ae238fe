"""``--env``. What shells and tools of Linux make of it is tested with other clients."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from px.actions import ACTIONS
from px.config import Settings, default_settings
from px.core.hostrules import HostRules
from px.option_values import parse_listen
from px.tool_settings import _FORMATS, format_tool_settings

LOCAL = "localhost,127.0.0.1,::1"


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


URL = "http://127.0.0.1:3129"


def runs(shell: str) -> bool:
    """Whether a shell of Windows is there; Wine's powershell.exe is there, but does nothing."""
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
def test_a_shell_of_windows_that_runs_it_has_the_variables(tmp_path, tool, suffix, command):
    if not runs(command[0]):
        pytest.skip(f"no {command[0]} here")
    show = "import os; [print(n, os.environ[n]) for n in ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY')]"
    script = tmp_path / f"script.{suffix}"
    lines = format_tool_settings(tool, settings_with("10.*, .corp.example"))
    call = "& " if tool == "powershell" else ""
    script.write_text(f'{lines}\n{call}"{sys.executable}" -c "{show}"\n')
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=True, timeout=60)
    for line in (f"HTTP_PROXY {URL}", f"HTTPS_PROXY {URL}", f"NO_PROXY {LOCAL},10.0.0.0/8,corp.example"):
        assert line in done.stdout.splitlines()
