"""The user and password of a SOCKS upstream, sent no more often than the account bears.

SOCKS has no 407: the password goes out anew with each connection, and its verdict comes at once. So there is
nothing to negotiate, but the password may be that of an account that a directory locks: the lock-out memory
(`px.core.lockout`) counts here as it does for every other login.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from px.core.errors import LoginBlockedError, UnreachableError, UpstreamSilentError
from px.core.lockout import LockoutGuard
from px.core.login_parts import Doubt, LoginTurn
from px.core.route import UpstreamAddress
from px.core.socks import SocksLoginError
from px.core.token_source import TokenSource

_METHOD = "user and password of SOCKS5"


class SocksLogin:
    """Logins at one SOCKS upstream.

    Args:
        upstream: Whose own user and password they are.
        source: The same identity, as the lock-out memory knows it.
        guard: The lock-out memory.
        make_turn: Returns a turn of the identity.
    """

    def __init__(
        self,
        upstream: UpstreamAddress,
        source: TokenSource,
        guard: LockoutGuard,
        make_turn: Callable[[], LoginTurn],
    ) -> None:
        self._subject = f"The upstream {upstream}"
        self._source = source
        self._guard = guard
        self._make_turn = make_turn

    async def log_in(self, send: Callable[[], Awaitable[bytes]]) -> bytes:
        """Send a password when that may be, and note the verdict on it.

        Args:
            send: Sends it and returns what is to be said after a good verdict.

        Raises:
            SocksLoginError: It was refused, or is not sent: too many were refused.
            UnreachableError: There was no verdict.
        """
        turn = self._make_turn()
        try:
            self._guard.check(self._source)
            await turn.take(Doubt.about(self._guard, self._source, self._subject))
            self._guard.check(self._source)
            return await self._judge(send)
        except LoginBlockedError as error:
            raise SocksLoginError(error.cause, error.mend, retry_after=error.retry_after) from error
        finally:
            turn.give_back()

    async def _judge(self, send: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            following = await send()
        except SocksLoginError:
            self._guard.receive_refusal(self._source, self._subject, _METHOD)
            raise
        except UpstreamSilentError:
            self._guard.receive_no_verdict(self._source, self._subject, _METHOD)
            raise
        except UnreachableError:
            self._guard.receive_drop(self._source, self._subject, _METHOD)
            raise
        except BaseException:  # nobody waits for it any more
            self._guard.receive_no_verdict(self._source, self._subject, _METHOD)
            raise
        self._guard.receive_acceptance(self._source)
        return following

    def __repr__(self) -> str:
        return f"<SocksLogin {self._subject} as {self._source.identity.name}>"
