"""Errors from the error numbers of Kerberos."""

from __future__ import annotations

import pytest

from px.core.errors import LoginRefusedError, LoginUnusableError
from px.system.login.gssapi import GssapiError
from px.system.login.kerberos_errors import explain_failure, explain_no_ticket, may_try_next_name

BASE = -1765328384
UNKNOWN_NUMBER = 100_007  # the library's own, when it has renumbered a mechanism's


def error(code: int, text: str = "as the library says", major: int = 0xD0000) -> GssapiError:
    return GssapiError(major, code, text)


@pytest.mark.parametrize("number", [18, 23, 24, 31, 210])
def test_a_judged_secret_is_a_refusal(number):
    assert isinstance(explain_failure(error(BASE + number), "u@R", ""), LoginRefusedError)


@pytest.mark.parametrize("number", [6, 7, 14, 32, 37, 154, 155, 156, 224])
def test_every_other_number_makes_the_login_unusable_with_its_own_text(number):
    explained = explain_failure(error(BASE + number), "u@R", "proxy.test")
    assert isinstance(explained, LoginUnusableError)
    assert explained.hint
    assert "Kerberos failed" not in explained.cause


def test_every_number_has_a_sentence_of_its_own_but_the_wrong_password():
    numbers = (6, 7, 14, 18, 23, 24, 32, 37, 154, 155, 156, 224)
    assert len({explain_failure(error(BASE + each), "u@R", "h").cause for each in numbers}) == len(numbers)


def test_an_unknown_number_has_the_text_of_the_library():
    explained = explain_failure(error(5, "the moon is wrong"), "u@R", "h")
    assert isinstance(explained, LoginUnusableError)
    assert "the moon is wrong" in explained.cause


def test_a_refusal_is_known_by_its_text_when_the_library_has_renumbered_it():
    explained = explain_failure(error(UNKNOWN_NUMBER, "Preauthentication failed"), "u@R", "h")
    assert isinstance(explained, LoginRefusedError)


def test_braces_in_a_user_name_are_only_text():
    assert "{host}@R" in explain_failure(error(BASE + 24), "{host}@R", "h").cause


@pytest.mark.parametrize("number", [18, 23, 24, 31, 37, 156, 210])
def test_after_a_verdict_or_silence_no_other_name_is_tried(number):
    assert not may_try_next_name(error(BASE + number))


@pytest.mark.parametrize("number", [6, 68, 154, 155, 224])
def test_after_an_unknown_name_or_realm_the_next_is_tried(number):
    assert may_try_next_name(error(BASE + number))


def test_a_renumbered_verdict_is_not_taken_for_an_unknown_name():
    assert not may_try_next_name(error(UNKNOWN_NUMBER, "Preauthentication failed"))


def test_a_kind_of_name_that_the_library_does_not_know_lets_the_next_be_tried():
    assert may_try_next_name(error(0, major=3 << 16))


@pytest.mark.parametrize(
    ("username", "has_password", "hint"),
    [
        ("", False, "Run kinit, or set --username"),
        ("alice@ad.test", False, "Run kinit alice@AD.TEST, or set PX_PASSWORD."),
        ("alice", False, "Run kinit alice, or set PX_PASSWORD."),
        ("ADTEST\\alice", False, "Run kinit alice@REALM, or set PX_PASSWORD."),
        ("ADTEST\\alice", True, "Set the user name to alice@REALM, or run kinit."),
    ],
)
def test_a_missing_ticket_comes_with_the_command_that_gets_one(username, has_password, hint):
    assert explain_no_ticket(username, has_password=has_password).hint.startswith(hint)
