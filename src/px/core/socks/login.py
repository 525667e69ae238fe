"""Logins with the user and password of a SOCKS upstream, within the limits of the account.

SOCKS has no 407: each connection sends the password again and gets a verdict at once. So there is nothing to
negotiate, but the password may belong to an account that a directory locks. The lock-out memory
(`px.core.login.lockout`) therefore counts these logins like all others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from px.core.auth.token_source import TokenSource
from px.core.errors import LoginBlockedError
from px.core.login.gate import GatedLogin, LoginGate
from px.core.login.lockout import LockoutGuard
from px.core.rules.route import UpstreamAddress
from px.core.socks.messages import SocksLoginError

_METHOD = "user and password of SOCKS5"


class SocksLogin:
    """Logins at one SOCKS upstream.

    Args:
        upstream: The upstream, with a user and password of its own.
        source: The same identity, as the lock-out memory knows it.
        guard: The lock-out memory.
        make_gate: Returns a login gate of the identity.
    """

    def __init__(
        self,
        upstream: UpstreamAddress,
        source: TokenSource,
        guard: LockoutGuard,
        make_gate: Callable[[], LoginGate],
    ) -> None:
        self._subject = f"The upstream {upstream}"
        self._source = source
        self._guard = guard
        self._make_gate = make_gate

    async def log_in(self, send: Callable[[], Awaitable[bytes]]) -> bytes:
        """Send a password if the lock-out memory allows it, and record the verdict.

        Args:
            send: Sends the password and returns the message to send after it is accepted.

        Raises:
            SocksLoginError: The password was refused, or is not sent after too many refusals.
            UnreachableError: No verdict came.
        """
        gate, is_accepted = self._make_gate(), False
        try:
            self._guard.check(self._source)
            while not gate.is_inside:  # a block may end just before `enter` returns
                await gate.enter(GatedLogin.for_source(self._guard, self._source))
                self._guard.check(self._source, gate.charge)
            following = await self._judge(send, gate)
            is_accepted = True
        except LoginBlockedError as error:
            raise SocksLoginError(error.cause, error.hint, retry_after=error.retry_after) from error
        finally:
            gate.leave(is_accepted=is_accepted)
        return following

    async def _judge(self, send: Callable[[], Awaitable[bytes]], gate: LoginGate) -> bytes:
        sent_at = self._guard.now()
        gate.note_sent()
        try:
            following = await send()
        except SocksLoginError:
            self._guard.receive_refusal(self._source, self._subject, _METHOD, gate.spend())
            raise
        except BaseException:  # no verdict came, or the task was cancelled
            self._guard.receive_no_verdict(self._source, self._subject, gate.spend())
            raise
        self._guard.receive_acceptance(self._source, gate.spend(), sent_at)
        return following

    def __repr__(self) -> str:
        return f"<SocksLogin {self._subject} as {self._source.identity.name}>"
