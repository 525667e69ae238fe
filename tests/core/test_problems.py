"""The kinds of problem that a Px has met."""

from __future__ import annotations

import pytest

from px.core.problems import (
    CLIENT,
    MAX_KINDS,
    MAX_TEXT,
    TELL_SECONDS,
    News,
    Problems,
    clean,
    fold,
    merge_problems,
)

REFUSED = "the connection was refused: nothing listens there."


def unreachable(host: str) -> str:
    return f"The origin {host} cannot be reached: {REFUSED}"


def test_ten_thousand_sites_that_fail_push_nothing_out() -> None:
    problems = Problems()
    problems.note(
        "The upstream http://p:8080 refused the login of alice.", 1, hop="http://p:8080", hint="Fix it."
    )
    for number in range(10_000):
        problems.note(unreachable(f"h{number}.test:443"), 2 + number, hop="direct", status=502)
    last, first = problems.to_report()
    assert (last["count"], last["first"], last["last"], last["status"]) == (10_000, 2, 10_001, 502)
    assert last["cause"] == unreachable("h9999.test:443")
    assert (first["hop"], first["count"], first["hint"]) == ("http://p:8080", 1, "Fix it.")


@pytest.mark.parametrize(
    ("one", "other", "target", "other_target"),
    [
        (unreachable("a.test:80"), unreachable("[2001:db8::1]:443"), "", ""),
        (unreachable("10.0.0.1:80"), unreachable("intranet:80"), "", ""),
        ("The name wiki has no address.", "The name mail has no address.", "wiki", "mail"),
        ("No answer within 12.5 s from 'a b'.", "No answer within 7 s from 'c'.", "", ""),
        (
            "The script http://a/x.pac failed in line 7.",
            "The script http://b/y.pac failed in line 12.",
            "",
            "",
        ),
    ],
)
def test_causes_that_differ_in_names_and_numbers_are_of_one_kind(
    one: str, other: str, target: str, other_target: str
) -> None:
    assert fold(one, target) == fold(other, other_target)


def test_other_causes_and_other_hops_are_other_kinds() -> None:
    problems = Problems()
    problems.note("The upstream refused the login of alice.", 1, hop="http://a:1")
    problems.note("The upstream refused the login of alice.", 2, hop="http://b:1")
    problems.note("The upstream closed the connection.", 3, hop="http://b:1")
    assert [problem["last"] for problem in problems.to_report()] == [3, 2, 1]


def test_an_upstream_that_invents_causes_pushes_out_only_its_own() -> None:
    problems = Problems()
    problems.note("The login was refused.", 1, hop="http://good:1")
    for number in range(200):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        problems.note(f"The answer has a word {word}.", 2, hop="http://evil:1")
    report = problems.to_report()
    assert len(report) == MAX_KINDS
    assert report[-1]["hop"] == "http://good:1"


def test_clients_that_invent_causes_push_nothing_out_of_the_sum_of_the_workers() -> None:
    one, other = Problems(), Problems()
    one.note("The network has no name server.", 1)
    for number in range(200):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        for problems in (one, other):
            problems.note(f"No page {problems is one} {word}.", 2, hop=CLIENT)
    merged = merge_problems([one.to_report(), other.to_report()])
    assert len(merged) == MAX_KINDS
    assert merged[-1]["cause"] == "The network has no name server."


def test_texts_are_bounded_and_printable() -> None:
    problems = Problems()
    problems.note("x\x1b[2J\u202e\ud800\r\n y" + "z" * 10_000_000, 1, hint="\x00" * 999, hop="h" * 999)
    (problem,) = problems.to_report()
    assert problem["cause"].startswith("x?[2J?? y")
    assert len(problem["cause"]) == len(clean("a" * 1000)) == MAX_TEXT
    assert problem["hop"].isascii()
    assert len(problem["hop"]) <= MAX_TEXT


def test_the_problems_of_several_processes_are_added_up() -> None:
    one, other = Problems(), Problems()
    one.note("It failed.", 5, hop="h", hint="new")
    other.note("It failed.", 1, hop="h", hint="old", status=502)
    other.note("It failed.", 2, hop="h", hint="old", status=502)
    other.note("Something else.", 9)
    newest, both = merge_problems([one.to_report(), (), other.to_report()])
    assert newest["cause"] == "Something else."
    assert (both["count"], both["first"], both["last"], both["hint"], both["status"]) == (3, 1, 5, "new", 502)


def test_a_problem_that_goes_on_is_news_again_after_a_while() -> None:
    problems, news = Problems(), News()
    assert news.take(problems.note("It failed.", 0))
    assert not news.take(problems.note("It failed.", TELL_SECONDS - 1))
    assert news.take(problems.note("Another one.", TELL_SECONDS - 1))
    assert news.take(problems.note("It failed.", TELL_SECONDS))
    assert repr(news) == "<News told=2>"
    assert repr(problems) == "<Problems kinds=2>"


def test_news_without_end_are_no_news() -> None:
    problems, news = Problems(), News()
    taken = [news.take(problems.note("It failed.", 0, hop=str(number))) for number in range(1000)]
    assert sum(taken) == 200
