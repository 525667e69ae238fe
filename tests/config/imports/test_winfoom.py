"""Settings of winfoom, as properties and as JSON."""

from __future__ import annotations

import sys

import pytest

from .conversion import Converter

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="winfoom logs in as the user of Windows there")

PROPERTIES = """\
#Mon Nov 23 09:12:44 CET 2026
app.version = 5.2.1
api.port = 9999
proxy.type = HTTP
proxy.http.host = proxy.corp.example
proxy.http.port = 8080
proxy.socks5.host = old.corp.example
proxy.socks5.port = 1080
proxy.socks5.username = old
proxy.http.username = CORP\\\\alice
proxy.http.password = encoded(czNjcmV0)
proxy.http.win.useCurrentCredentials = true
http.auth.protocol = NTLM
proxy.test.url = http://example.com
blacklist.timeout = 30
autostart = true
autodetect = false
socket.connectTimeout = 20
"""


@on_posix
def test_the_properties_become_a_px_ini_that_loads_without_a_warning(converter: Converter):
    done = converter.convert(PROPERTIES)
    settings = done.settings
    assert (done.found.kind, done.warnings) == ("settings of winfoom", ())
    assert [str(each) for each in settings.proxy] == ["http://proxy.corp.example:8080"]
    assert (settings.username, str(settings.auth)) == ("CORP\\alice", "NTLM")
    assert (settings.port, settings.socktimeout) == (3129, 20)  # 3129 is the default of winfoom
    assert [warning.split(": ")[0] for warning in done.found.warnings] == [
        f"foreign.conf:{line}" for line in (3, 11, 14, 16)
    ]
    assert "proxy.http.password: the password is not taken over" in done.lost
    assert "czNjcmV0" not in done.ini
    assert "czNjcmV0" not in done.lost


@pytest.mark.skipif(sys.platform != "win32", reason="asks Windows who is logged in")
def test_on_windows_winfoom_and_px_log_in_as_the_user_of_windows(converter: Converter):
    done = converter.convert(PROPERTIES)
    assert (done.settings.username, str(done.settings.auth), done.found.password_users) == ("", "ANY", [])
    assert "proxy.http.username is not needed: winfoom logs in as the user of Windows" in done.found.notes[0]
    given = converter.convert(PROPERTIES.replace("= true", "= false"))
    assert (given.settings.username, given.found.password_users) == ("CORP\\alice", [""])


def test_json_of_a_socks_proxy_keeps_the_user_with_the_proxy(converter: Converter):
    done = converter.convert(
        '{\n  "proxyType" : "SOCKS5",\n  "proxyHost" : "socks.corp.example",\n  "proxyPort" : 1080,\n'
        '  "proxyUsername" : "al ice",\n  "proxyPassword" : "s3cret",\n  "localPort" : 3130,\n'
        '  "proxyTestUrl" : null\n}\n'
    )
    (upstream,) = done.settings.proxy
    assert (str(upstream), upstream.username) == ("socks5://socks.corp.example:1080", "al ice")
    assert (done.settings.port, done.settings.username, done.warnings) == (3130, "", ())
    assert done.found.password_users == ["al ice"]
    assert "foreign.conf:6: proxyPassword: the password" in done.lost
    assert "s3cret" not in done.ini + done.lost


@on_posix
def test_a_pac_script_and_its_user(converter: Converter):
    pac = converter.write("function FindProxyForURL() {}", "my.pac")
    done = converter.convert(
        "proxy.type=PAC\nproxy.pac.fileLocation=my.pac\nproxy.pac.username=bob\npac.http.auth.protocol=BASIC\n"
        "proxy.http.host=other\nproxy.http.username=eve\n"
    )
    settings = done.settings
    assert (settings.pac, settings.proxy, settings.username) == (str(pac), (), "bob")
    assert (str(settings.auth), done.lost) == ("BASIC", "")


def test_without_a_proxy_px_connects_directly(converter: Converter):
    done = converter.convert("proxy.type=DIRECT\nlocal.port=3130\nproxy.http.host=other\n")
    assert (done.settings.noproxy.matches_everything, done.settings.proxy) == (True, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"proxyType": "HTTP",\n"proxyPort": [1],\n}',
            "foreign.conf: not settings of winfoom that can be read: ",
        ),
        (
            '{"proxyType":"HTTP","proxyHost":' + "[" * 200_000 + "]" * 200_000 + "}",
            "foreign.conf: not settings of winfoom that can be read: it is nested too deeply",
        ),
        ('{"proxyType": "HTTP",\n"proxyHost": "p", "proxyPort": [1]}', "proxyHost=p:[1] (foreign.conf:2): "),
        ("local.port=1\nproxy.type=FTP\n", "foreign.conf:2: proxy.type: unknown; valid is: HTTP, SOCKS4"),
        ("proxy.type=HTTP\nlocal.port=none\n", "local.port=none (foreign.conf:2): not a number"),
    ],
)
def test_a_malformed_value_is_an_error_with_its_place(converter: Converter, text, message):
    assert converter.error(text).startswith(message)
