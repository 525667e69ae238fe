"""The debug log tells a reader what went wrong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.ports import reserved_ports
from tests.px_process import PxProcess

from .exchanges import HOST
from .squid_watch import bad_passwords

_LINE = re.compile(r"[\d-]{10} [\d:.]{12} (DEBUG|INFO|WARNING) +\[(\d+)(?:\.(c\d+\.\d+))?\] px[.\w]*: (.*)")
_WRONG = "Wr0ng-Secret-5c7d"


def curl(px: PxProcess, *arguments: str) -> int:
    """Run curl through Px; return the status of the answer, or of the answer to CONNECT."""
    command = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{http_connect}",
        "-x",
        px.url,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    answer, tunnel = map(int, done.stdout.split())
    return answer or tunnel


class DebugLog:
    """The lines of ``--debug``, with ``N`` for each time and each number of bytes."""

    def __init__(self, px: PxProcess, **names: object) -> None:
        self.text = (px.directory / f"debug-{px.port}-main.log").read_text()
        self._names = {str(value): f"<{name}>" for name, value in names.items()}
        found = [_LINE.fullmatch(line) for line in self.text.splitlines()]
        assert all(found), self.text
        matches = [match for match in found if match]
        assert {match[2] for match in matches} == {str(px.pid)}
        self.of_px = [self._plain(match[4]) for match in matches if not match[3]]
        self._of_requests = [(match[3], self._plain(match[4])) for match in matches if match[3]]

    def _plain(self, message: str) -> str:
        for value, name in self._names.items():
            message = message.replace(value, name)
        return re.sub(r"\b[\d.]+(?= ms| bytes| down)", "N", message)

    def of(self, request: str) -> list[str]:
        """Return the lines of one request."""
        return [message for id_, message in self._of_requests if id_ == request]


@pytest.mark.shows("--debug")
def test_the_log_has_all_steps_of_a_get_and_a_tunnel_after_a_failover(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    url, who = network.origin.url("/bytes/1000?token=s3cret", HOST), f"ADTEST\\{network.ad.bob.name}"
    tls = f"{HOST}:{network.origin.tls_port}"
    password = network.ad.bob.password
    with (
        reserved_ports(1) as (dead,),
        PxProcess(
            tmp_path,
            f"--proxy=127.0.0.1:{dead},127.0.0.1:{network.ntlm.port}",
            f"--username={who}",
            "--debug",
            environment={"PX_PASSWORD": password},
        ) as px,
    ):
        assert curl(px, url) == 200
        assert curl(px, "-k", f"https://{tls}/") == 200
    log = DebugLog(
        px, dead=f"http://127.0.0.1:{dead}", squid=f"http://127.0.0.1:{network.ntlm.port}", tls=tls
    )
    nobody = "the connection was refused: nothing listens there."
    assert log.of("c1.1") == [
        f"GET {url.partition('?')[0]} from 127.0.0.1",
        "route: <dead>, then <squid>",
        f"after N ms: The upstream <dead> cannot be reached: {nobody}",
        "connected to the upstream <squid> in N ms",
        "407 after N ms: the upstream offers NTLM",
        f"logs in by NTLM as {who}, ready after N ms",
        "407 after N ms: the upstream goes on with NTLM",
        f"logs in by NTLM as {who}, ready after N ms",
        f"the upstream let {who} in by NTLM",
        "200 after N ms from the upstream <squid>",
        "ended after N ms: N bytes up, N down",
    ]
    *tunnel, end = log.of("c2.1")
    assert tunnel[:4] == [
        "CONNECT <tls> from 127.0.0.1",
        "route: <squid>, then <dead>",
        "over a kept connection to the upstream <squid>, logged in by NTLM",
        "200 after N ms from the upstream <squid>",
    ]
    assert end == "ended after N ms: N bytes up, N down"  # a line before it may say that curl has just left
    assert log.of_px[1] == "px.ini: none; upstreams: <dead>, <squid>; noproxy: none"
    assert "s3cret" not in log.text
    assert password not in log.text


def test_the_log_has_all_steps_of_a_refused_login(network: CorporateNetwork, tmp_path: Path) -> None:
    url, who = network.origin.url("/", HOST), f"ADTEST\\{network.ad.carol.name}"
    options = (f"--proxy=127.0.0.1:{network.ntlm.port}", f"--username={who}", "--debug")
    with (
        bad_passwords(network, network.ad.carol, at_most=2),
        PxProcess(tmp_path, *options, environment={"PX_PASSWORD": _WRONG}) as px,
    ):
        assert [curl(px, url) for _ in range(3)] == [502] * 3
    log = DebugLog(px, squid=f"http://127.0.0.1:{network.ntlm.port}")
    handshake = [
        f"logs in by NTLM as {who}, ready after N ms",
        "407 after N ms: the upstream goes on with NTLM",
        f"logs in by NTLM as {who}, ready after N ms",
        "407 after N ms: the upstream does not take NTLM",
    ]
    end = "ended after N ms: N bytes up, N down"
    asked = [f"GET {url} from 127.0.0.1", "route: <squid>"]
    connected = "connected to the upstream <squid> in N ms"
    refused = f"The upstream <squid> refused the login of {who} by NTLM."
    first, second, third = (log.of(f"c{number}.1") for number in (1, 2, 3))
    offers = "407 after N ms: the upstream offers NTLM"
    assert first == [*asked, connected, offers, *handshake, f"502 after N ms: {refused}", end]
    uncertain = f"{refused} To make sure, Px logs in with a request that the upstream itself answers."
    assert second == [*asked, uncertain, connected, offers, *handshake, f"502 after N ms: {refused}", end]
    assert third[:2] == asked
    assert "2 times in a row. Px sends no more logins for now" in third[2]
    assert third[3:] == [end]
    assert _WRONG not in log.text


def test_the_log_says_why_a_route_is_direct(network: CorporateNetwork, tmp_path: Path) -> None:
    at = f"127.0.0.1:{network.origin.port}"
    options = (f"--proxy=127.0.0.1:{network.ntlm.port}", "--debug")
    for noproxy, why in (
        ("*", "noproxy names everything"),
        ("127.0.0.1", "noproxy names 127.0.0.1"),
        ("127.0.0.0/8", "noproxy names 127.0.0.1"),
    ):
        with PxProcess(tmp_path, *options, f"--noproxy={noproxy}") as px:
            assert curl(px, f"http://{at}/") == 200
        assert DebugLog(px, origin=at).of("c1.1") == [
            "GET http://<origin>/ from 127.0.0.1",
            f"route: direct ({why})",
            "connected to the origin <origin> in N ms",
            "200 after N ms from the origin <origin>",
            "ended after N ms: N bytes up, N down",
        ]
