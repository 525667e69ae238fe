from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.route import Direct, UpstreamAddress, Via, parse_upstreams
from px.core.secret import Secret


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port"),
    [
        ("proxy", "http", "proxy", 80),
        ("proxy:8080", "http", "proxy", 8080),
        ("http://proxy:8080/", "http", "proxy", 8080),
        ("HTTPS://proxy", "https", "proxy", 443),
        ("https://Proxy.Corp.Example:8443", "https", "Proxy.Corp.Example", 8443),
        ("[::1]:3128", "http", "::1", 3128),
        ("https://[2001:db8::1]", "https", "2001:db8::1", 443),
        ("10.1.2.3:1", "http", "10.1.2.3", 1),
        ("socks5://proxy", "socks5", "proxy", 1080),
        ("SOCKS5h://proxy:1", "socks5", "proxy", 1),
        ("socks4://[::1]", "socks4", "::1", 1080),
        ("socks4a://proxy", "socks4", "proxy", 1080),
    ],
)
def test_an_upstream_is_read_with_the_default_port_of_its_scheme(text, scheme, host, port):
    assert parse_upstreams(text) == (UpstreamAddress(scheme, host, port),)


def test_a_list_keeps_its_order_and_names_each_upstream_once():
    found = parse_upstreams(" b:1 ,a:1,, http://b:1/ ")
    assert [str(upstream) for upstream in found] == ["http://b:1", "http://a:1"]


def test_an_empty_text_gives_no_upstream():
    assert parse_upstreams(" , ") == ()


def test_an_identity_is_read_percent_decoded():
    (upstream,) = parse_upstreams("http://CORP%5Calice:p%40ss%2Cword%3a@proxy:8080")
    assert upstream.username == "CORP\\alice"
    assert upstream.password == Secret("p@ss,word:")
    assert (upstream.host, upstream.port) == ("proxy", 8080)


def test_an_identity_may_have_a_raw_at_sign_and_no_password():
    (upstream,) = parse_upstreams("alice@CORP.EXAMPLE:s3cret@proxy, bob@proxy")[:1]
    assert upstream.username == "alice@CORP.EXAMPLE"
    (upstream,) = parse_upstreams("bob@proxy")
    assert (upstream.username, upstream.password) == ("bob", None)


def test_a_socks_upstream_may_have_a_login_of_its_own():
    five, four, longest = parse_upstreams(f"socks5://alice:s3cret@a,socks4://bob@b,socks5://{'u' * 255}@c")
    assert (five.username, five.password, five.is_socks) == ("alice", Secret("s3cret"), True)
    assert (four.username, four.password, four.is_socks) == ("bob", None, True)
    assert len(longest.username) == 255
    assert not parse_upstreams("https://proxy")[0].is_socks


def test_an_identity_is_not_shown():
    (upstream,) = parse_upstreams("alice:s3cret@proxy")
    for shown in (str(upstream), repr(upstream), f"{Via(upstream)} {Via(upstream)!r}"):
        assert "s3cret" not in shown
        assert "alice" not in shown


def test_a_login_on_the_command_line_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="no place on the command line") as caught:
        parse_upstreams("http://alice:s3cret@proxy", with_identity=False)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxy:0", "'proxy:0': no valid port"),
        ("proxy:65536", "no valid port"),
        ("proxy:abc", "no valid port"),
        ("http://proxy:80/path", "a space, path or comment"),
        ("proxy:80 # ours", "a comment stands on a line of its own"),
        ("a:1 b:2", "separated by commas"),
        ("http://proxy/path", "a space, path or comment"),
        ("http://", "no valid host"),
        ("ok:1,pro xy", "'pro xy': a space, path or comment"),
        ("10.0.0.256", "no valid host"),
        ("::1", r"brackets, \[address\]:port"),
        ("[::1:80", "brackets"),
        ("ftp://proxy", "unknown scheme"),
        ("socks://proxy", "unknown scheme; an upstream is .*socks5://|socks4://"),
        ("socks4://u:pw@proxy", "entry 1: SOCKS4 knows user names, but no passwords"),
        ("socks4://u%00x@proxy", "entry 1: .* NUL"),
        (f"socks4://{'u' * 256}@proxy", "entry 1: .* 255 bytes at most"),
        (f"socks5://u:{'%C3%A9' * 128}@proxy", "entry 1: .* 255 bytes at most"),
        ("http://:pw@proxy", "entry 1: no user name"),
        ("b\udcf6b:pw@proxy", "entry 1: user or password is no text in this locale's encoding"),
        ("bob:p\udce4ss@proxy", "entry 1: user or password is no text in this locale's encoding"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_it(text, message):
    with pytest.raises(ValueError, match=message):
        parse_upstreams(text)


@given(st.text(alphabet="abp:@/[].,%-1 ", max_size=30))
def test_no_error_shows_any_part_of_a_text_with_a_login(text):
    marked = "u:S3CRET," + text + "@h:x"
    with pytest.raises(ValueError) as caught:
        parse_upstreams(marked)
    assert "S3CRET" not in str(caught.value)


def test_routes_read_as_what_they_are():
    assert str(Direct()) == "direct"
    assert str(Via(UpstreamAddress("https", "::1", 443))) == "https://[::1]:443"
