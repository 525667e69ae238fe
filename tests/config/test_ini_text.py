"""px.ini as text, with configparser as the oracle for its values."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.config.ini_text import IniError, IniText, fold_key

COMMENTED = """\
; my Px
[proxy]
# the one in Berlin
Server = a:1
port: 3129   \n\
noproxy = 10.*,
    # the lab
    192.168.*

\t172.16.*

; about the next section
[settings]

unknown-key = kept
"""

_LINES = st.lists(
    st.sampled_from(
        [
            "[proxy]",
            "[settings] x",
            "  [client]",
            "port = 1",
            "port=2 ; no comment",
            "Some-Key : a = b",
            "useragent = # x",
            "empty =",
            "  further in",
            "\tx = y",
            "",
            "   ",
            "# comment",
            "  ; comment",
            "noise",
            "= nameless",
            "[]",
        ]
    ),
    max_size=8,
)


def oracle(text: str) -> dict[tuple[str, str], str] | None:
    """Return what configparser reads with the original Px's settings, or None if it rejects the text."""
    parser = configparser.RawConfigParser(default_section="")
    parser.optionxform = fold_key  # type: ignore[assignment,method-assign] # the documented way
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return {(section, key): value for section in parser.sections() for key, value in parser.items(section)}


def values(ini: IniText) -> dict[tuple[str, str], str]:
    return {(entry.section, entry.key): entry.value for entry in ini}


def read(text: str) -> dict[tuple[str, str], str] | None:
    try:
        return values(IniText(text))
    except IniError:
        return None


def test_values_comments_and_lines_are_found():
    ini = IniText(COMMENTED)
    assert values(ini) == {
        ("proxy", "server"): "a:1",
        ("proxy", "port"): "3129",
        ("proxy", "noproxy"): "10.*,\n192.168.*\n\n172.16.*",
        ("settings", "unknown_key"): "kept",
    }
    assert [entry.lines for entry in ini] == [[3], [4], [5, 7, 9], [14]]
    assert str(ini) == COMMENTED
    assert repr(ini) == "<IniText sections=['proxy', 'settings'] keys=4>"


@given(_LINES)
def test_the_values_of_a_text_are_those_that_configparser_reads(lines):
    text = "\n".join(lines)
    assert read(text) == oracle(text)


@given(_LINES, st.sampled_from(["proxy", "client", "new"]), st.sampled_from(["port", "empty", "fresh"]))
def test_setting_a_key_changes_no_other_key_and_no_comment(lines, section, key):
    text = "\n".join(lines)
    before = oracle(text)
    if before is None:
        return
    ini = IniText(text)
    ini.set(section, key, "v 1")
    assert ini.get(section, key) == "v 1"
    assert oracle(str(ini)) == values(ini) == {**before, (section, key): "v 1"}
    comments = [line for line in lines if line.strip().startswith(("#", ";"))]
    assert [line for line in str(ini).split("\n") if line.strip().startswith(("#", ";"))] == comments


def test_setting_a_key_keeps_its_place_and_its_style():
    ini = IniText(COMMENTED)
    ini.set("proxy", "server", "b:2")
    ini.set("proxy", "port", "1")
    ini.set("proxy", "noproxy", "")
    assert str(ini) == COMMENTED.replace("Server = a:1", "Server = b:2").replace(
        "port: 3129   ", "port: 1"
    ).replace("10.*,\n", "\n").replace("noproxy = \n", "noproxy =\n").replace("    192.168.*\n", "").replace(
        "\t172.16.*\n", ""
    )


def test_setting_an_unchanged_value_leaves_its_lines_as_they_are():
    ini = IniText(COMMENTED)
    ini.set("proxy", "noproxy", "10.*,\n192.168.*\n\n172.16.*")
    ini.set("proxy", "port", "3129")
    assert str(ini) == COMMENTED


def test_a_new_key_goes_to_the_end_of_its_section_and_a_new_section_to_the_end():
    ini = IniText("[proxy]\nport = 1\n\n; about settings\n[settings]\n")
    ini.set("proxy", "server", "a")
    ini.set("settings", "idle", "5")
    ini.set("client", "client_auth", "NONE")
    proxy, settings = "[proxy]\nport = 1\nserver = a\n\n", "; about settings\n[settings]\nidle = 5\n\n"
    assert str(ini) == f"{proxy}{settings}[client]\nclient_auth = NONE\n"


def test_a_file_may_begin_empty_and_end_without_a_line_end():
    ini = IniText("")
    ini.set("proxy", "port", "1")
    assert str(ini) == "[proxy]\nport = 1\n"
    ini = IniText("[proxy]\nport = 1")
    ini.set("proxy", "port", "2")
    assert str(ini) == "[proxy]\nport = 2"
    ini.set("proxy", "idle", "3")
    assert str(ini) == "[proxy]\nport = 2\nidle = 3\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_setting_a_key_keeps_the_line_ends_of_the_file(end):
    ini = IniText(f"[proxy]{end}port = 1{end}", newline="\n")
    ini.set("proxy", "port", "2")
    ini.set("proxy", "server", "a")
    ini.set("new", "key", "x\ny")
    expected = "[proxy]|port = 2|server = a||[new]|key = x|\ty|"
    assert str(ini) == expected.replace("|", end)


def test_a_new_file_gets_the_line_ends_of_the_system():
    ini = IniText("", newline="\r\n")
    ini.set("proxy", "port", "1")
    assert str(ini) == "[proxy]\r\nport = 1\r\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\nport = 1\n", 2, "this line comes before any section; begin the file with [proxy]"),
        ("[proxy]\ns3cret\n", 2, "neither [section] nor key = value"),
        ("[proxy]\n= 1\n", 2, "neither [section] nor key = value"),
        ("[proxy]\na-b = 1\nA_B = 2\n", 3, "a_b is set a second time; keep one of the two"),
        ("[proxy]\n[Proxy]\n", 2, "[proxy] begins a second time; put its lines under the first one"),
    ],
    ids=repr,
)
def test_an_error_in_the_text_names_its_line(text, line, reason):
    with pytest.raises(IniError) as caught:
        IniText(text)
    assert (caught.value.line, str(caught.value)) == (line, reason)
