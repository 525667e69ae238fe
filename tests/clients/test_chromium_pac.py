"""PAC scripts, run by Chromium and by Px: the results of their functions, and the routes they choose.

Chromium starts once for each table. Its script has all cases of the table; a page has an image for each, and
the net log of Chromium shows the result. No proxy listens, so Chromium sends nothing.
"""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from px.core.errors import PacError
from px.core.host import is_local_target
from px.core.rules.pac_answer import parse_pac_answer
from px.core.rules.route import Direct, Route
from px.routing.pac.sandbox import Call, Sandbox
from tests.clients.program import Place, need

#: These tests need a system package, as the tests with the network do.
pytestmark = pytest.mark.corpnet

FLAGS: Final = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage
    --disable-background-networking --disable-component-update --disable-sync --disable-default-apps
    --disable-features=HttpsUpgrades,LocalNetworkAccessChecks --dump-dom --timeout=15000"""
#: No program listens on this port, so that a request fails at once.
NOWHERE: Final = "PROXY 127.0.0.1:1"

Resolved = Mapping[str, str]
Ask = Callable[[str, Sequence[str]], Resolved]


@pytest.fixture
def ask_chromium(place: Place, short_directory: str, tmp_path: Path) -> Ask:
    """Yield a function that makes Chromium run a script for some URLs and returns the result for each."""
    need("chromium")

    def ask(script: str, urls: Sequence[str]) -> Resolved:
        page, log = tmp_path / "page.html", tmp_path / "log.json"
        page.write_text("<body>" + "".join(f'<img src="{html.escape(url)}">' for url in urls))
        pac = base64.b64encode(script.encode()).decode()
        own = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"]
        own.append(f"--proxy-pac-url=data:application/x-ns-proxy-autoconfig;base64,{pac}")
        place.run("chromium", *FLAGS.split(), *own, page.as_uri(), env={"TMPDIR": short_directory})
        resolved = read_net_log(log.read_text())
        return {url: resolved[url] for url in urls}

    return ask


def read_net_log(text: str) -> dict[str, str]:
    """Return for each URL the proxies that Chromium resolved it to; ``error``: the script failed."""
    text = text.rstrip()
    # The log may lack its end.
    log = json.loads(text if text.endswith("}") else text.rstrip(",") + "]}")
    names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    urls: dict[int, str] = {}
    resolved: dict[str, str] = {}
    for event in log["events"]:
        source, params = event["source"]["id"], event.get("params", {})
        if "url" in params:
            urls.setdefault(source, params["url"])
        if names[event["type"]] == "PROXY_RESOLUTION_SERVICE_RESOLVED_PROXY_LIST":
            resolved[urls.get(source, "")] = params.get("proxy_info", "error")
    return resolved


# Functions

#: tests/routing/pac/test_functions.py has the cases that fail in Chromium and not in Px.
EXPRESSIONS: Final = r"""
    isPlainHostName("www")
    isPlainHostName("www.test")
    isPlainHostName("www.")
    isPlainHostName("::1")
    dnsDomainIs("www.a.test", ".a.test")
    dnsDomainIs("a.test", ".a.test")
    dnsDomainIs("www.a.test", "a.test")
    dnsDomainIs("wwwa.test", "a.test")
    dnsDomainIs("www.a.TEST", ".a.test")
    dnsDomainIs("www.a.test", "")
    dnsDomainIs("", ".a.test")
    localHostOrDomainIs("www", "www.a.test")
    localHostOrDomainIs("www.a.test", "www.a.test")
    localHostOrDomainIs("www.b.test", "www.a.test")
    localHostOrDomainIs("w", "www.a.test")
    localHostOrDomainIs("", "www.a.test")
    dnsDomainLevels("www.a.test") == 2
    isValidIpAddress("10.1.2.3")
    isValidIpAddress("10.1.2.256")
    isValidIpAddress("10.1.2")
    isValidIpAddress("::1")
    isValidIpAddress("www.test")
    isInNet("10.1.2.3", "10.1.0.0", "255.255.0.0")
    isInNet("10.2.2.3", "10.1.0.0", "255.255.0.0")
    isInNet("10.1.2.3", "010.001.000.000", "255.255.000.000")
    isInNet("10.1.2.3", "10.1", "255.255.0.0")
    isInNet("10.1.2.3", "10.1.0.0/16", "255.255.0.0")
    isInNet("10.1.2.3", "10.1.0.0", "16")
    isInNet("10.1.2.3", "10.1.0.0 ", "255.255.0.0")
    isInNet("10.1.2.3", "10.*", "255.0.0.0")
    isInNet("10.1.2.3", "10.1.0.0", "255.255.0.256")
    isInNet("::1", "0.0.0.0", "0.0.0.0")
    isInNet(null, "0.0.0.0", "0.0.0.0")
    isInNet("", "0.0.0.0", "0.0.0.0")
    isInNetEx("10.1.2.3", "10.1.0.0/16")
    isInNetEx("10.1.2.3", "010.1.0.0/16")
    isInNetEx("10.1.2.3", "10.1.0.0/33")
    isInNetEx("10.1.2.3", " 10.1.0.0/16")
    isInNetEx("2001:db8::1", "2001:db8::/32")
    isInNetEx("10.1.2.3", "nonsense")
    dnsResolve("10.1.2.3") === "10.1.2.3"
    dnsResolve("") === null
    dnsResolve("2001:db8::1") === null
    dnsResolveEx("2001:db8::1") === "2001:db8::1"
    isResolvable("10.1.2.3")
    isResolvable("")
    convert_addr("10.1.2.3") === 167838211
    convert_addr("010.1.2.3") === 167838211
    convert_addr("10") === 167772160
    sortIpAddressList("10.2.3.9;2001:db8::14;::1;127.0.0.1") === "::1;2001:db8::14;10.2.3.9;127.0.0.1"
    sortIpAddressList("10.2.3.9; 10.2.3.8") === "10.2.3.8;10.2.3.9"
    !sortIpAddressList("nonsense")
    !sortIpAddressList("")
    weekdayRange("SUN", "SAT")
    weekdayRange("SAT", "FRI")
    weekdayRange("SUN", "SAT", "GMT")
    weekdayRange("GMT")
    weekdayRange()
    timeRange(0, 23)
    timeRange(0, 23, "GMT")
    timeRange(0, 0, 23, 59)
    timeRange(0, 0, 0, 23, 59, 59)
    timeRange()
    dateRange(1, 31)
    dateRange("1", "31")
    dateRange("JAN", "DEC")
    dateRange(2000, 3000)
    dateRange(1, "JAN", 31, "DEC")
    dateRange("JAN", 2000, "DEC", 3000)
    dateRange(1, "JAN", 2000, 31, "DEC", 3000, "GMT")
    dateRange(1, "JAN", 2000, 31, "DEC", 2001)
    dateRange()
    alert("x") === undefined
    console.log("x", {}, 1) === undefined
    console.table([1]) === undefined
    typeof window
    typeof setTimeout === "function"
    shExpMatch(undefined, "undefined")
    shExpMatch("http://a.test/x", "http://a.test|http://b.test")
    shExpMatch("http://xb.test", "http://a.test|b.test")
    shExpMatch("www6.test", "www[!1-5].test")
    shExpMatch("www6.test", "www[^1-5].test")
    shExpMatch("a.b", "a\\.b")
    shExpMatch("a\nb", "a*b")
    shExpMatch("a\nb", "*")
    shExpMatch("a\n", "a*")
    shExpMatch("WWW.test", "www.*")
    """


def expressions() -> list[str]:
    """Return the expressions of the table, and some with generated patterns."""
    some = random.Random(7)
    signs, letters = r"ab./*?-:|()[]{}^$+\d1!", "ab./-:|!1d"
    made = []
    for _ in range(400):
        text = "".join(some.choices(letters, k=some.randint(0, 5)))
        pattern = "".join(some.choices(signs, k=some.randint(0, 6)))
        made.append(f"shExpMatch({json.dumps(text)}, {json.dumps(pattern)})")
    return [*(line.strip() for line in EXPRESSIONS.strip().splitlines()), *made]


#: The result of each case, as a port, in Chromium.
TRUE, FALSE, FAILED = 2, 3, 4
FUNCTIONS: Final = """
var cases = [%s];
function evaluate(number) {
    try { return cases[number]() ? 2 : 3 } catch (error) { return 4 }
}
"""


def test_functions_have_the_same_results_as_in_chromium(ask_chromium: Ask) -> None:
    cases = expressions()
    script = FUNCTIONS % ",\n".join(f"function () {{ return {case} }}" for case in cases)
    browsers = (
        script
        + 'function FindProxyForURL(url, host) { return "PROXY 127.0.0.1:" + evaluate(/\\d+/.exec(host)) }'
    )
    resolved = ask_chromium(browsers, [f"http://c{number}.test/" for number in range(len(cases))])
    theirs = [int(proxies.removeprefix("PROXY 127.0.0.1:")) for proxies in resolved.values()]
    ours = evaluate(script, len(cases))
    assert set(theirs) == {TRUE, FALSE, FAILED}
    told = zip(cases, theirs, ours, strict=True)
    assert [each for each in told if each[1] not in {FAILED, each[2]}] == []


def evaluate(script: str, count: int) -> list[int]:
    """Return the results of the cases in Px."""
    text = (
        script
        + "function FindProxyForURL(url, host) { return JSON.stringify(cases.map((_, i) => evaluate(i))) }"
    )
    outcome = Sandbox(text).call(Call("", "", ("10.9.8.7",)), {})
    assert not outcome.missing
    values: list[int] = json.loads(outcome.answer)
    assert len(values) == count
    return values


# Answers

ANSWERS: Final = [
    *("DIRECT", "direct", "DIRECT;", "", "  ", ";", "DIRECT; PROXY a:1"),
    *("PROXY a", "PROXY a:1", "proxy a:1", "PROXY  a:1", "PROXY\ta:1", "PROXY a :1", "PROXY a:080"),
    *("PROXY a:1 ; PROXY b:2 ;", "PROXY [::1]:1", "PROXY a.:1", "PROXY a_b:1"),
    *("HTTPS a", "HTTPS a:1", "SOCKS5 a", "SOCKS5 a:1", "SOCKS4 a", "SOCKS4 a:1"),
    *(
        "nonsense; PROXY a:1",
        "PROXY a:65536; PROXY b:1",
        "PROXY http://a:1; PROXY b:2",
        "PROXYa:1; PROXY b:1",
    ),
    *("PROXY a:+1; DIRECT", "PROXY; DIRECT", "PROXY :80; DIRECT", "PROXY a:1/; DIRECT", "SOCKS5H a; DIRECT"),
    *(
        "PROXY u:p@a:1; DIRECT",
        "PROXY=a:1; DIRECT",
        "PROXY a:1, PROXY b:2; DIRECT",
        "PROXY 1.2.3.256:1; DIRECT",
    ),
]
#: Answers that only Px accepts, because their meaning is clear, and the reading of Chromium.
MILDER: Final = {
    "PROXY a:": ("PROXY a:80", "DIRECT"),
    "HTTPS a:": ("HTTPS a:443", "DIRECT"),
    "HTTP a:1": ("PROXY a:1", "DIRECT"),
    "PROXY a: 1": ("PROXY a:1", "DIRECT"),
    "PROXY a:1;\r\n PROXY b:2": ("PROXY a:1;PROXY b:2", "PROXY a:1"),
    # both versions, because the keyword names none
    "SOCKS a": ("SOCKS5 a:1080;SOCKS a:1080", "SOCKS a:1080"),
    # an error, so that the user notices
    "nonsense": ("error", "DIRECT"),
}


def test_answers_lead_to_the_same_routes_as_in_chromium(ask_chromium: Ask) -> None:
    answers = [*ANSWERS, *MILDER]
    script = (
        f"var answers = {json.dumps(answers)}; function FindProxyForURL(url, host) {{"
        f" var found = /^c(\\d+)/.exec(host); return found ? answers[found[1]] : {json.dumps(NOWHERE)} }}"
    )
    resolved = ask_chromium(script, [f"http://c{number}.test/" for number in range(len(answers))])
    theirs = dict(zip(answers, resolved.values(), strict=True))
    ours = {answer: format_routes(answer) for answer in answers}
    assert {answer: theirs[answer] for answer in ANSWERS} == {answer: ours[answer] for answer in ANSWERS}
    assert {answer: (ours[answer], theirs[answer]) for answer in MILDER} == MILDER


def format_routes(answer: str) -> str:
    """Return an answer in the notation of Chromium."""
    try:
        return ";".join(map(_format_route, parse_pac_answer(answer)))
    except PacError:
        return "error"


def _format_route(route: Route) -> str:
    if isinstance(route, Direct):
        return "DIRECT"
    words = {"http": "PROXY", "https": "HTTPS", "socks5": "SOCKS5", "socks4": "SOCKS"}
    return f"{words[route.upstream.scheme]} {route.upstream.authority}"


# Targets

HOSTS: Final = """
    localhost a.localhost localhost. 127.0.0.1 127.9.9.9 [::1] [::ffff:7f00:1] 169.254.1.2 [::ffff:a9fe:101]
    [fe80::1] [febf::1] localhost6 ip6-localhost localhost.localdomain alocalhost a.localhost.test loopback
    intranet 0.0.0.0 [::] 10.0.0.1 128.0.0.1 169.253.1.1 [fec0::1] [2001:db8::1] www.test www.test.
    """


def test_the_targets_for_which_chromium_runs_no_script_are_local_targets(ask_chromium: Ask) -> None:
    hosts = HOSTS.split()
    script = f"function FindProxyForURL(url, host) {{ return {json.dumps(NOWHERE)} }}"
    resolved = ask_chromium(script, [f"http://{host}:8/" for host in hosts])
    theirs = {host: resolved[f"http://{host}:8/"] == "DIRECT" for host in hosts}
    assert {host: is_local_target(host) for host in hosts} == theirs
