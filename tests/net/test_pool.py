"""Kept connections."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Self

from px.core.upstream_login import Method
from px.net.completion_stream import CompletionStream
from px.net.connection import Connection, Hop
from px.net.io_loop import IoLoop
from px.net.pool import MAX_IDLE, Pool, PoolKey, key_of
from tests.net.pairs import KIND, open_pair
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


async def test_a_connection_with_something_unasked_for_is_not_leased() -> None:
    """Its reader has had no turn yet: those bytes would be read as the answer to the next request."""
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        bench.wires[0].sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if KIND is CompletionStream:  # that what receives has completed is known from the next turn on
            await until(lambda: not connection.stream.is_quiet())
        assert bench.pool.take(PoolKey("up")) is None
        assert repr(bench.pool) == "<Pool {}>"


async def test_a_bounded_number_is_kept_the_oldest_of_the_hop_not_used_for_longest_goes() -> None:
    with Bench(max_idle=4) as bench:
        for name in ("first", "second", "first", "second", "first"):
            bench.pool.put(bench.connection(hop(name)))
        assert repr(bench.pool) == "<Pool {'second': 1, 'first': 3}>"
        bench.pool.put(bench.connection(hop("first")))
        assert repr(bench.pool) == "<Pool {'first': 4}>"


async def test_the_one_used_last_is_leased_first() -> None:
    with Bench() as bench:
        first, second = bench.connection(), bench.connection()
        bench.pool.put(first)
        bench.pool.put(second)
        assert bench.pool.take(PoolKey("up")) is second
        second.close()


async def test_keys_never_cross() -> None:
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


async def test_one_that_ends_is_dropped_at_once() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        bench.wires[0].close()
        await until(lambda: connection.stream.is_closed)
        assert bench.pool.take(PoolKey("up")) is None


async def test_one_that_has_unread_bytes_is_not_kept() -> None:
    with Bench() as bench:
        connection = bench.connection()
        connection.stream.unread(b"unasked")
        bench.pool.put(connection)
        assert connection.stream.is_closed
        assert repr(bench.pool) == "<Pool {}>"


async def test_a_leased_one_that_gets_input_stays_open() -> None:
    with Bench() as bench:
        connection = bench.connection()
        bench.pool.put(connection)
        assert bench.pool.take(PoolKey("up")) is connection
        await bench.wires[0].send(b"answer")
        await asyncio.sleep(0.01)
        assert await connection.stream.read() == b"answer"
        connection.close()


async def test_one_that_is_idle_for_too_long_is_closed_and_others_stay() -> None:
    with Bench(idle_seconds=0.1) as bench:
        old, young = bench.connection(), bench.connection(hop("other"))
        bench.pool.put(old)
        await asyncio.sleep(0.06)
        bench.pool.put(young)
        await until(lambda: old.stream.is_closed)
        assert not young.stream.is_closed
        assert repr(bench.pool) == "<Pool {'other': 1}>"


async def test_no_more_than_so_many_are_kept_the_oldest_goes() -> None:
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
