"""The set-ups that need no real proxy: what is found, asked and saved, and how each failure ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import sys
from pathlib import Path

import pytest

from px.cli.main import run_command
from tests.checks.ntlm_proxy import NtlmProxy, ntlm_proxy
from tests.free_ports import free_port
from tests.guard import home_variables
from tests.scripted_upstream import PASSWORD, USERNAME
from tests.small_origin import running_origin

SITE = "--setup=http://origin.test/"


class Keyboard:
    """What a person types at a terminal; a Ctrl-C after that."""

    def __init__(self, typed: str) -> None:
        self._lines = iter(typed.splitlines(keepends=True))

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        for line in self._lines:
            return line
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a proxy, a keyring and a systemd."""
    tmp_path.chmod(0o700)
    for name, value in home_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Run:
    """Runs ``px`` in this process.

    Attributes:
        output: What it has printed on stdout, in one line.
        errors: The same of stderr.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.output = self.errors = ""

    async def __call__(self, *arguments: str, typed: str | None = None) -> int:
        self._monkeypatch.setattr("sys.stdin", Keyboard(typed) if typed is not None else io.StringIO())
        code = await asyncio.to_thread(run_command, [SITE, *arguments])
        self.output, self.errors = (" ".join(text.split()) for text in self._capsys.readouterr())
        return code


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def login(monkeypatch: pytest.MonkeyPatch, upstream: NtlmProxy, password: str = PASSWORD) -> tuple[str, ...]:
    monkeypatch.setenv("PX_PASSWORD", password)
    return f"--proxy={upstream.authority}", f"--username={USERNAME}", f"--port={free_port()}"


def has_saved(home: Path) -> bool:
    return any(path.name in {"px.ini", "px.service"} for path in home.rglob("*"))


async def test_without_a_terminal_and_yes_nothing_is_done(run: Run, home: Path) -> None:
    assert await run() == 2
    assert "standard input is no terminal; with --yes it asks none" in run.errors
    assert not has_saved(home)


async def test_a_wrong_password_costs_one_attempt(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ntlm_proxy() as upstream:
        assert await run("--yes", *login(monkeypatch, upstream, "wr0ng-secret")) == 4
        assert upstream.final_tokens == 1
    assert "Login FAILED: The upstream" in run.output
    assert run.errors == "px: nothing was saved"
    assert "wr0ng-secret" not in run.output + run.errors
    assert not has_saved(home)


async def test_where_only_the_site_fails_the_login_is_shown_and_the_next_command(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unavailable = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    monkeypatch.setattr("px.cli.demo.upstream._let_in", lambda *_: (unavailable, b""))
    async with ntlm_proxy() as upstream:
        options = login(monkeypatch, upstream)
        assert await run("--yes", *options) == 4
    assert f"Login accepted: as {USERNAME}, password from PX_PASSWORD, by NTLM GET FAILED:" in run.output
    assert "503" in run.output
    assert "Name another site for the test, for example: px --setup=http://www.example.org/" in run.output
    assert f" --yes {options[0]} " in run.output
    assert not has_saved(home)


async def test_ctrl_c_at_the_last_question_saves_nothing(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ntlm_proxy() as upstream:
        assert await run(*login(monkeypatch, upstream), typed="") == 130
    assert "Test GET http://origin.test/: 200 OK" in run.output
    assert run.errors == "Start Px now and at every login? [Y/n]: px: stopped; nothing was saved"
    assert not has_saved(home)


async def test_the_px_ini_in_use_keeps_what_it_has(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini = home / "px.ini"
    ini.write_text("# mine\n[proxy]\nnoproxy = 10.*\nserver = old.test:1\n")
    async with ntlm_proxy() as upstream:
        options = login(monkeypatch, upstream)
        assert await run(*options, typed="n\n") == 0
    assert f"Saved {ini if sys.platform == 'win32' else '~/px.ini'}" in run.output
    assert "Started not yet; this starts Px: px" in run.output
    assert "PX_PASSWORD is not saved" in run.errors
    text = ini.read_text()
    assert text.startswith("# mine\n")
    assert "noproxy = 10.*\n" in text
    assert f"server = {upstream.authority}\n" in text
    assert PASSWORD not in text.replace("workstation", "")
    assert not (home / "config").exists()


async def test_a_script_of_the_command_line_replaces_the_saved_proxy(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini, script = home / "px.ini", home / "proxy.pac"
    ini.write_text(f"[proxy]\nserver = 127.0.0.1:{free_port()}\nnoproxy = *\n")
    async with ntlm_proxy() as upstream:
        script.write_text(f'function FindProxyForURL() {{ return "PROXY {upstream.authority}" }}')
        options = login(monkeypatch, upstream)[1:]
        assert await run(f"--pac={script}", *options, typed="n\n") == 0
    assert f"Proxy PAC script {script}, given by --pac Offers NTLM" in run.output
    text = ini.read_text()
    assert f"pac = {script}\n" in text
    assert [line.strip() for line in text.splitlines() if line.startswith(("server", "noproxy"))] == [
        "server =",
        "noproxy =",
    ]


async def test_a_proxy_of_the_command_line_replaces_the_saved_script(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini = home / "px.ini"
    ini.write_text("[proxy]\npac = http://127.0.0.1:9/old.pac\nnoproxy = 10.*\n")
    async with ntlm_proxy() as upstream:
        assert await run(*login(monkeypatch, upstream), typed="n\n") == 0
    text = ini.read_text()
    assert f"server = {upstream.authority}\n" in text
    assert "old.pac" not in text
    assert "noproxy = 10.*\n" in text


async def test_a_proxy_of_the_environment_is_saved_with_its_exceptions(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ntlm_proxy() as upstream:
        options = login(monkeypatch, upstream)[1:]
        monkeypatch.setenv("https_proxy", f"http://{upstream.authority}")
        monkeypatch.setenv("no_proxy", "intranet.test")
        assert await run(*options, typed="n\n") == 0
    assert f"Proxy http://{upstream.authority}, found in the environment Offers NTLM Login" in run.output
    text = (home / "config" / "px" / "px.ini").read_text()
    assert f"server = http://{upstream.authority}\n" in text
    assert "noproxy = intranet.test\n" in text


async def test_a_login_of_one_proxy_of_the_environment_is_not_used_at_another(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ntlm_proxy() as upstream:
        monkeypatch.setenv("https_proxy", f"http://a:secret-of-a@{upstream.authority}")
        monkeypatch.setenv("http_proxy", f"http://b:secret-of-b@localhost:{upstream.authority.split(':')[1]}")
        assert await run("--yes", f"--port={free_port()}") == 4
        assert upstream.final_tokens == 0
    assert "the proxies of the environment have different logins, so none of them is saved" in run.errors
    assert not has_saved(home)


async def test_with_yes_no_proxy_is_no_proxy_for_good_only_if_the_user_says_so(run: Run, home: Path) -> None:
    at = f"--port={free_port()}"
    assert await run(at, "--yes") == 4
    assert "Proxy FAILED: none is set on this computer. fix: Name the proxy with --proxy" in run.output
    assert not has_saved(home)
    assert await run(at, typed="") == 130
    assert "none means that Px connects directly in every network." in run.output


async def test_where_nothing_names_a_proxy_the_user_does_and_a_wrong_answer_is_asked_again(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ntlm_proxy() as upstream:
        script = home / "proxy.pac"
        script.write_text(f'function FindProxyForURL() {{ return "PROXY {upstream.authority}" }}')
        options = login(monkeypatch, upstream)[1:]
        assert await run(*options, typed=f"a proxy\n{script}\nn\n") == 0
    assert f"Proxy PAC script {script} Offers NTLM, at http://{upstream.authority} Login as" in run.output
    assert "--proxy='a proxy'" in run.errors or "--proxy=a proxy" in run.errors
    assert f"pac = {script}\n" in (home / "config" / "px" / "px.ini").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="there Px logs in as the user of Windows")
async def test_without_a_keyring_no_password_is_asked_for(run: Run, home: Path) -> None:
    async with ntlm_proxy() as upstream:
        assert await run(f"--proxy={upstream.authority}", f"--port={free_port()}", typed="") == 4
    assert "Px needs a password, which no keyring can keep" in run.output
    assert "your user name" not in run.output
    assert (
        "the password in this shell, and then run --setup there: read -rs PX_PASSWORD; export" in run.output
    )
    command = f"px {SITE} --proxy={upstream.authority} --port="
    assert command in run.output
    assert r"'--username=DOMAIN\user'" in run.output
    assert not has_saved(home)


async def test_a_direct_network_needs_no_login(run: Run, home: Path) -> None:
    with running_origin([]) as port:
        site = f"--setup=http://127.0.0.1:{port}/"
        assert await run(site, f"--port={free_port()}", typed="\nn\n") == 0
    assert "Proxy none: Px connects to all sites directly Login none is needed Test GET" in run.output
    assert "noproxy = *\n" in (home / "config" / "px" / "px.ini").read_text()


async def test_an_upstream_that_cannot_be_reached_is_named(run: Run, home: Path) -> None:
    gone = f"127.0.0.1:{free_port()}"
    assert await run("--yes", f"--proxy={gone}", f"--port={free_port()}") == 4
    assert f"Proxy http://{gone}, given by --proxy TCP FAILED:" in run.output
    assert not has_saved(home)


async def test_a_port_that_another_program_has_is_the_first_failure(run: Run, home: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
        assert await run("--yes", "--proxy=127.0.0.1:9", f"--port={port}") == 4
    assert run.output.startswith("Port FAILED:")
    assert f"Choose another port, for example: px {SITE} --yes --proxy=127.0.0.1:9 --port=" in run.output
    assert "choose another --port" not in run.output
    assert not has_saved(home)
