"""The report for a help desk has no secret in it."""

from __future__ import annotations

from base64 import b64encode

from px.checks.report import format_report
from px.checks.step import Step, Verdict
from px.config.settings import default_settings
from px.core.rules.route import parse_upstreams
from px.core.secret import Secret

PASSWORDS = ("Pässwort 1%", "up-str3am", "cli3nt-secret")
NT_HASH = "a4f49c406510bdcab6824ee7c30fd852"


def test_the_report_has_the_steps_the_settings_the_variables_and_the_status() -> None:
    settings = default_settings(username="CORP\\alice", proxy=parse_upstreams("proxy.test:8080"))
    steps = [Step("TCP", Verdict.FAILED, "refused", "Start it.")]
    environ = {"https_proxy": "http://127.0.0.1:3128", "HOME": "/home/alice"}
    report = format_report(steps, settings, environ, {"pid": 17})
    for part in (
        "FAILED   TCP       refused",
        "username = CORP\\alice",
        "proxy = http://proxy.test:8080",
        '"pid": 17',
    ):
        assert part in report
    assert "https_proxy = http://127.0.0.1:3128" in report
    assert "/home/alice" not in report
    assert max(map(len, report.splitlines())) <= 80


def basic(password: str) -> str:
    return b64encode(f"bob:{password}".encode()).decode()


def test_no_secret_is_in_the_report_wherever_it_comes_from() -> None:
    password, upstream, client = PASSWORDS
    settings = default_settings(
        password=Secret(password),
        nthash=Secret(NT_HASH),
        client_password=Secret(client),
        proxy=parse_upstreams(f"bob:{upstream}@proxy.test"),
        pac="http://pac.test/?token=t0ken",
    )
    step = Step("GET", Verdict.FAILED, f"it echoes {password} and P%C3%A4sswort%201%25")
    environ = {
        "http_proxy": f"http://u:{upstream}@a.test",
        "no_proxy": "x",
        "https_proxy": "u:other@b.test:1",
        "ALL_PROXY": "http://eve:h#sh/%C3%BC@c.test",
    }
    # A line may break at the space, and JSON writes other letters.
    echo = Step(
        "Login", Verdict.FAILED, f"it is just about {'x' * 28} {password}", f"h#sh/ü {basic(upstream)}"
    )
    report = format_report([step, echo], settings, environ, {"note": client, "other": [password]})
    hidden = (
        *PASSWORDS,
        NT_HASH,
        basic(upstream),
        "P%C3%A4sswort%201%25",
        "t0ken",
        "u:other",
        "h#sh",
        "sswort",
    )
    assert [secret for secret in hidden if secret in report] == []
    assert "http://***@a.test" in report
