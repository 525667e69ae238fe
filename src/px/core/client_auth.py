"""Logs the clients of Px in: one `ClientLogin` a client connection.

Px asks for a login by 407 and ``Proxy-Authenticate`` (RFC 9110 11.7), the strongest scheme first. NTLM and
Negotiate (RFC 4559) log the connection in: what comes over it later needs nothing more, and no other
connection gains by it. Digest (RFC 7616) and Basic (RFC 7617) log in one request each.

==================  ==========================================  ====================================
the connection is   a request brings                            then
==================  ==========================================  ====================================
strange             nothing, or what is no login here           407 with all schemes
any                 the first token of NTLM or Negotiate        407 with the next token: challenged;
                                                                Kerberos: as by a final token
challenged          the final token                             right: logged in; wrong: strange
any                 Digest, Basic                               right: this request is let in;
                                                                wrong: strange
logged in           nothing                                     let in
==================  ==========================================  ====================================

A Digest that is right but for its nonce is told that the nonce is stale, and tries again by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from px.core.auth_policy import AuthPolicy, Scheme
from px.core.challenge import Challenge, format_token, parse_challenges
from px.core.client_acceptor import ClientRefusedError, OpenAcceptor
from px.core.client_negotiation import Negotiation
from px.core.client_secrets import ClientName, SecretBook
from px.core.digest_verify import REALM, DigestAnswerError, DigestNonces, format_challenges, parse_answer
from px.core.head import RequestHead
from px.core.spnego import KERBEROS, NTLM

PASSWORD_SCHEMES: tuple[Scheme, ...] = ("digest", "basic")

_CHALLENGES = {
    "negotiate": b"Negotiate",
    "ntlm": b"NTLM",
    "basic": b'Basic realm="%b", charset="UTF-8"' % REALM,
}


class Admitted(NamedTuple):
    """The request may go on.

    Attributes:
        user: Who sent it.
        challenge: Value of a Proxy-Authenticate field to put into the answer (RFC 4559 5: the final token of
            Negotiate, which proves Px to the client), or empty.
    """

    user: str
    challenge: bytes = b""


class Refused(NamedTuple):
    """The request gets a 407.

    Attributes:
        challenges: Values of its Proxy-Authenticate fields.
        reason: What was wrong with its login, for the log; empty: it brought none that could be wrong.
    """

    challenges: list[bytes]
    reason: str = ""


class ClientAuth:
    """What all connections share: which logins there are, and what they are checked against.

    Args:
        policy: Which of them the user allows.
        only: The only client that may log in; None: any.
        acceptors: Of ``kerberos`` and ``ntlm`` those that can be verified.
        book: Secrets of Digest and Basic, or None: there are none.
        nonces: Of Digest.
    """

    def __init__(
        self,
        policy: AuthPolicy,
        only: ClientName | None,
        acceptors: Mapping[str, OpenAcceptor],
        book: SecretBook | None,
        nonces: DigestNonces,
    ) -> None:
        self.only = only
        self.book = book
        self.nonces = nonces
        #: By scheme the mechanisms that may be used with it.
        self.mechanisms = _choose_mechanisms(policy, acceptors)
        #: What may be used besides.
        self.password_schemes = [
            name for name in PASSWORD_SCHEMES if book is not None and policy.allows(name)
        ]

    @property
    def schemes(self) -> list[str]:
        """What is offered, strongest first.

        Negotiate with NTLM alone inside is not, where NTLM is: many programs that are offered it want a
        ticket or nothing, and do not go on to what is offered besides.
        """
        bound = [scheme for scheme, mechanisms in self.mechanisms.items() if mechanisms]
        if NTLM in bound and KERBEROS not in self.mechanisms["negotiate"]:
            bound = [NTLM]
        return [*bound, *self.password_schemes]

    def format_offers(self, *, is_stale: bool = False) -> list[bytes]:
        """Return a challenge for each scheme that is offered."""
        offers: list[bytes] = []
        for scheme in self.schemes:
            if scheme == "digest":
                offers += format_challenges(self.nonces.make(), is_stale=is_stale)
            else:
                offers.append(_CHALLENGES[scheme])
        return offers

    def open_login(self) -> ClientLogin:
        """Begin with a connection."""
        return ClientLogin(self)

    def __repr__(self) -> str:
        return f"<ClientAuth {', '.join(self.schemes) or 'nothing'} for {self.only or 'anybody known'}>"


def _choose_mechanisms(
    policy: AuthPolicy, acceptors: Mapping[str, OpenAcceptor]
) -> dict[str, dict[str, OpenAcceptor]]:
    allowed = {
        "negotiate": {KERBEROS: policy.allows("kerberos"), NTLM: policy.allows_ntlm_in_negotiate},
        "ntlm": {NTLM: policy.allows("ntlm")},
    }
    return {
        scheme: {name: acceptors[name] for name, may_be in names.items() if may_be and name in acceptors}
        for scheme, names in allowed.items()
    }


class ClientLogin:
    """The login of one client connection."""

    __slots__ = ("_auth", "_negotiation", "_user")

    def __init__(self, auth: ClientAuth) -> None:
        self._auth = auth
        self._negotiation: Negotiation | None = None
        self._user = ""

    async def receive(self, head: RequestHead) -> Admitted | Refused:
        """Return whether a request may go on.

        Raises:
            TimeoutError: The login could not be checked; nothing is said about it.
        """
        values = head.notable.get(b"proxy-authorization")
        if values is None:
            return Admitted(self._user) if self._user else Refused(self._auth.format_offers())
        found = parse_challenges(values)
        # Of several logins it would be a guess which one is meant.
        credentials = found[0] if len(found) == 1 else Challenge("", None, {})
        try:
            return await self._check(credentials, head)
        except ClientRefusedError as error:
            self._user, self._negotiation = "", None
            return Refused(self._auth.format_offers(), str(error))

    async def _check(self, credentials: Challenge, head: RequestHead) -> Admitted | Refused:
        auth, scheme, token = self._auth, credentials.scheme, credentials.token
        if token and auth.mechanisms.get(scheme):
            return await self._check_token(scheme, token)
        if auth.book is not None and scheme in auth.password_schemes:
            if scheme == "digest":
                return await self._check_digest(auth.book, credentials.params, head)
            return await self._check_basic(auth.book, token or b"")
        return Refused(auth.format_offers())

    async def _check_token(self, scheme: str, token: bytes) -> Admitted | Refused:
        negotiation = self._negotiation
        if negotiation is None or negotiation.scheme != scheme:
            negotiation = Negotiation(scheme, self._auth.mechanisms[scheme])
        self._user, self._negotiation = "", None  # a login that breaks off leaves none behind
        reply, user = await negotiation.step(token)
        if not (reply or user):
            raise ClientRefusedError(f"{scheme}: no more to say, and nobody is logged in")
        challenge = format_token(_CHALLENGES[scheme], reply) if reply else b""
        if user:
            admitted = self._admit(user, challenge)
            self._user = user
            return admitted
        self._negotiation = negotiation
        return Refused([challenge])

    def _admit(self, user: str, challenge: bytes = b"") -> Admitted:
        """Let a client in whose login is right."""
        only = self._auth.only
        if not user.isprintable():  # it would break lines of logs
            raise ClientRefusedError(f"a user name with control characters, {user!r}")
        if only is not None and not only.means(ClientName.parse(user)):
            raise ClientRefusedError(f"{user!r} is not {only}")
        return Admitted(user, challenge)

    async def _check_digest(
        self, book: SecretBook, params: dict[str, str], head: RequestHead
    ) -> Admitted | Refused:
        try:
            answer = parse_answer(params, (head.target, head.origin_target))
        except DigestAnswerError as error:
            raise ClientRefusedError(f"Digest: {error}") from error
        user = answer.username.decode("utf-8", "replace")
        secret = await book.look_up(ClientName.parse(user))
        if not answer.is_proof(head.method, secret.password):
            raise ClientRefusedError(f"Digest: wrong user or password, as {user!r}")
        if not self._auth.nonces.use(answer.nonce, answer.nonce_count):
            return Refused(self._auth.format_offers(is_stale=True))
        return self._admit(user)

    async def _check_basic(self, book: SecretBook, token: bytes) -> Admitted | Refused:
        username, separator, password = token.partition(b":")
        user = username.decode("utf-8", "replace")
        secret = await book.look_up(ClientName.parse(user))
        # The hashes are of one length, so that the time tells nothing about that of the password.
        given, wanted = (hmac.digest(b"Px", text, "sha256") for text in (password, secret.password))
        if not (hmac.compare_digest(given, wanted) and user and separator):
            raise ClientRefusedError(f"Basic: wrong user or password, as {user!r}")
        return self._admit(user)

    def __repr__(self) -> str:
        state = "logged in" if self._user else "challenged" if self._negotiation else "strange"
        return f"<ClientLogin {state}>"
