"""Request targets: the four forms, and invalid hosts."""

from __future__ import annotations

import pytest

from px.core.errors import BadRequestError
from px.core.http.target import Authority, TargetForm, parse_authority, parse_target


@pytest.mark.parametrize(
    ("method", "target", "form", "scheme", "authority", "origin_target"),
    [
        (b"GET", b"http://A.Example", TargetForm.ABSOLUTE, b"http", ("a.example", 80), b"/"),
        (b"GET", b"HTTP://a:/p", TargetForm.ABSOLUTE, b"http", ("a", 80), b"/p"),
        (b"GET", b"http://a:08080?q=/", TargetForm.ABSOLUTE, b"http", ("a", 8080), b"/?q=/"),
        (b"GET", b"http://a/p?q=http://b@c:1", TargetForm.ABSOLUTE, b"http", ("a", 80), b"/p?q=http://b@c:1"),
        (b"GET", b"http://a//p", TargetForm.ABSOLUTE, b"http", ("a", 80), b"//p"),
        (b"GET", b"https://a/", TargetForm.ABSOLUTE, b"https", ("a", 443), b"/"),
        (b"GET", b"ftp://a/x", TargetForm.ABSOLUTE, b"ftp", ("a", 21), b"/x"),
        (b"GET", b"ws://a/x", TargetForm.ABSOLUTE, b"ws", ("a", 80), b"/x"),
        (b"GET", b"wss://a/x", TargetForm.ABSOLUTE, b"wss", ("a", 443), b"/x"),
        (b"GET", b"gopher://a:70/x", TargetForm.ABSOLUTE, b"gopher", ("a", 70), b"/x"),
        (b"GET", b"http://[2001:DB8:0::1]:8/", TargetForm.ABSOLUTE, b"http", ("2001:db8::1", 8), b"/"),
        (b"GET", b"http://10.0.0.255/", TargetForm.ABSOLUTE, b"http", ("10.0.0.255", 80), b"/"),
        (b"OPTIONS", b"http://a", TargetForm.ABSOLUTE, b"http", ("a", 80), b"*"),
        (b"OPTIONS", b"http://a/", TargetForm.ABSOLUTE, b"http", ("a", 80), b"/"),
        (b"OPTIONS", b"http://a?q", TargetForm.ABSOLUTE, b"http", ("a", 80), b"/?q"),
        (b"OPTIONS", b"*", TargetForm.ASTERISK, b"", ("h.example", 81), b"*"),
        (b"GET", b"/p?q", TargetForm.ORIGIN, b"", ("h.example", 81), b"/p?q"),
        (b"GET", b"//a/p", TargetForm.ORIGIN, b"", ("h.example", 81), b"//a/p"),
        (b"CONNECT", b"a:443", TargetForm.AUTHORITY, b"", ("a", 443), b""),
        (b"CONNECT", b"[::1]:65535", TargetForm.AUTHORITY, b"", ("::1", 65535), b""),
        (b"CONNECT", b"my_host-1.local.:1", TargetForm.AUTHORITY, b"", ("my_host-1.local.", 1), b""),
    ],
)
def test_a_target_says_where_to_go_and_what_to_ask_there(
    method: bytes,
    target: bytes,
    form: TargetForm,
    scheme: bytes,
    authority: tuple[str, int],
    origin_target: bytes,
) -> None:
    assert parse_target(method, target, b"H.example:81") == (form, scheme, authority, origin_target)


@pytest.mark.parametrize(
    ("method", "target", "reason", "status"),
    [
        (b"GET", b"#b", "neither a URL", 400),
        (b"CONNECT", b"a:80#b", "not a number", 400),
        (b"GET", b"*", "OPTIONS only", 400),
        (b"GET", b"a:80", "neither a URL", 400),
        (b"GET", b"a", "neither a URL", 400),
        (b"GET", b"?q", "neither a URL", 400),
        (b"GET", b"http:/a", "neither a URL", 400),
        (b"GET", b"urn:a:b", "neither a URL", 400),
        (b"GET", b"1http://a/", "neither a URL", 400),
        (b"GET", b"http://", "URL has no host", 400),
        (b"GET", b"http:///p", "URL has no host", 400),
        (b"GET", b"gopher://a/", "port Px does not know", 501),
        (b"GET", b"http://a.example\\@b.example/", "user name", 400),
        (b"CONNECT", b"a", "has no port", 400),
        (b"CONNECT", b"a:", "has no port", 400),
        (b"CONNECT", b"http://a:80", "a character that no host name has", 400),
        (b"CONNECT", b"/a:80", "a character that no host name has", 400),
        (b"CONNECT", b"a:80/", "not a number", 400),
        (b"CONNECT", b"*", "has no port", 400),
    ],
)
def test_another_form_is_refused(method: bytes, target: bytes, reason: str, status: int) -> None:
    with pytest.raises(BadRequestError, match=reason) as caught:
        parse_target(method, target, b"h.example")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no host"),
        (b":80", "no host"),
        (b"u@a", "user name"),
        (b"u:p@a:80", "user name"),
        (b"@a", "user name"),
        (b"a:0", "between 1 and 65535"),
        (b"a:00000", "between 1 and 65535"),
        (b"a:65536", "between 1 and 65535"),
        (b"a:" + b"9" * 5000, "between 1 and 65535"),
        (b"a:+80", "not a number"),
        (b"a:8x", "not a number"),
        (b"a:\xb2", "not a number"),
        (b"::1", "needs brackets"),
        (b"2001:db8::1:80", "needs brackets"),
        (b"a b", "a character that no host name has"),
        (b"a{b", "a character that no host name has"),
        (b"a{b:80", "a character that no host name has"),
        (b"\xc3\xa9.example", "a character that no host name has"),
        (b"a\\b", "a character that no host name has"),
        (b"a%41", "percent-encoded"),
        (b"a%00", "percent-encoded"),
        (b"[fe80::1%eth0]", "zone id"),
        (b"[fe80::1%25eth0]", "zone id"),
        (b"[::1", "no valid IPv6"),
        (b"[]", "no valid IPv6"),
        (b"[:::]", "no valid IPv6"),
        (b"[1.2.3.4]", "no valid IPv6"),
        (b"[12345::]", "no valid IPv6"),
        (b"[v1.x]", "no valid IPv6"),
        (b"[::1]80", "no valid IPv6"),
        (b"127.1", "four decimal numbers"),
        (b"2130706433", "four decimal numbers"),
        (b"0x7f.0.0.1", "four decimal numbers"),
        (b"0177.0.0.1", "four decimal numbers"),
        (b"0x7f000001", "four decimal numbers"),
        (b"1.2.3.0X4", "four decimal numbers"),
        (b"256.0.0.1", "four decimal numbers"),
        (b"1.2.3.4.5", "four decimal numbers"),
        (b"127.0.0.1.", "four decimal numbers"),
        (b"a" * 256, "more than 255"),
    ],
)
@pytest.mark.parametrize("place", ["CONNECT", "URL", "Host"])
def test_what_is_no_host_and_port_is_refused_wherever_it_stands(
    value: bytes, reason: str, place: str
) -> None:
    arguments = {
        "CONNECT": (b"CONNECT", value, None),
        "URL": (b"GET", b"http://" + value, None),
        "Host": (b"GET", b"/", value or b":80"),
    }[place]
    with pytest.raises(BadRequestError, match=place) as caught:
        parse_target(*arguments)
    assert caught.value.status == 400
    assert reason in caught.value.cause


def test_an_empty_host_names_no_host() -> None:
    for host in (b"", None):
        with pytest.raises(BadRequestError, match="names no host"):
            parse_target(b"GET", b"/", host)


@pytest.mark.parametrize(("method", "target"), [(b"CONNECT", b"a:1"), (b"GET", b"http://a/")])
@pytest.mark.parametrize("host", [b"", None, b"other.example:1"])
def test_the_target_outranks_the_host(method: bytes, target: bytes, host: bytes | None) -> None:
    assert parse_target(method, target, host)[2].host == "a"


def test_a_bad_host_is_refused_though_the_target_outranks_it() -> None:
    with pytest.raises(BadRequestError, match="The Host field has a user name"):
        parse_target(b"GET", b"http://a/", b"u@a")


@pytest.mark.parametrize("host", [b"u@a", b"http://a", b"::1:443", b"127.1"])
def test_the_host_of_a_connect_means_nothing(host: bytes) -> None:
    assert parse_target(b"CONNECT", b"a:1", host)[2] == Authority("a", 1)


@pytest.mark.parametrize(
    "host", [b"a.0x7g", b"1.2.3.4.example", b"0x.a", b"a-1", b"3com", b"a" * 255, b"1.a1"]
)
def test_names_with_digits_are_names(host: bytes) -> None:
    assert parse_authority(host, 80, "It") == Authority(host.decode(), 80)


@pytest.mark.parametrize(
    ("authority", "wire", "http_host"),
    [
        (Authority("a", 80), b"a:80", b"a"),
        (Authority("a", 443), b"a:443", b"a:443"),
        (Authority("::1", 80), b"[::1]:80", b"[::1]"),
        (Authority("::1", 81), b"[::1]:81", b"[::1]:81"),
    ],
)
def test_an_authority_is_written_for_connect_and_for_host(
    authority: Authority, wire: bytes, http_host: bytes
) -> None:
    assert authority.to_bytes() == wire
    assert authority.to_host_field(b"http") == http_host
    assert authority.to_host_field(b"") == wire
