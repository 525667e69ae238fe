"""The connection that belongs to one client alone: when it is bound, lent, watched and closed."""

from __future__ import annotations

from typing import cast

import pytest

from px.core.http.request_head import parse_request
from px.core.http.response_head import parse_response
from px.downstream.bound_connection import BoundConnection
from px.io.stream import Stream
from px.upstream.connections.connection import Connection, Hop
from px.upstream.message import Answer, Request
from px.upstream.request_body import RequestBody

UPSTREAM = Hop("upstream", "upstream", "proxy.test", 8080, is_upstream=True)
ORIGIN = Hop("origin", "origin", "origin.test", 80)
GET = parse_request(b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n")
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OFFERS_NTLM = b"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class FakeStream:
    """A stream that can only end."""

    def __init__(self) -> None:
        self.is_closed = self.is_watched = False
        self.on_idle_input: object = None

    def close(self) -> None:
        self.is_closed = True

    def watch_idle(self) -> None:
        self.is_watched = True


class FakeConnection:
    """A connection to a hop."""

    def __init__(self, hop: Hop) -> None:
        self.hop, self.stream = hop, FakeStream()

    def close(self) -> None:
        self.stream.close()

    def is_closed(self) -> bool:
        return self.stream.is_closed


class Bench:
    """A client and its bound connection."""

    def __init__(self, *, logs_in: bool = True) -> None:
        self.client = FakeStream()
        self.bound = BoundConnection(cast("Stream", self.client), logs_in=logs_in)

    def is_lost(self) -> bool:
        return self.bound.is_lost

    def receive(
        self, head: bytes, *, hop: Hop = UPSTREAM, is_bound: bool = False, by: FakeConnection | None = None
    ) -> tuple[FakeConnection, Answer]:
        connection = by or FakeConnection(hop)
        request = Request(GET, cast("RequestBody", None), None, is_bound=is_bound)
        answer = Answer(cast("Connection", connection), parse_response(head, b"GET"))
        self.bound.receive_answer(request, answer)
        return connection, answer


@pytest.mark.parametrize(
    ("head", "hop", "is_bound", "logs_in", "binds"),
    [
        (PLAIN, UPSTREAM, False, True, False),
        (PLAIN, ORIGIN, False, False, False),
        (PLAIN, UPSTREAM, True, True, True),
        (PLAIN, UPSTREAM, False, False, True),
        (OFFERS_NTLM, UPSTREAM, False, True, True),
        (OFFERS_NTLM, ORIGIN, False, True, True),
    ],
    ids=["shared", "direct", "client-logs-in-at-origin", "client-logs-in-upstream", "offer", "direct-offer"],
)
def test_px_binds_a_connection_at_the_first_login_that_is_bound_to_it(
    head: bytes, hop: Hop, *, is_bound: bool, logs_in: bool, binds: bool
) -> None:
    bench = Bench(logs_in=logs_in)
    connection, answer = bench.receive(head, hop=hop, is_bound=is_bound)
    assert bench.bound.owns(answer.connection) is binds
    assert (bench.bound.lend() is answer.connection) is binds
    bench.bound.close()
    assert connection.is_closed() is binds


def test_a_new_bound_connection_closes_the_previous_one() -> None:
    bench = Bench()
    first, _ = bench.receive(OFFERS_NTLM)
    bench.receive(OFFERS_NTLM, by=first)
    assert not first.is_closed()
    second, answer = bench.receive(OFFERS_NTLM)
    assert first.is_closed()
    assert not second.is_closed()
    assert bench.bound.owns(answer.connection)


def test_the_clients_connection_ends_with_its_bound_one() -> None:
    bench = Bench()
    _, shared = bench.receive(LAST)
    assert not bench.bound.ends_with(shared)
    _, last = bench.receive(LAST, is_bound=True)
    assert bench.bound.ends_with(last)
    _, kept = bench.receive(PLAIN, is_bound=True)
    assert not bench.bound.ends_with(kept)


def test_the_client_is_closed_when_the_idle_bound_connection_ends() -> None:
    bench = Bench()
    bench.bound.watch()
    connection, _ = bench.receive(PLAIN, is_bound=True)
    bench.bound.watch()
    assert connection.stream.is_watched
    assert connection.stream.on_idle_input == bench.client.close
    bench.bound.lend()
    assert connection.stream.on_idle_input is None


def test_px_also_binds_the_connection_after_a_lost_one() -> None:
    bench = Bench()
    assert not bench.is_lost()
    connection, _ = bench.receive(PLAIN, is_bound=True)
    connection.close()
    assert bench.is_lost()
    bench.bound.watch()
    assert not connection.stream.is_watched
    _, answer = bench.receive(PLAIN)
    assert bench.bound.owns(answer.connection)
    assert not bench.is_lost()
