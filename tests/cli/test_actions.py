"""What the actions of the command line do that need no running Px."""

from __future__ import annotations

import pytest

from px.cli import main as main_module
from tests.cli.px_command import run_px
from tests.px_process import PxProcess
from tests.small_origin import get, running_origin


@pytest.mark.parametrize("policy", ["NONE", "BASIC"])
def test_env_prints_a_hint_when_clients_have_to_log_in(cwd, policy):
    done = run_px(f"--client_auth={policy}", "--env=git", cwd=cwd)
    assert done.returncode == 0
    assert "http.proxy" in done.stdout
    assert ("USER:PASSWORD@" in done.stdout) is (policy == "BASIC")
    assert ("replace USER and PASSWORD" in done.stderr) is (policy == "BASIC")


@pytest.mark.shows("--save")
def test_px_runs_with_the_settings_that_save_has_written(cwd):
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
        (["--config=.", "--save"], "px: --config=.: a directory, not a file; valid is: "),
        (["--proxy=alice:s3cret@h:1", "--save"], "px: --proxy=***: "),
        (["--save=x"], "px: --save takes no value"),
        (["--save", "--demo"], "px: --demo: only one action at a time, but --save was given"),
    ],
    ids=" ".join,
)
def test_a_failed_save_prints_one_line_and_exits_with_2(cwd, argv, message):
    (cwd / "px.ini").write_text("[proxy]\n")
    done = run_px(*argv, cwd=cwd)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message.format(file=cwd / "px.ini" / "x"))
    assert len(done.stderr.splitlines()) == 1
    assert (cwd / "px.ini").read_text() == "[proxy]\n"


def test_help_goes_to_stdout_and_names_the_px_ini_in_use(cwd):
    (cwd / "px.ini").write_text("[proxy]\n")
    done = run_px("--help", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert "px --proxy=proxy.corp.example:8080" in done.stdout
    assert f"px.ini in use: {cwd / 'px.ini'}" in done.stdout


def test_help_for_an_unknown_topic_is_an_error(cwd):
    done = run_px("--help=noproxi", cwd=cwd)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "px: --help=noproxi: no option or action matches; did you mean --help=noproxy?\n"


def test_the_demo_runs_without_configuration(cwd, app, monkeypatch):
    monkeypatch.chdir(cwd)
    assert main_module.run_command(["--demo"]) == 0
    assert app.calls == ["demo"]
