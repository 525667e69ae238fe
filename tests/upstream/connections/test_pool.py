"""The pool of kept connections."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Self

from px.core.login.method import Method
from px.io.completion_stream import CompletionStream
from px.io.io_loop import IoLoop
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.pool import MAX_IDLE, Pool, PoolKey, key_of
from tests.io.pairs import KIND, open_pair
from tests.scripted_upstream import Wire, until


def hop(key: str = "up", identity: str = "me") -> Hop:
    login: Any = SimpleNamespace(source=SimpleNamespace(identity=SimpleNamespace(key=identity)))
    return Hop(f"upstream {key}", key, "127.0.0.1", 1, is_upstream=True, login=login)


class Bench:
    def __init__(self, idle_seconds: float = 60, max_idle: int = MAX_IDLE) -> None:
        self.io_loop = IoLoop()
        self.pool = Pool(self.io_loop, idle_seconds, max_idle)
        self.wires: list[Wire] = []

    def connection(self, to: Hop | None = None, method: Method | None = None) -> Connection:
        stream, wire = open_pair(self.io_loop)
        self.wires.append(wire)
        return Connection(stream, to or hop(), logged_in_by=method)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.clear()
        for wire in self.wires:
            wire.close()


async def test_a_kept_connection_is_leased_once() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        assert bench.pool.take(PoolKey("up")) is connection
        assert bench.pool.take(PoolKey("up")) is None
        connection.close()


async def test_a_connection_with_unexpected_bytes_is_not_leased() -> None:
    """Its reader has not run yet, so Px would take those bytes for the answer to the next request."""
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        bench.wires[0].sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if KIND is CompletionStream:  # the next iteration of the loop notices a completed receive
            await until(lambda: not connection.stream.is_quiet())
        assert bench.pool.take(PoolKey("up")) is None
        assert repr(bench.pool) == "<Pool {}>"


async def test_when_the_pool_is_full_the_oldest_connection_of_the_least_recent_hop_is_closed() -> None:
    with Bench(max_idle=4) as bench:
        for name in ("first", "second", "first", "second", "first"):
            bench.pool.put(bench.connection(hop(name)))
        assert repr(bench.pool) == "<Pool {'second': 1, 'first': 3}>"
        bench.pool.put(bench.connection(hop("first")))
        assert repr(bench.pool) == "<Pool {'first': 4}>"


async def test_the_connection_used_last_is_leased_first() -> None:
    with Bench() as bench:
        first, second = bench.connection(), bench.connection()
        bench.pool.put(first)
        bench.pool.put(second)
        assert bench.pool.take(PoolKey("up")) is second
        second.close()


async def test_a_connection_is_leased_only_for_its_own_key() -> None:
    with Bench() as bench:
        made = {
            PoolKey("up"): bench.connection(),
            PoolKey("other"): bench.connection(hop("other")),
            PoolKey("up", "NTLM", "me"): bench.connection(method=Method.NTLM),
            PoolKey("up", "NTLM", "you"): bench.connection(hop(identity="you"), Method.NTLM),
            PoolKey("up", "KERBEROS", "me"): bench.connection(method=Method.KERBEROS),
        }
        for key, connection in made.items():
            assert key_of(connection) == key
            bench.pool.put(connection)
        assert bench.pool.take(PoolKey("up", "NTLM", "nobody")) is None
        for key, connection in made.items():
            assert bench.pool.take(key) is connection
            connection.close()


async def test_a_connection_that_ends_is_dropped_at_once() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        bench.wires[0].close()
        await until(lambda: connection.stream.is_closed)
        assert bench.pool.take(PoolKey("up")) is None


async def test_a_connection_with_unread_bytes_is_not_kept() -> None:
    with Bench() as bench:
        connection = bench.connection()
        connection.stream.unread(b"unasked")
        bench.pool.put(connection)
        assert connection.stream.is_closed
        assert repr(bench.pool) == "<Pool {}>"


async def test_a_leased_connection_that_gets_input_stays_open() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        assert bench.pool.take(PoolKey("up")) is connection
        await bench.wires[0].send(b"answer")
        await asyncio.sleep(0.01)
        assert await connection.stream.read() == b"answer"
        connection.close()


async def test_a_connection_idle_for_too_long_is_closed_and_others_stay() -> None:
    with Bench(idle_seconds=0.1) as bench:
        old, young = bench.connection(), bench.connection(hop("other"))
        bench.pool.put(old)
        await asyncio.sleep(0.06)
        bench.pool.put(young)
        await until(lambda: old.stream.is_closed)
        assert not young.stream.is_closed
        assert repr(bench.pool) == "<Pool {'other': 1}>"


async def test_the_number_of_kept_connections_is_limited_and_the_oldest_goes() -> None:
    with Bench(max_idle=3) as bench:
        made = [bench.connection() for _ in range(4)]
        for connection in made:
            bench.pool.put(connection)
        assert [connection.stream.is_closed for connection in made] == [True] + [False] * (len(made) - 1)


async def test_clear_closes_all() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        bench.pool.clear()
        assert connection.stream.is_closed


async def test_a_connection_is_kept_no_longer_than_its_hop_says() -> None:
    with Bench() as bench:
        short, long, none = bench.connection(), bench.connection(), bench.connection()
        short.kept_seconds, long.kept_seconds, none.kept_seconds = 1, 30, 0
        for connection in (short, long, none):
            bench.pool.put(connection)
        assert none.stream.is_closed
        now = bench.io_loop.now()
        # This is within the announced second, but a request needs time to arrive.
        bench.io_loop.now = lambda: now + 0.6
        bench.pool.expire()
        assert (short.stream.is_closed, long.stream.is_closed) == (True, False)
        bench.io_loop.now = lambda: now + 29.5
        assert bench.pool.take(PoolKey("up")) is None  # even before the next sweep
        assert long.stream.is_closed


async def test_a_request_that_must_not_be_repeated_gets_a_recently_used_connection() -> None:
    logged_in, plain = PoolKey("up", "NTLM", "me"), PoolKey("up")
    with Bench() as bench:
        connection, ntlm = bench.connection(), bench.connection(method=Method.NTLM)
        now = bench.io_loop.now()
        for each in (connection, ntlm):
            bench.pool.put(each)
        assert bench.pool.take_safe([logged_in, plain], client_retries=False) is ntlm
        bench.pool.put(ntlm)
        assert bench.pool.take_safe([plain], client_retries=True) is connection
        bench.pool.put(connection)
        bench.io_loop.now = lambda: now + 2
        assert bench.pool.take_safe([logged_in, plain], client_retries=True) is None
        assert (ntlm.stream.is_closed, connection.stream.is_closed) == (
            True,
            False,
        )  # a fresh connection replaces it
        assert ntlm.is_retired
        assert bench.pool.take_safe([plain], client_retries=False) is None
        assert connection.stream.is_closed
