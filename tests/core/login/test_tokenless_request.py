"""When a login asks once more without a token, and when it gives up."""

from __future__ import annotations

import pytest

from px.core.errors import LoginError
from px.core.login.method import Method
from px.core.login.tokenless_request import MAX_OTHER_OFFERS, TokenlessRequest, UnjudgedToken

TOKEN = UnjudgedToken(Method.NTLM, is_final=True)


def test_a_token_is_judged_once() -> None:
    tokenless = TokenlessRequest("The upstream", is_wanted=False)
    tokenless.ask_about(TOKEN)
    assert tokenless.is_wanted
    assert tokenless.take_token() is TOKEN
    assert tokenless.take_token() is None


def test_px_gives_up_an_upstream_that_asks_for_another_scheme_each_time() -> None:
    tokenless = TokenlessRequest("The upstream", is_wanted=False)
    for _ in range(MAX_OTHER_OFFERS):
        tokenless.ask_about(TOKEN)
    with pytest.raises(LoginError, match="another kind of login each time"):
        tokenless.ask_about(TOKEN)


def test_after_a_silence_px_asks_once_without_a_token() -> None:
    tokenless = TokenlessRequest("The upstream", is_wanted=False)
    assert tokenless.ask_after_silence()
    assert (tokenless.is_wanted, tokenless.was_silent) == (True, True)
    assert not tokenless.ask_after_silence()


def test_a_method_is_declined_only_when_it_is_declined_twice_in_a_row() -> None:
    tokenless = TokenlessRequest("The upstream", is_wanted=False)
    declined = [tokenless.declines_again(method) for method in (Method.NTLM, Method.DIGEST, Method.DIGEST)]
    assert declined == [False, False, True]
