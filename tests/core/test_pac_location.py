"""Where PAC scripts are, in the forms that people and systems write."""

from __future__ import annotations

import pytest

from px.core.errors import PacError
from px.core.pac_location import parse_pac_location, shorten_location


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
    ("text", "told"),
    [
        ("ftp://pac.test/proxy.pac", "Px knows no ftp: URLs"),
        ("javascript:alert(1)", "Px knows no javascript: URLs"),
        ("http:///proxy.pac", "names no host"),
        ("http://pac.test:99999/", "not valid"),
        ("http://[::1/", "not valid"),
        ("http://user:secret@pac.test/", "no user name"),
        ("file://other/proxy.pac", "on the computer other"),
    ],
)
def test_what_cannot_be_a_location(text, told):
    with pytest.raises(PacError, match="cannot be loaded") as caught:
        parse_pac_location(text, is_windows=False)
    assert told in caught.value.cause
    assert "secret" not in caught.value.cause
    assert caught.value.mend


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@pac.test/p@q", "http://pac.test/p@q"),
        ("http://pac.test/", "http://pac.test/"),
        ("data:,function", "in the data: URL"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_what_is_shown_of_a_location(text, shown):
    assert shorten_location(text) == shown
