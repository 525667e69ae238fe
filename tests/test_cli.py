from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from px import __version__, cli
from px.core.md4 import nt_hash
from px.core.startup_errors import PortInUseError
from px.log import close_log
from tests.free_ports import free_port
from tests.px_process import PxProcess, run_action
from tests.small_origin import get, running_origin

ROOT = Path(__file__).resolve().parent.parent


def run_px(
    *argv: str, cwd: Path, program: tuple[str, ...] = ("-m", "px"), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run Px as a process of its own, in a directory and with a home of its own."""
    ours = ("PX_", "DBUS_SESSION")  # no keyring of the developer's
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    clean = {name: value for name, value in clean.items() if not name.lower().endswith("_proxy")}
    home = {"HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd / "config"), "APPDATA": str(cwd / "config")}
    return subprocess.run(
        [sys.executable, *program, *argv],
        cwd=cwd,
        env={**clean, **home, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8", **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture
def cwd(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


class FakeApp(types.ModuleType):
    """Stands in for px.workers.program and px.demo; `calls` has what they were called with."""

    def __init__(self) -> None:
        super().__init__("px.workers.program")
        self.calls: list[Any] = []
        self.run: Callable[..., int] = self.note

    def note(self, settings: object, *_: object, **__: object) -> int:
        self.calls.append(settings)
        return 0

    def run_demo(self) -> int:
        return self.note("demo")


@pytest.fixture
def app(monkeypatch):
    fake = FakeApp()
    monkeypatch.setitem(sys.modules, "px.workers.program", fake)
    monkeypatch.setitem(sys.modules, "px.demo", fake)
    return fake


@pytest.mark.parametrize(
    "program", [("-m", "px"), (str(ROOT / "px.py"),)], ids=["python -m px", "python px.py"]
)
def test_every_way_to_start_px_is_the_same_program(cwd, program):
    done = run_px("--version", cwd=cwd, program=program)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"px {__version__}\n", "")


def test_help_goes_to_stdout_and_says_where_the_configuration_was_found(cwd):
    (cwd / "px.ini").write_text("[proxy]\n")
    done = run_px("--help", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert "px --proxy=proxy.corp.example:8080" in done.stdout
    assert f"px.ini in use: {cwd / 'px.ini'}" in done.stdout


def test_help_about_nothing_is_an_error(cwd):
    done = run_px("--help=noproxi", cwd=cwd)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "px: --help=noproxi: there is nothing about that; did you mean --help=noproxy?\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prot=1"], "px: --prot: unknown option; did you mean --port?"),
        (["--port=0"], "px: --port=0: not a number from 1 to 65535; valid is: a port number, 1 to 65535"),
        (
            ["--config=none.ini"],
            "px: --config=none.ini: no such file; valid is: the path of an existing file",
        ),
        ([], "px: no upstream proxy is known"),
        (["--proxy=h", "--listen=é"], "px: --listen="),
        (["--proxy=h", "--client_auth=ANYTHING"], "px: --client_auth=ANYTHING: unknown login policy"),
        (["--proxy=h", "--client_auth=NTLM", "--auth=NONE"], "px: --client_auth=NTLM with --auth=NONE: one"),
        pytest.param(
            ["--proxy=h", "--client_auth=BASIC"],
            "px: --client_auth=BASIC: there is nothing to check the logins",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a keyring"),
        ),
    ],
    ids=" ".join,
)
def test_a_configuration_error_is_one_line_on_stderr_and_exit_2(cwd, argv, message):
    # Some are only noticed when Px has its port.
    done = run_px(*argv, cwd=cwd, XDG_STATE_HOME=str(cwd.parent / "state"), PX_PORT=str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in cwd.iterdir()} <= {".cache"}  # of gsettings, where that is


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_reader_that_goes_away_is_no_error(cwd):
    command = f'"{sys.executable}" -m px --help | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_proxy_runs_with_the_settings_and_its_exit_code_counts(cwd, app, monkeypatch):
    monkeypatch.chdir(cwd)
    assert cli.run_command(["--proxy=h:1", "--port=7"]) == 0
    assert app.calls[0].port == 7
    app.run = lambda *_, **__: 4
    assert cli.run_command(["--proxy=h:1"]) == 4


def test_what_the_proxy_announces_goes_to_stdout(cwd, app, monkeypatch, capsys):
    def announce_itself(_settings, _load, announce, _warn, **_):
        announce("Px listens")
        return 0

    monkeypatch.chdir(cwd)
    app.run = announce_itself
    cli.run_command(["--proxy=h"])
    assert capsys.readouterr() == ("Px listens\n", "")


def test_the_demo_runs_without_configuration(cwd, app, monkeypatch):
    monkeypatch.chdir(cwd)
    assert cli.run_command(["--demo"]) == 0
    assert app.calls == ["demo"]


def test_warnings_go_to_stderr(cwd, app, monkeypatch, capsys):
    monkeypatch.chdir(cwd)
    cli.run_command(["--proxy=h", "--threads=1"])
    assert capsys.readouterr().err == "px: warning: threads=1: Px needs 3 and uses 3\n"


def test_a_port_in_use_is_exit_5(cwd, app, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PortInUseError("port 3128 is in use by Px (pid 1)")

    monkeypatch.chdir(cwd)
    app.run = refuse
    assert cli.run_command(["--proxy=h"]) == 5
    assert capsys.readouterr().err == "px: port 3128 is in use by Px (pid 1)\n"


def test_a_crash_in_a_group_of_tasks_is_told_by_its_own_name(cwd, app, monkeypatch, capsys):
    def crash(*_, **__):
        raise ExceptionGroup("unhandled errors in a TaskGroup", [RuntimeError("lost")])

    monkeypatch.chdir(cwd)
    app.run = crash
    assert cli.run_command(["--proxy=h"]) == 1
    assert capsys.readouterr().err.startswith("px: crashed: RuntimeError: lost; the traceback is in ")


def test_a_crash_before_there_is_a_log_is_told_in_one_line(cwd, monkeypatch, capsys):
    def crash(*_args):
        raise RuntimeError("lost")

    monkeypatch.chdir(cwd)
    monkeypatch.setattr("px.config.load_settings", crash)
    close_log()
    assert cli.run_command(["--proxy=h"]) == 1
    (path,) = cwd.glob("debug-crash-*.log")
    assert capsys.readouterr().err == f"px: crashed: RuntimeError: lost; the traceback is in {path}\n"


def test_a_crash_is_exit_1_with_one_line_and_a_log(cwd, app, monkeypatch, capsys):
    def crash(*_, **__):
        raise RuntimeError("lost http://alice:s3cret@h")

    monkeypatch.chdir(cwd)
    app.run = crash
    assert cli.run_command(["--proxy=h"]) == 1
    (path,) = cwd.glob("debug-crash-*.log")
    assert (
        capsys.readouterr().err
        == f"px: crashed: RuntimeError: lost http://***@h; the traceback is in {path}\n"
    )
    assert "RuntimeError" in path.read_text()


def test_ctrl_c_before_px_listens_ends_it_quietly(cwd, app, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(cwd)
    app.run = interrupt
    assert cli.run_command(["--proxy=h"]) == 130
    assert capsys.readouterr() == ("", "")


def test_main_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["px", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0


def test_the_version_is_printed_without_loading_the_configuration(cwd):
    done = run_px("-X", "importtime", "-m", "px", "--version", cwd=cwd, program=())
    assert "px.config" not in done.stderr
    assert "asyncio" not in done.stderr


def test_a_failure_comes_with_the_warnings_that_may_explain_it(cwd):
    (cwd / "px.ini").write_text("[proxy]\nservr = h:1\n")
    done = run_px(cwd=cwd)
    assert done.returncode == 2
    warning, failure = done.stderr.splitlines()
    assert "servr" in warning
    assert failure.startswith("px: no upstream proxy is known")


@pytest.mark.parametrize("policy", ["NONE", "BASIC"])
def test_settings_for_programs_that_have_to_log_in_come_with_a_hint(cwd, policy):
    done = run_px(f"--client_auth={policy}", "--env=git", cwd=cwd)
    assert done.returncode == 0
    assert "http.proxy" in done.stdout
    assert ("USER:PASSWORD@" in done.stderr) is (policy == "BASIC")


@pytest.mark.shows("--save")
def test_what_is_saved_is_what_px_runs_with(cwd):
    heads: list[bytes] = []
    with running_origin(heads) as port:
        saved = run_px(f"--proxy=127.0.0.1:{port}", "--useragent=saved", "--save", cwd=cwd)
        assert (saved.returncode, saved.stdout, saved.stderr) == (0, f"Saved to {cwd / 'px.ini'}\n", "")
        with PxProcess(cwd) as px:
            assert get(px, "site.example").endswith(b"ok")
    assert heads[0].startswith(b"GET http://site.example/ HTTP/1.1\r\nHost: site.example\r\n")
    assert b"\r\nUser-Agent: saved\r\n" in heads[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config=px.ini/x", "--save"], "px: {file}: cannot be written: "),
        (["--config=.", "--save"], "px: --config=.: no such file; valid is: "),
        (["--proxy=alice:s3cret@h:1", "--save"], "px: --proxy=***: "),
        (["--save=x"], "px: --save takes no value"),
        (["--save", "--demo"], "px: --demo: one action at a time, and --save was given"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_saved_is_one_line_and_exit_2(cwd, argv, message):
    (cwd / "px.ini").write_text("[proxy]\n")
    done = run_px(*argv, cwd=cwd)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message.format(file=cwd / "px.ini" / "x"))
    assert len(done.stderr.splitlines()) == 1
    assert (cwd / "px.ini").read_text() == "[proxy]\n"


def test_the_hash_of_a_password_is_all_that_goes_to_stdout(cwd):
    done = run_action(cwd, "--hash", stdin="Pässwörd1€\n")
    assert (done.returncode, done.stdout) == (0, nt_hash("Pässwörd1€").hex() + "\n")
    assert "PX_NTHASH" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_the_hash_of_nothing_is_not_printed(cwd):
    done = run_action(cwd, "--hash", stdin="\n")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "px: --hash: no password was given\n")


@pytest.mark.parametrize("argv", [["--password=hunter2"], ["--password", "hunter2"], ["--hash", "hunter2"]])
def test_a_secret_among_the_arguments_is_refused_and_not_shown(cwd, argv):
    done = run_action(cwd, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a secret is never an argument" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_password_without_a_user_is_a_configuration_error(cwd):
    done = run_action(cwd, "--password", stdin="pw\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("px: --password: whose? Give --username=USER")


@pytest.mark.skipif(sys.platform != "win32", reason="stores it in the Credential Manager")
def test_windows_keeps_a_password_until_it_is_removed(cwd):
    user = f"CORP\\px-test-{os.getpid()}"
    done = run_action(cwd, "--password", f"--username={user}", stdin="Pässwörd1€\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'of {user} is stored in the Windows Credential Manager, as service "Px"' in done.stdout
    try:
        with PxProcess(cwd, "--proxy=127.0.0.1:1", f"--username={user}", "--verbose") as px:
            assert f"a password of {user} is stored, as service Px" in px.output
    finally:
        done = run_action(cwd, "--password", f"--username={user}", stdin="\n")
    assert f"The password of {user} is removed" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a keyring")
def test_without_a_keyring_one_line_says_what_else_would_do(cwd):
    done = run_action(cwd, "--password", "--username=alice", stdin="pw\n")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    for way in ("gnome-keyring", "KWallet", "PX_PASSWORD", "PX_NTHASH", "px --hash"):
        assert way in line


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_reader_that_goes_away_is_no_crash(cwd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "px", "--proxy=127.0.0.1:1", "--explain=http://192.0.2.1/"],
            cwd=cwd,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (4, b"")  # it leads nowhere
    assert list(cwd.glob("*.log")) == []


def test_a_path_that_the_terminal_cannot_show_is_no_crash(cwd):
    done = run_px("--config=\N{SNOWMAN}.ini", "--save", cwd=cwd, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\\u2603.ini\n")
