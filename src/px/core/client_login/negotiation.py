"""One login of a client by ``Negotiate`` or ``NTLM``: which mechanism, and in which frame.

``NTLM`` carries bare NTLM messages. ``Negotiate`` carries SPNEGO, bare NTLM or bare Kerberos. The client
sends a token for its first mechanism. If Px cannot verify that token, or refuses it, Px chooses the next
mechanism that both know (RFC 4178 3.2). So a Windows client with a ticket for another service still logs in
by NTLM.
"""

from __future__ import annotations

from collections.abc import Mapping

from px.core.auth.spnego import (
    NTLM,
    Mechanism,
    NegotiateToken,
    SpnegoError,
    format_reply,
    is_bare_ntlm,
    parse_negotiate_token,
)
from px.core.client_login.acceptor import Acceptance, ClientAcceptor, ClientRefusedError, OpenAcceptor

_GO_ON = Acceptance(b"", "")


class Negotiation:
    """The tokens of one login on one connection.

    Args:
        scheme: ``negotiate`` or ``ntlm``.
        openers: Mechanism -> what opens its acceptor. Only these mechanisms may be used.
    """

    def __init__(self, scheme: str, openers: Mapping[str, OpenAcceptor]) -> None:
        self.scheme = scheme
        self._openers = openers
        self._acceptor: ClientAcceptor | None = None
        #: The chosen mechanism, until the first reply names it (RFC 4178 4.2.2).
        self._mechanism: Mechanism | None = None

    async def step(self, data: bytes) -> Acceptance:
        """Return what the text after the scheme's name leads to; see `ClientAcceptor.step`."""
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
        """Choose the client's first mechanism that Px can verify; the token belongs to its first one."""
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
        """Return an answer in the frame that the client's token had."""
        if not token.is_framed:
            return acceptance
        mechanism, self._mechanism = self._mechanism, None
        is_complete = bool(acceptance.user)
        return acceptance._replace(token=format_reply(mechanism, acceptance.token, is_complete=is_complete))

    def __repr__(self) -> str:
        return f"<Negotiation {self.scheme} {self._acceptor!r}>"
