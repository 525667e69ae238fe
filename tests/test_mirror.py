"""Each module has a test module at the same path, or a line here that names the place of its tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.markdown import ROOT

#: A module below src/px, or several modules of one package -> the test module below tests, and the reason.
TESTED_ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "__main__": ("processes/test_program.py", "runs `python -m px` as a process"),
    "app/proxy_discovery": ("test_found_upstreams.py", "a running Px finds its upstreams in each place"),
    "checks/fresh_px checks/px_client": ("checks/test_login_test.py", "its tests send requests by them"),
    "checks/login_checks checks/route_checks checks/upstream_checks checks/walk": (
        "checks/test_doctor.py",
        "what matters is which step of the doctor names a cause",
    ),
    "cli/autostart": ("system/autostart/test_install.py", "the tests run px --install on each system"),
    "cli/background": ("test_console.py", "needs a process of Px and a real console"),
    "cli/completion/bash cli/completion/fish cli/completion/flags cli/completion/powershell "
    "cli/completion/zsh": ("cli/completion/test_script.py", "the shells run the scripts"),
    "cli/demo/upstream": ("cli/demo/test_story.py", "the story logs in at this upstream"),
    "cli/env/kind": ("cli/env/test_output.py", "the type of each kind that it has"),
    "cli/invocation": ("cli/test_main.py", "what it loads decides what Px does, or how Px fails"),
    "cli/setup/proxy_search cli/setup/questions cli/setup/screen cli/setup/trial cli/setup_command": (
        "cli/setup/test_setup.py",
        "its tests run `px --setup` as a whole",
    ),
    "cli/running_px": ("processes/test_reload.py", "needs a running Px"),
    "cli/start": ("processes/test_program.py", "needs processes"),
    "config/imports/draft config/imports/upstreams": (
        "config/imports/test_environment.py",
        "every format uses them; the proxies of the environment have logins and lists by URL",
    ),
    "config/actions config/command_line config/files config/invocation config/login_options config/option "
    "config/options config/process_options config/request_options config/sources config/values": (
        "config/test_settings.py",
        "`load_settings` is their only entry point, so the tests go from text to value",
    ),
    "cli/top/keys cli/top/screen": ("cli/top/test_watch.py", "needs a terminal"),
    "cli/top/sections": ("cli/top/test_view.py", "what matters is what a view shows"),
    "core/auth/ntlm/errors": ("core/auth/ntlm/test_verifier.py", "the failures of a login"),
    "core/auth/password_advice": ("core/login/test_report.py", "its sentences are the ends of the reports"),
    "core/auth/secret_store": ("system/login/test_keyring.py", "a protocol that the keyring implements"),
    "core/auth/token_source": (
        "system/login/test_tokens.py",
        "protocols and values; tokens.py implements them",
    ),
    "core/client_login/acceptor core/client_login/negotiation": (
        "core/client_login/test_login.py",
        "a protocol, and the Negotiate and NTLM part of a client's login",
    ),
    "core/errors": ("core/http/test_own_answer.py", "the page that a client gets shows the error"),
    "core/http/body_reader core/http/chunked": (
        "core/http/test_framing.py",
        "all framings are tested with the same cuts and the same oracles",
    ),
    "core/http/fields core/http/grammar core/http/request_head core/http/response_head": (
        "core/http/test_head.py",
        "one corpus of heads tests the whole parser",
    ),
    "core/http/framing_repair": ("core/http/test_request_repair.py", "one step in the repair of a head"),
    "core/login/lockout_report": ("core/login/test_lockout.py", "reports the decisions of the lock-out"),
    "core/login/digest_login core/login/method core/login/method_choice "
    "core/login/gate core/login/permit core/login/request_line "
    "core/login/upstream_state": (
        "core/login/test_attempt.py",
        "one state machine: what matters is which token an attempt sends next",
    ),
    "core/login/unrecorded_login": ("core/login/test_lockout.py", "a protocol that the lock-out uses"),
    "core/report_limits": ("processes/test_status.py", "numbers; the test lists more than a status may have"),
    "core/rules/host_rule_parser": (
        "core/rules/test_host_rules.py",
        "a rule is tested by the hosts that it matches",
    ),
    "core/rules/upstream_list": ("core/rules/test_route.py", "`parse_upstreams` reads the list"),
    "core/startup_errors": ("cli/test_main.py", "the command line shows an error as text and exit code"),
    "downstream/answer_body downstream/client_end": (
        "proxy/test_broken_answers.py",
        "needs the bytes that a client receives from a whole Px",
    ),
    "downstream/client downstream/client_head downstream/client_request downstream/http_front_end "
    "downstream/activity/counters downstream/service downstream/trace_log": (
        "downstream/test_session.py",
        "parts that only a session uses; its requests go through all of them",
    ),
    "checks/explain": ("cli/test_explain.py", "`px --explain` shows each line"),
    "app/own_pages downstream/page_answer": (
        "downstream/pages/test_pages.py",
        "what pages need of a whole Px",
    ),
    "downstream/tunnels/tunnel_front_end": (
        "downstream/tunnels/test_static_tunnel.py",
        "what both front ends of tunnels share",
    ),
    "downstream/client_watch": (
        "proxy/test_session_ends.py",
        "needs a client that disconnects from a running Px",
    ),
    "io/completion_stream io/socket_stream": ("io/test_stream.py", "the same tests for both streams"),
    "io/listening_socket": ("io/test_acceptor.py", "the acceptor accepts connections from this socket"),
    "io/tunnel": ("io/test_relay.py", "a tunnel consists of two relays"),
    "processes/child_worker processes/handover processes/local_worker processes/worker": (
        "processes/test_processes.py",
        "needs real processes that send each other messages",
    ),
    "processes/forks/template_child": (
        "processes/forks/test_template.py",
        "the template process, from outside",
    ),
    "processes/control_client": ("processes/test_processes.py", "sends commands to a running Px"),
    "routing/discovered_proxy": ("routing/test_discovery.py", "the return value of discovery"),
    "routing/pac/child": ("routing/pac/test_process.py", "runs in that process"),
    "routing/pac/download": ("routing/pac/test_source.py", "the loader downloads from a real server"),
    "system/autostart/start": ("system/autostart/test_install.py", "the command that is installed"),
    "system/login/gssapi_types": ("system/login/test_gssapi.py", "declarations for that library"),
    "system/network_change/macos": ("system/network_change/test_notices.py", "one call, on macOS only"),
    "system/process/bare_process": ("routing/pac/test_process.py", "only PAC scripts use it"),
    "system/process/console": ("test_console.py", "needs a Windows console"),
    "system/state/lockout_records": (
        "system/state/test_lockout_file.py",
        "the format of the records in that file",
    ),
    "upstream/connections/hop_dialer": (
        "upstream/connections/test_dial_race.py",
        "dials real upstreams there; test_socks_client.py and test_tls.py have the other kinds",
    ),
    "upstream/forwarder": ("proxy/test_kept_connections.py", "needs a whole Px"),
    "upstream/answer_timeout upstream/hop_message upstream/upload upstream/upload_plan": (
        "upstream/test_exchange.py",
        "parts that only an exchange uses",
    ),
}


def find_modules(root: Path) -> set[str]:
    """Return the modules below src/px, except ``__init__.py``, as ``package/module``."""
    package_dir = root / "src" / "px"
    paths = (path for path in package_dir.rglob("*.py") if path.name != "__init__.py")
    return {path.relative_to(package_dir).with_suffix("").as_posix() for path in paths}


def has_own_test(root: Path, module: str) -> bool:
    package, _, name = module.rpartition("/")
    return (root / "tests" / package / f"test_{name}.py").exists()


def find_faults(root: Path, elsewhere: Iterable[str]) -> list[str]:
    """Return the faults of a list of modules whose tests are elsewhere."""
    modules = find_modules(root)
    listed = [module for line in elsewhere for module in line.split()]
    tested = {module for module in modules if has_own_test(root, module)}
    return [
        *(
            f"{each}: no test module, and no line in TESTED_ELSEWHERE"
            for each in modules - tested - {*listed}
        ),
        *(f"{each}: has a test module now; take the line away" for each in listed if each in tested),
        *(f"{each}: no such module" for each in listed if each not in modules),
        *(f"{each}: listed twice" for each in {*listed} if listed.count(each) > 1),
    ]


def test_each_module_has_a_test_module_or_a_line_that_names_one() -> None:
    assert sorted(find_faults(ROOT, TESTED_ELSEWHERE)) == []


def test_each_line_names_an_existing_test_module_and_a_reason() -> None:
    tests = [test for test, reason in TESTED_ELSEWHERE.values() if reason]
    assert len(tests) == len(TESTED_ELSEWHERE)
    assert [test for test in tests if not (ROOT / "tests" / test).is_file()] == []


@pytest.mark.parametrize(
    ("test", "elsewhere", "faults"),
    [
        ("tests/a/test_b.py", [], []),
        ("tests/test_b.py", [], ["a/b: no test module, and no line in TESTED_ELSEWHERE"]),
        ("tests/a/test_c.py", ["a/b"], []),
        ("tests/a/test_b.py", ["a/b"], ["a/b: has a test module now; take the line away"]),
        ("tests/a/test_b.py", ["a/c"], ["a/c: no such module"]),
        ("tests/a/test_c.py", ["a/b", "a/b"], ["a/b: listed twice"]),
    ],
    ids=["mirrored", "missing", "listed", "out of date", "unknown", "twice"],
)
def test_the_checker_finds_faults(tmp_path: Path, test: str, elsewhere: list[str], faults: list[str]) -> None:
    for name in ("src/px/a/__init__.py", "src/px/a/b.py", test):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_faults(tmp_path, elsewhere) == faults
