"""A wrong password: the account stays unlocked, the client gets the reason, and Px reveals no secret."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST
from .http_client import Answer, Body, Client
from .logins import Kerberos, Login, Secret, only
from .squid_watch import Watch, bad_passwords

WRONG = "Wr0ng-Secret-5c7d"
_DOMAIN = "ADTEST\\{name}"

_CASES = {
    "ntlm": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN),
    "ntlm-hash": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN, secret=Secret.NT_HASH),
    "ntlm-non-ascii": Login("ntlm", "ntlm", 2, 1, "ad.juergen", _DOMAIN),
    "ntlm-tls": Login("ntlm_tls", "ntlm", 2, 1, "ad.carol", _DOMAIN),
    "multi": Login("multi", "negotiate", 2, 1, "ad.carol", _DOMAIN),
    "multi-kerberos": Login("multi", "negotiate", 2, 1, "ad.carol", "{name}@AD.TEST", kerberos=Kerberos.KDC),
    "negotiate": Login("negotiate", "negotiate", 2, 1, "ad.carol", _DOMAIN),
    "negotiate-kerberos": Login(
        "negotiate", "negotiate", 2, 1, "ad.carol", "{name}@AD.TEST", kerberos=Kerberos.KDC
    ),
    "basic": Login("basic_ad", "basic", 1, 0, "ad.carol", _DOMAIN),
    "no-keep-alive": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN, keep_alive=False),
}
_REQUESTS = 20


@contextmanager
def _px_with_wrong_secret(network: CorporateNetwork, directory: Path, login: Login):
    secret = {"PX_NTHASH": nt_hash(WRONG).hex()} if login.secret is Secret.NT_HASH else {"PX_PASSWORD": WRONG}
    with login.running_px(network, directory, **secret) as px:
        yield px
        assert WRONG not in px.output
        assert nt_hash(WRONG).hex() not in px.output.lower()


def _ask(px: PxProcess, network: CorporateNetwork, number: int) -> Answer:
    with Client(px.port) as client:
        if number % 3 == 0:
            return client.connect(f"{HOST}:{network.origin.tls_port}")
        if number % 3 == 1:
            return client.request("POST", network.origin.url("/upload", HOST), Body(exchanges.SMALL_BYTES))
        return client.get(network.origin.url("/", HOST))


def _check_refusal(answer: Answer, network: CorporateNetwork, login: Login) -> None:
    assert answer.status == 502, answer
    assert login.account(network).name in answer.body.decode()
    assert f"localhost:{login.upstream(network).port}" in answer.text or "KDC" in answer.text
    for text in (answer.text, answer.reason, str(answer.headers)):
        assert WRONG not in text
    exchanges.check_no_login_shown(answer)


def _check_blocked(px: PxProcess, network: CorporateNetwork, login: Login, number: int) -> None:
    """Check that later requests get an immediate 502 that says when to retry."""
    started = time.monotonic()
    answer = _ask(px, network, number)
    assert time.monotonic() - started < 1
    _check_refusal(answer, network, login)
    assert 1 <= int(answer.header("retry-after")) <= 1800
    assert "no more logins" in answer.text


@pytest.mark.px_under_wine("ntlm-parallel")
@pytest.mark.parametrize("in_parallel", [True, False], ids=["parallel", "in-turn"])
@pytest.mark.parametrize("login", [pytest.param(login, id=name) for name, login in _CASES.items()])
def test_a_wrong_password_is_tried_twice_at_most(
    network: CorporateNetwork, tmp_path: Path, login: Login, in_parallel: bool
) -> None:
    user = login.account(network)
    watch = Watch(login.upstream(network))
    with (
        bad_passwords(network, user, at_least=1, at_most=2),
        _px_with_wrong_secret(network, tmp_path, login) as px,
    ):
        asks = [partial(_ask, px, network, number) for number in range(_REQUESTS // 2)]
        for answer in at_once(asks) if in_parallel else [ask() for ask in asks]:
            _check_refusal(answer, network, login)
        watch.entries(answered=0)
        for number in range(_REQUESTS // 2):
            _check_blocked(px, network, login, number)
        assert watch.entries(answered=0) == []


@pytest.mark.parametrize(
    "login", [pytest.param(_CASES[name], id=name) for name in ("multi", "multi-kerberos")]
)
def test_px_never_sends_a_password_by_basic_that_was_just_refused(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network))
    with bad_passwords(network, login.account(network), at_least=1, at_most=2):
        for _ in range(2):  # the record outlives a restart
            with _px_with_wrong_secret(network, tmp_path, login) as px:
                at_once([partial(_ask, px, network, number) for number in range(5)])
        schemes = set(watch.schemes())
    assert schemes >= {"negotiate"}
    assert "basic" not in schemes


@pytest.mark.px_under_wine("ntlm")
@pytest.mark.parametrize(
    "login", [pytest.param(_CASES[name], id=name) for name in ("ntlm", "multi-kerberos")]
)
def test_a_restart_keeps_the_block_unless_the_password_has_changed(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    user = login.account(network)
    watch = Watch(login.upstream(network))
    with bad_passwords(network, user, at_most=0):
        with bad_passwords(network, user, at_least=1, at_most=2, resets=False):
            with _px_with_wrong_secret(network, tmp_path, login) as px:
                for number in range(4):
                    _check_refusal(_ask(px, network, number), network, login)
            watch.reset()
            with _px_with_wrong_secret(network, tmp_path, login) as px:
                for number in range(4):
                    _check_blocked(px, network, login, number)
            assert watch.schemes() == []
        with login.running_px(network, tmp_path) as px, Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)


@pytest.mark.parametrize(
    "login",
    only(
        "ntlm", "negotiate-no-ticket", "kerberos-mit-password", "kerberos-ad-password", "basic-ad-non-ascii"
    ),
)
def test_the_right_password_logs_in_at_once_after_a_wrong_one(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    """Px verifies only a password that was refused itself, and perhaps by a method that is not taken here."""
    with login.running_px(network, tmp_path, PX_PASSWORD=WRONG) as px, Client(px.port) as client:
        assert client.get(network.origin.url("/", HOST)).status == 502
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchanges.get(client, network)
    assert watch.entries(answered=1)[-1].status == 200


def test_a_block_applies_to_all_spellings_of_the_user_name(network: CorporateNetwork, tmp_path: Path) -> None:
    login = _CASES["ntlm"]
    upper = replace(login, spelling="adtest\\CAROL")
    with bad_passwords(network, login.account(network), at_least=1, at_most=2, resets=False):
        with _px_with_wrong_secret(network, tmp_path, login) as px:
            for number in range(3):
                _ask(px, network, number)
        with _px_with_wrong_secret(network, tmp_path, upper) as px, Client(px.port) as client:
            answer = client.get(network.origin.url("/", HOST))
            assert answer.status == 502
            assert "no more logins" in answer.text


@pytest.mark.parametrize(
    "login", [pytest.param(_CASES[name], id=name) for name in ("ntlm", "negotiate", "basic")]
)
def test_aborted_uploads_do_not_repeat_a_wrong_password(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    user = login.account(network)
    target = network.origin.url("/upload", HOST)
    with (
        bad_passwords(network, user, at_least=1, at_most=2),
        _px_with_wrong_secret(network, tmp_path, login) as px,
    ):
        for _ in range(_REQUESTS):
            with Client(px.port) as client:
                client.send_head("POST", target, [("Content-Length", "100")])
                client.send(b"0123456789")
        for number in range(3):
            _check_refusal(_ask(px, network, number), network, login)


def test_a_reload_allows_one_more_login(network: CorporateNetwork, tmp_path: Path) -> None:
    login = _CASES["ntlm"]
    user = login.account(network)
    with (
        bad_passwords(network, user, at_least=3, at_most=3),
        _px_with_wrong_secret(network, tmp_path, login) as px,
    ):
        for number in range(3):
            _check_refusal(_ask(px, network, number), network, login)
        _check_blocked(px, network, login, 4)
        assert px.command("--reload").returncode == 0
        answer = _ask(px, network, 5)
        _check_refusal(answer, network, login)
        for number in range(3):
            _check_blocked(px, network, login, number)
