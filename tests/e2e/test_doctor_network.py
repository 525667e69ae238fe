"""``px --doctor`` where the way to the upstream, or this computer, is broken: nothing is simulated.

tests/e2e/test_doctor.py breaks logins and certificates.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from px.checks.doctor import Patient, examine
from px.checks.step import Step, Verdict
from px.checks.target import parse_test_url
from px.config.settings import default_settings
from px.core.rules.route import parse_upstreams
from tests.corpnet.network import CorporateNetwork
from tests.free_ports import free_port
from tests.namespaces import Namespace, skip_without_namespaces
from tests.px_process import run_action

from .exchanges import HOST

_FAKE_TIME = "/usr/lib/*/faketime/libfaketime.so.1"
_AHEAD_SECONDS = 20 * 60
_PORT = free_port()
#: Accepts queries and answers none.
_SILENT_NAME_SERVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 53))
print(flush=True)
sys.stdin.read()
"""

Settings = Callable[[CorporateNetwork, Path], dict[str, object]]


def proxy(text: str) -> Callable[[CorporateNetwork, Path], dict[str, object]]:
    """Name an upstream; a name in braces stands for a port of the network."""

    def make(network: CorporateNetwork, _: Path) -> dict[str, object]:
        ports = {upstream.name: upstream.port for upstream in network.ad_upstreams}
        ports |= {"kdc": network.mit.port, "closed": free_port()}
        return {"proxy": parse_upstreams(text.format(**ports))}

    return make


def script(text: str) -> Callable[[CorporateNetwork, Path], dict[str, object]]:
    """Name a PAC script; without a text there is no such file."""

    def make(_: CorporateNetwork, directory: Path) -> dict[str, object]:
        if text:
            (directory / "proxy.pac").write_text(text)
        return {"pac": str(directory / "proxy.pac")}

    return make


def nothing(_: CorporateNetwork, __: Path) -> dict[str, object]:
    """Name nothing: the environment does."""
    return {}


@dataclass(frozen=True)
class SetUp:
    """A set-up, and the first step that has to fail.

    Attributes:
        settings: What the user names.
        failed: The step.
        said: What its text has.
        fix: What its advice has.
        environ: Variables of this shell.
    """

    settings: Settings
    failed: str
    said: str
    fix: str
    http_proxy: str = ""


SET_UPS = {
    "port closed": SetUp(proxy("localhost:{closed}"), "TCP", "nothing listens there", "--proxy"),
    "no HTTP": SetUp(
        proxy("localhost:{kdc}"), "Offers", "does not begin with an HTTP version", "is this an HTTP proxy?"
    ),
    "TLS where HTTP is named": SetUp(
        proxy("localhost:{ntlm_tls}"), "Offers", "closed the connection without an answer", "it wants TLS"
    ),
    "HTTP where TLS is named": SetUp(
        proxy("https://localhost:{ntlm}"), "TLS", "No TLS with localhost", "without https://"
    ),
    "PAC script with an error": SetUp(
        script("function FindProxyForURL(url, host) { return 1 + }"), "PAC", "proxy.pac", "script"
    ),
    "PAC script that names nothing": SetUp(
        script("function FindProxyForURL(url, host) { return 'PROXI a:1' }"), "PAC", "proxy.pac", "script"
    ),
    "no PAC script": SetUp(script(""), "PAC", "proxy.pac", "Check the path"),
    "setting that points at Px": SetUp(
        nothing, "Proxy", "Px itself", "--proxy", http_proxy=f"http://localhost:{_PORT}"
    ),
}


@pytest.mark.parametrize("set_up", [pytest.param(set_up, id=name) for name, set_up in SET_UPS.items()])
async def test_the_first_step_that_fails_is_the_true_cause(
    network: CorporateNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_up: SetUp
) -> None:
    monkeypatch.setenv("http_proxy", set_up.http_proxy)
    settings = default_settings(port=_PORT, **set_up.settings(network, tmp_path))
    patient = Patient(settings=settings, state=tmp_path, config_file=None, environ={})
    steps: list[Step] = []
    await examine(patient, parse_test_url(network.origin.url("/", HOST), "--doctor"), steps.append)
    shown = "\n".join(map(str, steps))
    failed = next((step for step in steps if step.verdict is Verdict.FAILED), None)
    assert failed is not None, shown
    assert failed.name == set_up.failed, shown
    assert set_up.said in failed.detail, shown
    assert set_up.fix in failed.fix, shown


def failures(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the failed steps of a doctor."""
    assert done.returncode == 4, done
    return [line for line in done.stdout.splitlines() if line.startswith("FAILED")]


def test_a_clock_that_is_ahead_is_the_true_cause(network: CorporateNetwork, tmp_path: Path) -> None:
    library = next((str(path) for path in Path("/").glob(_FAKE_TIME[1:])), None)
    if library is None:
        pytest.skip("NOT TESTED: a wrong clock needs libfaketime")
    kerberos = network.mit.realm.kinit(network.mit.alice, tmp_path / "ccache")
    fake = {"LD_PRELOAD": library, "FAKETIME": f"+{_AHEAD_SECONDS}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    url = f"--doctor={network.origin.url('/', HOST)}"
    upstream = f"--proxy=localhost:{network.kerberos.port}"
    done = run_action(tmp_path, url, upstream, f"--port={_PORT}", environment={**kerberos, **fake})
    clock, ticket = failures(done)
    assert re.match(r"FAILED   Clock     this computer's clock is 12\d\d s ahead", clock), done.stdout
    assert ticket.startswith("FAILED   Ticket    This computer's clock and the Kerberos KDC's differ"), (
        done.stdout
    )
    assert "(NTP)" in done.stdout


@contextlib.contextmanager
def silent_name_server() -> Iterator[Namespace]:
    """Give a computer whose name server does not answer."""
    skip_without_namespaces()
    namespace = Namespace(f"px{os.getpid()}-names")
    etc = Path("/etc/netns") / namespace.name
    etc.mkdir(parents=True)
    try:
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        subprocess.run(["ip", "netns", "add", namespace.name], check=True)
        namespace.run("ip", "link", "set", "lo", "up")
        command = [*namespace.prefix, sys.executable, "-c", _SILENT_NAME_SERVER]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline()
            yield namespace
            server.communicate(b"")
    finally:
        subprocess.run(["ip", "netns", "delete", namespace.name], check=False)
        shutil.rmtree(etc)


def test_a_name_server_that_does_not_answer_is_the_true_cause(tmp_path: Path) -> None:
    with silent_name_server() as computer:
        command = [sys.executable, "-m", "px", "--doctor", "--proxy=proxy.test:8080", "--socktimeout=1"]
        done = subprocess.run(
            [*computer.prefix, *command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
            timeout=30,
            check=False,
        )
    assert failures(done)[0].startswith("FAILED   DNS       The name proxy.test could not be resolved"), done
    assert "the name server did not answer in time" in " ".join(done.stdout.split()), done.stdout
