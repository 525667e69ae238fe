"""NTLM as the logged-in user, by Windows' SSPI: Px runs under Wine, everything else on Linux.

Wine has no logged-in user of a domain; `ntlm_auth`, beside this file, provides the user of the test.
"""

from __future__ import annotations

import os
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from px.core.auth.ntlm.errors import NtlmRefusedError
from px.core.auth.ntlm.verifier import verify_authenticate
from tests.corpnet.checks import curl
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.samba_ad import DOMAIN
from tests.e2e.exchanges import HOST
from tests.e2e.logins import LOGINS, Login, Secret, only
from tests.e2e.squid_watch import Watch, bad_passwords
from tests.e2e.test_logins import check_costs
from tests.px_process import PxProcess
from tests.scripted_upstream import DOMAIN as DOMAIN_NAME
from tests.scripted_upstream import (
    NT_HASH,
    PASSWORD,
    USER,
    USERNAME,
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    credentials_of,
    login_required,
)

pytestmark = pytest.mark.px_under_wine

SINGLE_SIGN_ON = replace(LOGINS["ntlm"], secret=Secret.NOTHING)
UPLOAD_BYTES = 20_000_000


def logged_in(username: str, password: str) -> dict[str, str]:
    """Return the variables that make a user the logged-in one."""
    path = f"{Path(__file__).parent}:{os.environ['PATH']}"
    return {"PATH": path, "LOGGED_IN_USER": username, "LOGGED_IN_PASSWORD": password}


def logged_in_at(network: CorporateNetwork) -> dict[str, str]:
    """Return the variables that make the user of `SINGLE_SIGN_ON` the logged-in one."""
    user = SINGLE_SIGN_ON.account(network)
    return logged_in(f"{DOMAIN}\\{user.name}", user.password)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        pytest.param([], logged_in(USERNAME, PASSWORD), id="logged-in"),
        pytest.param(
            [f"--username={USERNAME}"],
            {"PX_PASSWORD": PASSWORD, **logged_in("OTHER\\other", "other")},
            id="given",
        ),
    ],
)
async def test_px_proves_the_identity_of_the_logged_in_user(
    tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        first = await wire.read_head()
        challenge = await answer_negotiate(wire, first)
        second = await wire.read_head()
        negotiate, authenticate = (b64decode(credentials_of(head, b"NTLM")) for head in (first, second))
        login = verify_authenticate(negotiate, challenge, authenticate, lambda *_: NT_HASH)
        assert (login.user, login.domain.upper()) == (USER, DOMAIN_NAME.upper())
        with pytest.raises(NtlmRefusedError):
            verify_authenticate(negotiate, challenge, authenticate, lambda *_: bytes(16))
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream:
        proxy = f"--proxy={upstream.authority}"
        with (
            PxProcess(tmp_path, proxy, *arguments, environment=environment) as px,
            await Wire.connect(px.port) as client,
        ):
            await client.send(b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n")
            assert (await client.read_answer())[1] == b"ok"


def test_single_sign_on_costs_the_407s_that_ntlm_needs(
    network: CorporateNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in logged_in_at(network).items():
        monkeypatch.setenv(name, value)
    check_costs(network, tmp_path, SINGLE_SIGN_ON)


def test_px_tries_a_refused_logged_in_user_twice_at_most(network: CorporateNetwork, tmp_path: Path) -> None:
    user = SINGLE_SIGN_ON.account(network)
    environment = {**logged_in_at(network), "LOGGED_IN_PASSWORD": "wrong"}
    with (
        bad_passwords(network, user, at_least=1, at_most=2),
        SINGLE_SIGN_ON.running_px(network, tmp_path, **environment) as px,
    ):
        for _ in range(5):
            assert curl(network.origin.url("/", HOST), "-x", px.url) == "502"


@pytest.mark.parametrize("login", [pytest.param(SINGLE_SIGN_ON, id="sso"), *only("ntlm", "digest", "basic")])
def test_curl_downloads_uploads_and_opens_a_tunnel_under_wine(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network))
    file = tmp_path / "file"
    file.write_bytes(bytes(UPLOAD_BYTES))
    sends = ("-H", "Expect:", "--data-binary", f"@{file}")
    with login.running_px(network, tmp_path, **logged_in_at(network)) as px:
        assert curl(network.origin.url("/bytes/1000", HOST), "-x", px.url) == "200"
        watch.check_cost(login.first, answered=1)
        assert curl(network.origin.url("/upload", HOST), "-x", px.url, "-d", "a=b") == "200"
        watch.check_cost(0, answered=1)
        assert curl(network.origin.url("/bytes/1000", HOST), "-x", px.url, "-p") == "200"
        watch.check_cost(0, answered=1)
        assert curl(network.origin.url("/upload", HOST), "-x", px.url, "-X", "PUT", *sends) == "200"
        watch.check_cost(login.cold, answered=1)
