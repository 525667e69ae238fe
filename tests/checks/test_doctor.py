"""``px --doctor`` at upstreams that are broken in one way each: it names it, and one login fails at most."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from px.checks.doctor import Patient, examine
from px.checks.fresh_px import running_fresh_px
from px.checks.login_test import PxUnderTest
from px.checks.step import Step, Verdict
from px.checks.target import parse_test_url
from px.config.settings import default_settings
from px.core.auth.policy import AuthPolicy
from px.core.rules.host_rules import HostRules
from px.core.rules.route import parse_upstreams
from px.upstream.connections import resolver
from tests.authority import Authority
from tests.checks.ntlm_proxy import ntlm_proxy
from tests.free_ports import free_port
from tests.proxy.running_px import as_user
from tests.scripted_upstream import USERNAME, ScriptedUpstream, TlsScript, Wire, answer, login_required

URL = "http://origin.test/?t0ken"
REQUESTS = parse_test_url(URL, "--doctor")
#: Steps whose verdicts depend on the shell and not on the upstream.
OWN = {"Config", "Port", "Programs"}


def make_patient(state: Path, proxy: str, **changes: object) -> Patient:
    given = {
        "proxy": parse_upstreams(proxy),
        "port": free_port(),
        "via": False,
        "socktimeout": 2.0,
        **changes,
    }
    settings = default_settings(**given)
    return Patient(settings=settings, state=state, config_file=None, warnings=(), environ={})


async def find_steps(patient: Patient) -> dict[str, Step]:
    """Examine a Px; return the steps by their names."""
    steps: list[Step] = []
    await examine(patient, REQUESTS, steps.append)
    return {step.name: step for step in steps}


async def diagnose(state: Path, proxy: str, **changes: object) -> dict[str, Step]:
    return await find_steps(make_patient(state, proxy, **changes))


def only_failure(steps: dict[str, Step]) -> Step:
    """Return the one step that has failed; all steps of requests after it must have been skipped."""
    (failed,) = [step for step in steps.values() if step.verdict is Verdict.FAILED]
    assert failed is list(steps.values())[-1] or steps["CONNECT"].verdict is Verdict.SKIPPED
    return failed


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_where_all_is_well_each_step_says_so(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        steps = await diagnose(tmp_path, upstream.authority, **as_user())
    assert list(steps) == [
        "Config",
        "Port",
        "Programs",
        "Password",
        "Proxy",
        "TCP",
        "Offers",
        "Identity",
        "Login",
        "GET",
        "CONNECT",
    ]
    assert {step.verdict for step in steps.values() if step.name not in OWN} == {Verdict.OK}
    assert steps["Offers"].detail == "NTLM"
    assert steps["Login"].detail == f"as {USERNAME} by NTLM at http://{upstream.authority}"
    assert upstream.final_tokens == 1


async def test_a_wrong_password_costs_one_login(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        steps = await diagnose(tmp_path, upstream.authority, **as_user("wrong"))
        assert upstream.final_tokens == 1
    failed = only_failure(steps)
    assert failed.name == "Login"
    assert f"refused the login of {USERNAME}" in failed.detail
    assert "password" in failed.fix


async def test_an_account_that_is_blocked_costs_none(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        for _ in range(2):
            await diagnose(tmp_path, upstream.authority, **as_user("wrong"))
        steps = await diagnose(tmp_path, upstream.authority, **as_user("wrong"))
        assert upstream.final_tokens == 2
    assert "no more logins for now" in only_failure(steps).detail


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {},
            "It offers NTLM, but Px has no password or ticket",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="logs in as the user of Windows"),
        ),
        (as_user() | {"auth": AuthPolicy.parse("DIGEST")}, "--auth=DIGEST allows none of these"),
    ],
)
async def test_a_login_that_px_cannot_make_is_named_before_any_login(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    async with ntlm_proxy() as upstream:
        steps = await diagnose(tmp_path, upstream.authority, **changes)
        assert upstream.final_tokens == 0
    failed = only_failure(steps)
    assert failed.name == "Identity"
    assert said in failed.detail
    assert failed.fix


async def test_a_closed_port_is_named(tmp_path: Path, closed_port: int) -> None:
    failed = only_failure(await diagnose(tmp_path, f"127.0.0.1:{closed_port}"))
    assert failed.name == "TCP"
    assert "nothing listens there" in failed.detail
    assert "--proxy" in failed.fix


async def test_an_upstream_that_is_down_is_a_warning_where_another_one_works(
    tmp_path: Path, closed_port: int
) -> None:
    async with ntlm_proxy() as upstream:
        proxy = f"127.0.0.1:{closed_port},{upstream.authority}"
        steps: list[Step] = []
        await examine(make_patient(tmp_path, proxy, **as_user()), REQUESTS, steps.append)
    tcp = [step.verdict for step in steps if step.name == "TCP"]
    assert tcp == [Verdict.WARNING, Verdict.OK]
    assert Verdict.FAILED not in {step.verdict for step in steps}


async def test_a_name_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolver, "_get_addresses", find_none)
    failed = only_failure(await diagnose(tmp_path, "proxy.test:8080"))
    assert failed.name == "DNS"
    assert "proxy.test could not be resolved: name or service not known" in failed.detail


async def test_a_silent_name_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(resolver, "_get_addresses", lambda _: ended.wait(10) and [])
    failed = only_failure(await diagnose(tmp_path, "proxy.test:8080", socktimeout=0.2))
    ended.set()
    assert failed.name == "DNS"
    assert "the name server did not answer in time" in failed.detail


async def test_what_speaks_no_http_is_named(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        await wire.read_head()

    async with ScriptedUpstream(_only_connect, play) as upstream:
        failed = only_failure(await diagnose(tmp_path, upstream.authority))
    assert failed.name == "Offers"
    assert "HTTP" in failed.detail + failed.fix


async def _only_connect(wire: Wire) -> None:
    await wire.expect_cut()


async def test_an_upstream_that_says_nothing_is_named(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect_cut()

    async with ScriptedUpstream(_only_connect, play) as upstream:
        failed = only_failure(await diagnose(tmp_path, upstream.authority, socktimeout=0.1))
    assert failed.name == "Offers"
    assert "sent no answer" in failed.detail


@pytest.mark.parametrize(
    ("minutes", "scheme", "verdict"),
    [
        (-61, b"Negotiate", Verdict.FAILED),
        (7, b"NTLM", Verdict.FAILED),
        (7, b"Basic realm=a", Verdict.WARNING),
        (2, b"Negotiate", Verdict.OK),
        (0, b"NTLM", Verdict.OK),
    ],
)
async def test_a_clock_that_differs_is_named_where_logins_carry_the_time(
    tmp_path: Path, minutes: int, scheme: bytes, verdict: Verdict
) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(minutes=minutes), usegmt=True).encode()

    async def play(wire: Wire) -> None:
        await wire.read_head()
        page = login_required(scheme).replace(b"\r\nContent-", b"\r\nDate: %b\r\nContent-" % date)
        await wire.send(page)
        await wire.expect_cut()

    async with ScriptedUpstream(_only_connect, play) as upstream:
        steps = await diagnose(tmp_path, upstream.authority, auth=AuthPolicy.parse("DIGEST"))
    assert steps["Clock"].verdict is verdict
    difference = "behind" if minutes < 0 else "ahead of" if minutes else "agrees with"
    assert difference in steps["Clock"].detail
    assert ("NTP" in steps["Clock"].fix) is (verdict is not Verdict.OK)


async def test_a_certificate_for_another_name_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    monkeypatch.setattr(resolver, "_get_addresses", lambda _: ["127.0.0.1"])

    async def play(wire: Wire) -> None:
        with pytest.raises(OSError):
            await TlsScript(_only_connect, authority.server_context())(wire)

    async with ScriptedUpstream(_only_connect, play) as upstream:
        failed = only_failure(await diagnose(tmp_path, f"https://proxy.test:{upstream.port}"))
    assert failed.name == "TLS"
    assert "not valid for 'proxy.test'" in failed.detail
    assert "as its certificate does" in failed.fix


@pytest.mark.parametrize("body", ["return 1 +", "throw 'no'"])
async def test_a_broken_pac_script_is_named(tmp_path: Path, body: str) -> None:
    script = tmp_path / "proxy.pac"
    script.write_text(f"function FindProxyForURL(url, host) {{ {body} }}")
    failed = only_failure(await diagnose(tmp_path, "", pac=str(script)))
    assert failed.name == "PAC"
    assert "proxy.pac" in failed.detail


@pytest.mark.skipif(sys.platform == "win32", reason="there Px logs in as the user of Windows")
@pytest.mark.parametrize("user", ["", "CORP\\alice"])
async def test_without_a_keyring_none_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    async with ntlm_proxy() as upstream:
        failed = only_failure(await diagnose(tmp_path, upstream.authority, username=user))
    assert failed.fix == "Set PX_PASSWORD in the environment, and give --username; no keyring works here."


async def test_a_named_pac_script_that_cannot_be_had_comes_first(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(404))

    async with ScriptedUpstream(play) as server:
        pac = f"http://{server.authority}/proxy.pac"
        steps = await diagnose(tmp_path, "", pac=pac)
    first = next(step for step in steps.values() if step.verdict is Verdict.FAILED)
    assert first.name == "PAC"
    assert first.detail.startswith(f"The PAC script {pac} cannot be loaded: the server answered 404")
    assert first.fix == "Check the URL of the script."
    assert steps["GET"].detail.startswith(f"The PAC script {pac} cannot be loaded: the server answered 404")
    assert steps["GET"].fix == "Check this address of the script."


async def test_the_answer_of_a_pac_script_is_shown(tmp_path: Path) -> None:
    script = tmp_path / "proxy.pac"
    async with ntlm_proxy() as upstream:
        script.write_text(f'function FindProxyForURL(url, host) {{ return "PROXY {upstream.authority}" }}')
        steps = await diagnose(tmp_path, "", pac=str(script), **as_user())
    assert (
        f"for http://origin.test/?... the script answers 'PROXY {upstream.authority}'" in steps["PAC"].detail
    )
    assert steps["CONNECT"].verdict is Verdict.OK


async def test_a_setting_that_points_at_px_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = make_patient(tmp_path, "")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{patient.settings.port}")
    failed = only_failure(await find_steps(patient))
    assert failed.name == "Proxy"
    assert "of the environment: Px itself" in failed.detail


async def test_a_site_that_is_reached_directly_needs_no_upstream(tmp_path: Path, closed_port: int) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(404))

    async with ScriptedUpstream(play, _only_connect) as origin:
        requests = parse_test_url(f"http://127.0.0.1:{origin.port}/", "--doctor")
        noproxy = HostRules.parse("127.0.0.1", names=True)
        steps: list[Step] = []
        patient = make_patient(tmp_path, f"127.0.0.1:{closed_port}", noproxy=noproxy)
        await examine(patient, requests, steps.append)
    verdicts = {step.name: step.verdict for step in steps if step.name not in OWN}
    assert verdicts == {"Proxy": Verdict.OK, "GET": Verdict.OK, "CONNECT": Verdict.OK}


async def test_a_port_that_another_program_has_is_named_with_the_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with ntlm_proxy() as upstream:
            port = other.getsockname()[1]
            steps = await diagnose(tmp_path, upstream.authority, port=port, **as_user())
    assert steps["Port"].verdict is Verdict.FAILED
    assert "--port" in steps["Port"].fix
    assert sys.platform != "linux" or ", pid " in steps["Port"].detail
    assert steps["CONNECT"].verdict is Verdict.OK


async def test_through_a_running_px_the_doctor_makes_no_login_of_its_own(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        good = make_patient(tmp_path, upstream.authority, **as_user()).settings
        bad = make_patient(tmp_path, upstream.authority, **as_user("wrong")).settings
        async with running_fresh_px(good, tmp_path / "other") as (px, address):
            running = PxUnderTest("Px runs", address, px.report)
            patient = Patient(
                settings=bad,
                state=tmp_path,
                config_file=None,
                warnings=(),
                environ={},
                port=Step("Port", Verdict.OK, "Px runs"),
                running=running,
            )
            steps = await find_steps(patient)
    assert not {"Identity", "Ticket"} & set(steps)
    assert steps["Login"].detail.startswith(f"as {USERNAME} by NTLM")
    assert upstream.final_tokens == 1


async def test_an_upstream_that_no_verification_reaches_logs_in_by_the_get(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        """Want Basic for GET and CONNECT alone."""
        head = await wire.read_head()
        if not head.startswith((b"GET", b"CONNECT")):
            await wire.send(answer(501, b"", b"Connection: close"))
        elif b"Proxy-Authorization" not in head:
            await wire.send(login_required(b"Basic realm=a", connection=b"close"))
        elif head.startswith(b"GET"):
            await wire.send(answer(200, b"", b"Connection: close"))
        else:
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            await wire.expect_cut()

    # A connection only, the offer, three kinds of verification, then each request.
    async with ScriptedUpstream(_only_connect, *[play] * 6) as upstream:
        steps = await diagnose(tmp_path, upstream.authority, **as_user())
    assert steps["Login"].detail.startswith(f"as {USERNAME} by Basic")
    assert steps["GET"].verdict is steps["CONNECT"].verdict is Verdict.OK


@pytest.mark.parametrize("proxy", ["socks5://{}"])
async def test_a_socks_upstream_is_asked_for_no_login_of_http(tmp_path: Path, proxy: str) -> None:
    async def play(wire: Wire) -> None:
        await wire.expect(b"\x05\x01\x00")
        await wire.send(b"\x05\xff")
        await wire.expect_cut()

    async with ScriptedUpstream(_only_connect, play) as upstream:
        steps = await diagnose(tmp_path, proxy.format(upstream.authority))
    assert "Offers" not in steps
    assert steps["GET"].verdict is Verdict.FAILED
