"""Whether the doctor sees that programs use Px."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from px.checks.program_checks import ProgramCheck
from px.checks.step import Step, Verdict
from px.config.settings import default_settings
from px.core.http.target import Authority
from px.core.rules.tunnel_list import parse_tunnels

PX = "http://127.0.0.1:3128"
OTHER = "http://user:secret@proxy.test:8080"
SITE = Authority("www.example.com", 443)
BOTH = {"http_proxy": PX, "https_proxy": PX}


def check(environ: dict[str, str], **changes: object) -> list[Step]:
    settings = default_settings(port=3128, socks=1080, tunnel=parse_tunnels("2222:a.test:22"), **changes)
    steps = list(ProgramCheck(settings, environ, SITE).run())
    assert not any("secret" in step.detail for step in steps)
    assert all(bool(step.fix) is (step.verdict is not Verdict.OK) for step in steps)
    return steps


@pytest.mark.parametrize(
    ("environ", "verdict", "said"),
    [
        (BOTH, Verdict.OK, "http_proxy, https_proxy in this shell point at Px"),
        ({"http_proxy": "localhost:3128", "HTTPS_PROXY": PX}, Verdict.OK, "HTTPS_PROXY in this shell point"),
        ({"all_proxy": "socks5h://127.0.0.1:1080"}, Verdict.OK, "all_proxy in this shell point"),
        ({}, Verdict.WARNING, "are not set"),
        ({"http_proxy": PX}, Verdict.WARNING, "https_proxy is not set"),
        ({"http_proxy": PX, "https_proxy": OTHER}, Verdict.WARNING, "is http://proxy.test:8080, and not Px"),
        (
            {**BOTH, "HTTPS_PROXY": OTHER},
            Verdict.WARNING,
            "HTTPS_PROXY in this shell is http://proxy.test:8080",
        ),
        ({**BOTH, "ALL_PROXY": OTHER}, Verdict.WARNING, "ALL_PROXY in this shell is http://proxy.test:8080"),
        ({"http_proxy": PX, "https_proxy": "http://127.0.0.1:3129"}, Verdict.WARNING, "not Px"),
        ({**BOTH, "https_proxy": "https://127.0.0.1:3128"}, Verdict.FAILED, "speak plain HTTP to Px"),
        ({**BOTH, "https_proxy": "http://127.0.0.1:1080"}, Verdict.FAILED, "Px speaks SOCKS5 on port 1080"),
        ({**BOTH, "https_proxy": "http://127.0.0.1:2222"}, Verdict.FAILED, "a static tunnel of Px"),
        ({"http_proxy": "http://[::1"}, Verdict.WARNING, "no URL of a proxy"),
        ({**BOTH, "no_proxy": "localhost,*"}, Verdict.WARNING, "no_proxy in this shell names everything"),
        (
            {**BOTH, "NO_PROXY": ".example.com"},
            Verdict.WARNING,
            "NO_PROXY in this shell names www.example.com",
        ),
        ({**BOTH, "no_proxy": "localhost,10.0.0.0/8"}, Verdict.OK, "point at Px"),
        pytest.param(
            {"HTTP_PROXY": PX, "HTTPS_PROXY": PX},
            Verdict.WARNING,
            "curl and others do not read it",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="has no case"),
        ),
    ],
)
def test_the_variables_of_the_shell_point_at_px_or_the_step_says_which_does_not(
    environ: dict[str, str], verdict: Verdict, said: str
) -> None:
    (step,) = check(environ)
    assert (step.name, step.verdict) == ("Programs", verdict), step
    assert said in step.detail


@pytest.mark.skipif(sys.platform == "win32", reason="pip has another place there")
def test_tools_with_settings_of_their_own_are_named(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(f"registry=x\nproxy = null\nhttps-proxy={OTHER}\n")
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text(f"[global]\nproxy = {PX}\n")
    steps = {step.name: step for step in check({**BOTH, "HOME": str(tmp_path)})}
    assert list(steps) == ["Programs", "npm", "pip"]
    assert steps["npm"].verdict is Verdict.WARNING
    assert (
        steps["npm"].detail == "https-proxy of npm is http://proxy.test:8080, and not Px: npm does not use Px"
    )
    assert "px --env=npm" in steps["npm"].fix
    assert (steps["pip"].verdict, steps["pip"].detail) == (Verdict.OK, "global.proxy of pip points at Px")
