"""What ``px --explain`` tells: each step of the way, at real sockets and with real PAC scripts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from px.config import default_settings
from px.core.hostrules import HostRules
from px.core.route import parse_upstreams
from px.core.startup_errors import ConfigError
from px.explain import explain, parse_url
from tests.px_process import run_action


@contextmanager
def two_ports() -> Iterator[tuple[int, int]]:
    """Give a port that accepts connections, and one that refuses them."""
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as accepting:
        closed.bind(("127.0.0.1", 0))
        yield accepting.getsockname()[1], closed.getsockname()[1]


def told(url: str, **changes: object) -> dict[str, list[str]]:
    """Return the lines by their names."""
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


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://a.test/x?y", ("GET", "http://a.test/x?y", "a.test", 80)),
        ("https://a.test/x?y", ("CONNECT", "a.test:443", "a.test", 443)),
        ("a.test", ("CONNECT", "a.test:443", "a.test", 443)),
        ("a.test:8443/x", ("CONNECT", "a.test:8443", "a.test", 8443)),
        ("https://[2001:db8::1]/", ("CONNECT", "[2001:db8::1]:443", "2001:db8::1", 443)),
    ],
)
def test_a_url_stands_for_the_request_of_a_client(url: str, asked: tuple[str, str, str, int]) -> None:
    head = parse_url(url)
    assert (head.method.decode(), head.target.decode(), *head.authority) == asked


@pytest.mark.parametrize(
    "url", ["http://", "http://a b/", "ünïcode.test", "https://a:99999/", "http://u:p@a/"]
)
def test_what_no_client_would_ask_a_proxy_for_is_an_error(url: str) -> None:
    with pytest.raises(ConfigError, match="--explain=") as caught:
        parse_url(url)
    assert "u:p@" not in str(caught.value)


def test_the_upstreams_are_tried_in_order_and_the_first_that_accepts_is_the_way() -> None:
    with two_ports() as (accepting, refusing):
        upstreams = parse_upstreams(f"127.0.0.1:{refusing},127.0.0.1:{accepting}")
        said = told("http://192.0.2.1/", proxy=upstreams)
    first, second = said["upstream"]
    assert first.startswith(f"http://127.0.0.1:{refusing} cannot be reached: The connection was refused")
    assert second.startswith(f"http://127.0.0.1:{accepting} accepts connections (")
    assert said["proxy"] == [f"given: http://127.0.0.1:{refusing}, http://127.0.0.1:{accepting}"]
    assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]


def test_the_rule_of_noproxy_that_matches_is_named() -> None:
    with two_ports() as (accepting, _):
        said = told(
            f"http://localhost:{accepting}/", proxy=parse_upstreams("h"), noproxy="10.*, 127.0.0.0/8, x"
        )
    assert said["noproxy"] == ["noproxy names its address 127.0.0.1: 127.0.0.0/8"]
    assert said["result"] == ["goes directly to the origin"]


@pytest.mark.parametrize("rule", ["<local>", "intranet"])
def test_a_rule_about_names_is_named_where_the_name_has_no_address(rule: str) -> None:
    said = told("http://intranet/", proxy=parse_upstreams("h"), noproxy=f"10.0.0.0/8, {rule}")
    assert said["noproxy"] == [f"noproxy names intranet: {rule}"]


def test_it_says_that_the_environment_names_a_proxy_for_other_urls_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    assert "none of that is for https:" in told("https://192.0.2.1/")[""]
    assert "" not in told("http://192.0.2.1/")


def test_the_rule_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "corp.test, 192.0.2.0/24")
    assert told("http://192.0.2.1/")["bypass"] == ["environment names 192.0.2.1: 192.0.2.0/24"]


def test_rules_that_do_not_match_are_named_too() -> None:
    with two_ports() as (accepting, _):
        said = told(
            "http://192.0.2.1/", proxy=parse_upstreams(f"127.0.0.1:{accepting}"), noproxy="10.*, .corp"
        )
    assert said["noproxy"] == ["no rule of 10.*, .corp"]


def test_what_a_script_asks_for_and_answers_is_told(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        pac = script(
            tmp_path, f'alert("hi"); dnsResolve("localhost"); return "PROXY 127.0.0.1:{accepting}; DIRECT";'
        )
        said = told("https://www.test/secret", pac=pac)
    assert said["way"] == [f"--pac: PAC script {pac}"]
    assert "it says: hi" in said[""]
    assert said[""][0].startswith("it looks up localhost: ")
    assert said["script"] == ["FindProxyForURL('https://www.test/', 'www.test')"]
    assert said[""][-1] == f"answers 'PROXY 127.0.0.1:{accepting}; DIRECT'"
    assert said["line 2"][0].startswith('alert("hi"); dnsResolve("localhost"); return "PROXY ')
    assert said["result"] == [f"goes through http://127.0.0.1:{accepting}"]


def test_a_script_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    said = told("http://www.test/", pac=script(tmp_path, "return nonsense;"))
    (result,) = said["result"]
    assert result.startswith("refused, 502: The PAC script ")
    assert "line 2" in result
    assert "nonsense" in result


def test_a_script_that_answers_nothing_means_directly(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        said = told(f"http://127.0.0.1:{accepting}/", pac=script(tmp_path, "return null;"))
    assert said[""] == ["answers nothing, which means directly"]
    assert said["result"] == ["goes directly to the origin"]


def test_that_px_would_not_start_is_told() -> None:
    said = told("http://192.0.2.1/", socktimeout=0.1)
    assert said["way"] == ["no proxy is set anywhere"]
    assert said[""] == ["so Px does not start: see px --help=proxy and px --help=pac"]


def test_a_name_without_an_address_is_told(tmp_path: Path) -> None:
    said = told("http://nowhere.invalid/", noproxy="10.*")
    assert said["addresses"][0].startswith("none: The name nowhere.invalid could not be resolved")
    assert said["result"][0].startswith("refused, ")


def test_px_itself_is_no_way() -> None:
    said = told("http://localhost:3128/", noproxy="*")
    assert said["result"] == ["refused, 508: that is where Px itself listens"]


@pytest.mark.shows("--explain")
def test_the_command_line_tells_it(tmp_path: Path) -> None:
    with two_ports() as (accepting, _):
        done = run_action(tmp_path, "--explain", "https://192.0.2.1/", f"--proxy=127.0.0.1:{accepting}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "request     CONNECT 192.0.2.1:443"
    assert done.stdout.splitlines()[-1] == f"result      goes through http://127.0.0.1:{accepting}"


def test_a_way_that_leads_nowhere_has_an_exit_code(tmp_path: Path) -> None:
    with two_ports() as (_, refusing):
        done = run_action(tmp_path, "--explain=https://192.0.2.1/", f"--proxy=127.0.0.1:{refusing}")
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout.splitlines()[-1] == "result      fails: nothing named above can be reached"
