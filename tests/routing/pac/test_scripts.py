"""Generated PAC scripts like those of companies, with Mozilla's functions (pacparser) as the reference."""

from __future__ import annotations

import pytest

from px.core.rules.pac_answer import parse_pac_answer
from px.core.rules.pac_lines import find_line, mark_returns
from px.routing.pac.sandbox import Call, Sandbox
from px.routing.pac.source import decode_script
from tests.routing.pac.scripts import ENCODINGS, Writer

pacparser = pytest.importorskip(
    "pacparser", reason="pacparser, the reference for PAC scripts, is not installed"
)

SEEDS = range(60)


def theirs(script: str, questions: list[tuple[str, str]]) -> list[str]:
    pacparser.init()
    try:
        pacparser.setmyip("10.9.8.7")
        pacparser.parse_pac_string(script)
        return [str(pacparser.find_proxy(url, host)) for url, host in questions]
    finally:
        pacparser.cleanup()


def ours(script: str, questions: list[tuple[str, str]]) -> list[str]:
    sandbox = Sandbox(script)
    outcomes = [sandbox.call(Call(url, host, ("10.9.8.7",)), {}) for url, host in questions]
    assert not any(outcome.missing for outcome in outcomes)
    return [outcome.answer for outcome in outcomes]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_script_has_the_same_answers_as_with_mozillas_functions(seed: int) -> None:
    writer = Writer(seed)
    script, questions = writer.write(), writer.urls()
    assert ours(script, questions) == theirs(script, questions), script


def test_the_scripts_differ_and_so_do_their_answers() -> None:
    answers = set()
    for seed in SEEDS:
        writer = Writer(seed)
        answers.update(ours(writer.write(), writer.urls()))
    assert len(answers) > 50


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_script_means_the_same_in_each_encoding(encoding: str) -> None:
    for seed in range(10):
        writer = Writer(seed)
        script, questions = writer.write(), writer.urls()
        decoded = decode_script(script.encode(encoding, "ignore"), "auto")
        assert ours(decoded, questions) == ours(script, questions)


def test_every_answer_names_a_route() -> None:
    for seed in SEEDS:
        writer = Writer(seed)
        for answer in ours(writer.write(), writer.urls()):
            assert parse_pac_answer(answer)


def test_marking_finds_the_line_of_an_answer_and_changes_no_answer() -> None:
    found = 0
    for seed in SEEDS:
        writer = Writer(seed)
        script, questions = writer.write(), writer.urls()
        marked = Sandbox(mark_returns(script))
        for (url, host), answer in zip(questions, ours(script, questions), strict=True):
            outcome = marked.call(Call(url, host), {})
            assert outcome.answer == answer
            line = find_line(outcome.alerts)
            if line is not None:
                assert "return" in script.split("\n")[line - 1]
                found += 1
    assert found > len(SEEDS)
