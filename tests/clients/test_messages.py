"""The messages that users read when the password is wrong or the upstream is down."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.clients.program import Place, need
from tests.clients.test_chromium import FLAGS
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.ports import reserved_ports
from tests.px_process import PxProcess

REFUSALS = 2  # after this many refusals Px sends no more passwords
RECEIVE_ERROR = 56  # curl: the tunnel was refused
SERVER_ERROR = 8  # wget: the server answered with an error


class Trouble(NamedTuple):
    """A cause of failure, and the message that Px must give.

    Attributes:
        cause: Words of the message that name the cause.
        hint: Words of the message that give advice.
        kind: Error type of RFC 9209.
        phrase: A regular expression for the text after "Px: " in the reason phrase.
    """

    cause: str
    hint: str
    kind: str
    phrase: str


_REFUSED = r"(login at localhost:\d+ refused|logins at localhost:\d+ paused after refusals)"
WRONG_PASSWORD = Trouble(r"ADTEST\carol", "PX_PASSWORD", "http_request_denied", _REFUSED)
DEAD_UPSTREAM = Trouble(
    "cannot be reached", "--proxy", "connection_refused", r"cannot connect to localhost:\d+"
)


@pytest.fixture(params=[WRONG_PASSWORD, DEAD_UPSTREAM], ids=["wrong-password", "dead-upstream"])
def trouble(request: pytest.FixtureRequest) -> Trouble:
    """Return the cause of failure."""
    assert isinstance(request.param, Trouble)
    return request.param


@pytest.fixture
def px(corporate_network: CorporateNetwork, trouble: Trouble, tmp_path: Path) -> Iterator[PxProcess]:
    """Yield a Px with this cause of failure."""
    directory = tmp_path / "px"
    directory.mkdir()
    network, password = corporate_network, {"PX_PASSWORD": "wrong"}
    with reserved_ports(1) as (dead_port,):
        port = dead_port if trouble is DEAD_UPSTREAM else network.ntlm.port
        options = [f"--proxy=localhost:{port}", r"--username=ADTEST\carol", "--verbose"]
        with PxProcess(directory, *options, environment=password) as running:
            yield running
    sys.stdout.write(running.output)  # pytest shows this if the test fails
    network.ad.reset_bad_password_count(network.ad.carol)


@pytest.fixture
def proxy_env(px: PxProcess) -> dict[str, str]:
    """Return the variables from which most programs take their proxy."""
    return {"http_proxy": px.url, "https_proxy": px.url, "no_proxy": ""}


def test_curl_and_git_show_cause_and_hint(
    corporate_network: CorporateNetwork, trouble: Trouble, proxy_env: dict[str, str], place: Place
) -> None:
    need("curl", "git")
    url = corporate_network.origin.url("/project.git", host="origin.test")
    by_curl = place.run("curl", "-sS", url, env=proxy_env)
    by_git = place.run("git", "clone", "-q", url, env={**proxy_env, "GIT_CONFIG_NOSYSTEM": "1"}, code=None)
    for shown in (by_curl, by_git):
        assert trouble.cause in shown
        assert trouble.hint in shown
        assert "502" in shown
    assert "remote: Px: 502" in by_git  # the message does not blame the site


def test_the_status_shows_cause_and_hint(
    corporate_network: CorporateNetwork, trouble: Trouble, px: PxProcess
) -> None:
    url = corporate_network.origin.tls_url("/", host="origin.test")
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get(url, proxies={"https": px.url}, timeout=20)
    problem = px.status()["problems"][0]
    assert trouble.cause in problem["cause"]
    assert trouble.hint in problem["hint"]
    assert (problem["status"], problem["count"]) == (502, 1)
    shown = px.command("--status").stdout
    assert trouble.cause in shown.rpartition("\n  problems ")[2]


def test_wget_shows_the_reason_phrase_and_the_page(
    corporate_network: CorporateNetwork, trouble: Trouble, proxy_env: dict[str, str], place: Place
) -> None:
    need("wget")
    url = corporate_network.origin.url("/", host="origin.test")
    command = ["wget", "-nv", "-t1", "-O", "-", "--content-on-error", url]
    shown = place.run(*command, env=proxy_env, code=SERVER_ERROR)
    assert re.search(f"ERROR 502: Px: {trouble.phrase}", shown), shown
    assert trouble.cause in shown


def test_clients_show_the_reason_phrase_of_a_refused_tunnel(
    corporate_network: CorporateNetwork, trouble: Trouble, px: PxProcess, place: Place
) -> None:
    need("wget", "npm")
    url = corporate_network.origin.tls_url("/", host="origin.test")
    with pytest.raises(requests.exceptions.ProxyError, match=f"502 Px: {trouble.phrase}"):
        requests.get(url, proxies={"https": px.url}, timeout=20)
    proxy_env = {"https_proxy": px.url, "no_proxy": ""}
    by_wget = place.run("wget", "-nv", "-t1", "-O", "-", url, env=proxy_env, code=None)
    assert re.search(f"Proxy tunneling failed: Px: {trouble.phrase}", by_wget), by_wget
    npm_options = [f"--registry={url}", f"--https-proxy={px.url}", "--fetch-retries=0"]
    by_npm = place.run("npm", "view", *npm_options, "some-package", code=None)
    assert re.search(f"npm error 502 Px: {trouble.phrase}", by_npm), by_npm


def test_the_fields_of_a_refused_tunnel_have_the_reason(
    corporate_network: CorporateNetwork, trouble: Trouble, proxy_env: dict[str, str], place: Place
) -> None:
    need("curl")
    url = corporate_network.origin.tls_url("/", host="origin.test")
    shown = place.run("curl", "-sSv", url, env=proxy_env, code=RECEIVE_ERROR)
    assert "CONNECT tunnel failed, response 502" in shown
    status = next(line for line in shown.splitlines() if line.startswith("< Proxy-Status: "))
    assert f"px; error={trouble.kind}; details=" in status
    assert trouble.cause.replace("\\", r"\\") in status  # RFC 8941 3.3.3: a string escapes the backslash


def test_chromium_shows_the_page_of_px(
    corporate_network: CorporateNetwork, trouble: Trouble, px: PxProcess, place: Place, short_directory: str
) -> None:
    need("chromium")
    url = corporate_network.origin.url("/", host="origin.test")
    own = [f"--user-data-dir={place.home / 'profile'}", f"--proxy-server={px.url}"]
    dom = place.run("chromium", *FLAGS.split(), *own, url, env={"TMPDIR": short_directory})
    assert "- Px</title>" in dom
    assert trouble.cause in dom
    assert '<p class="hint">' in dom
    assert trouble.hint in dom


@pytest.mark.parametrize("trouble", [WRONG_PASSWORD], ids=["wrong-password"])
def test_many_clients_do_not_lock_the_account(
    corporate_network: CorporateNetwork, trouble: Trouble, proxy_env: dict[str, str], place: Place
) -> None:
    need("curl")
    network = corporate_network
    network.ad.reset_bad_password_count(network.ad.carol)
    urls = [network.origin.url(f"/status/200?{number}", host="origin.test") for number in range(20)]
    shown = place.run("curl", "-sS", "--parallel", "--parallel-immediate", *urls, env=proxy_env)
    assert shown.count("Px: 502") == len(urls)
    assert shown.count("the account is not locked") >= len(urls) - REFUSALS
    assert network.ad.bad_password_count(network.ad.carol) == REFUSALS
