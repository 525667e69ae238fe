"""One login by ``Negotiate`` or ``NTLM`` from the accepting side: which mechanism, in which frame.

``NTLM`` carries bare NTLM messages. ``Negotiate`` carries SPNEGO, bare NTLM or bare Kerberos. The client's
first mechanism comes with a token; if Px cannot verify it, or it proves nothing, the next one that both know
is taken (RFC 4178 3.2), so that a Windows client whose ticket is for somebody else still logs in by NTLM.
"""

from __future__ import annotations

from collections.abc import Mapping

from px.core.client_acceptor import Acceptance, ClientAcceptor, ClientRefusedError, OpenAcceptor
from px.core.spnego import (
    NTLM,
    Mechanism,
    NegotiateToken,
    SpnegoError,
    format_reply,
    is_bare_ntlm,
    parse_negotiate_token,
)

_GO_ON = Acceptance(b"", "")


class Negotiation:
    """The tokens of one login on one connection.

    Args:
        scheme: ``negotiate`` or ``ntlm``.
        openers: By mechanism, what verifies it; only these may be used.
    """

    def __init__(self, scheme: str, openers: Mapping[str, OpenAcceptor]) -> None:
        self.scheme = scheme
        self._openers = openers
        self._acceptor: ClientAcceptor | None = None
        #: Taken and not said yet; a client is told once (RFC 4178 4.2.2).
        self._mechanism: Mechanism | None = None

    async def step(self, data: bytes) -> Acceptance:
        """Take what the client sent after the scheme's name; see `ClientAcceptor.step`."""
        if self.scheme == NTLM and not is_bare_ntlm(data):
            raise ClientRefusedError("NTLM: not an NTLM message")
        try:
            token = parse_negotiate_token(data)
        except SpnegoError as error:
            raise ClientRefusedError(f"Negotiate: {error}") from error
        if token.mechanisms:
            return await self._begin(token)
        if self._acceptor is None:
            raise ClientRefusedError("a token out of turn")
        return self._frame(token, await self._acceptor.step(token.token))

    async def _begin(self, token: NegotiateToken) -> Acceptance:
        """Take the client's first mechanism that can be verified; the token, if any, is of its first one."""
        refusal = ClientRefusedError("Negotiate: none of the client's mechanisms can be verified here")
        untried = dict(self._openers)
        for position, mechanism in enumerate(token.mechanisms):
            opener = untried.pop(mechanism.name, None)
            if opener is None:
                continue
            self._mechanism, self._acceptor = mechanism, opener()
            if position or not token.token:
                return self._frame(token, _GO_ON)
            try:
                return self._frame(token, await self._acceptor.step(token.token))
            except ClientRefusedError as error:
                refusal = error
        raise refusal

    def _frame(self, token: NegotiateToken, acceptance: Acceptance) -> Acceptance:
        """Put an answer into the frame that the client's token came in."""
        if not token.is_framed:
            return acceptance
        mechanism, self._mechanism = self._mechanism, None
        is_complete = bool(acceptance.user)
        return acceptance._replace(token=format_reply(mechanism, acceptance.token, is_complete=is_complete))

    def __repr__(self) -> str:
        return f"<Negotiation {self.scheme} {self._acceptor!r}>"
