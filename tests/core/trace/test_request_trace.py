"""The trace of a request: each step, and the record at its end."""

from __future__ import annotations

import logging

import pytest

from px.core.errors import BadResponseError, ClientLeftError, UnreachableError
from px.core.http.request_head import parse_request
from px.core.login.method import Method
from px.core.rules.route import Direct, Via, parse_upstreams
from px.core.trace.access_record import AccessRecord
from px.core.trace.request_trace import NO_TRACE, RecordedTrace, RequestLogger, RequestTrace, RouteTrace

FIRST, SECOND = map(Via, parse_upstreams("first:1,second:2"))
HOP = "upstream http://second:2"
GET = parse_request(b"GET http://origin.test/path?token=s3cret HTTP/1.1\r\nHost: origin.test\r\n\r\n")


class Clock:
    """A clock that the test moves."""

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
def trace(clock: Clock, caplog: pytest.LogCaptureFixture) -> RecordedTrace:
    caplog.set_level(logging.DEBUG, "px.test")
    log = RequestLogger(logging.getLogger("px.test"), "c1.2")
    return RecordedTrace(AccessRecord(id="c1.2", client="192.0.2.1"), clock.now, log)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.__dict__["request"] == ".c1.2" for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_a_login_after_a_failover_is_traced_step_by_step(
    trace: RecordedTrace, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    trace.receive_head(GET)
    clock.pass_ms(1)
    trace.receive_routes([FIRST, SECOND])
    trace.take_route(FIRST)
    clock.pass_ms(2000)
    trace.lose_route(UnreachableError("The upstream http://first:1 cannot be reached."))
    trace.take_route(SECOND)
    clock.pass_ms(3)
    trace.take_connection(HOP, is_kept=False)
    clock.pass_ms(4)
    trace.receive_407([b"Negotiate", b'Basic realm="x"'], None, is_final=True)
    clock.pass_ms(60)
    trace.send_login(Method.NEGOTIATE_NTLM, "CORP\\alice")
    clock.pass_ms(5)
    trace.receive_407([b"Negotiate aGk="], Method.NEGOTIATE_NTLM, is_final=False)
    clock.pass_ms(1)
    trace.send_login(Method.NEGOTIATE_NTLM, "CORP\\alice")
    clock.pass_ms(6)
    trace.receive_acceptance(Method.NEGOTIATE_NTLM, "CORP\\alice")
    trace.begin_answer(200, HOP)
    clock.pass_ms(10)
    record = trace.end(up=100, down=200)
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


def test_a_kept_connection_is_traced_with_its_login(
    trace: RecordedTrace, caplog: pytest.LogCaptureFixture
) -> None:
    trace.take_connection(HOP, is_kept=True, logged_in_by=Method.KERBEROS)
    assert lines(caplog) == [f"over a kept connection to the {HOP}, logged in by Negotiate (Kerberos)"]
    assert (trace.record.is_kept, trace.record.login) == (True, "kerberos")


def test_a_direct_route_is_traced_with_its_reason(
    trace: RecordedTrace, caplog: pytest.LogCaptureFixture
) -> None:
    direct = Direct("noproxy names its address 10.0.0.1")
    trace.receive_routes([direct])
    trace.take_route(direct)
    assert lines(caplog) == ["route: direct (noproxy names its address 10.0.0.1)"]
    assert trace.record.route == "direct"


def test_a_refused_login_differs_from_one_that_continues(
    trace: RecordedTrace, caplog: pytest.LogCaptureFixture
) -> None:
    trace.receive_407([b"NTLM"], Method.NTLM, is_final=True)
    assert lines(caplog) == ["407 after 0.0 ms: the upstream does not take NTLM"]


def test_a_failure_of_the_only_route_is_traced_once(
    trace: RecordedTrace, caplog: pytest.LogCaptureFixture
) -> None:
    error = UnreachableError("Nobody is there.")
    trace.receive_routes([FIRST])
    trace.take_route(FIRST)
    trace.fail(error)
    assert lines(caplog)[1:] == ["502 after 0.0 ms: Nobody is there."]
    assert trace.record.status == 502


@pytest.mark.parametrize(
    ("how", "line", "level"),
    [
        ("cut", "cut off by the next hop after 0.0 ms: why", logging.WARNING),
        ("left", "the client left after 0.0 ms: why", logging.DEBUG),
        ("idle", "silent for too long after 0.0 ms: why", logging.DEBUG),
        ("stopped", "Px ended it after 0.0 ms: why", logging.DEBUG),
    ],
)
def test_an_early_end_is_traced(
    trace: RecordedTrace, caplog: pytest.LogCaptureFixture, how: str, line: str, level: int
) -> None:
    error = BadResponseError("why")
    trace.break_off(how, error)
    assert lines(caplog) == [line]
    assert getattr(caplog.records[0], "error", None) is (error if how == "cut" else None)
    assert caplog.records[0].levelno == level
    assert trace.record.end == how


def test_without_a_debug_log_there_is_still_a_record(clock: Clock) -> None:
    trace = RecordedTrace(AccessRecord(), clock.now, None)
    trace.receive_head(GET)
    trace.receive_routes([FIRST])
    trace.take_route(FIRST)
    trace.lose_route(UnreachableError(""))
    trace.receive_407([b"NTLM"], None, is_final=True)
    trace.send_login(Method.NTLM, "alice")
    trace.take_connection(HOP, is_kept=True)
    trace.fail(BadResponseError(""))
    trace.break_off("cut", "")
    record = trace.end(up=1, down=2)
    assert (record.status, record.challenges, record.up, record.down, record.end) == (502, 1, 1, 2, "cut")


def test_the_trace_of_nothing_accepts_every_report_and_only_warns_of_failures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    trace, error = NO_TRACE, UnreachableError("Nobody is there.")
    trace.receive_head(GET)
    trace.receive_routes([FIRST])
    trace.take_route(FIRST)
    trace.lose_route(error)
    trace.take_connection(HOP, is_kept=True, logged_in_by=Method.KERBEROS)
    trace.receive_407([b"NTLM"], None, is_final=False)
    trace.send_login(Method.NTLM, "alice")
    trace.receive_acceptance(Method.NTLM, "alice")
    trace.note("%s", "anything")
    trace.begin_answer(200, HOP)
    trace.fail(error)
    trace.fail(ClientLeftError("It has left."))
    trace.break_off("cut", error)
    trace.break_off("left", error)
    assert trace.end(up=1, down=2) is None
    assert [record.getMessage() for record in caplog.records] == [
        "Nobody is there.",
        "502: Nobody is there.",
        "cut off by the next hop: Nobody is there.",
    ]
    assert {record.__dict__["error"] for record in caplog.records} == {error}
    assert trace.route == ""


def test_a_trace_knows_its_route_while_both_logs_are_off() -> None:
    trace = RouteTrace()
    assert trace.route == ""
    trace.take_route(FIRST)
    assert trace.route == str(FIRST)


def test_a_trace_reports_each_step_that_the_trace_of_nothing_takes() -> None:
    """A missing method would lose a step of the trace."""
    steps = {name for name in vars(RequestTrace) if not name.startswith("_")}
    assert len(steps) == 14  # the route is no step, but every trace knows it
    assert steps <= set(vars(RecordedTrace))
