"""Exchanges requests with hops, and settles doubts about a secret."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from px.core.errors import BadResponseError, LoginError, PxError, UnreachableError
from px.core.head import ResponseHead, parse_request
from px.core.login_parts import ProofWantedError
from px.core.target import Authority
from px.core.upstream_auth import LoginAttempt
from px.core.upstream_login import Method, UpstreamLogin
from px.net.connection import Connection, Hop
from px.net.exchange import Exchange
from px.net.io_loop import IoLoop
from px.net.login_turn import LoginTurns, say_waiting
from px.net.message import (
    LOGIN_REQUIRED,
    MAX_INTERIMS,
    Answer,
    Dial,
    OnInterim,
    Request,
    SentToken,
    ignore_interim,
)
from px.net.pool import Pool

#: More doubts about one request are no doubt any more.
MAX_PROOFS = 3
#: How long a request waits for a proof, in units of `Exchanger.socktimeout`: for the turn, and the verdict.
PROOF_TIMEOUTS = 2


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
        settling: Verdicts waited for though nobody wants the answer any more.
    """

    io_loop: IoLoop
    pool: Pool
    dial: Dial
    turns: LoginTurns
    socktimeout: float
    proofs: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    settling: set[asyncio.Task[None]] = field(default_factory=set)

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
                return await Exchange(self, hop, request, on_interim).run(bound)
            except ProofWantedError as wanted:
                if request.journey is not None:
                    request.journey.note("%s To make sure, Px logs in there for no site.", wanted.cause)
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

    def settle(self, attempt: LoginAttempt, sent: SentToken) -> None:
        """Wait for the verdict on a token whose request was given up, so that none goes uncounted.

        Else every client that hangs up before the verdict would cost a login that nobody counts.

        Args:
            attempt: That sent it; closed in the end.
            sent: The token; its connection is closed in the end.
        """
        settling = asyncio.create_task(self._settle(attempt, sent))
        self.settling.add(settling)
        settling.add_done_callback(self.settling.discard)

    async def _settle(self, attempt: LoginAttempt, sent: SentToken) -> None:
        try:
            head = sent.answer or await self._read_verdict(sent)
            if head.status != LOGIN_REQUIRED:
                attempt.receive_answer()
                return
            with contextlib.suppress(PxError):  # whoever could be told has left
                challenges = head.values(b"proxy-authenticate")
                await attempt.receive_407(challenges, None, can_continue=False)
        except (PxError, OSError):
            attempt.receive_no_verdict()
        except asyncio.CancelledError:
            attempt.receive_no_verdict()
            raise
        finally:
            attempt.close()
            sent.connection.close()

    async def _read_verdict(self, sent: SentToken) -> ResponseHead:
        sent.connection.stream.deadline = self.io_loop.now() + self.socktimeout
        for _ in range(MAX_INTERIMS):
            head = await sent.connection.read_response(sent.method)
            if not head.is_interim:
                return head
        raise BadResponseError(f"The {sent.connection.hop.name} sends interim answers without end.")

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
            async with asyncio.timeout(PROOF_TIMEOUTS * self.socktimeout):
                await asyncio.shield(proving)
        except TimeoutError:  # the verification goes on: its token is out
            raise wanted.settled_by(say_waiting()) from None
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
        exchange = Exchange(self, hop, _trace_at(hop, request), ignore_interim, verifies_after=refused)
        await self._keep_idle(await exchange.run())
        if not exchange.is_login_accepted:
            raise BadResponseError(f"{login.subject} answers a TRACE without a login.")

    async def log_in_ahead(self, hop: Hop, request: Request) -> Connection | None:
        """Open a connection, log it in for such a TRACE, and keep it for whoever comes.

        No verification: if the upstream refuses a secret that it has just accepted, that is held against the
        TRACE, as it would be against any target.

        Args:
            hop: The upstream.
            request: By which it is known what clients want there; nothing of it is sent.

        Returns:
            The connection, None: the upstream does not play on.
        """
        trace = replace(_trace_at(hop, request), journey=None)
        try:
            connection = await self.dial(hop)
            try:
                exchange = Exchange(self, hop, trace, ignore_interim)
                answer = await exchange.run(connection)
            except BaseException:
                connection.close()
                raise
        except (PxError, OSError):
            return None
        is_kept = await self._keep_idle(answer)
        return answer.connection if is_kept and exchange.is_login_accepted else None

    async def _keep_idle(self, answer: Answer) -> bool:
        """Keep the connection of an answer that nobody wants to see; return whether that could be."""
        connection = answer.connection
        connection.stream.deadline = self.io_loop.now() + self.socktimeout
        try:
            is_kept = await connection.drain(answer.head)
        except (PxError, TimeoutError):
            is_kept = False
        if is_kept:
            self.pool.put(connection)
        else:
            connection.close()
        return is_kept


def _trace_at(hop: Hop, request: Request) -> Request:
    at = Authority(hop.host, hop.port).to_bytes()
    head = parse_request(b"TRACE http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % (at, at))
    body = request.body.without_content()
    return replace(request, head=head, body=body, set_fields=((b"Max-Forwards", b"0"),), dial=None)


def _consume_error(proving: asyncio.Task[None]) -> None:
    """Those who waited have it; or they have left."""
    if not proving.cancelled():
        proving.exception()
