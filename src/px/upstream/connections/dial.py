"""Opens TCP connections: races all addresses of a host, as RFC 8305 describes."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from weakref import WeakSet

from px.core.errors import ForbiddenError, LoopError, PxError, UnreachableError
from px.core.http.target import Authority
from px.io.completion_stream import CompletionStream
from px.io.io_loop import NEVER, IoLoop
from px.io.liveness import is_stranded, set_liveness_timeouts
from px.io.local_failure import explain_exhaustion
from px.io.socket_stream import SocketStream, open_stream
from px.upstream.connections.resolver import Resolver

#: RFC 8305 5: the next address is tried when the one before has been silent for this long.
ATTEMPT_DELAY_SECONDS = 0.25
_UNDER_WAY = frozenset((errno.EINPROGRESS, errno.EINTR))

#: The Windows error of a failed overlapped operation (winerror.h); ``errno`` is EINVAL for each.
_ERRNO_OF_WINERROR: Final = {
    64: errno.ECONNRESET,  # ERROR_NETNAME_DELETED
    121: errno.ETIMEDOUT,  # ERROR_SEM_TIMEOUT
    1225: errno.ECONNREFUSED,  # ERROR_CONNECTION_REFUSED
    1231: errno.ENETUNREACH,  # ERROR_NETWORK_UNREACHABLE
    1232: errno.EHOSTUNREACH,  # ERROR_HOST_UNREACHABLE
}
_CAUSES: Final = {
    errno.ECONNREFUSED: "The connection was refused: nothing listens there.",
    errno.ENETUNREACH: "No network leads there.",
    errno.EHOSTUNREACH: "The network cannot find that host.",
    errno.ECONNRESET: "The connection was reset.",
    errno.ETIMEDOUT: "There was no answer.",
}
#: Error types of RFC 9209 2.3; all other failures are a refused connection.
_PROXY_STATUS: Final = {
    errno.ENETUNREACH: "destination_ip_unroutable",
    errno.EHOSTUNREACH: "destination_ip_unroutable",
    errno.ETIMEDOUT: "connection_timeout",
}

#: Whether something is true of an address.
IsAt = Callable[[Authority], bool]


class Dialer:
    """Connects to hosts.

    Args:
        io_loop: The loop of the opened streams.
        resolver: Resolves the names.
        timeout_seconds: For the connects to all addresses together.
        is_own: Whether Px itself listens at an address. A PAC script may lead there by any name, and without
            a Via field the request would then loop for ever.
    """

    def __init__(
        self,
        io_loop: IoLoop,
        resolver: Resolver,
        timeout_seconds: float,
        is_own: IsAt,
    ) -> None:
        self._io_loop = io_loop
        self._resolver = resolver
        self._timeout_seconds = timeout_seconds
        self._is_own = is_own
        self._opened: WeakSet[SocketStream | CompletionStream] = WeakSet()

    async def connect(
        self, host: str, port: int, is_forbidden: IsAt | None = None
    ) -> SocketStream | CompletionStream:
        """Return a stream to the first address that answers.

        Args:
            host: The name or address.
            port: The port.
            is_forbidden: Whether another Px of this user listens at an address. Then no client may be
                connected to it; None: any address will do, because the host is an upstream.

        Raises:
            UnreachableError: The name is unknown, its addresses are not for clients, or none answers in time.
            ExhaustedError: This computer cannot open another connection.
        """
        addresses = self._choose(await self._resolver.resolve(host), port, is_forbidden)
        try:
            if len(addresses) == 1:
                deadline = self._io_loop.now() + self._timeout_seconds
                sock = await _connect(self._io_loop, addresses[0], port, deadline)
            else:
                async with asyncio.timeout(self._timeout_seconds):
                    sock = await _race(self._io_loop, interleave_families(addresses), port)
        except TimeoutError:
            raise UnreachableError(
                f"There was no answer within {self._timeout_seconds:g} s.",
                status=504,
                proxy_status="connection_timeout",
            ) from None
        except OSError as error:
            raise _explain(error) from error
        set_liveness_timeouts(sock)
        stream = open_stream(sock, self._io_loop, f"{host}:{port}")
        self._opened.add(stream)
        return stream

    def _choose(self, found: Sequence[str], port: int, is_forbidden: IsAt | None) -> Sequence[str]:
        """Return the addresses that Px may connect to, at least one."""
        addresses = [address for address in found if not self._is_own(Authority(address, port))]
        if not addresses:
            raise _self_connect_error()
        if is_forbidden is None:
            return addresses
        allowed = [address for address in addresses if not is_forbidden(Authority(address, port))]
        if not allowed:
            raise _other_px_error()
        return allowed

    def lose_stranded(self) -> None:
        """Break the connections that no longer lead to their peers, because the network has changed."""
        verdicts: dict[tuple[str, str], bool] = {}
        for stream in list(self._opened):
            if not stream.is_closed and is_stranded(stream.sock, verdicts):
                stream.lose()

    def __repr__(self) -> str:
        return f"<Dialer timeout={self._timeout_seconds:g}s>"


def interleave_families(addresses: Sequence[str]) -> list[str]:
    """Alternate IPv6 and IPv4, beginning with the family preferred by the system (RFC 8305 4)."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if address not in first]
    ordered: list[str] = []
    while first or second:
        ordered += first[:1] + second[:1]
        first, second = first[1:], second[1:]
    return ordered


async def _race(io_loop: IoLoop, addresses: Sequence[str], port: int) -> socket.socket:
    """Return the first socket to connect: start connects at intervals, and at once when one fails."""
    waiting = list(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError("no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect(io_loop, waiting.pop(0), port)))
            delay = ATTEMPT_DELAY_SECONDS if waiting else None
            done, running = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    for late in done - {task}:
                        close_late(late)
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(close_late)
    raise failure


class _Closable(Protocol):
    def close(self) -> None: ...


def close_late(task: asyncio.Task[_Closable]) -> None:
    """Close the result of a connect, if it has one: the connect finished after the race was won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect(io_loop: IoLoop, address: str, port: int, deadline: float = NEVER) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if isinstance(io_loop.loop, asyncio.SelectorEventLoop):
            await _Connect(io_loop, deadline).run(sock, (address, port))
        else:
            async with asyncio.timeout_at(None if deadline == NEVER else deadline):
                await io_loop.loop.sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class _Connect:
    """A connect on a loop that watches descriptors: a third of the cost of `sock_connect` and a timeout."""

    def __init__(self, io_loop: IoLoop, deadline: float) -> None:
        self.deadline = deadline
        self._io_loop = io_loop
        self._waiter: asyncio.Future[None] = io_loop.loop.create_future()

    async def run(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        """Return once the socket is connected.

        Raises:
            OSError: The connect failed.
        """
        failure = sock.connect_ex(peer)
        if failure in _UNDER_WAY:
            await self._wait(sock)
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))

    async def _wait(self, sock: socket.socket) -> None:
        io_loop, number = self._io_loop, sock.fileno()
        io_loop.loop.add_writer(number, self._wake)
        io_loop.watch(self)
        try:
            await self._waiter
        finally:
            io_loop.unwatch(self)
            io_loop.loop.remove_writer(number)
            del self._waiter  # see `px.io.stream`

    def _wake(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)

    def expire(self) -> None:
        """Fail the connect: the deadline has passed."""
        if not self._waiter.done():
            self._waiter.set_exception(TimeoutError())


def _self_connect_error() -> UnreachableError:
    return UnreachableError(
        "Px itself listens there.",
        "Name the upstream, not Px, in --proxy, in the PAC script or in the system's settings.",
        status=LoopError.status,
        proxy_status=LoopError.proxy_status,
    )


def _other_px_error() -> UnreachableError:
    return UnreachableError(
        "Another Px of this user listens there.",
        "Connect to it without a proxy. It may also be an upstream of Px, named by --proxy.",
        status=ForbiddenError.status,
        proxy_status=ForbiddenError.proxy_status,
    )


def _explain(error: OSError) -> PxError:
    exhausted = explain_exhaustion(error, "open another connection")
    if exhausted is not None:
        return exhausted
    number = _ERRNO_OF_WINERROR.get(getattr(error, "winerror", None) or 0, error.errno or 0)
    cause = _CAUSES.get(number) or f"The system says: {error.strerror or error}."
    return UnreachableError(cause, proxy_status=_PROXY_STATUS.get(number, "connection_refused"))
