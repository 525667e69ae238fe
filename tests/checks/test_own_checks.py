"""What the doctor checks on this computer alone."""

from __future__ import annotations

import pytest

from px.checks.own_checks import check_config, check_password, check_port, check_programs
from px.checks.step import Verdict
from px.config.settings import default_settings
from px.core.secret import Secret
from tests.free_ports import free_port

PX = "http://127.0.0.1:3128"
OTHER = "http://user:secret@proxy.test:8080"


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


@pytest.mark.parametrize(
    ("environ", "verdict", "said"),
    [
        ({"http_proxy": PX, "https_proxy": PX}, Verdict.OK, "point at Px"),
        ({"http_proxy": "localhost:3128", "HTTPS_PROXY": PX}, Verdict.OK, "HTTPS_PROXY in this shell point"),
        ({}, Verdict.WARNING, "are not set"),
        ({"http_proxy": PX}, Verdict.WARNING, "https_proxy is not set"),
        ({"http_proxy": PX, "https_proxy": OTHER}, Verdict.WARNING, "is http://proxy.test:8080, and not Px"),
        ({"http_proxy": PX, "https_proxy": "http://127.0.0.1:3129"}, Verdict.WARNING, "not Px"),
        (
            {"http_proxy": PX, "https_proxy": "https://127.0.0.1:3128"},
            Verdict.FAILED,
            "speak plain HTTP to Px",
        ),
        ({"http_proxy": "http://[::1"}, Verdict.WARNING, "no URL of a proxy"),
    ],
)
def test_the_variables_of_the_shell_point_at_px_or_the_step_says_which_does_not(
    environ: dict[str, str], verdict: Verdict, said: str
) -> None:
    step = check_programs(default_settings(port=3128), environ)
    assert step.verdict is verdict
    assert said in step.detail
    assert bool(step.fix) is (verdict is not Verdict.OK)
    assert "secret" not in step.detail
