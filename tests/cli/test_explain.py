"""``px --explain``: each step of a route, with real sockets and real PAC scripts."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from px.app import proxy_discovery
from px.cli.explain import explain
from px.config.settings import default_settings
from px.core.rules.host_rules import HostRules
from px.core.rules.proxy_settings import ProxySettings
from px.core.rules.route import parse_upstreams
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder
from tests.px_process import run_action


@contextmanager
def two_ports() -> Iterator[tuple[int, int]]:
    """Yield a port that accepts connections, and one that refuses them."""
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as accepting:
        closed.bind(("127.0.0.1", 0))
        yield accepting.getsockname()[1], closed.getsockname()[1]


def explain_to_lines(url: str, **changes: object) -> dict[str, list[str]]:
    """Return the lines of an explanation by their labels."""
    if isinstance(rules := changes.get("noproxy"), str):
        changes["noproxy"] = HostRules.parse(rules, names=True)
    lines: list[str] = []
    asyncio.run(explain(default_settings(**changes), url, lines.append))
    said: dict[str, list[str]] = {}
    for line in lines:
        said.setdefault(line[:12].strip(), []).append(line[12:])
    return said


def script(directory: Path, body: str) -> str:
    path = directory / "proxy.pac"
    path.write_text(f"function FindProxyForURL(url, host) {{\n{body}\n}}\n")
    return str(path)


def test_upstreams_are_tried_in_order_and_the_result_is_the_first_that_accepts() -> None:
    with two_ports() as (accepting, refusing):
        upstreams = parse_upstreams(f"127.0.0.1:{refusing},127.0.0.1:{accepting}")
        said = explain_to_lines("http://192.0.2.1/", proxy=upstreams)
    first, second = said["upstream"]
    assert first.startswith(f"http://127.0.0.1:{refusing} cannot be reached: The connection was refused")
    assert second.startswith(f"http://127.0.0.1:{accepting} accepts connections (")
    assert said["proxy"] == [f"given: http://127.0.0.1:{refusing}, http://127.0.0.1:{accepting}"]
    assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]


def test_the_explanation_names_the_noproxy_rule_that_matches() -> None:
    with two_ports() as (accepting, _):
        said = explain_to_lines(
            f"http://localhost:{accepting}/", proxy=parse_upstreams("h"), noproxy="10.*, 127.0.0.0/8, x"
        )
    assert said["noproxy"] == ["noproxy names its address 127.0.0.1: 127.0.0.0/8"]
    assert said["result"] == ["goes directly to the origin"]


@pytest.mark.parametrize("rule", ["<local>", "intranet"])
def test_a_rule_for_host_names_is_named_even_if_the_host_has_no_address(rule: str) -> None:
    said = explain_to_lines("http://intranet/", proxy=parse_upstreams("h"), noproxy=f"10.0.0.0/8, {rule}")
    assert said["noproxy"] == [f"noproxy names intranet: {rule}"]


def test_the_explanation_reports_a_proxy_variable_that_covers_only_other_urls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    assert "none of that is for https:" in explain_to_lines("https://192.0.2.1/")[""]
    assert "" not in explain_to_lines("http://192.0.2.1/")


def test_the_explanation_names_the_no_proxy_rule_that_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "corp.test, 192.0.2.0/24")
    assert explain_to_lines("http://192.0.2.1/")["bypass"] == ["environment names 192.0.2.1: 192.0.2.0/24"]


def test_the_explanation_names_noproxy_entries_that_px_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = HostRules.parse_readable("a..b,10.0.0.0/40")
    said = explain_to_lines("http://192.0.2.1/", proxy=parse_upstreams("127.0.0.1:1"), noproxy=odd)
    assert said["noproxy"] == ["none"]
    assert said[""] == [
        "left out: 'a..b' is not a host name, domain or address",
        "left out: '10.0.0.0/40' is not a network; write address/length, as in 192.168.0.0/24",
    ]
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "192.0.2.,c..d")
    said = explain_to_lines("http://192.0.2.1/")
    assert said["bypass"] == ["environment names 192.0.2.1: 192.0.2."]
    name = "NO_PROXY" if sys.platform == "win32" else "no_proxy"  # Windows keeps all names in capitals
    assert said[""] == [f"left out: {name}: 'c..d' is not a host name, domain or address"]


def test_the_explanation_names_the_rules_when_none_matches() -> None:
    with two_ports() as (accepting, _):
        said = explain_to_lines(
            "http://192.0.2.1/", proxy=parse_upstreams(f"127.0.0.1:{accepting}"), noproxy="10.*, .corp"
        )
    assert said["noproxy"] == ["no rule of 10.*, .corp"]


def test_the_explanation_shows_the_alerts_lookups_and_answer_of_a_script(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        pac = script(
            tmp_path, f'alert("hi"); dnsResolve("localhost"); return "PROXY 127.0.0.1:{accepting}; DIRECT";'
        )
        said = explain_to_lines("https://www.test/secret", pac=pac)
    assert said["discovered"] == [f"--pac: PAC script {pac}"]
    assert "it says: hi" in said[""]
    assert said[""][0].startswith("it looks up localhost: ")
    assert said["script"] == ["FindProxyForURL('https://www.test/', 'www.test')"]
    assert said[""][-1] == f"answers 'PROXY 127.0.0.1:{accepting}; DIRECT'"
    assert said["line 2"][0].startswith('alert("hi"); dnsResolve("localhost"); return "PROXY ')
    assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]


def test_the_explanation_names_the_line_at_which_a_script_fails(tmp_path: Path) -> None:
    said = explain_to_lines("http://www.test/", pac=script(tmp_path, "return nonsense;"))
    (result,) = said["result"]
    assert result.startswith("refused, 502: The PAC script ")
    assert "line 2" in result
    assert "nonsense" in result


def test_a_script_that_answers_null_means_a_direct_connection(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        pac = script(tmp_path, "return null;")
        said = explain_to_lines(f"http://127.0.0.1:{accepting}/", pac=pac, noproxy="<-loopback>")
    assert said[""] == ["answers nothing, which means directly"]
    assert said["result"] == ["goes directly to the origin"]
    assert said["noproxy"] == ["<-loopback>"]


def test_a_script_runs_once_and_its_answer_is_the_route_that_is_tried(tmp_path: Path) -> None:
    numbers = "Math.floor(1 + Math.random() * 1e6)"
    for _ in range(3):
        said = explain_to_lines(
            "http://192.0.2.1/", pac=script(tmp_path, f'return "PROXY h" + {numbers} + ".invalid:9";')
        )
        (answer,) = (line for line in said[""] if line.startswith("answers "))
        host = answer.removeprefix("answers 'PROXY ").removesuffix("'")
        assert [line.split()[0] for line in said["upstream"]] == [f"http://{host}"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_explanation_says_that_a_script_is_not_used_for_a_local_target(tmp_path: Path, host: str) -> None:
    with two_ports() as (accepting, _):
        pac = script(tmp_path, 'alert("asked"); return "PROXY h.invalid:1";')
        said = explain_to_lines(f"http://{host}:{accepting}/", pac=pac)
    assert said[""] == [f"not used: {host} is on this computer or its own link"]
    assert said["result"] == ["goes directly to the origin"]


def test_a_script_is_not_used_for_a_host_that_noproxy_names(tmp_path: Path) -> None:
    said = explain_to_lines(
        "http://192.0.2.1/", pac=script(tmp_path, "throw 1;"), noproxy="192.0.2.*", socktimeout=1.0
    )
    assert said[""] == ["not used: noproxy decides"]
    assert [line.split()[0] for line in said["directly"]] == ["192.0.2.1:80"]


def test_the_environment_is_not_used_for_a_host_that_noproxy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "corp.test")
    said = explain_to_lines("http://192.0.2.1/", noproxy="192.0.2.*", socktimeout=1.0)
    assert said[""] == ["not used: noproxy decides"]
    assert "bypass" not in said


def test_the_explanation_names_entries_of_an_answer_that_px_leaves_out(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        pac = script(tmp_path, f'return "PROXY a:b; PROXY 127.0.0.1:{accepting}";')
        said = explain_to_lines("http://192.0.2.1/", pac=pac)
    assert "of that 'PROXY a:b' is left out: it names no proxy that Px can use" in said[""]
    assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]


def test_the_explanation_says_that_it_makes_no_login() -> None:
    with two_ports() as (accepting, _):
        for scheme, logins in (("http", 1), ("socks5", 0)):
            upstreams = parse_upstreams(f"{scheme}://127.0.0.1:{accepting}")
            said = explain_to_lines("http://192.0.2.1/", proxy=upstreams)
            login = "none: --explain only connects; px --test makes a login"
            assert said.get("login", []) == [login] * logins


def set_discovered_script(monkeypatch: pytest.MonkeyPatch, pac: str, upstream: str = "") -> None:
    """Make the system's settings name a script, and perhaps an upstream."""

    def load(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings:
        draft = ProxySettingsBuilder("some settings", is_px_itself)
        draft.set_pac(pac, "script")
        draft.add_upstream("", upstream, "proxy")
        return draft.finish()

    monkeypatch.setattr(proxy_discovery, "load_proxy_settings", load)


@pytest.mark.parametrize("body", ["return (", "return nonsense;"], ids=["loading", "running"])
def test_a_discovered_script_that_fails_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    with two_ports() as (accepting, _):
        set_discovered_script(monkeypatch, script(tmp_path, body), f"127.0.0.1:{accepting}")
        said = explain_to_lines("http://192.0.2.1/")
        assert " failed in line " in said["script"][0]
        assert said[""] == ["the script was found, not named with --pac, so Px goes on without it"]
        assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]
    set_discovered_script(monkeypatch, script(tmp_path, body))
    said = explain_to_lines("http://192.0.2.1/", socktimeout=1.0)
    assert [line.split()[0] for line in said["directly"]] == ["192.0.2.1:80"]


def test_long_lines_are_wrapped_and_indented_on_a_terminal(tmp_path: Path) -> None:
    lines: list[str] = []
    pac = script(tmp_path, "return 'PROXY h.invalid:1; PROXY i.invalid:2; PROXY j.invalid:3'")
    asyncio.run(explain(default_settings(pac=pac), "http://192.0.2.1/", lines.append, 64))
    assert all(len(line) <= 64 or " " not in line[12:] for line in lines)
    at = lines.index("            answers 'PROXY h.invalid:1; PROXY i.invalid:2; PROXY")
    assert lines[at + 1] == "            j.invalid:3'"


def test_the_explanation_says_when_px_would_not_start() -> None:
    said = explain_to_lines("http://192.0.2.1/", socktimeout=1.0)
    assert said["discovered"] == ["no proxy is set anywhere"]
    assert said[""] == ["so Px does not start: see px --help=proxy and px --help=pac"]


def test_the_explanation_reports_a_name_without_an_address(tmp_path: Path) -> None:
    said = explain_to_lines("http://nowhere.invalid/", noproxy="10.*")
    assert said["addresses"][0].startswith("none: The name nowhere.invalid could not be resolved")
    assert said["result"][0].startswith("refused, ")


def test_a_request_for_px_itself_is_refused() -> None:
    said = explain_to_lines("http://localhost:3128/", noproxy="*")
    assert said["result"] == ["refused, 508: that is where Px itself listens"]


@pytest.mark.shows("--explain")
def test_the_command_line_prints_the_explanation(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        done = run_action(tmp_path, "--explain", "https://192.0.2.1/", f"--proxy=127.0.0.1:{accepting}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "request     CONNECT 192.0.2.1:443"
    assert done.stdout.splitlines()[-1] == f"result      goes through http://127.0.0.1:{accepting}"


def test_a_route_that_leads_nowhere_has_an_exit_code(tmp_path: Path) -> None:
    with two_ports() as (_, refusing):
        done = run_action(tmp_path, "--explain=https://192.0.2.1/", f"--proxy=127.0.0.1:{refusing}")
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout.splitlines()[-1] == "result      fails: nothing named above can be reached"
