"""Lines are broken to fit the terminal."""

from __future__ import annotations

import pytest

from px.processes.status import render_status
from px.system.process.line_width import break_line

WORDS = "  upstream    " + " ".join(["word"] * 40)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_line_is_broken_at_words_and_indented(columns: int) -> None:
    first, *others = break_line(WORDS, columns, 14)
    assert max(map(len, [first, *others])) <= columns
    assert all(line.startswith(" " * 14 + "word") for line in others)
    assert [first.split()[0], *first.split()[1:], *" ".join(others).split()] == WORDS.split()


def test_a_line_for_a_pipe_or_file_stays_whole() -> None:
    assert break_line(WORDS, None, 14) == [WORDS]


def test_a_very_narrow_terminal_still_gets_several_words_a_line() -> None:
    assert len(break_line(WORDS, 5, 14)) < 10


def test_a_status_fits_the_terminal() -> None:
    upstream = {
        "upstream": "http://proxy.corp.example:8080",
        "state": "in use",
        "identity": "CORP\\alice",
        "has_logged_in": False,
        "blocked": "Px sends no more logins for now. " * 8,
        "ticket": "",
    }
    counters = ("connections", "requests", "tunnels", "errors", "logins_accepted", "logins_refused")
    status = {
        "version": "1.2",
        "pid": 99,
        "uptime_seconds": 1,
        "listen": ["127.0.0.1:3128"],
        "config": "",
        "workers": [],
        "discovered_proxy": "",
        "upstreams": [upstream],
        "open_connections": 0,
        "open_tunnels": 0,
        "counters": dict.fromkeys((*counters, "received_bytes", "sent_bytes"), 0),
    }
    lines = render_status(status, 80, as_json=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert max(map(len, render_status(status, None, as_json=False).splitlines())) > 80
    assert "\n" + " " * 14 + "Px sends no more" in "\n".join(lines)
