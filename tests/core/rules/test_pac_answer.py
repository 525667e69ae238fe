"""Answers of PAC scripts, from the documented forms to those found in the wild."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import PacError
from px.core.rules.pac_answer import MAX_ENTRIES, find_unusable, parse_pac_answer
from px.core.rules.route import Direct, UpstreamAddress, Via

DIRECT = Direct()


def via(scheme: str, host: str, port: int) -> Via:
    return Via(UpstreamAddress(scheme, host, port, is_found=True))


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("DIRECT", [DIRECT]),
        ("", [DIRECT]),
        (" ; ;", [DIRECT]),
        ("PROXY one:8080", [via("http", "one", 8080)]),
        ("PROXY one", [via("http", "one", 80)]),
        ("HTTP one", [via("http", "one", 80)]),
        ("HTTPS one", [via("https", "one", 443)]),
        # no version is named: after a server without version 5, version 4 is tried
        ("SOCKS one", [via("socks5", "one", 1080), via("socks4", "one", 1080)]),
        ("SOCKS5 one:9", [via("socks5", "one", 9)]),
        ("SOCKS4 one", [via("socks4", "one", 1080)]),
        (
            "PROXY one:1; HTTPS two:2;SOCKS three:3 ; DIRECT;",
            [
                via("http", "one", 1),
                via("https", "two", 2),
                via("socks5", "three", 3),
                via("socks4", "three", 3),
                DIRECT,
            ],
        ),
        # a colon without a port: the default port of the scheme
        ("PROXY one:", [via("http", "one", 80)]),
        ("PROXY 127.0.0.1: ;", [via("http", "127.0.0.1", 80)]),
        ("HTTPS one:", [via("https", "one", 443)]),
        ("SOCKS5 one:", [via("socks5", "one", 1080)]),
        ("PROXY [2001:db8::1]:", [via("http", "2001:db8::1", 80)]),
        ("PROXY one :8080; PROXY two: 8080", [via("http", "one", 8080), via("http", "two", 8080)]),
        ("PROXY one:08080", [via("http", "one", 8080)]),
        ("PROXY one:8080;\r\n\tPROXY two:8080;\r\n", [via("http", "one", 8080), via("http", "two", 8080)]),
        ("direct;PROXY one", [DIRECT, via("http", "one", 80)]),
        ("proxy one:1;direct", [via("http", "one", 1), DIRECT]),
        ("\tPROXY\t  one:1\r\n", [via("http", "one", 1)]),
        ("PROXY [2001:db8::1]:8080", [via("http", "2001:db8::1", 8080)]),
        ("PROXY [2001:db8::1]", [via("http", "2001:db8::1", 80)]),
        ("PROXY 10.0.0.1:3128", [via("http", "10.0.0.1", 3128)]),
        (
            "PROXY one:1; PROXY two:1; PROXY one:1; DIRECT; DIRECT",
            [via("http", "one", 1), via("http", "two", 1), DIRECT],
        ),
        # unreadable entries are skipped
        ("QUIC one:443; PROXY two:1", [via("http", "two", 1)]),
        ("PROXY; PROXY :80; PROXY one:0; PROXY one:65536; PROXY one:x; DIRECT", [DIRECT]),
        ("PROXY 2001:db8::1:80; DIRECT", [DIRECT]),
        ("PROXY http://one:80; PROXY one:80/; PROXY=one:80; SOCKS4A one; PROXY one, two; DIRECT", [DIRECT]),
        ("PROXY user:secret@one:80; DIRECT", [DIRECT]),
        ("PROXY one:80 two:80; DIRECT now; PROXY 10.0.0.300:80; DIRECT", [DIRECT]),
    ],
)
def test_answers(text, routes):
    assert list(parse_pac_answer(text)) == routes


@pytest.mark.parametrize(
    ("text", "unusable"),
    [
        ("", ()),
        ("PROXY one:; SOCKS two;; DIRECT;", ()),
        ("PROXY one:0; PROXY two ; QUIC three:1", ("PROXY one:0", "QUIC three:1")),
        ("PROXY user:secret@one; DIRECT", ("PROXY ...@one",)),
    ],
)
def test_the_skipped_entries_can_be_listed(text, unusable):
    assert find_unusable(text) == unusable


@pytest.mark.parametrize("text", ["nonsense", "PROXY", "one:8080", "PROXY one:0;", "PROXY one, PROXY two"])
def test_an_answer_without_anything_usable_is_an_error_that_quotes_it(text):
    with pytest.raises(PacError, match="names no usable proxy") as caught:
        parse_pac_answer(text)
    assert repr(text) in caught.value.cause


def test_a_password_in_an_answer_is_not_quoted():
    with pytest.raises(PacError) as caught:
        parse_pac_answer("PROXY user:secret@one:80; SOCKS other:secret@two")
    assert "'PROXY ...@one:80; SOCKS ...@two'" in caught.value.cause


def test_a_long_answer_is_quoted_in_part():
    with pytest.raises(PacError) as caught:
        parse_pac_answer("x" * 10_000)
    assert len(caught.value.cause) < 300


def test_quoting_a_long_answer_is_fast():
    begun = time.monotonic()
    with pytest.raises(PacError):
        parse_pac_answer("x" * 32768)
    assert time.monotonic() - begun < 1


def test_a_list_without_an_end_is_cut():
    assert len(parse_pac_answer("".join(f"PROXY p{number};" for number in range(1000)))) == MAX_ENTRIES


def test_an_upstream_of_a_script_is_marked_as_found():
    assert parse_pac_answer("PROXY one")[0].upstream.is_found  # type: ignore[union-attr]


@given(st.text(alphabet="PROXYDIRECTSOCKS45HTTP ;:[]0189.ab\t\n\x00é", max_size=60))
def test_any_text_gives_routes_or_the_one_error(text):
    try:
        routes = parse_pac_answer(text)
    except PacError:
        return
    assert routes
    assert len(set(routes)) == len(routes)
