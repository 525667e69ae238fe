from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.rules.route import Direct, UpstreamAddress, Via, format_upstreams, parse_upstreams
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


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("a:1;b:2", {"": ["http://a:1", "http://b:2"]}),
        ("a:1; b:2 ;", {"": ["http://a:1", "http://b:2"]}),
        ("a:1 b:2", {"": ["http://a:1", "http://b:2"]}),
        ("a:1\n,b:2\n", {"": ["http://a:1", "http://b:2"]}),
        ("HTTP://A:1/;https://b/", {"": ["http://A:1", "https://b:443"]}),
        ("http://a;http://b", {"": ["http://a:80", "http://b:80"]}),
        ("a.example;b.example", {"": ["http://a.example:80", "http://b.example:80"]}),
        ('"a:1;b:2"', {"": ["http://a:1", "http://b:2"]}),
        ("'a:1','b:2'", {"": ["http://a:1", "http://b:2"]}),
        ("PROXY a:1; HTTPS b:2; SOCKS c", {"": ["http://a:1", "https://b:2", "socks5://c:1080"]}),
        ("SOCKS4 a:1, SOCKS5 b:2", {"": ["socks4://a:1", "socks5://b:2"]}),
        ("http=a:1;https=b:2", {"http": ["http://a:1"], "https": ["http://b:2"]}),
        ("HTTP = a:1 ; HTTPS = b:2", {"http": ["http://a:1"], "https": ["http://b:2"]}),
        ("http=a:1 https=b:2 ftp=c:3", {"http": ["http://a:1"], "https": ["http://b:2"]}),
        ("http=a:1,https=a:1", {"": ["http://a:1"]}),
        ("http=http://a:1/;https=https://b:2/", {"http": ["http://a:1"], "https": ["https://b:2"]}),
        ("http=a:1", {"http": ["http://a:1"]}),
        ("socks=a:1", {"": ["socks4://a:1"]}),
        ("http=a:1;socks=b:2", {"http": ["http://a:1"], "https": ["socks4://b:2"]}),
        ("http=a:1;https=b:2;socks=c:3", {"http": ["http://a:1"], "https": ["http://b:2"]}),
        ("a:1;https=b:2", {"http": ["http://a:1"], "https": ["http://b:2"]}),
        ("http=a:1;http=b:2;https=a:1", {"": ["http://a:1"], "http": ["http://b:2"]}),
        ("ftp=a:1", {}),
    ],
)
def test_lists_of_other_programs_are_understood(text, urls):
    found: dict[str, list[str]] = {}
    for upstream in parse_upstreams(text):
        found.setdefault(upstream.urls, []).append(str(upstream))
    assert found == urls


@pytest.mark.parametrize(
    ("text", "logins"),
    [
        ("u:p;w@a:1", [("u", "p;w", "a")]),
        ("u:p w@a:1", [("u", "p w", "a")]),
        ("u:p@a:1;v:q@b:2", [("u", "p", "a"), ("v", "q", "b")]),
        ("u:p@a:1 ; b:2", [("u", "p", "a"), ("", None, "b")]),
        ("u:p@q@a:1;b:2", [("u", "p@q", "a"), ("", None, "b")]),
        ("http=u:p=q@a:1;https=b:2", [("u", "p=q", "a"), ("", None, "b")]),
        ("http://u:PROXY x@a:1", [("u", "PROXY x", "a")]),
    ],
)
def test_a_semicolon_or_a_space_in_a_password_separates_nothing(text, logins):
    found = parse_upstreams(text)
    assert [(each.username, each.password and each.password.reveal(), each.host) for each in found] == logins


def test_upstreams_show_which_urls_they_are_for():
    assert format_upstreams(parse_upstreams("http=a:1;https=b:2")) == (
        "http://a:1 for http URLs, http://b:2 for https URLs"
    )


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
    with pytest.raises(ValueError, match="other users can read a login on the command line") as caught:
        parse_upstreams("http://alice:s3cret@proxy", with_identity=False)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxy:0", "'proxy:0': no valid port"),
        ("proxy:65536", "no valid port"),
        ("proxy:abc", "no valid port"),
        ("http://proxy:80/path", "an upstream has no space and no path"),
        ("proxy:80 # ours", "an upstream has no space and no path; write HOST:PORT"),
        ("proxy:80 ; ours", "commas separate"),
        ("pro xy:80", "'pro xy:80': an upstream has no space and no path"),
        ("proxy 8080", "an upstream has no space and no path"),
        ("http://no host:8080", "an upstream has no space and no path"),
        ("PROXY a:1; DIRECT", "an upstream has no space and no path"),
        ("a:1/;b:2/x", "'b:2/x': an upstream has no space and no path"),
        ("http:a:1", "'http:a:1': it has more than one colon"),
        ("a:1:b:2", "more than one colon"),
        ("fe80::1:3128", r"brackets, \[address\]:port"),
        ("2001:db8:0:0:1:2:3:4", r"brackets, \[address\]:port"),
        ("smtp=a:1", "no valid host"),
        ("http://proxy/path", "an upstream has no space and no path"),
        ("http://", "no valid host"),
        ("ok:1,pro xy", "'pro xy': an upstream has no space and no path"),
        ("10.0.0.256", "no valid host"),
        ("::1", r"brackets, \[address\]:port"),
        ("[::1:80", "brackets"),
        ("ftp://proxy", "unknown scheme"),
        ("http://wpad/wpad.dat", "this is a PAC script, and not a proxy; did you mean --pac?"),
        ("https://proxy.corp.example:8080/a/Proxy.PAC?user=1", "did you mean --pac?"),
        ("file:///etc/proxy", "did you mean --pac?"),
        (r"C:\proxy.pac", "did you mean --pac?"),
        ("proxy.pac", "did you mean --pac?"),
        ("socks://proxy", "unknown scheme; an upstream is .*socks5://|socks4://"),
        ("socks4://u:pw@proxy", "entry 1: SOCKS4 knows user names, but no passwords"),
        ("socks4://u%00x@proxy", "entry 1: control characters in the user name"),
        ("http://u%1B%5B2Jx@proxy", "entry 1: control characters in the user name"),
        (f"socks4://{'u' * 256}@proxy", "entry 1: .* 255 bytes at most"),
        (f"socks5://u:{'%C3%A9' * 128}@proxy", "entry 1: .* 255 bytes at most"),
        ("http://:pw@proxy", "entry 1: no user name"),
        ("b\udcf6b:pw@proxy", "entry 1: user or password is not in this locale's encoding"),
        ("bob:p\udce4ss@proxy", "entry 1: user or password is not in this locale's encoding"),
    ],
)
def test_an_unreadable_text_is_an_error_that_names_it(text, message):
    with pytest.raises(ValueError, match=message):
        parse_upstreams(text)


@given(st.text(alphabet="abp:@/[].,;=%-1 ", max_size=30))
def test_no_error_shows_any_part_of_a_text_with_a_login(text):
    marked = "u:S3CRET," + text + "@h:x"
    with pytest.raises(ValueError) as caught:
        parse_upstreams(marked)
    assert "S3CRET" not in str(caught.value)


def test_routes_have_readable_texts():
    assert str(Direct()) == "direct"
    assert str(Via(UpstreamAddress("https", "::1", 443))) == "https://[::1]:443"
