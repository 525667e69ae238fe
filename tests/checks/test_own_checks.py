"""What the doctor checks on this computer alone."""

from __future__ import annotations

import pytest

from px.checks.own_checks import check_clients, check_config, check_password, check_port
from px.checks.step import Verdict
from px.config.settings import default_settings
from px.core.auth.policy import AuthPolicy
from px.core.secret import Secret
from tests.free_ports import free_port


def test_warnings_about_the_configuration_are_shown() -> None:
    assert check_config(None, ()).verdict is Verdict.OK
    step = check_config(None, ("px.ini:3: unknown key",))
    assert (step.verdict, step.detail) == (Verdict.WARNING, "no px.ini is in use: px.ini:3: unknown key")


@pytest.mark.parametrize(
    ("changes", "warnings", "said"),
    [
        ({"password": Secret("x", "the keyring")}, (), "the secret of alice comes from the keyring"),
        ({"password": Secret("x")}, (), "comes from PX_PASSWORD"),
        ({"nthash": Secret("0" * 32)}, (), "comes from PX_NTHASH"),
        ({}, (), "only a Kerberos ticket"),
        ({}, ("no stored password of alice: it is locked",), "it is locked"),
    ],
)
def test_the_place_of_the_password_is_named(
    changes: dict[str, object], warnings: tuple[str, ...], said: str
) -> None:
    step = check_password(default_settings(username="alice", **changes), warnings)
    assert step is not None
    assert said in step.detail
    assert step.verdict is (Verdict.WARNING if warnings else Verdict.OK)


def test_without_a_user_there_is_no_step_of_a_password() -> None:
    assert check_password(default_settings(), ()) is None


def test_a_free_port_is_a_warning_because_no_px_runs() -> None:
    step = check_port(default_settings(port=free_port()))
    assert step.verdict is Verdict.WARNING
    assert "no Px runs there" in step.detail


def test_clients_that_no_password_can_verify_are_named() -> None:
    assert check_clients(default_settings()) is None
    wanted = {"client_auth": AuthPolicy.parse("BASIC"), "client_username": "bob"}
    failed = check_clients(default_settings(**wanted))
    assert failed is not None
    assert failed.verdict is Verdict.FAILED
    assert "--client-password" in failed.detail
    good = check_clients(default_settings(**wanted, client_password=Secret("x")))
    assert good is not None
    assert (good.verdict, good.detail) == (Verdict.OK, "they log in at Px by Basic")
