"""Exit codes, and what Px reports when it fails."""

from __future__ import annotations

import sys

import pytest

from px import __version__
from px.cli import main as main_module
from px.core.startup_errors import PortInUseError
from px.logs.log import close_log
from tests.cli.px_command import run_px
from tests.free_ports import free_port
from tests.markdown import ROOT


@pytest.mark.parametrize(
    "program", [("-m", "px"), (str(ROOT / "px.py"),)], ids=["python -m px", "python px.py"]
)
def test_every_command_that_starts_px_runs_the_same_program(cwd, program):
    done = run_px("--version", cwd=cwd, program=program)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"px {__version__}\n", "")


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
            "px: --client_auth=BASIC: Px has nothing to verify the logins",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="other systems have a keyring"),
        ),
    ],
    ids=" ".join,
)
def test_a_configuration_error_is_one_line_on_stderr_and_exit_2(cwd, argv, message):
    # Px notices some of these errors only after it has opened its port.
    done = run_px(*argv, cwd=cwd, XDG_STATE_HOME=str(cwd.parent / "state"), PX_PORT=str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in cwd.iterdir()} <= {
        ".cache",
        "runtime",
    }  # gsettings makes these, where it is installed


def test_the_proxy_gets_the_settings_and_returns_the_exit_code(cwd, app, monkeypatch):
    monkeypatch.chdir(cwd)
    assert main_module.run_command(["--proxy=h:1", "--port=7"]) == 0
    assert app.calls[0].port == 7
    app.run = lambda *_, **__: 4
    assert main_module.run_command(["--proxy=h:1"]) == 4


def test_a_port_in_use_is_exit_5(cwd, app, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PortInUseError("port 3128 is in use by Px (pid 1)")

    monkeypatch.chdir(cwd)
    app.run = refuse
    assert main_module.run_command(["--proxy=h"]) == 5
    assert capsys.readouterr().err == "px: port 3128 is in use by Px (pid 1)\n"


def test_a_crash_in_a_task_group_is_reported_with_the_name_of_its_cause(cwd, app, monkeypatch, capsys):
    def crash(*_, **__):
        raise ExceptionGroup("unhandled errors in a TaskGroup", [RuntimeError("lost")])

    monkeypatch.chdir(cwd)
    app.run = crash
    assert main_module.run_command(["--proxy=h"]) == 1
    assert capsys.readouterr().err.startswith("px: crashed: RuntimeError: lost; the traceback is in ")


def test_a_crash_before_the_log_is_open_is_reported_in_one_line(cwd, monkeypatch, capsys):
    def crash(*_args):
        raise RuntimeError("lost")

    monkeypatch.chdir(cwd)
    monkeypatch.setattr("px.config.invocation.load_settings", crash)
    close_log()
    assert main_module.run_command(["--proxy=h"]) == 1
    (path,) = cwd.glob("debug-crash-*.log")
    assert capsys.readouterr().err == f"px: crashed: RuntimeError: lost; the traceback is in {path}\n"


def test_a_crash_is_exit_1_with_one_line_and_a_log(cwd, app, monkeypatch, capsys):
    def crash(*_, **__):
        raise RuntimeError("lost http://alice:s3cret@h")

    monkeypatch.chdir(cwd)
    app.run = crash
    assert main_module.run_command(["--proxy=h"]) == 1
    (path,) = cwd.glob("debug-crash-*.log")
    assert (
        capsys.readouterr().err
        == f"px: crashed: RuntimeError: lost http://***@h; the traceback is in {path}\n"
    )
    assert "RuntimeError" in path.read_text()


def test_ctrl_c_before_px_listens_ends_px_without_a_message(cwd, app, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(cwd)
    app.run = interrupt
    assert main_module.run_command(["--proxy=h"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_main_exits_with_the_code(monkeypatch, flag):
    monkeypatch.setattr(sys, "argv", ["px", flag])
    with pytest.raises(SystemExit) as caught:
        main_module.main()
    assert caught.value.code == 0


def test_the_version_is_printed_without_loading_the_configuration(cwd):
    done = run_px("-X", "importtime", "-m", "px", "--version", cwd=cwd, program=())
    assert "px.config.settings" not in done.stderr
    assert "asyncio" not in done.stderr


def test_warnings_that_may_explain_a_failure_are_printed_with_it(cwd):
    (cwd / "px.ini").write_text("[proxy]\nservr = h:1\n")
    done = run_px(cwd=cwd)
    assert done.returncode == 2
    warning, failure = done.stderr.splitlines()
    assert "servr" in warning
    assert failure.startswith("px: no upstream proxy is known")
