"""The functions that a PAC script may call, one by one, as Mozilla and Microsoft document them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from px.routing.pac.sandbox import Call, Sandbox

NAMES: dict[str, list[str]] = {
    "dual.test": ["2001:db8::5", "10.1.2.3", "10.1.2.4"],
    "v4.test": ["192.168.5.6"],
    "v6.test": ["2001:db8::6"],
    "gone.test": [],
}
OWN = ("10.9.8.7", "2001:db8::7")


def evaluate(
    expression: str, *, names: Mapping[str, Sequence[str]] = NAMES, own: Sequence[str] = OWN, before: str = ""
) -> Any:
    """Return the value of an expression in a PAC script, in JavaScript notation."""
    script = f"{before};function FindProxyForURL(url, host) {{ return JSON.stringify({expression}); }}"
    outcome = Sandbox(script).call(Call("http://www.example.com/", "www.example.com", own), names)
    assert not outcome.missing
    return outcome.answer


def check(expression: str, expected: str) -> None:
    assert evaluate(expression) == expected, expression


def table(text: str) -> pytest.MarkDecorator:
    """Return a parametrization from lines of ``expression -> value``."""
    rows = [line.strip().rsplit(" -> ", 1) for line in text.strip().splitlines()]
    return pytest.mark.parametrize(("expression", "expected"), rows, ids=lambda part: part)


@table("""
    isPlainHostName("www") -> true
    isPlainHostName("www.example.com") -> false
    isPlainHostName("") -> true
    isPlainHostName("::1") -> false
    dnsDomainIs("www.example.com", ".example.com") -> true
    dnsDomainIs("www.example.com", "example.com") -> true
    dnsDomainIs("example.com", ".example.com") -> false
    dnsDomainIs("www.example.org", ".example.com") -> false
    dnsDomainIs("com", ".example.com") -> false
    dnsDomainIs("www.example.com", "") -> true
    localHostOrDomainIs("www.example.com", "www.example.com") -> true
    localHostOrDomainIs("www", "www.example.com") -> true
    localHostOrDomainIs("www.example.org", "www.example.com") -> false
    localHostOrDomainIs("home.example.com", "www.example.com") -> false
    localHostOrDomainIs("ww", "www.example.com") -> false
    dnsDomainLevels("www") -> 0
    dnsDomainLevels("example.com") -> 1
    dnsDomainLevels("www.example.com") -> 2
    dnsDomainLevels("") -> 0
""")
def test_names(expression, expected):
    check(expression, expected)


@table(r"""
    shExpMatch("http://home.example.com/people/ari/index.html", "*/ari/*") -> true
    shExpMatch("http://home.example.com/people/montulli/index.html", "*/ari/*") -> false
    shExpMatch("www.example.com", "*.example.com") -> true
    shExpMatch("wwwxexample.com", "www.example.com") -> false
    shExpMatch("www.example.com", "www.*") -> true
    shExpMatch("xwww.example.com", "www.*") -> false
    shExpMatch("www.example.com", "*example*") -> true
    shExpMatch("www.example.com", "*") -> true
    shExpMatch("", "*") -> true
    shExpMatch("", "") -> true
    shExpMatch("a", "") -> false
    shExpMatch("www1.example.com", "www?.example.com") -> true
    shExpMatch("www12.example.com", "www?.example.com") -> false
    shExpMatch("www.example.com", "w*w.*.com") -> true
    shExpMatch("WWW.example.com", "www.*") -> false
    shExpMatch("a.test", "(*.test|*.invalid)") -> true
    shExpMatch("a.invalid", "(*.test|*.invalid)") -> true
    shExpMatch("a.other", "(*.test|*.invalid)") -> false
    shExpMatch("b.test", "a.test|b.test") -> true
    shExpMatch("b.test.more", "a.test|b.test") -> false
    shExpMatch("www5.test", "www[1-5].test") -> true
    shExpMatch("www6.test", "www[1-5].test") -> false
    shExpMatch("http://a.test/x", "http://a.test|http://b.test") -> true
    shExpMatch("http://xb.test", "http://a.test|b.test") -> true
    shExpMatch("http://a.test/x", "(http://a.test|http://b.test)") -> false
    shExpMatch("www6.test", "www[^1-5].test") -> true
    shExpMatch("www6.test", "www[!1-5].test") -> false
    shExpMatch("www!.test", "www[!1-5].test") -> true
    shExpMatch("www12.test", "www[1-5]+.test") -> true
    shExpMatch("www12.test", "www\\d{2}.test") -> true
    shExpMatch("a.test", "^a.test$") -> true
    shExpMatch("a.b", "a\\.b") -> false
    shExpMatch("a\\xb", "a\\.b") -> true
    shExpMatch("a\\b", "a\\*") -> false
    shExpMatch("a\nb", "a*b") -> false
    shExpMatch("a\nb", "*") -> false
    shExpMatch("a\nb", "*b") -> false
    shExpMatch("a\nb", "a?b") -> false
    shExpMatch("", "?") -> false
    shExpMatch("abbb", "ab**") -> true
    shExpMatch("http://a/?q=c++", "http://a/?q=c++") -> true
    shExpMatch("a(b", "a(b") -> true
    shExpMatch("a[b.c", "a[*.c") -> true
    shExpMatch("a(b", "a(?") -> true
    shExpMatch(undefined, "undefined") -> true
    shExpMatch("12", 12) -> true
    shExpMatch(undefined, "x") -> false
""")
def test_shell_patterns(expression, expected):
    check(expression, expected)


@table("""
    dnsResolve("10.1.2.3") -> "10.1.2.3"
    dnsResolve("dual.test") -> "10.1.2.3"
    dnsResolve("v6.test") -> null
    dnsResolve("gone.test") -> null
    dnsResolve("2001:db8::1") -> null
    dnsResolve("") -> null
    dnsResolve(undefined) -> null
    isResolvable("dual.test") -> true
    isResolvable("v6.test") -> false
    isResolvable("gone.test") -> false
    isInNet("10.1.2.3", "10.1.0.0", "255.255.0.0") -> true
    isInNet("10.2.2.3", "10.1.0.0", "255.255.0.0") -> false
    isInNet("10.1.2.3", "10.1.99.99", "255.255.0.0") -> true
    isInNet("10.1.2.3", "10.1.2.3", "255.255.255.255") -> true
    isInNet("10.1.2.3", "99.99.99.99", "0.0.0.0") -> true
    isInNet("10.1.2.3", "10.0.2.0", "255.0.255.0") -> true
    isInNet("dual.test", "10.1.2.3", "255.255.255.255") -> true
    isInNet("dual.test", "10.1.2.4", "255.255.255.255") -> false
    isInNet("v6.test", "0.0.0.0", "0.0.0.0") -> false
    isInNet("gone.test", "0.0.0.0", "0.0.0.0") -> false
    isInNet("10.1.2.3", "10.1.0", "255.255.0.0") -> false
    isInNet("10.1.2.3", "10.1.0.0", "255.255.0.256") -> false
    isInNet("2001:db8::1", "0.0.0.0", "0.0.0.0") -> false
    isInNet(null, "0.0.0.0", "0.0.0.0") -> false
    isInNet(undefined, "0.0.0.0", "0.0.0.0") -> false
    isInNet("10.1.2.3", undefined, undefined) -> false
    isInNet("10.1.2.3", "10.0.0.0/8", "255.0.0.0") -> false
    isInNet("10.1.2.3", "010.001.000.000", "255.255.000.000") -> true
    isInNet("10.1.2.3", "10.1.2.3", "255.255.255.0377") -> false
    isValidIpAddress("10.1.2.3") -> true
    isValidIpAddress("0.0.0.0") -> true
    isValidIpAddress("255.255.255.255") -> true
    isValidIpAddress("10.1.2.256") -> false
    isValidIpAddress("10.1.2") -> false
    isValidIpAddress("10.1.2.3.4") -> false
    isValidIpAddress("10.1.2.3 ") -> false
    isValidIpAddress("010.1.2.3") -> false
    isValidIpAddress("::1") -> false
    isValidIpAddress("www.test") -> false
    isValidIpAddress("") -> false
    isValidIpAddress(null) -> false
    isValidIpAddress() -> false
    isValidIpAddress(10) -> false
    convert_addr("104.16.41.2") -> 1745889538
    convert_addr("255.255.255.255") -> -1
    convert_addr("0.0.0.1") -> 1
    myIpAddress() -> "10.9.8.7"
""")
def test_addresses(expression, expected):
    check(expression, expected)


@table("""
    dnsResolveEx("dual.test") -> "2001:db8::5;10.1.2.3;10.1.2.4"
    dnsResolveEx("gone.test") -> ""
    dnsResolveEx("2001:db8::1") -> "2001:db8::1"
    isResolvableEx("v6.test") -> true
    isResolvableEx("gone.test") -> false
    isInNetEx("198.95.249.79", "198.95.249.79/32") -> true
    isInNetEx("198.95.249.80", "198.95.249.79/32") -> false
    isInNetEx("198.95.6.8", "198.95.0.0/16") -> true
    isInNetEx("198.96.6.8", "198.95.0.0/15") -> false
    isInNetEx("198.95.6.8", "198.94.0.0/15") -> true
    isInNetEx("1.2.3.4", "0.0.0.0/0") -> true
    isInNetEx("3ffe:8311:ffff:abcd:1234:dead:beef:101", "3ffe:8311:ffff::/48") -> true
    isInNetEx("3ffe:8312:ffff::1", "3ffe:8311:ffff::/48") -> false
    isInNetEx("::ffff:1.2.3.4", "::ffff:1.2.0.0/112") -> true
    isInNetEx("fe80::1%eth0", "fe80::/10") -> true
    isInNetEx("1.2.3.4", "::/0") -> false
    isInNetEx("::1", "0.0.0.0/0") -> false
    isInNetEx("dual.test", "10.1.2.4/32") -> true
    isInNetEx("dual.test", "2001:db8::/32") -> true
    isInNetEx("10.0.0.1; 2001:db8::1", "2001:db8::/32") -> true
    isInNetEx("gone.test", "0.0.0.0/0") -> false
    isInNetEx("1.2.3.4", "1.2.3.4") -> false
    isInNetEx("1.2.3.4", "1.2.3.4/33") -> false
    isInNetEx("1.2.3.4", "nonsense/8") -> false
    isInNetEx("::1", "::1/129") -> false
    isInNetEx("1.2.3.4", "01.2.0.0/16") -> false
    isInNetEx("1.2.3.4", " 1.2.0.0/16 ") -> true
    isInNetEx("1.2.3.4", undefined) -> false
    sortIpAddressList("10.0.0.1;010.0.0.2") -> ""
    sortIpAddressList(undefined) -> ""
    myIpAddressEx() -> "10.9.8.7;2001:db8::7"
    sortIpAddressList("10.2.3.9;2001:db8::14;::1;127.0.0.1;::9") -> "::1;::9;2001:db8::14;10.2.3.9;127.0.0.1"
    sortIpAddressList("10.10.0.1; 10.9.0.1 ;10.9.0.1") -> "10.9.0.1;10.9.0.1;10.10.0.1"
    sortIpAddressList("10.0.0.1;nonsense") -> ""
    sortIpAddressList("") -> ""
    getClientVersion() -> "1.0"
    typeof alert("hello") -> "undefined"
    typeof alert() -> "undefined"
    typeof console.log("a", {}, undefined, 1) -> "undefined"
    typeof console.table([1]) -> "undefined"
    typeof console.assert(false, "no") -> "undefined"
""")
def test_the_functions_of_microsoft(expression, expected):
    check(expression, expected)


@pytest.mark.parametrize(
    "text", ["1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::12345", "1.2.3.4::", "a.test"]
)
def test_a_text_that_is_no_address_counts_as_a_name(text):
    script = f"function FindProxyForURL() {{ return '' + isResolvableEx({text!r}) }}"
    assert Sandbox(script).call(Call("", ""), {}).missing == (text,)


@pytest.mark.parametrize("text", ["010.1.2.3", "10.1.2.03", "10.00.0.1", "0177.0.0.1"])
def test_an_address_with_leading_zeros_counts_as_a_name_because_it_is_ambiguous(text):
    script = f"function FindProxyForURL() {{ return '' + isInNet({text!r}, '0.0.0.0', '0.0.0.0') }}"
    assert Sandbox(script).call(Call("", ""), {}).missing == (text,)
    assert Sandbox(script).call(Call("", ""), {text: []}).answer == "false"


@pytest.mark.parametrize("name", ["log", "info", "warn", "error", "debug", "trace", "dir"])
def test_console_output_of_a_script_is_reported_like_an_alert(name):
    script = f"function FindProxyForURL(url, host) {{ console.{name}('host', host, 1); alert('hi') }}"
    assert Sandbox(script).call(Call("", "a.test"), {}).alerts == ("host a.test 1", "hi")


def test_a_script_may_replace_these_functions():
    before = "function isValidIpAddress() { return 1 } var console = { log: function () { return 2 } }"
    assert evaluate("isValidIpAddress() + console.log()", before=before) == "3"


def test_without_an_own_address_the_loopback_address_is_returned():
    assert evaluate("[myIpAddress(), myIpAddressEx()]", own=()) == '["127.0.0.1",""]'
    assert evaluate("myIpAddress()", own=("2001:db8::7",)) == '"2001:db8::7"'
    assert evaluate("myIpAddress()", own=("2001:db8::7", "10.0.0.1")) == '"10.0.0.1"'


# Times

#: Thursday evening; in Greenwich it is already Friday, of the next year.
CLOCK = """
var Date = function () { return {
    getFullYear() { return 2026 }, getMonth() { return 11 }, getDate() { return 31 }, getDay() { return 4 },
    getHours() { return 22 }, getMinutes() { return 30 }, getSeconds() { return 15 },
    getUTCFullYear() { return 2027 }, getUTCMonth() { return 0 }, getUTCDate() { return 1 },
    getUTCDay() { return 5 }, getUTCHours() { return 3 }, getUTCMinutes() { return 30 },
    getUTCSeconds() { return 15 },
} }
"""


@table("""
    weekdayRange("THU") -> true
    weekdayRange("FRI") -> false
    weekdayRange("FRI", "GMT") -> true
    weekdayRange("MON", "FRI") -> true
    weekdayRange("MON", "WED") -> false
    weekdayRange("SAT", "THU") -> true
    weekdayRange("SAT", "WED") -> false
    weekdayRange("FRI", "FRI", "GMT") -> true
    weekdayRange("thu") -> true
    weekdayRange("THU", undefined) -> true
    weekdayRange("GMT") -> false
    weekdayRange("THURSDAY") -> false
    weekdayRange() -> false
    timeRange(22) -> true
    timeRange(21) -> false
    timeRange(3, "GMT") -> true
    timeRange(9, 22) -> true
    timeRange(9, 21) -> false
    timeRange(20, 6) -> true
    timeRange(23, 6) -> false
    timeRange(23, 6, "GMT") -> true
    timeRange(22, 30, 22, 45) -> true
    timeRange(22, 15, 22, 30) -> true
    timeRange(22, 31, 22, 45) -> false
    timeRange(22, 45, 22, 15) -> false
    timeRange(0, 0, 0, 0, 0, 30) -> false
    timeRange(22, 30, 15, 22, 30, 15) -> true
    timeRange(22, 30, 16, 22, 31, 0) -> false
    timeRange(3, 30, 15, 3, 30, 30, "GMT") -> true
    timeRange("22") -> true
    timeRange("noon") -> false
    timeRange(1, 2, 3) -> false
    timeRange() -> false
    dateRange(31) -> true
    dateRange(30) -> false
    dateRange(1, "GMT") -> true
    dateRange(25, 31) -> true
    dateRange(1, 30) -> false
    dateRange(25, 5) -> true
    dateRange("DEC") -> true
    dateRange("NOV") -> false
    dateRange("JAN", "GMT") -> true
    dateRange("OCT", "DEC") -> true
    dateRange("JAN", "MAR") -> false
    dateRange("NOV", "FEB") -> true
    dateRange(2026) -> true
    dateRange(2027, "GMT") -> true
    dateRange(2020, 2025) -> false
    dateRange(2025, 2027) -> true
    dateRange(31, "DEC") -> true
    dateRange(31, "NOV") -> false
    dateRange("DEC", 2026) -> true
    dateRange(31, "DEC", 2026) -> true
    dateRange(31, "DEC", 2025) -> false
    dateRange(24, "DEC", 5, "JAN") -> true
    dateRange(24, "DEC", 5, "JAN", "GMT") -> true
    dateRange(1, "JUN", 15, "AUG") -> false
    dateRange("OCT", 2025, "MAR", 2027) -> true
    dateRange("OCT", 2025, "NOV", 2026) -> false
    dateRange(1, "JUN", 2026, 31, "DEC", 2026) -> true
    dateRange(1, "JUN", 2025, 30, "DEC", 2026) -> false
    dateRange(1, "JUN", 1995, 15, "AUG", 1995) -> false
    dateRange("dec") -> true
    dateRange(1, 2, 3) -> false
    dateRange("DECEMBER") -> false
    dateRange(0) -> false
    dateRange(1.5) -> false
    dateRange() -> false
""")
def test_times(expression, expected):
    assert evaluate(expression, before=CLOCK) == expected


def test_the_clock_is_that_of_this_computer():
    shown = evaluate("[timeRange(0, 0, 0, 23, 59, 59), weekdayRange('SUN', 'SAT'), new Date().getTime()]")
    now = time.time() * 1000
    assert json.loads(shown)[:2] == [True, True]
    assert now - 60_000 < json.loads(shown)[2] <= now + 1
