"""What is told about a request, step by step and at its end."""

from __future__ import annotations

import logging

import pytest

from px.core.access_record import AccessRecord
from px.core.errors import BadResponseError, UnreachableError
from px.core.head import parse_request
from px.core.journey import Journey
from px.core.request_log import RequestLog
from px.core.route import Direct, Via, parse_upstreams
from px.core.upstream_login import Method

FIRST, SECOND = map(Via, parse_upstreams("first:1,second:2"))
HOP = "upstream http://second:2"
GET = parse_request(b"GET http://origin.test/path?token=s3cret HTTP/1.1\r\nHost: origin.test\r\n\r\n")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 10.0

    def now(self) -> float:
        return self.seconds

    def pass_ms(self, ms: float) -> None:
        self.seconds += ms / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journey(clock: Clock, caplog: pytest.LogCaptureFixture) -> Journey:
    caplog.set_level(logging.DEBUG, "px.test")
    log = RequestLog(logging.getLogger("px.test"), "c1.2")
    return Journey(AccessRecord(id="c1.2", client="192.0.2.1"), clock.now, log)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.__dict__["request"] == ".c1.2" for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_a_login_after_a_failover_is_told_step_by_step(
    journey: Journey, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    journey.receive_head(GET)
    clock.pass_ms(1)
    journey.receive_routes([FIRST, SECOND])
    journey.take_route(FIRST)
    clock.pass_ms(2000)
    journey.lose_route(UnreachableError("The upstream http://first:1 cannot be reached."))
    journey.take_route(SECOND)
    clock.pass_ms(3)
    journey.take_connection(HOP, is_kept=False)
    clock.pass_ms(4)
    journey.receive_407([b"Negotiate", b'Basic realm="x"'], None, is_final=True)
    clock.pass_ms(60)
    journey.send_login(Method.NEGOTIATE_NTLM, "CORP\\alice")
    clock.pass_ms(5)
    journey.receive_407([b"Negotiate aGk="], Method.NEGOTIATE_NTLM, is_final=False)
    clock.pass_ms(1)
    journey.send_login(Method.NEGOTIATE_NTLM, "CORP\\alice")
    clock.pass_ms(6)
    journey.receive_acceptance(Method.NEGOTIATE_NTLM, "CORP\\alice")
    journey.begin_answer(200, HOP)
    clock.pass_ms(10)
    record = journey.end(up=100, down=200)
    assert lines(caplog) == [
        "GET http://origin.test/path from 192.0.2.1",
        "route: http://first:1, then http://second:2",
        "after 2000.0 ms: The upstream http://first:1 cannot be reached.",
        "connected to the upstream http://second:2 in 3.0 ms",
        "407 after 4.0 ms: the upstream offers Negotiate, Basic",
        "logs in by Negotiate (NTLM) as CORP\\alice, ready after 60.0 ms",
        "407 after 5.0 ms: the upstream goes on with Negotiate (NTLM)",
        "logs in by Negotiate (NTLM) as CORP\\alice, ready after 1.0 ms",
        "the upstream let CORP\\alice in by Negotiate (NTLM)",
        "200 after 2080.0 ms from the upstream http://second:2",
        "ended after 2090.0 ms: 100 bytes up, 200 down",
    ]
    assert (record.method, record.target, record.status) == ("GET", "http://origin.test/path", 200)
    assert (record.route, record.login, record.challenges) == ("http://second:2", "negotiate-ntlm", 2)
    assert (record.is_kept, record.end) == (False, "ok")
    assert record.seconds == pytest.approx(2.09)
    assert record.first_seconds == pytest.approx(2.08)


def test_a_kept_connection_is_told_with_its_login(journey: Journey, caplog: pytest.LogCaptureFixture) -> None:
    journey.take_connection(HOP, is_kept=True, logged_in_by=Method.KERBEROS)
    assert lines(caplog) == [f"over a kept connection to the {HOP}, logged in by Negotiate (Kerberos)"]
    assert (journey.record.is_kept, journey.record.login) == (True, "kerberos")


def test_a_direct_route_is_told_with_its_reason(journey: Journey, caplog: pytest.LogCaptureFixture) -> None:
    direct = Direct("noproxy names its address 10.0.0.1")
    journey.receive_routes([direct])
    journey.take_route(direct)
    assert lines(caplog) == ["route: direct (noproxy names its address 10.0.0.1)"]
    assert journey.record.route == "direct"


def test_a_refused_login_is_told_apart_from_one_that_goes_on(
    journey: Journey, caplog: pytest.LogCaptureFixture
) -> None:
    journey.receive_407([b"NTLM"], Method.NTLM, is_final=True)
    assert lines(caplog) == ["407 after 0.0 ms: the upstream does not take NTLM"]


def test_a_failure_is_told_once_where_there_was_one_route(
    journey: Journey, caplog: pytest.LogCaptureFixture
) -> None:
    error = UnreachableError("Nobody is there.")
    journey.receive_routes([FIRST])
    journey.take_route(FIRST)
    journey.lose_route(error)
    journey.fail(error)
    assert lines(caplog)[1:] == ["502 after 0.0 ms: Nobody is there."]
    assert journey.record.status == 502


@pytest.mark.parametrize(
    ("how", "line", "level"),
    [
        ("cut", "cut off by the next hop after 0.0 ms: why", logging.WARNING),
        ("left", "the client left after 0.0 ms: why", logging.DEBUG),
        ("idle", "silent for too long after 0.0 ms: why", logging.DEBUG),
        ("stopped", "Px ended it after 0.0 ms: why", logging.DEBUG),
    ],
)
def test_an_end_before_the_end_is_told(
    journey: Journey, caplog: pytest.LogCaptureFixture, how: str, line: str, level: int
) -> None:
    journey.break_off(how, BadResponseError("why"))
    assert lines(caplog) == [line]
    assert caplog.records[0].levelno == level
    assert journey.record.end == how


def test_without_a_debug_log_there_is_still_a_record(clock: Clock) -> None:
    journey = Journey(AccessRecord(), clock.now, None)
    journey.receive_head(GET)
    journey.receive_routes([FIRST])
    journey.take_route(FIRST)
    journey.lose_route(UnreachableError(""))
    journey.receive_407([b"NTLM"], None, is_final=True)
    journey.send_login(Method.NTLM, "alice")
    journey.take_connection(HOP, is_kept=True)
    journey.fail(BadResponseError(""))
    journey.break_off("cut", "")
    record = journey.end(up=1, down=2)
    assert (record.status, record.challenges, record.up, record.down, record.end) == (502, 1, 1, 2, "cut")
