from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.rules.host_rules import HostRules, Intervals

ipv4 = st.integers(0, 2**32 - 1).map(IPv4Address)
ipv6 = st.integers(0, 2**128 - 1).map(IPv6Address)
#: Addresses close together, so that rules hit.
near_ipv4 = st.integers(2**31 - 40, 2**31 + 40).map(IPv4Address)


def rules(text: str) -> HostRules:
    return HostRules.parse(text, names=True)


def matches(text: str, host: str, port: int = 443) -> bool:
    return rules(text).matches_name(host, port)


# Addresses, compared with the standard library


@given(st.one_of(ipv4, ipv6), st.data())
def test_a_network_matches_what_the_standard_library_says(address, data):
    length = data.draw(st.integers(1, address.max_prefixlen))
    network = ip_network(f"{address}/{length}", strict=False)
    if network.version == 6 and ip_network("::ffff:0:0/96").overlaps(network):
        return  # mapped addresses count as IPv4: below
    bits = 2 ** (address.max_prefixlen - length)
    near = st.integers(max(0, int(network[0]) - 5), min(int(network[-1]) + 5, 2**address.max_prefixlen - 1))
    target = type(address)(data.draw(near))
    compiled = HostRules.parse(f"{address}/{length}", names=False)
    assert compiled.matches_address(target) == (target in network)
    assert compiled.matches_name(str(target), 80) == (target in network)
    assert bits == network.num_addresses


@given(st.lists(st.tuples(near_ipv4, near_ipv4), max_size=8), near_ipv4)
def test_ranges_match_the_union_of_what_each_matches(pairs, target):
    ranges = [sorted(pair) for pair in pairs]
    compiled = rules(", ".join(f"{first}-{last}" for first, last in ranges))
    assert compiled.matches_address(target) == any(first <= target <= last for first, last in ranges)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1]))),
    st.integers(0, 90),
)
def test_merged_intervals_are_the_same_set_disjoint_and_ascending(pairs, number):
    merged = Intervals.merge(pairs)
    assert (number in merged) == any(start <= number <= end for start, end in pairs)
    assert all(end + 1 < start for end, start in zip(merged.ends, merged.starts[1:], strict=False))


@given(ipv4)
def test_an_ipv4_mapped_address_counts_as_ipv4_on_both_sides(address):
    mapped = f"::ffff:{address}"
    assert rules(str(address)).matches_address(mapped)
    assert rules(mapped).matches_address(str(address))
    assert matches(str(address), f"[{mapped}]")
    assert not rules("::/0").matches_address(mapped)


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("192.168.0.*", "192.168.0.255", "192.168.1.0"),
        ("172.*.*.*", "172.31.255.255", "173.0.0.0"),
        ("10.*", "10.200.3.4", "11.0.0.0"),
        ("192.168.0.1-192.168.0.255", "192.168.0.1", "192.168.0.0"),
        ("192.168.0.1 - 192.168.0.255", "192.168.0.255", "192.168.1.0"),
        ("192.168.0.1/24", "192.168.0.0", "192.168.1.0"),
        ("10/8", "10.9.9.9", "9.9.9.9"),
        ("192.168/16", "192.168.9.9", "192.167.9.9"),
        ("10.0.0.0/255.0.0.0", "10.9.9.9", "11.0.0.0"),
        ("::1", "::1", "::2"),
        ("[::1]", "::1", "::2"),
        ("fe80::/10", "fe80::1", "fec0::1"),
        ("fe80:*", "fe80:1::2", "fe81::"),
        ("2001:db8::*", "2001:db8::ffff", "2001:db8::1:0"),
        ("2001:db8::1-2001:db8::9", "2001:db8::5", "2001:db8::a"),
        ("FE80::1%eth0", "fe80::1", "fe80::2"),
        ("::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"),
    ],
)
@pytest.mark.parametrize("names", [True, False])
def test_every_form_of_address_rule_matches(rule, inside, outside, names):
    compiled = HostRules.parse(rule, names=names)
    assert compiled.matches_address(inside)
    assert compiled.matches_address(ip_address(inside))
    assert not compiled.matches_address(outside)
    assert compiled.needs_addresses


def test_an_address_with_a_zone_matches_as_one_without():
    assert rules("fe80::/10").matches_address("fe80::1%eth0")


def test_a_text_that_is_no_address_is_an_error():
    with pytest.raises(ValueError, match="host"):
        rules("10.0.0.0/8").matches_address("host")


# Everything, and nothing


@pytest.mark.parametrize(
    "text", ["*", "*.*.*.*", "0.0.0.0/0", "1.2.3.4/0", "0.0.0.0-255.255.255.255", "a, *"]
)
@pytest.mark.parametrize("names", [True, False])
def test_some_rules_mean_everything_ipv6_and_unknown_names_too(text, names):
    if text == "a, *" and not names:
        return
    compiled = HostRules.parse(text, names=names)
    assert compiled.matches_everything
    assert compiled.matches_address("2001:db8::1")
    assert compiled.matches_name("no-such-name.invalid", 80)
    assert not compiled.needs_addresses


@pytest.mark.parametrize("text", ["", " ", ",;", "<-loopback>"])
def test_no_rules_match_nothing(text):
    compiled = rules(text)
    assert not compiled
    assert not compiled.matches_everything
    assert not compiled.needs_addresses
    assert not compiled.matches_address("127.0.0.1")
    assert not compiled.matches_name("localhost", 80)


def test_all_ipv6_addresses_are_not_everything():
    assert not rules("::/0").matches_everything
    assert rules("::/0").matches_address("2001:db8::1")


# Names


@pytest.mark.parametrize(
    ("rule", "host", "expected"),
    [
        ("corp.example", "corp.example", True),
        ("corp.example", "www.corp.example", True),
        ("corp.example", "a.b.corp.example", True),
        ("corp.example", "notcorp.example", False),
        ("corp.example", "example", False),
        ("corp.example", "WWW.Corp.Example.", True),
        ("Corp.Example.", "corp.example", True),
        (".corp.example", "corp.example", True),
        (".corp.example", "www.corp.example", True),
        ("*.corp.example", "corp.example", False),
        ("*.corp.example", "a.www.corp.example", True),
        ("=corp.example", "corp.example", True),
        ("=corp.example", "www.corp.example", False),
        ("=Corp.Example.", "CORP.example", True),
        ("localhost", "localhost", True),
        ("build*.corp.example", "build7.corp.example", True),
        ("build*.corp.example", "test7.corp.example", False),
        ("*corp*", "my.corp.example", True),
        ("my-host", "my-host", True),
        ("10.0.0.1-web.example", "10.0.0.1-web.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("a_b", "a_b", True),
        ("host", "10.0.0.1", False),
        ("example", "::1", False),
    ],
)
def test_a_name_rule_matches_as_curl_python_and_windows_would(rule, host, expected):
    assert matches(rule, host) == expected
    assert not rules(rule).needs_addresses


@pytest.mark.parametrize(
    ("rule", "host"),
    [
        ("host:8080", "host"),
        ("=host:8080", "host"),
        (".corp.example:8080", "www.corp.example"),
        ("*.corp.example:8080", "www.corp.example"),
        ("w*w.corp.example:8080", "www.corp.example"),
        ("10.1.2.3:8080", "10.1.2.3"),
        ("[::1]:8080", "[::1]"),
    ],
)
def test_a_rule_with_a_port_matches_that_port_only(rule, host):
    assert matches(rule, host, 8080)
    assert not matches(rule, host, 80)
    assert matches(f"{rule} {host}", host, 80)
    assert matches(f"{host} {rule}", host, 80)


def test_several_ports_of_a_name_add_up():
    assert [port for port in (1, 2, 3) if matches("h:1,h:3", "h", port)] == [1, 3]


def test_the_rule_that_ends_the_exception_for_local_targets_matches_nothing():
    for text in ("<-loopback>", "10.*, <-LOOPBACK>"):
        assert HostRules.parse(text, names=True).subtracts_loopback
    assert not HostRules.parse("<local>, localhost", names=True).subtracts_loopback


def test_local_means_names_without_a_dot_and_loopback():
    local = rules("<local>")
    assert local
    assert local.matches_name("intranet", 80)
    assert local.matches_name("127.0.0.1", 80)
    assert local.matches_address("::1")
    assert not local.matches_name("www.example", 80)
    assert not local.matches_name("10.0.0.1", 80)
    assert not local.needs_addresses


@pytest.mark.parametrize("separator", [",", ";", " ", ", ", " ; ", "\t", "\n"])
def test_rules_are_separated_by_comma_semicolon_or_white_space(separator):
    compiled = rules(separator.join(["10.0.0.0/8", "host", "*.corp.example"]))
    assert compiled.matches_address("10.1.1.1")
    assert compiled.matches_name("host", 80)
    assert compiled.matches_name("www.corp.example", 80)


# Errors and cost


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.0/33", r"'10\.0\.0\.0/33' is not a network"),
        ("::/129", "is not a network"),
        ("10.0.0.300", "is not a host name"),
        ("1.2.3", "is not a host name"),
        ("10.*.0.1", "stars are allowed only at the end"),
        ("10.0.0.9-10.0.0.1", "is not a range"),
        ("10.0.0.1-::1", "is not a range"),
        ("http://host/path", "'http://host/path' has a path"),
        ("host/path", "has a path"),
        ("host:80-90", "is not a host name"),
        ("10.0.0.9-1", "is not a range"),
        ("10.0.0.1-300", "is not a range"),
        ("10.0.0.0/", "is not a network"),
        ("10.300.", "is not a host name"),
        ("!host", "is not a host name"),
        ("alice:s3cret@host", r"'\*\*\*@host' is not a host name"),
        ("host:0", "no valid port"),
        ("host:99999", "no valid port"),
        ("ok, a..b", "'a..b' is not a host name"),
        ("*..a", "is not a host name"),
        ("a*..b", "is not a host name"),
        ("<remote>", "is not a host name"),
        ("=", "'=' is not a host name"),
        ("=*.corp.example", "is not a host name"),
        ("fe80:*:1", "is not a host name"),
    ],
)
def test_a_rule_that_cannot_be_read_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        rules(text)


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("10.", "10.255.0.1", "11.0.0.1"),
        ("192.168.", "192.168.9.9", "192.169.0.1"),
        ("192.168.5.", "192.168.5.0", "192.168.6.0"),
        ("10.0.0.1-9", "10.0.0.9", "10.0.0.10"),
        ("[fd00::]/8", "fd12::1", "fe00::1"),
        ('"10.0.0.1"', "10.0.0.1", "10.0.0.2"),
        ("10.0.0.1|10.0.0.3", "10.0.0.3", "10.0.0.2"),
        ("10.0.0.1 # and 10.0.0.2\n10.0.0.3", "10.0.0.3", "10.0.0.2"),
        ("10.0.0.1\u200b,\ufeff10.0.0.3", "10.0.0.3", "10.0.0.2"),
    ],
)
@pytest.mark.parametrize("names", [True, False])
def test_an_odd_address_rule_with_a_plain_meaning_is_understood(rule, inside, outside, names):
    compiled = HostRules.parse(rule, names=names)
    assert compiled.matches_address(inside)
    assert not compiled.matches_address(outside)


@pytest.mark.parametrize(
    ("rule", "host", "expected"),
    [
        ("http://corp.example", "www.corp.example", True),
        ("HTTPS://corp.example/", "corp.example", True),
        ("*://*.corp.example/*", "www.corp.example", True),
        ("*://*.corp.example/*", "corp.example", False),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://10.0.0.0/8", "10.1.2.3", True),
        ("corp.example/", "corp.example", True),
        ("a|corp.example", "corp.example", True),
        ("'corp.example'", "corp.example", True),
        ("\u201ccorp.example\u201d", "corp.example", True),
        ("corp.example:*", "corp.example", True),
        ("corp.example:", "corp.example", True),
        ("*.corp.*", "www.corp.test", True),
        ("http://corp.example:8080", "corp.example", False),
        ("http://corp.example:443", "corp.example", True),
    ],
)
def test_an_odd_name_rule_with_a_plain_meaning_is_understood(rule, host, expected):
    assert matches(rule, host) == expected


@pytest.mark.parametrize("text", ["http://*", "*/", "*://*/*", "http://10.0.0.1", "10.0.0.1/"])
def test_a_rule_of_allow_is_never_stripped(text):
    with pytest.raises(ValueError, match=r"is no|has a path"):
        HostRules.parse(text, names=False)


odd_rules = st.lists(
    st.one_of(
        st.sampled_from(["10.", "http://a/", "a..b", "10.0.0.0/40", "*.b", "<local>", '"c"', "=", "d:0"]),
        st.text(alphabet="0123456789abf.:*-/[]<>l=!'\"", min_size=1, max_size=12),
    ),
    max_size=6,
)


@given(odd_rules, st.sampled_from(["a", "x.b", "c", "10.1.2.3", "::1"]))
def test_a_rule_that_cannot_be_read_changes_nothing_about_the_others(listed, host):
    together = HostRules.parse_readable(",".join(listed))
    apart = [HostRules.parse_readable(rule) for rule in listed]
    assert list(together.skipped) == [reason for each in apart for reason in each.skipped]
    if not together.matches_everything:  # ranges may match everything only together
        assert together.matches_name(host, 443) == any(each.matches_name(host, 443) for each in apart)


def test_a_skipped_rule_is_named_and_a_long_one_is_shortened():
    assert HostRules.parse_readable("ok, a..b").skipped == ("'a..b' is not a host name, domain or address",)
    assert len(HostRules.parse_readable("/" * 10_000).skipped[0]) < 200


@pytest.mark.parametrize("text", ["host", ".corp.example", "<local>", "10.0.0.1:80"])
def test_where_names_make_no_sense_they_are_errors(text):
    with pytest.raises(ValueError, match="is not an address, glob, range or network"):
        HostRules.parse(text, names=False)


@given(st.text(alphabet="0123456789abf.:*-/[]<>l ,;", max_size=25))
def test_any_text_is_rules_or_an_error(text):
    try:
        compiled = rules(text)
    except ValueError:
        return
    compiled.matches_name("a.b", 80)
    compiled.matches_address("10.0.0.1")


def lookup_seconds(compiled: HostRules) -> float:
    """Return the shortest of several times for look-ups that find nothing, in seconds."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(200):
            compiled.matches_name("www.some.host.example", 443)
            compiled.matches_address("203.0.113.77")
        times.append(time.perf_counter() - start)
    return min(times)


def test_ten_thousand_rules_cost_no_more_than_ten():
    def many(count: int) -> HostRules:
        networks = (f"{IPv4Address(2**24 + n * 512)}/24" for n in range(count))
        return rules(",".join([*networks, *(f"host{n}.corp.example,*.dom{n}.example" for n in range(count))]))

    assert lookup_seconds(many(10_000)) < 3 * lookup_seconds(many(10))  # a linear search: 1000 times


def test_rules_show_what_was_written():
    assert str(rules(" 10.* ")) == "10.*"
    assert repr(rules("10.*")) == "HostRules(text='10.*')"
    assert rules("10.*") == rules("10.*")
