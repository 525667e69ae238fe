from __future__ import annotations

import pickle

import pytest

from px.core.secret import Secret


@pytest.mark.parametrize("show", [str, repr, "{}".format, lambda secret: f"{secret!r} {[secret]}"])
def test_a_secret_shows_as_stars_however_it_is_formatted(show):
    assert "hunter2" not in show(Secret("hunter2"))
    assert "***" in show(Secret("hunter2"))


def test_only_reveal_returns_the_text_of_a_secret():
    assert Secret("hunter2").reveal() == "hunter2"
    assert not isinstance(Secret("x"), str)


def test_secrets_are_equal_when_their_texts_are():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret("x")


def test_a_secret_reaches_another_process():
    assert pickle.loads(pickle.dumps(Secret("hunter2"))).reveal() == "hunter2"
