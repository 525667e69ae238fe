"""Locations of PAC scripts, in the forms that people and systems write."""

from __future__ import annotations

import pytest

from px.core.errors import PacError
from px.core.rules.pac_location import parse_pac_location, shorten_location


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("proxy.pac", "file", "proxy.pac"),
        (" /etc/proxy.pac ", "file", "/etc/proxy.pac"),
        (r"C:\proxy.pac", "file", r"C:\proxy.pac"),
        (r"\\server\share\proxy.pac", "file", r"\\server\share\proxy.pac"),
        ("file:///etc/my%20proxy.pac", "file", "/etc/my proxy.pac"),
        ("file:/etc/proxy.pac", "file", "/etc/proxy.pac"),
        ("FILE://localhost/etc/proxy.pac", "file", "/etc/proxy.pac"),
        ("http://pac.test/proxy.pac?a=b", "http", "http://pac.test/proxy.pac?a=b"),
        ("HTTPS://[::1]:8443/", "http", "HTTPS://[::1]:8443/"),
        ("data:,x", "data", "data:,x"),
    ],
)
def test_locations(text, kind, value):
    assert parse_pac_location(text, is_windows=False) == (kind, value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///C:/dir/my%20proxy.pac", r"C:\dir\my proxy.pac"),
        ("file:///C|/proxy.pac", r"C:\proxy.pac"),
        ("file://C:/proxy.pac", r"C:\proxy.pac"),
        (r"file://C:\dir\proxy.pac", r"C:\dir\proxy.pac"),
        ("file:C:/proxy.pac", r"C:\proxy.pac"),
        ("file:/C:/proxy.pac", r"C:\proxy.pac"),
        ("file://localhost/C:/proxy.pac", r"C:\proxy.pac"),
        ("file://server/share/proxy.pac", r"\\server\share\proxy.pac"),
        ("file:////server/share/proxy.pac", r"\\server\share\proxy.pac"),
        ("file://///server/share/proxy.pac", r"\\server\share\proxy.pac"),
        ("file:///dir/proxy.pac", r"\dir\proxy.pac"),
        ("c:/proxy.pac", "c:/proxy.pac"),
    ],
)
def test_files_on_windows(text, path):
    assert parse_pac_location(text, is_windows=True) == ("file", path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://pac.test/proxy.pac", "Px does not support ftp: URLs"),
        ("javascript:alert(1)", "Px does not support javascript: URLs"),
        ("http:///proxy.pac", "names no host"),
        ("http://pac.test:99999/", "not valid"),
        ("http://[::1/", "not valid"),
        ("http://user:secret@pac.test/", "must not have a user name"),
        ("file://other/proxy.pac", "on the computer other"),
    ],
)
def test_texts_that_are_no_location(text, reason):
    with pytest.raises(PacError, match="cannot be loaded") as caught:
        parse_pac_location(text, is_windows=False)
    assert reason in caught.value.cause
    assert "secret" not in caught.value.cause
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@pac.test/p@q", "http://pac.test/p@q"),
        ("http://pac.test/", "http://pac.test/"),
        ("http://pac.test/p.pac?token=secret", "http://pac.test/p.pac?..."),
        ("HTTPS://pac.test?secret#secret", "HTTPS://pac.test?..."),
        ("http://pac.test/p#secret?secret", "http://pac.test/p?..."),
        ("http://user:secret@pac.test/p?secret@q", "http://pac.test/p?..."),
        ("ftp://pac.test/p?secret", "ftp://pac.test/p?..."),
        ("pac.test/p.pac?secret", "pac.test/p.pac?..."),
        ("/home/c#/p.pac", "/home/c#/p.pac"),
        ("file:///home/c#/p.pac", "file:///home/c#/p.pac"),
        ("data:,function", "in the data: URL"),
        ("x" * 300, "x" * 200 + "..."),
    ],
)
def test_the_shown_form_of_a_location_has_no_secret(text, shown):
    assert shorten_location(text) == shown


@pytest.mark.parametrize("is_windows", [True, False])
@pytest.mark.parametrize("char", ["\x1b", "\n", "\r", "\x9b", "\u2028", "\u202e"])
@pytest.mark.parametrize("place", ["http://h/p{}.pac", "/etc/p{}.pac", "file:///etc/p{}.pac", "data:,{}x"])
def test_a_location_with_control_characters_is_refused(place, char, is_windows):
    with pytest.raises(PacError, match="control characters") as caught:
        parse_pac_location(place.format(char), is_windows=is_windows)
    assert caught.value.cause.isprintable()


def test_a_file_url_cannot_hide_control_characters():
    with pytest.raises(PacError, match="control characters"):
        parse_pac_location("file:///etc/p%1B%0A.pac", is_windows=False)
    assert parse_pac_location("http://h/p%1B.pac", is_windows=False).value == "http://h/p%1B.pac"


def test_a_path_may_have_bytes_that_are_not_utf_8():
    assert parse_pac_location("/etc/p\udce4.pac", is_windows=False).value == "/etc/p\udce4.pac"
    assert shorten_location("/etc/p\udce4\x1b.pac") == r"/etc/p\udce4\x1b.pac"
