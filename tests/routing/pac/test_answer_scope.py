"""The requests for which Px may reuse an answer of a PAC script."""

from __future__ import annotations

import pytest

from px.routing.pac.answer_scope import Scope, find_scope

ENTRY = "function FindProxyForURL(url, host) { %s }"


@pytest.mark.parametrize(
    ("script", "scope"),
    [
        (ENTRY % "return 'DIRECT'", "host"),
        ("function FindProxyForURLEx(u, h) { return h }", "host"),
        (ENTRY % "return update(host) + Dates + myDate", "host"),
        (ENTRY % "if (url.length > 9) return 'DIRECT'", "url"),
        (ENTRY % "return arguments[0]", "url"),
        (ENTRY % "return eval('u' + 'rl')", "url"),
        ("FindProxyForURL = (u, h) => 'DIRECT'", "url"),
        ("// FindProxyForURL\n" + ENTRY % "return 'DIRECT'", "url"),
        (ENTRY % "return new Date().getDay() ? 'DIRECT' : 'PROXY a'", "once"),
        (ENTRY % "return timeRange(8, 17) ? 'DIRECT' : 'PROXY a'", "once"),
        (ENTRY % "return url + Math.random()", "once"),
        ("", "url"),
    ],
)
def test_the_words_in_a_script_decide_how_widely_an_answer_is_reused(script: str, scope: Scope) -> None:
    assert find_scope(script) == scope
