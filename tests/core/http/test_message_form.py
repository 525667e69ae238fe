"""The form of a request: every row of the table."""

from __future__ import annotations

from itertools import product

import pytest

from px.core.http.message_form import BodyState, MessageForm, Situation, TokenKind, choose_form

NONE, HERE, COMING, LONG = BodyState
NO_TOKEN, FIRST, FINAL = TokenKind
WHOLE, EXPECTING, EMPTY, GET = MessageForm

_ROWS = [
    (Situation(HERE, FIRST, is_asked=True), EMPTY),
    (Situation(LONG, FIRST, is_asked=True, is_tried=True), EMPTY),
    (Situation(HERE, FIRST), GET),
    (Situation(HERE, FIRST, is_tried=True), WHOLE),
    (Situation(COMING, FIRST), GET),
    (Situation(LONG, FIRST), GET),
    (Situation(COMING, FIRST, is_tried=True), EXPECTING),
    (Situation(LONG, FIRST, is_tried=True), EXPECTING),
    (Situation(LONG, FIRST, is_tried=True, heeds_expect=False), WHOLE),
    (Situation(HERE, NO_TOKEN), WHOLE),
    (Situation(COMING, NO_TOKEN), WHOLE),
    (Situation(COMING, FINAL), WHOLE),
    (Situation(LONG, NO_TOKEN, is_logged_in=True), WHOLE),
    (Situation(LONG, NO_TOKEN), GET),
    (Situation(LONG, NO_TOKEN, is_tried=True), EXPECTING),
    (Situation(LONG, NO_TOKEN, is_open=True), EXPECTING),
    (Situation(LONG, FINAL), EXPECTING),
    (Situation(LONG, FINAL, heeds_expect=False), WHOLE),
]


@pytest.mark.parametrize(("situation", "form"), _ROWS)
def test_each_row_of_the_table(situation: Situation, form: MessageForm) -> None:
    assert choose_form(situation) is form


_ALL = [
    Situation(body, token, *facts)
    for body, token, facts in product(BodyState, TokenKind, product((False, True), repeat=5))
]


def test_a_request_without_a_body_goes_as_it_is() -> None:
    assert {choose_form(each) for each in _ALL if each.body is NONE} == {WHOLE}


def test_a_body_that_cannot_be_sent_again_is_held_back_if_a_407_may_come() -> None:
    risky = [each for each in _ALL if each.body is LONG and not each.is_logged_in and each.heeds_expect]
    assert WHOLE not in {choose_form(each) for each in risky}


def test_an_empty_request_is_sent_only_if_a_407_is_certain() -> None:
    assert all(each.is_asked and each.token is FIRST for each in _ALL if choose_form(each) is EMPTY)


def test_no_get_follows_one_that_was_let_through() -> None:
    assert GET not in {choose_form(each) for each in _ALL if each.is_tried}
