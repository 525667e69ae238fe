"""Settings of px.ini that an import does not replace, where the other program has another default."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from px.config.ini_text import IniText
from px.config.options import OPTION_BY_NAME

from .conversion import Converter

#: Values for px.ini that are no defaults.
OTHERS: Mapping[str, str] = {
    "gateway": "1",
    "hostonly": "1",
    "listen": "10.0.0.1",
    "allow": "10.0.0.0/8",
    "client_auth": "NTLM",
    "port": "4000",
    "socks": "1080",
    "tunnel": "2222:git.example:22",
    "username": "CORP\\bob",
    "auth": "BASIC",
    "workstation": "PC-1",
    "noproxy": "*.old.example",
    "useragent": "Old/1.0",
    "proxy": "old.example:8080",
    "pac": "http://old.example/proxy.pac",
}
WHO = {"gateway", "hostonly", "listen", "allow", "client_auth"}
CNTLM = "Proxy proxy.corp.example:8080\nFlags 1\n"
WINFOOM = "proxy.type=HTTP\nproxy.http.host=proxy.corp.example\nproxy.http.port=8080\n"
ALPACA = "exec alpaca -k -p 3128\n"


def format_ini(*names: str, **texts: str) -> str:
    """Return a px.ini with some of the values in `OTHERS`, and others."""
    ini = IniText("", newline="\n")
    for name, text in {**{each: OTHERS[each] for each in names}, **texts}.items():
        ini.set(OPTION_BY_NAME[name].section, OPTION_BY_NAME[name].key, text)
    return str(ini)


def find_kept(lines: list[str]) -> set[str]:
    """Return the names of the options that stay, as warnings tell."""
    keys = {line.partition("=")[0] for line in lines if " stays: " in line}
    return {option.name for option in OPTION_BY_NAME.values() if option.key in keys}


def test_a_cntlm_conf_without_gateway_does_not_leave_px_open_unnoticed(converter: Converter) -> None:
    converter.write(format_ini("gateway", "hostonly"), "px.ini")
    done = converter.convert(CNTLM)
    assert (done.settings.gateway, done.settings.hostonly) == (True, True)
    reason = "stays: foreign.conf does not replace it, and the default of cntlm is 0; for that, give"
    assert [line for line in done.found.warnings if " stays: " in line] == [
        f"gateway=1 ({converter.ini}:2) {reason} --gateway=0 with --save",
        f"hostonly=1 ({converter.ini}:3) {reason} --hostonly=0 with --save",
    ]


@pytest.mark.parametrize(
    ("foreign", "flags", "kept"),
    [
        (f"{CNTLM}Gateway no\n", [], {"hostonly"}),
        (f"{CNTLM}Gateway yes\n", [], {"hostonly"}),
        (f"{CNTLM}Gateway yes\nListen 10.0.0.2:3128\n", [], {"gateway", "hostonly"}),
        (CNTLM, ["--gateway=0"], {"hostonly"}),
        (CNTLM, ["--gateway=0", "--hostonly=0"], set()),
    ],
)
def test_what_the_import_sets_does_not_stay(
    converter: Converter, foreign: str, flags: list[str], kept: set[str]
) -> None:
    converter.write(format_ini("gateway", "hostonly"), "px.ini")
    assert find_kept([*converter.convert(foreign, *flags).found.warnings]) == kept


@pytest.mark.parametrize(
    ("foreign", "kept"),
    [
        (
            CNTLM,
            WHO | {"port", "socks", "tunnel", "username", "auth", "workstation", "noproxy", "useragent"},
        ),
        (WINFOOM, WHO | {"username", "auth", "noproxy"}),
        (ALPACA, WHO | {"username", "proxy", "pac"}),
        ("[proxy]\nserver = proxy.corp.example:8080\n[settings]\nidle = 9\n", {*OTHERS} - {"proxy"}),
        ("https_proxy=http://proxy.corp.example:8080\n", {"username", "noproxy"}),
        ("socket.connectTimeout=20\nsocket.soTimeout=60\n", set()),
        ("NTLM_CREDENTIALS=bob@CORP:8846f7eaee8fb117ad06bdd830b7586c\n", set()),
    ],
    ids=["cntlm", "winfoom", "alpaca", "px", "environment", "timeouts of winfoom", "variable of alpaca"],
)
def test_each_default_of_the_other_program_that_px_ini_overrules_has_a_line(
    converter: Converter, foreign: str, kept: set[str]
) -> None:
    found: set[str] = set()
    for name in OTHERS:
        text = format_ini(name, **({"client_auth": "ANY"} if name == "client_auth" else {}))
        converter.write(text, "px.ini")
        found |= find_kept([*converter.convert(foreign).found.warnings])
    assert found == kept


@pytest.mark.parametrize("foreign", [CNTLM, WINFOOM, ALPACA])
def test_defaults_in_px_ini_stay_without_a_word(converter: Converter, foreign: str) -> None:
    converter.convert(foreign)
    assert "stays" not in converter.convert(foreign).lost
    converter.write(format_ini(auth="NTLM"), "px.ini")
    assert "auth" not in find_kept([*converter.convert(CNTLM).found.warnings])


def test_a_setting_that_could_not_be_taken_over_does_not_hide_what_stays(converter: Converter) -> None:
    converter.write(format_ini("socks"), "px.ini")
    done = converter.convert(f"{CNTLM}Listen 3128\nSOCKS5Proxy 1080\nSOCKS5User bob:secret\n")
    assert done.settings.socks == 1080
    assert find_kept([*done.found.warnings]) == {"socks"}


def test_a_password_in_px_ini_is_not_shown(converter: Converter) -> None:
    converter.write(format_ini(proxy="socks5://bob:secret@old.example:1080"), "px.ini")
    lost = converter.convert(ALPACA).lost
    assert "server=" in lost
    assert "secret" not in lost


def test_the_values_of_this_test_are_no_defaults() -> None:
    options = {OPTION_BY_NAME[name]: text for name, text in OTHERS.items()}
    assert all(option.parse(text) != option.parse(option.default) for option, text in options.items())
