"""Exchanges requests with hops, and verifies a secret that an upstream may have refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from px.core.errors import BadResponseError, LoginError, PxError, UnreachableError
from px.core.http.request_head import parse_request
from px.core.http.response_head import ResponseHead
from px.core.login.attempt import LoginAttempt
from px.core.login.method import Method
from px.core.login.permit import SlowVerdictError, VerificationWantedError
from px.core.login.report import make_refused_error
from px.core.login.upstream_state import UpstreamLogin
from px.core.trace.request_trace import NO_TRACE
from px.io.io_loop import IoLoop
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.pool import Pool
from px.upstream.exchange import Exchange
from px.upstream.login_gate import LoginGates, explain_waiting
from px.upstream.message import (
    LOGIN_REQUIRED,
    MAX_INTERIMS,
    Answer,
    AwaitedVerdict,
    Dial,
    Request,
    RouteAttempt,
)
from px.upstream.request_body import RequestBody
from px.upstream.verification import VERIFICATION_METHODS, ask_upstream, format_bare, verify

#: After this many verifications that followed refusals of one request, Px treats the secret as refused.
MAX_VERIFICATIONS = 3
#: How long a request waits for a verification, or for slow verdicts, in units of `Exchanger.socktimeout`.
VERIFICATION_TIMEOUTS = 2


@dataclass(frozen=True, slots=True)
class Exchanger:
    """Runs exchanges, and holds what they share.

    Attributes:
        io_loop: The loop of the streams.
        pool: The connections that are kept.
        dial: Opens a connection to a hop.
        login_gates: Lets one login of an account pass at a time, unless its secret was just accepted.
        socktimeout: How many seconds the upstream has for an answer that it gives without an origin.
        verifications: The verifications under way, by identity.
        settling: Tasks that wait for a verdict after the request was abandoned.
    """

    io_loop: IoLoop
    pool: Pool
    dial: Dial
    login_gates: LoginGates
    socktimeout: float
    verifications: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    settling: set[asyncio.Task[None]] = field(default_factory=set)

    async def exchange(self, attempt: RouteAttempt, request: Request) -> Answer:
        """Return the final answer of a hop.

        Args:
            attempt: The hop, and how connections to it are opened.
            request: To send.

        Raises:
            UnreachableError: No connection, or an upstream that is silent; another upstream may work.
            HopTimeoutError: No answer in time.
            BadResponseError: No answer, or a broken one.
            LoginError: The upstream wants a login that failed.
            BadRequestError: The body breaks RFC 9112.
            BrokenStreamError: The client is gone.
        """
        login = attempt.hop.login
        if login is None:
            return await Exchange(self, attempt, request).run()
        verifications, deadline = 0, self.io_loop.now() + VERIFICATION_TIMEOUTS * self.socktimeout
        while verifications < MAX_VERIFICATIONS:
            try:
                return await Exchange(self, attempt, request).run()
            except VerificationWantedError as wanted:
                verifications += bool(wanted.refused)
                if self.io_loop.now() > deadline:  # other requests were refused again and again, or are slow
                    raise explain_waiting() from None
                request.trace.note(
                    "%s To make sure, Px logs in with a request that the upstream itself answers.",
                    wanted.cause,
                )
                if not request.body.can_replay:
                    raise
                await self._wait_for_verification(attempt.hop, login, request, wanted)
        raise make_refused_error(login, ())

    async def is_alive(self, hop: Hop) -> bool:
        """Return whether an upstream answers a request that ends there (RFC 9110 7.6.2)."""
        deadline = self.io_loop.now() + self.socktimeout / 2
        for method in VERIFICATION_METHODS:
            try:
                connection = await self.dial(hop)
            except UnreachableError:
                return False
            try:
                connection.stream.deadline = deadline
                await connection.stream.write(format_bare(hop, method))
                await connection.read_response(method)
            except TimeoutError:
                return False
            except (OSError, PxError):  # the upstream may still answer the next method
                continue
            finally:
                connection.close()
            return True
        return False

    def settle(self, attempt: LoginAttempt, awaited: AwaitedVerdict) -> None:
        """Wait for the verdict on a token after its request was abandoned, so that Px counts each refusal.

        Otherwise a client that hangs up before the verdict could cause a refusal that Px does not count.

        Args:
            attempt: The attempt that sent the token; this method closes it.
            awaited: The verdict to come; this method closes its connection.
        """
        settling = asyncio.create_task(self._settle(attempt, awaited))
        self.settling.add(settling)
        settling.add_done_callback(self.settling.discard)

    async def _settle(self, attempt: LoginAttempt, awaited: AwaitedVerdict) -> None:
        try:
            head = awaited.answer or await self._read_verdict(awaited)
            if head.status != LOGIN_REQUIRED:
                attempt.receive_answer()
                return
            with contextlib.suppress(PxError):  # the client that would get the error has left
                challenges = head.values(b"proxy-authenticate")
                await attempt.receive_407(challenges, None, can_continue=False)
        except (PxError, OSError):
            attempt.receive_no_verdict()
        except asyncio.CancelledError:
            attempt.receive_no_verdict()
            raise
        finally:
            attempt.close()
            awaited.connection.close()

    async def _read_verdict(self, awaited: AwaitedVerdict) -> ResponseHead:
        awaited.connection.stream.deadline = self.io_loop.now() + self.socktimeout
        for _ in range(MAX_INTERIMS):
            head = await awaited.connection.read_response(awaited.method)
            if not head.is_interim:
                return head
        raise BadResponseError(f"The {awaited.connection.hop.name} sends interim answers without end.")

    async def _wait_for_verification(
        self, hop: Hop, login: UpstreamLogin, request: Request, wanted: VerificationWantedError
    ) -> None:
        """Find out whether a secret is good, with one verification for all requests that wait.

        Raises:
            LoginError: The upstream refused the secret, or there was no verdict and it refused the request.
        """
        is_settled = login.guard.is_accepted_lately(login.source)  # by another request
        if is_settled and not isinstance(wanted, SlowVerdictError):
            return
        key = login.source.identity.key
        verifying = self.verifications.get(key)
        if verifying is None:
            verifying = asyncio.create_task(self._verify(hop, login, request, wanted.refused))
            self.verifications[key] = verifying
            verifying.add_done_callback(lambda _: self.verifications.pop(key, None))
            verifying.add_done_callback(_consume_error)
        try:
            async with asyncio.timeout(VERIFICATION_TIMEOUTS * self.socktimeout):
                await asyncio.shield(verifying)
        except TimeoutError:  # the verification goes on: its token is out
            raise wanted.settled_by(explain_waiting()) from None
        except LoginError as error:
            raise wanted.settled_by(error) from error
        except PxError:
            if wanted.refused:
                raise wanted from None

    async def _verify(
        self, hop: Hop, login: UpstreamLogin, request: Request, refused: Sequence[Method]
    ) -> None:
        """Verify the secret and keep the connection; see `px.upstream.verification.verify`."""
        await self.keep_idle(await verify(self, hop, login, request, refused))

    async def verify_login(self, hop: Hop, login: UpstreamLogin) -> None:
        """Log in at an upstream for no client and no site, and keep the connection.

        Raises:
            LoginError: The upstream refused the login, or Px may not or cannot make one.
            PxError: There was no verdict: the upstream answers no request of Px's own.
        """
        head = parse_request(format_bare(hop, VERIFICATION_METHODS[-1]))
        request = Request(head, RequestBody.of_px(self.io_loop), None)
        await self.keep_idle(await verify(self, hop, login, request, ()))

    async def log_in_ahead(self, hop: Hop, request: Request) -> Connection | None:
        """Open a connection, log it in, and keep it in the pool; the upstream answers the request itself.

        This does not verify the secret. If the upstream refuses a secret that it accepted a moment ago, Px
        treats the refusal as a denial of the target, as for any other request.

        Args:
            hop: The upstream.
            request: The client's request that caused this login; no part of it is sent.

        Returns:
            The connection; None: the upstream does not accept such a login.
        """
        index = hop.login.verification_index if hop.login is not None else 0
        ahead = ask_upstream(hop, request, index)
        try:
            connection = await self.dial(hop)
            try:
                ahead = replace(ahead, trace=NO_TRACE, bound=connection)
                exchange = Exchange(self, RouteAttempt(hop, self.dial), ahead)
                answer = await exchange.run()
            except BaseException:
                connection.close()
                raise
        except (PxError, OSError):
            return None
        is_kept = await self.keep_idle(answer)
        return answer.connection if is_kept and exchange.is_login_accepted else None

    async def keep_idle(self, answer: Answer) -> bool:
        """Keep the connection of an answer that no client waits for; return whether that was possible."""
        connection = answer.connection
        connection.stream.deadline = self.io_loop.now() + self.socktimeout
        try:
            is_kept = await connection.drain(answer.head) and connection.may_share
        except (PxError, TimeoutError):
            is_kept = False
        if is_kept:
            self.pool.put(connection)
        else:
            connection.close()
        return is_kept


def _consume_error(verifying: asyncio.Task[None]) -> None:
    """Retrieve the error of a verification; otherwise asyncio logs it if no request waits any longer."""
    if not verifying.cancelled():
        verifying.exception()
