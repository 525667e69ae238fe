"""The view of ``px --top``: what it shows of a status, in terminals of all sizes."""

from __future__ import annotations

import pytest

from px.cli.top.cells import measure
from px.cli.top.screen import format_line
from px.cli.top.sections import Moment, Status
from px.cli.top.traffic import BLOCKS
from px.cli.top.view import Space, format_view
from tests.cli.top.recorded_status import NOW, make_active, make_problem, make_status, make_upstream


def show(
    status: Status, before: Status | None = None, columns: int = 80, rows: int | None = None
) -> list[str]:
    lines = format_view(Moment(status, before or {}), Space(columns, rows, BLOCKS, "q: quit"))
    return [format_line(line, {}) for line in lines]


BUSY = make_status(
    upstreams=[
        make_upstream(ticket="ticket of alice@CORP.EXAMPLE until 18:40"),
        make_upstream(upstream="second:8080", state="down", has_logged_in=False, latency_ms=None, offers=[]),
    ],
    problems=[
        make_problem("Px got no address for nosuch.example."),
        make_problem("second:8080 refused the connection.", hop="second:8080", status=0, count=4, hint=""),
    ],
    active=[
        make_active("slow.example:443", program="firefox", down=70_000_000),
        make_active("slow.example:443", program="firefox", since=NOW - 600),
        make_active("fast.example:443", down=5_000_000),
        make_active("http://a.example/x", kind="request", method="GET", client="10.1.2.3", program=""),
    ],
    active_total=4,
)


def test_a_terminal_of_80_columns_shows_everything():
    before = make_status(uptime_seconds=7510.0, active=[make_active("fast.example:443", down=1_000_000)])
    before["active"] += BUSY["active"][:2] + BUSY["active"][3:]
    before["traffic"] = {**before["traffic"], "down": [1000, 8000]}
    lines = show(BUSY, before, rows=24)
    assert lines[0].startswith("Px 0.1.0, pid 4711, up 2 h, on 127.0.0.1:3128, [::1]:3128  ")
    assert lines[0].endswith("  q: quit")
    assert lines[1:3] == ["843 requests, 212 tunnels, 3 errors so far; logins: 8 accepted, 1 refused", ""]
    assert lines[3:5] == [
        f"TRAFFIC       NOW  {'AN HOUR AGO':<42}NOW       PEAK",
        f"down     6.0 kB/s  {'▁' * 44}█   6.0 kB/s",
    ]
    assert [line.split() for line in lines[8:12]] == [
        ["UPSTREAM", "STATE", "CONNECTS", "IN", "LOGIN"],
        ["proxy.corp.example:8080", "in", "use", "12", "ms", "CORP\\alice", "by", "NTLM"],
        ["ticket", "of", "alice@CORP.EXAMPLE", "until", "18:40"],
        ["second:8080", "unreachable", "no", "login", "yet"],
    ]
    assert lines[13:17] == [
        "RECENT PROBLEMS",
        "2 min ago: 502 direct: Px got no address for nosuch.example.",
        "  Check the name.",
        "4 times, last 2 min ago: second:8080 refused the connection.",
    ]
    assert [line.split() for line in lines[18:]] == [
        ["1", "REQUEST,", "3", "TUNNELS", "NOW", "DOWN", "UP", "PROGRAM"],
        ["fast.example:443", "2.0", "MB/s", "5.0", "MB", "100", "B", "curl"],
        ["slow.example:443", "x2", "70", "MB", "200", "B", "firefox"],
        ["GET", "http://a.example/x", "1.0", "kB", "100", "B", "10.1.2.3"],
    ]


def test_a_wide_terminal_also_shows_offers_and_routes():
    text = "\n".join(show(BUSY, columns=130))
    assert "Negotiate, NTLM\n" in text
    assert "10 min  firefox   proxy.corp.example:8080\n" in text


def test_users_who_log_in_at_px_are_told_apart():
    active = [
        make_active("a.example:443", user="alice"),
        make_active("a.example:443", user="bob", program="", client="10.1.2.3"),
    ]
    head, *rows = show(make_status(active=active, active_total=2), columns=130)[-3:]
    assert "PROGRAM" in head
    assert ["curl alice" in row for row in rows] == [True, False]
    assert ["bob 10.1.2.3" in row for row in rows] == [False, True]


@pytest.mark.parametrize("columns", [1, 20, 40, 79, 200])
@pytest.mark.parametrize("rows", [1, 5, 12, 24])
def test_no_line_is_too_long_for_a_terminal_and_there_are_not_too_many(columns, rows):
    many = make_status(
        upstreams=[make_upstream(blocked="paused " * 40)] * 9,
        problems=[make_problem("long " * 90)] * 50,
        active=[make_active(f"例え{number}.example:443") for number in range(200)],
        active_total=3000,
    )
    lines = show(many, columns=columns, rows=rows)
    assert len(lines) <= rows
    assert max(map(measure, lines)) <= columns
    assert rows < 24 or columns < 79 or "3000 UNDER WAY, THE NEWEST 200" in "".join(lines)


def test_a_problem_says_all_that_px_knows():
    long = "The upstream http://127.0.0.1:8899 cannot be reached: nothing listens on 127.0.0.1 port 8899."
    lines = show(make_status(problems=[make_problem(long, hop="", hint="Start it. " * 9)]), rows=24)
    start = lines.index("RECENT PROBLEMS")
    assert lines[start + 1 : start + 5] == [
        f"2 min ago: 502 {long[:61]}",
        f"  {long[62:]}",
        f"  {'Start it. ' * 7}Start",
        "  it. Start it.",
    ]


def test_what_a_stranger_chose_commands_no_terminal():
    evil = "\x1b]0;evil\x07\x9b2J\n"
    status = make_status(
        upstreams=[make_upstream(upstream=evil, identity=evil, blocked=evil, offers=[evil])],
        discovered_proxy=evil,
        problems=[make_problem(evil, hint=evil)],
        active=[make_active(evil, program=evil, route=evil, kind="request", method=evil)],
    )
    assert "".join(show(status, columns=200)).isprintable()


def test_the_status_of_an_older_px_is_shown_as_far_as_it_goes():
    upstream = make_upstream()
    del upstream["latency_ms"], upstream["offers"], upstream["method"]
    old = make_status(traffic=None, active=None, active_total=None, problems=None, upstreams=[upstream])
    lines = show(old)
    assert [line.split("  ")[0] for line in lines if line] == [
        lines[0].split("  ")[0],
        "843 requests, 212 tunnels, 3 errors so far; logins: 8 accepted, 1 refused",
        "UPSTREAM",
        "proxy.corp.example:8080",
        "OPEN",
    ]
    assert lines[-1] == "OPEN  30 connections, 22 tunnels"


def test_a_px_that_has_nothing_to_do_says_so():
    lines = show(make_status(upstreams=[], traffic={}))
    assert lines[-3:] == ["UPSTREAM  none so far", "", "0 REQUESTS, 0 TUNNELS"]
