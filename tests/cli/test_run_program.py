"""``px --run``: the program uses the running Px, or a Px of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from px.cli import main as main_module
from tests.cli.px_command import run_px
from tests.px_process import PxProcess
from tests.small_origin import running_origin

#: Fetches a page through the proxy of the environment, with the login of its URL.
FETCH = "import urllib.request as u; print(u.urlopen('http://site.example/').read().decode())"
#: Tries the same without the login.
FETCH_WITHOUT_LOGIN = """
import os
from urllib.request import build_opener, ProxyHandler
proxy = 'http://' + os.environ['HTTP_PROXY'].rpartition('@')[2]
try:
    build_opener(ProxyHandler({'http': proxy})).open('http://site.example/')
except OSError as error:
    print(error.code)
"""


@pytest.mark.shows("--run")
def test_a_program_gets_a_separate_px_and_the_whole_stdout(cwd: Path) -> None:
    heads: list[bytes] = []
    with running_origin(heads) as port:
        options = [f"--proxy=127.0.0.1:{port}", "--verbose", "--accesslog=-"]
        program = [sys.executable, "-c", f"{FETCH}\nraise SystemExit(7)"]
        done = run_px(*options, "--run", "--", *program, cwd=cwd)
    assert (done.returncode, done.stdout) == (7, "ok\n")
    assert heads[0].startswith(b"GET http://site.example/ HTTP/1.1\r\n")
    assert "px: Px 0." in done.stderr
    assert "site.example" in done.stderr


def test_only_the_program_can_log_in_if_clients_have_to_log_in(cwd: Path) -> None:
    heads: list[bytes] = []
    with running_origin(heads) as port:
        options = [f"--proxy=127.0.0.1:{port}", "--client_auth=ANY"]
        program = [sys.executable, "-c", f"{FETCH_WITHOUT_LOGIN}\n{FETCH}"]
        done = run_px(*options, "--run", "--", *program, cwd=cwd)
    assert (done.returncode, done.stdout, done.stderr) == (0, "407\nok\n", "")
    assert len(heads) == 1


@pytest.mark.shows("--run")
def test_a_program_uses_the_running_px(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import os; print(os.environ['HTTPS_PROXY'], os.environ['NO_PROXY'])"]
    with PxProcess(tmp_path, "--noproxy=10.*") as px:
        done = px.command("--run", "--", *program, names_port=False)
    expected = f"{px.url} localhost,127.0.0.1,::1,10.0.0.0/8\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_px_ends_by_the_same_signal_as_the_program(cwd: Path, name: str) -> None:
    done = run_px("--noproxy=*", "--run", "--", "sh", "-c", f"kill -{name} $$", cwd=cwd)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.Signals[f"SIG{name}"], "", "")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--run", "--", "no-such-program"], 127, "--run: no-such-program: there is no such program"),
        (["--run", "--", sys.executable], 2, "no upstream proxy is known"),
        (["--run", "--", "a", "--status", "--json"], 127, "--run: a: there is no such program"),
    ],
)
def test_the_error_for_a_program_that_cannot_be_run_is_one_line_on_stderr(
    cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv, code, message
) -> None:
    monkeypatch.chdir(cwd)
    monkeypatch.setenv("PATH", str(cwd) if "--json" in argv else os.environ["PATH"])
    assert main_module.run_command(argv) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"px: {message}")
