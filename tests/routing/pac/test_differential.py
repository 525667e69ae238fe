"""The functions of PAC scripts, compared with other implementations for generated arguments.

pacparser has an older copy of Mozilla's own functions and an engine of its own. The arguments here leave out
the cases in which it differs, each with its reason; test_functions.py has these cases. For the functions that
Microsoft added, the standard library is the reference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from px.routing.pac.sandbox import Call, Sandbox

pacparser = pytest.importorskip(
    "pacparser", reason="pacparser, the reference for PAC functions, is not installed"
)

#: Old JavaScript, for both engines: a clock that stands still.
CLOCK = """
var RealDate = RealDate || Date, NOW = 0;
Date = function (year, month, day, hour, minute, second) {
    if (arguments.length === 0) return new RealDate(NOW);
    return new RealDate(year, month, day, hour || 0, minute || 0, second || 0);
};
"""
#: A time zone that differs from Greenwich and has no summer time.
INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture(scope="module", autouse=True)
def judge() -> Iterator[None]:
    pacparser.init()
    pacparser.setmyip("10.9.8.7")
    yield
    pacparser.cleanup()


@pytest.fixture(scope="module")
def india() -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("a process cannot change its time zone on Windows")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


OURS = Sandbox(CLOCK + "function FindProxyForURL(url, host) { return String((0, eval)(url)) }")
NAMES = {"localhost": ["::1", "127.0.0.1"]}


def ours(expression: str) -> str:
    outcome = OURS.call(Call(expression, "", ("10.9.8.7",)), NAMES)
    assert not outcome.missing, outcome
    return outcome.answer


def theirs(expression: str) -> str:
    script = f"{CLOCK}\nfunction FindProxyForURL(url, host) {{ return String({expression}) }}"
    pacparser.parse_pac_string(script)
    return str(pacparser.find_proxy("http://a.test/", "a.test"))


def check(function: str, *args: object, now: datetime | None = None) -> None:
    call = f"{function}({', '.join(json.dumps(arg) for arg in args)})"
    if now is not None:
        call = f"(NOW = {int(now.timestamp() * 1000)}, {call})"
    assert ours(call) == theirs(call), call


ipv4 = st.integers(0, 2**32 - 1).map(IPv4Address)
addresses = st.one_of(ipv4, st.integers(0, 2**128 - 1).map(IPv6Address))
labels = st.text(alphabet="ab1-", min_size=1, max_size=3)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)


def test_the_reference_works():
    assert theirs("shExpMatch('a', 'b')") == "false"
    assert theirs("1 + 1") == ours("1 + 1") == "2"


# Not "::1", which is a plain name there.
@given(hosts)
def test_plain_names_and_levels(host):
    check("isPlainHostName", host)
    check("dnsDomainLevels", host)


@given(hosts, st.one_of(hosts, hosts.map(lambda host: f".{host}"), st.just("")))
def test_domains(host, domain):
    for whole in (host, host + domain, f"{host}.{domain}"):
        check("dnsDomainIs", whole, domain)
        check("localHostOrDomainIs", host, whole)
        check("localHostOrDomainIs", whole, host)


# Patterns that are not regular expressions fail in pacparser; test_functions.py has their meaning in Px.
signs = st.text(alphabet="ab./*?-:|()[]{}^$+\\d1!", max_size=6)
groups = st.lists(st.text(alphabet="ab.*?", max_size=4), min_size=1, max_size=3).map("|".join)
classes = st.sampled_from(["[ab]", "[^a]", "[a-b]", "[!.]"])
pieces = st.one_of(signs, groups.map("({})".format), groups, classes)


@given(st.text(alphabet="ab./-:|!1d\\\n", max_size=8), st.lists(pieces, max_size=3).map("".join))
def test_patterns(text, pattern):
    call = f"shExpMatch({json.dumps(text)}, {json.dumps(pattern)})"
    expected = theirs(f"(function () {{ try {{ return {call} }} catch (error) {{ return 'fails' }} }})()")
    assume(expected != "fails")
    assert ours(call) == expected, call


@given(st.one_of(ipv4.map(str), st.just("localhost")), ipv4, ipv4)
def test_networks(host, pattern, mask):
    check("isInNet", host, str(pattern), str(mask))


@given(ipv4, st.integers(0, 32), st.integers(0, 32))
def test_networks_that_match(address, length, flipped_bit):
    mask = ip_network(f"0.0.0.0/{length}").netmask
    near = IPv4Address(int(address) ^ (1 << flipped_bit >> 1))
    check("isInNet", str(near), str(address), str(mask))


@given(ipv4)
def test_numbers_of_addresses(address):
    check("convert_addr", str(address))
    check("dnsResolve", str(address))
    check("isResolvable", str(address))
    check("myIpAddress")


@given(addresses, addresses, st.data())
def test_prefixes(address, other, data):
    length = data.draw(st.integers(0, address.max_prefixlen))
    network = ip_network(f"{address}/{length}", strict=False)
    after = type(address)((int(network[-1]) + 1) % 2**address.max_prefixlen)
    for host in (address, other, network[0], network[-1], after):
        expected = host.version == network.version and host in network
        call = f"isInNetEx('{host}', '{network[-1]}/{length}')"
        assert ours(call) == str(expected).lower(), call


@given(st.lists(addresses))
def test_sorted_addresses(some):
    expected = sorted(some, key=lambda each: (-each.version, int(each)))
    assert ours(f"sortIpAddressList('{';'.join(map(str, some))}')") == ";".join(map(str, expected))


@given(st.text(alphabet="01289af:.", max_size=16))
def test_which_texts_are_addresses(text):
    try:
        ip_address(text)
    except ValueError:
        expected = ""
    else:
        expected = text
    assert ours(f"sortIpAddressList('{text}')") == expected


# Times leave out three cases of pacparser: it never matches ranges that wrap around; with "GMT" it combines
# the date of one zone with the time of the other, in the hours in which Greenwich has another day; and it
# takes 31 February for 3 March, so the first days of a month are left out.
moments = (
    st.integers(1_577_836_800, 1_924_992_000)
    .map(lambda seconds: datetime.fromtimestamp(seconds, INDIA))
    .filter(lambda now: 4 <= now.day <= 28)
)
zones = st.sampled_from([(), ("GMT",)])
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@given(moments, st.integers(0, 6), st.integers(0, 6), zones)
def test_weekdays(india, now, one, other, zone):
    first, last = sorted((one, other))
    check("weekdayRange", DAYS[one], *zone, now=now)
    check("weekdayRange", DAYS[first], DAYS[last], *zone, now=now)


sixty = st.integers(0, 59)
times = st.tuples(st.integers(0, 23), sixty, sixty)


@given(moments, times, times, zones)
def test_hours(india, now, one, other, zone):
    assume(not zone or now.hour >= 6)
    start, end = sorted((one, other))
    check("timeRange", start[0], *zone, now=now)
    check("timeRange", start[0], end[0], *zone, now=now)
    check("timeRange", *start[:2], *end[:2], *zone, now=now)
    check("timeRange", *start, *end, *zone, now=now)


dates = st.tuples(st.integers(2019, 2031), st.integers(1, 12), st.integers(1, 28))


@given(moments, dates, dates, zones)
def test_dates(india, now, one, other, zone):
    assume(not zone or now.hour >= 6)
    (year, number, day), (last_year, last_number, last_day) = sorted((one, other))
    month, last_month = MONTHS[number - 1], MONTHS[last_number - 1]
    for single in (year, month, day):
        check("dateRange", single, *zone, now=now)
    check("dateRange", year, last_year, *zone, now=now)
    check("dateRange", month, year, last_month, last_year, *zone, now=now)
    check("dateRange", day, month, year, last_day, last_month, last_year, *zone, now=now)
    check("dateRange", min(day, last_day), max(day, last_day), *zone, now=now)
    if number <= last_number:
        check("dateRange", month, last_month, *zone, now=now)
    if (number, day) <= (last_number, last_day):
        check("dateRange", day, month, last_day, last_month, *zone, now=now)
