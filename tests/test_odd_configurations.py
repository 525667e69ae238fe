"""Configurations that users bring along: from other versions, other editors and other programs."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from px.app.proxy_discovery import describe_upstreams
from px.config.options import OPTIONS
from px.config.writer import save_settings
from px.core.auth.policy import AuthPolicy
from px.core.rules.access import ALL_INTERFACES
from tests.config.test_settings import Directories
from tests.original_inis import HOSTONLY_INI
from tests.px_process import PxProcess, run_action

LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))


@pytest.fixture
def dirs(tmp_path: Path) -> Directories:
    return Directories(tmp_path)


# Other versions


def test_a_px_ini_saved_by_the_original_px_with_hostonly_has_the_same_meaning_here(dirs):
    dirs.ini(HOSTONLY_INI)
    loaded = dirs.load()
    assert loaded.warnings == ()
    access = loaded.settings.access
    assert (access.listen, access.allow, access.admits_own) == (ALL_INTERFACES, None, True)
    assert access.audience == "this computer's own addresses"


def test_px_starts_with_a_px_ini_saved_by_the_original_px(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text(HOSTONLY_INI)
    with PxProcess(tmp_path) as px:
        assert "for this computer's own addresses. Upstream: http://proxy.corp.example:8080." in px.output
        assert "warning" not in px.output


def test_an_empty_allow_admits_no_client_and_is_an_error_without_hostonly(dirs):
    dirs.ini("[proxy]\nserver = h\nallow =\ngateway = 1\nhostonly = 1\n")
    access = dirs.load().settings.access
    assert (access.allow, access.admits_own) == (None, True)
    assert not access.admits("10.1.2.3", lambda _: False)
    path = dirs.ini("[proxy]\nserver = h\nallow =\ngateway = 1\n")
    assert dirs.error().startswith(f"allow= ({path}:3): empty, so no client could use Px")


@pytest.mark.parametrize(
    "key", ["authretry = 0.0", "AuthRetry = 0", "event_loop=auto", "event-loop = auto", "log_level = info"]
)
def test_an_unsupported_key_of_the_original_px_causes_no_warning_at_its_default(dirs, key):
    dirs.ini(f"[proxy]\nserver = h\n[settings]\n{key}\n")
    assert dirs.load().warnings == ()


def test_an_unsupported_variable_of_the_original_px_causes_no_warning(dirs):
    assert dirs.load("--proxy=h", PX_AUTHRETRY="0.0", PX_EVENT_LOOP="auto").warnings == ()


@pytest.mark.parametrize("key", ["authretry", "event_loop", "log_level"])
def test_an_unsupported_key_with_another_value_causes_a_warning(dirs, key):
    path = dirs.ini(f"[proxy]\nserver = h\n[settings]\n{key} = mine\n")
    assert dirs.load().warnings == (
        f"{path}:4: unknown key [settings] {key}: a key of the original Px, without effect here",
    )


# Other editors


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("cp1252", "cp1252"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
    ],
)
def test_a_px_ini_is_read_in_any_encoding_and_saved_in_utf8(dirs, encoding, said, end):
    text = f"[proxy]{end}# für das Büro{end}server = proxy:8080{end}username = müller{end}"
    path = dirs.ini("")
    path.write_bytes(text.encode(encoding))
    wanted = dirs.load("--save", "--port=1")
    warnings = [f"{path}: is not UTF-8 text and was read as {said}; save it as UTF-8"] if said else []
    assert list(wanted.warnings) == warnings
    assert (str(wanted.settings.proxy[0]), wanted.settings.username) == ("http://proxy:8080", "müller")
    save_settings(path, wanted.given, wanted.settings)
    assert f"# für das Büro{end}".encode() in path.read_bytes()
    read = dirs.load()
    assert (read.settings.username, read.settings.port, read.warnings) == ("müller", 1, ())


def test_nul_bytes_in_a_px_ini_are_left_out_with_a_warning(dirs):
    path = dirs.ini("[proxy]\nserver = h:1\n" + 100 * "\0")
    loaded = dirs.load()
    assert str(loaded.settings.proxy[0]) == "http://h:1"
    assert loaded.warnings == (
        f"{path}: has NUL bytes, which were left out; check the file and save it again",
    )


def test_px_does_not_guess_the_encoding_of_a_secret(dirs):
    path = dirs.ini("")
    path.write_bytes("[proxy]\nserver = bob:pässword@h:1\n".encode("cp1252"))
    told = "has a secret beyond ASCII in a file that is not UTF-8; save the file as UTF-8"
    assert dirs.error() == f"server=*** ({path}:2): {told}"
    path.unlink()
    dotenv = dirs.dotenv("")
    dotenv.write_bytes("PX_USERNAME=müller\nPX_PASSWORD=pässword\n".encode("cp1252"))
    assert dirs.error("--proxy=h").startswith(f"PX_PASSWORD=*** ({dotenv}:2): has a secret beyond ASCII")
    dotenv.write_bytes(
        "PX_USERNAME=müller\nPX_PASSWORD=pässword\n".encode("utf-16")
    )  # the encoding of PowerShell
    assert dirs.load("--proxy=h").settings.password.reveal() == "pässword"


# Lists of upstreams


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:1;b:2", "http://a:1, http://b:2"),
        ("http=a:1;https=b:2", "http://a:1 for http URLs, http://b:2 for https URLs"),
    ],
)
@pytest.mark.parametrize("source", ["flag", "variable", "ini"])
def test_lists_of_upstreams_may_have_the_syntax_of_other_programs(dirs, text, said, source):
    argv = [f"--proxy={text}"] if source == "flag" else []
    environ = {"PX_PROXY": text} if source == "variable" else {}
    if source == "ini":
        dirs.ini(f"[proxy]\nserver = {text}\n")
    assert describe_upstreams(dirs.load(*argv, **environ).settings) == said


# Where to listen


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("localhost", LOOPBACK),
        ("LocalHost, 127.0.0.1", LOOPBACK),
        ("*", ALL_INTERFACES),
        ("0.0.0.0", ALL_INTERFACES[:1]),
        ("::", ALL_INTERFACES[1:]),
        ("[::]; 0.0.0.0", ALL_INTERFACES[::-1]),
        ('"127.0.0.1" ', LOOPBACK[:1]),
    ],
)
def test_listen_accepts_host_names_and_an_asterisk(dirs, text, addresses):
    assert dirs.settings(f"--listen={text}").listen.addresses == addresses


@pytest.mark.parametrize(
    ("text", "optional"),
    [
        ("localhost", LOOPBACK[1:]),
        ("127.0.0.1,::1", ()),
        ("localhost,::1", ()),
        ("10.0.0.1,localhost", LOOPBACK[1:]),
        ("*", ()),
    ],
)
def test_the_ipv6_address_of_localhost_is_optional_unless_it_is_named(dirs, text, optional):
    assert dirs.settings(f"--listen={text}").listen.optional == frozenset(optional)


def test_the_name_of_this_computer_stands_for_its_addresses(dirs, monkeypatch):
    found = [(0, 0, 0, "", ("192.0.2.1", 0)), (0, 0, 0, "", ("2001:db8::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert dirs.settings("--listen=my-pc").listen.addresses == (
        ip_address("192.0.2.1"),
        ip_address("2001:db8::1"),
    )


def test_a_name_without_an_address_is_an_error(dirs, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "'my-pc' is neither an IP address nor a name that has one" in dirs.error(
        "--proxy=h", "--listen=my-pc"
    )


def test_px_listens_on_localhost(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nlisten = localhost\n")
    with PxProcess(tmp_path, "--noproxy=*") as px:
        assert f"Px listens on 127.0.0.1:{px.port}" in px.output


# Quotes


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ('port = "3129"', "port", 3129),
        ("hostonly = '1'", "hostonly", True),
        ('socktimeout = "2.5"', "socktimeout", 2.5),
        ('pac = "http://a/proxy.pac"', "pac", "http://a/proxy.pac"),
        ('auth = "NTLM"', "auth", AuthPolicy.parse("NTLM")),
        ('accesslog = "-"', "accesslog", "-"),
        ('pac_encoding = "UTF-8"', "pac_encoding", "utf-8"),
    ],
)
def test_quotes_around_a_value_are_no_part_of_it(dirs, written, field, value):
    section = next(option.section for option in OPTIONS if option.name == field)
    dirs.ini(f"[{section}]\n{written}\n")
    assert getattr(dirs.load("--proxy=h").settings, field) == value


def test_the_path_of_a_px_ini_may_have_quotes(dirs):
    path = dirs.write("my.ini", "[proxy]\nport = 5\n")
    assert dirs.settings(PX_CONFIG=f'"{path}"').port == 5  # cmd keeps the quotes of: set PX_CONFIG="..."


def test_the_number_of_warnings_for_one_list_is_bounded(dirs):
    warnings = dirs.load("--proxy=h", "--noproxy=" + ",".join(f"{n}..x" for n in range(500))).warnings
    assert len(warnings) == 11
    assert warnings[-1] == "--noproxy: 490 more; --explain=URL names them all"


def test_the_error_for_a_comment_after_a_value_says_where_comments_go(dirs):
    path = dirs.ini("[proxy]\nserver = h\nport = 3128 ; the default\n")
    assert dirs.error() == (
        f"port=3128 ; the default ({path}:3): not a number from 1 to 65535;"
        " valid is: a port number, 1 to 65535; a comment needs a line of its own"
    )


def test_the_advice_about_comments_is_given_once(dirs):
    dirs.ini("[proxy]\nserver = h:1 # ours\n")
    assert dirs.error().count("a comment needs a line of its own") == 1


def test_explain_prints_warnings_of_the_configuration_and_the_explanation(tmp_path: Path) -> None:
    ini = tmp_path / "px.ini"
    ini.write_bytes(
        "[proxy]\n# für das Büro\nserver = 127.0.0.1:9\nnoproxy = 10.,a|b,c..d\n".encode("cp1252")
    )
    done = run_action(tmp_path, "--explain=http://b/")
    assert done.stderr.splitlines() == [
        f"px: warning: {ini}: is not UTF-8 text and was read as cp1252; save it as UTF-8",
        f"px: warning: noproxy ({ini}:4): 'c..d' is not a host name, domain or address; left out",
    ]
    assert "noproxy     noproxy names b: b\n            left out: 'c..d'" in done.stdout
