"""The variables of the environment, as they are set and in files."""

from __future__ import annotations

import pytest

from px.core.startup_errors import ConfigError

from .conversion import Converter


@pytest.mark.parametrize(
    ("variables", "server"),
    [
        ({"https_proxy": "http://p:1"}, "https=p:1"),
        ({"HTTPS_PROXY": "http://p:1/", "http_proxy": "p:1"}, "p:1"),
        ({"all_proxy": "socks5h://p"}, "socks5://p:1080"),
        ({"all_proxy": "p:1", "http_proxy": "q:2"}, "http=q:2, https=p:1"),
        (
            {"http_proxy": "http://[::1]:8080", "https_proxy": "https://q"},
            "http=[::1]:8080, https=https://q:443",
        ),
    ],
)
def test_each_url_keeps_its_proxy(converter: Converter, variables, server):
    done = converter.run("env", **variables)
    assert f"\nserver = {server}\n" in done.ini
    assert (done.lost, done.warnings, done.found.source) == ("", (), "the environment")


def test_a_user_of_all_proxies_becomes_the_user_of_px_without_the_password(converter: Converter):
    proxy = "http://CORP%5Calice:s3cret%3A@proxy.corp.example:8080"
    done = converter.run("env", http_proxy=proxy, https_proxy=proxy, no_proxy="localhost,.corp.example,a@b")
    assert (done.settings.username, str(done.settings.noproxy)) == ("CORP\\alice", "localhost, .corp.example")
    assert [str(each) for each in done.settings.proxy] == ["http://proxy.corp.example:8080"]
    assert done.found.password_users == [""]
    assert done.lost.splitlines()[0].endswith("store it in the keyring: px --password")
    assert "s3cret" not in done.ini + done.lost


def test_different_users_stay_with_their_proxies(converter: Converter):
    done = converter.run("env", http_proxy="http://a:x1@p:1", https_proxy="http://b:x2@q:2")
    assert [(str(each), each.username, each.password) for each in done.settings.proxy] == [
        ("http://p:1", "a", None),
        ("http://q:2", "b", None),
    ]
    assert done.found.password_users == ["a", "b"]
    assert 'px --password --username="b"' in done.lost


def test_a_proxy_that_is_px_itself_is_left_out(converter: Converter):
    done = converter.run("env", http_proxy="http://localhost:3128", https_proxy="q:2")
    assert "\nserver = https=q:2\n" in done.ini
    assert "http_proxy is not taken over: it points at Px itself" in done.lost
    with pytest.raises(ConfigError, match="no setting in it is of use") as caught:
        converter.run("env", http_proxy="http://localhost:3128")
    assert "points at Px itself" in caught.value.warnings[0]


def test_the_hash_of_another_user_is_not_taken(converter: Converter):
    credentials = "me@A:823893adfad2cda6e1a414f3ebdf58f7"
    done = converter.run("env", https_proxy="http://bob@p:1", NTLM_CREDENTIALS=credentials)
    assert (done.settings.username, done.settings.nthash) == ("bob", None)
    assert "the proxies have another user" in done.lost


def test_a_file_with_variables_is_read_line_by_line(converter: Converter):
    done = converter.convert(
        'PATH=/bin\n export http_proxy=\'p:1\' # mine\nset NO_PROXY="a, b"\nEnvironment="https_proxy=q:2"\n'
    )
    assert (done.found.kind, str(done.settings.noproxy)) == ("variables of the environment", "a, b")
    assert "\nserver = http=p:1, https=q:2\n" in done.ini
    assert converter.error("https_proxy=http://u:s3cret@p:port\n") == (
        "foreign.conf:1: https_proxy: entry 1: no valid port; ports are 1 to 65535"
    )


def test_an_environment_without_a_proxy_is_an_error(converter: Converter):
    with pytest.raises(ConfigError, match="no variable names a proxy"):
        converter.run("env", HOME="/root")
