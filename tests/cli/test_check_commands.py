"""``px --test`` and ``px --doctor`` on the command line: the Px that they check, output, exit code."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checks.ntlm_proxy import NtlmProxy, ntlm_proxy
from tests.free_ports import free_port
from tests.px_process import PxProcess, clean_environment, run_action
from tests.scripted_upstream import PASSWORD, USERNAME

TEST = "--test=http://origin.test/"


async def run_test(
    directory: Path, upstream: NtlmProxy, password: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    options = (f"--proxy={upstream.authority}", f"--username={USERNAME}", *arguments)
    return await asyncio.to_thread(
        run_action, directory, *options, environment={"PX_PASSWORD": password, "COLUMNS": "80"}
    )


async def test_a_new_px_is_tested_with_the_options_given_and_the_exit_code_tells(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        good = await run_test(tmp_path, upstream, PASSWORD, TEST)
        bad = await run_test(tmp_path, upstream, "wrong", TEST)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[1] for line in good.stdout.splitlines()] == ["Px", "GET", "CONNECT", "Login"]
    assert "a new one for this test, with the options given now" in good.stdout
    assert bad.returncode == 4
    assert "FAILED   GET" in bad.stdout
    assert "fix:" in bad.stdout
    assert "wrong" not in bad.stdout + bad.stderr
    assert upstream.final_tokens == 2


async def test_the_running_px_is_tested_unless_its_clients_log_in(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        environment = {"PX_PASSWORD": PASSWORD, "PX_CLIENT_PASSWORD": "secret"}
        environment |= {"PX_USERNAME": USERNAME, "PX_SERVER": upstream.authority}
        for auth, said in (("NONE", "the running one, pid"), ("BASIC", "requires clients to log in")):
            with PxProcess(tmp_path, f"--client_auth={auth}", environment=environment) as px:
                done = await asyncio.to_thread(px.command, TEST)
                assert done.returncode == 0, done
                assert said in done.stdout
                assert f"as {USERNAME} by NTLM" in done.stdout
    assert upstream.final_tokens > 0


def test_what_cannot_be_tested_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    assert run_action(tmp_path, "--proxy=127.0.0.1:9", "--test=ftp://a.test/").returncode == 2


def read_report(directory: Path) -> tuple[Path, str]:
    (report,) = directory.glob("px-report-*.txt")
    return report, report.read_text("utf-8")


async def test_the_doctor_examines_the_options_given_and_writes_a_report(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        done = await run_test(
            tmp_path, upstream, "wr0ng-secret", "--doctor", "--report", f"--port={free_port()}"
        )
    assert done.returncode == 4
    assert "FAILED   Login" in done.stdout
    assert "Failed: Login. Begin with the first" in done.stdout
    report, text = read_report(tmp_path)
    assert f"Report: {report}" in done.stdout
    assert "FAILED   Login" in text
    assert f"username = {USERNAME}" in text
    assert "wr0ng-secret" not in text + done.stdout + done.stderr
    assert upstream.final_tokens == 1


async def test_without_options_the_doctor_examines_the_px_that_runs_with_its_options(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        options = (f"--proxy={upstream.authority}", f"--username={USERNAME}")
        with PxProcess(tmp_path, *options, environment={"PX_PASSWORD": PASSWORD}) as px:
            done = await asyncio.to_thread(px.command, "--doctor=http://origin.test/")
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"Px runs, pid {px.pid}" in done.stdout
            assert f"as {USERNAME} by NTLM" in done.stdout
        assert upstream.final_tokens == 1


def test_the_doctor_names_a_variable_that_points_at_px_itself(tmp_path: Path) -> None:
    port = free_port()
    environment = {"https_proxy": f"http://127.0.0.1:{port}"}
    done = run_action(tmp_path, "--doctor", f"--port={port}", environment=environment)
    assert done.returncode == 4
    assert "FAILED   Proxy" in done.stdout
    assert "https_proxy of the environment: px itself" in done.stdout.lower()  # Windows has names in capitals


def test_a_broken_px_ini_is_the_step_that_failed_and_a_wrong_flag_an_error(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nport = 70000\n")
    done = run_action(tmp_path, "--doctor", "--report")
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout.startswith("FAILED   Config    ")
    assert "px.ini:2" in done.stdout
    assert "Failed: Config." in done.stdout
    assert "70000" in read_report(tmp_path)[1]
    assert run_action(tmp_path, "--doctor", "--port=0").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal of POSIX")
def test_a_terminal_shows_the_verdicts_in_colours_unless_the_user_wants_none(tmp_path: Path) -> None:
    from tests.terminal import Terminal  # noqa: PLC0415 - not on Windows

    tmp_path.chmod(0o700)
    command = [sys.executable, "-m", "px", f"--port={free_port()}", f"--proxy=127.0.0.1:{free_port()}", TEST]
    environ = {**clean_environment(tmp_path), "TERM": "xterm", "NO_COLOR": ""}
    with Terminal(command, environ, directory=tmp_path) as terminal:
        shown = terminal.read_to_end()
    assert shown.startswith("\x1b[32mok\x1b[0m       Px        ")
    assert "\n\x1b[31mFAILED\x1b[0m   GET       http" in shown
    assert "\nskipped  CONNECT" in shown
    with Terminal(command, {**environ, "NO_COLOR": "1"}, directory=tmp_path) as terminal:
        assert terminal.read_to_end().startswith("ok       Px        ")
        assert "\x1b" not in terminal.output
