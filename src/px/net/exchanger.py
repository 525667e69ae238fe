"""Exchanges requests with hops, and settles doubts about a secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from px.core.errors import BadResponseError, LoginError, PxError, UnreachableError
from px.core.head import parse_request
from px.core.login_parts import ProofWantedError
from px.core.target import Authority
from px.core.upstream_login import Method, UpstreamLogin
from px.net.connection import Connection, Hop
from px.net.exchange import Exchange
from px.net.io_loop import IoLoop
from px.net.login_turn import LoginTurns
from px.net.message import Answer, OnInterim, Request, ignore_interim
from px.net.pool import Pool

_LOGGER = logging.getLogger("px.login")

#: More doubts about one request are no doubt any more.
MAX_PROOFS = 3


@dataclass(frozen=True, slots=True)
class Exchanger:
    """What all exchanges share.

    Attributes:
        io_loop: Of the streams.
        pool: Of kept connections.
        dial: Opens a connection to a hop.
        turns: One login at a time while a secret is unproven.
        socktimeout: Seconds for an answer that only the upstream can give.
        proofs: Verifications under way, by identity.
    """

    io_loop: IoLoop
    pool: Pool
    dial: Callable[[Hop], Awaitable[Connection]]
    turns: LoginTurns
    socktimeout: float
    proofs: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def exchange(
        self, hop: Hop, request: Request, on_interim: OnInterim, bound: Connection | None = None
    ) -> Answer:
        """Return the final answer of a hop.

        Args:
            hop: The next hop.
            request: To send.
            on_interim: Called with each 1xx that is the client's (RFC 9110 15.2).
            bound: The connection that belongs to this client alone.

        Raises:
            UnreachableError: No connection, or an upstream that is silent: another one may do.
            HopTimeoutError: No answer in time.
            BadResponseError: No answer, or a broken one.
            LoginError: The upstream wants a login that failed.
            BadRequestError: The body breaks RFC 9112.
            BrokenStreamError: The client is gone.
        """
        login = hop.login
        if login is None:
            return await Exchange(self, hop, request, on_interim).run(bound)
        for _ in range(MAX_PROOFS):
            try:
                return await self._reach_verdict(Exchange(self, hop, request, on_interim), login, bound)
            except ProofWantedError as wanted:
                _LOGGER.warning("%s To make sure, Px logs in there for no site.", wanted.cause)
                if not request.body.can_replay:
                    raise
                await self._prove(hop, login, request, wanted)
        raise login.say_refused(())

    async def is_alive(self, hop: Hop) -> bool:
        """Whether an upstream answers a TRACE that ends there (RFC 9110 7.6.2), at no slow origin."""
        at = Authority(hop.host, hop.port).to_bytes()
        try:
            connection = await self.dial(hop)
        except UnreachableError:
            return False
        try:
            connection.stream.deadline = self.io_loop.now() + self.socktimeout / 2
            await connection.stream.write(
                b"TRACE http://%b/ HTTP/1.1\r\nHost: %b\r\nMax-Forwards: 0\r\n\r\n" % (at, at)
            )
            await connection.read_response(b"TRACE")
        except (OSError, PxError):
            return False
        finally:
            connection.close()
        return True

    async def _reach_verdict(
        self, exchange: Exchange, login: UpstreamLogin, bound: Connection | None
    ) -> Answer:
        """Run an exchange; one that may tell whether a secret is good goes on when its client leaves.

        Else every client that hangs up before the verdict would cost a login that nobody counts.
        """
        if (
            bound is not None
            or login.is_open
            or exchange.has_kept_connection
            or login.guard.is_proven(login.source)
        ):
            return await exchange.run(bound)  # no verdict to come, most likely: the common case pays nothing
        running = asyncio.create_task(exchange.run(bound))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not exchange.awaits_verdict:
                running.cancel()
            running.add_done_callback(_discard)
            raise

    async def _prove(
        self, hop: Hop, login: UpstreamLogin, request: Request, wanted: ProofWantedError
    ) -> None:
        """Settle a doubt about a secret: once for all who ask.

        Raises:
            LoginError: The secret is refused, or this cannot be told and the request was refused.
        """
        key = login.source.identity.key
        proving = self.proofs.get(key)
        if proving is None:
            proving = asyncio.create_task(self._verify(hop, login, request, wanted.refused))
            self.proofs[key] = proving
            proving.add_done_callback(lambda _: self.proofs.pop(key, None))
            proving.add_done_callback(_consume_error)
        try:
            await asyncio.shield(proving)
        except LoginError as error:
            raise wanted.settled_by(error) from error
        except PxError:
            login.can_verify = False
            if wanted.refused:
                raise wanted from None

    async def _verify(
        self, hop: Hop, login: UpstreamLogin, request: Request, refused: Sequence[Method]
    ) -> None:
        """Log in for a TRACE that ends at the upstream (RFC 9110 7.6.2): no rule about targets denies it.

        Raises:
            LoginError: The secret is refused.
            PxError: It cannot be told: the upstream does not play on.
        """
        at = Authority(hop.host, hop.port).to_bytes()
        head = parse_request(b"TRACE http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % (at, at))
        body = request.body.without_content()
        trace = replace(request, head=head, body=body, set_fields=((b"Max-Forwards", b"0"),))
        exchange = Exchange(self, hop, trace, ignore_interim, verifies_after=refused)
        answer = await exchange.run()
        connection = answer.connection
        try:
            is_kept = await connection.drain(answer.head)
        except (PxError, TimeoutError):
            is_kept = False
        if is_kept:
            self.pool.put(connection)
        else:
            connection.close()
        if not login.guard.is_clear(login.source):
            raise BadResponseError(f"{login.subject} answers a TRACE without a login.")


def _discard(running: asyncio.Task[Answer]) -> None:
    """The client has left: nobody wants the answer."""
    if not running.cancelled() and running.exception() is None:
        answer = running.result()
        answer.connection.close()
        if answer.upload is not None:
            answer.upload.cancel()


def _consume_error(proving: asyncio.Task[None]) -> None:
    """Those who waited have it; or they have left."""
    if not proving.cancelled():
        proving.exception()
