"""Logs the clients of Px in: one `ClientLogin` for each client connection.

Px asks for a login by 407 and ``Proxy-Authenticate`` (RFC 9110 11.7), the strongest scheme first. NTLM and
Negotiate (RFC 4559) log one connection in: later requests over that connection need no login. So does the
password of a SOCKS client (RFC 1929). Digest (RFC 7616) and Basic (RFC 7617) log in one request each.

==================  ==========================================  ====================================
the connection is   a request brings                            then
==================  ==========================================  ====================================
new                 nothing, or no login that Px offers         407 with all schemes
any                 the first token of NTLM or Negotiate        407 with the next token: challenged;
                                                                Kerberos: as by a final token
challenged          the final token                             right: logged in; wrong: new
any                 Digest, Basic                               right: this request is let in;
                                                                wrong: new
new                 the password of a SOCKS client              right: logged in; wrong: new
logged in           nothing                                     let in
==================  ==========================================  ====================================

If a Digest is right except for its nonce, Px says that the nonce is stale, and the client tries again by
itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from px.core.auth.challenge import Challenge, format_token, parse_challenges
from px.core.auth.policy import AuthPolicy, Scheme
from px.core.auth.spnego import KERBEROS, NTLM
from px.core.client_login.acceptor import ClientRefusedError, OpenAcceptor
from px.core.client_login.digest_verifier import (
    REALM,
    DigestAnswerError,
    DigestNonces,
    format_challenges,
    parse_answer,
)
from px.core.client_login.negotiation import Negotiation
from px.core.client_login.password_lookup import ClientName, PasswordLookup
from px.core.http.request_head import RequestHead

PASSWORD_SCHEMES: tuple[Scheme, ...] = ("digest", "basic")

_CHALLENGES = {
    "negotiate": b"Negotiate",
    "ntlm": b"NTLM",
    "basic": b'Basic realm="%b", charset="UTF-8"' % REALM,
}


class Admitted(NamedTuple):
    """The request may go on.

    Attributes:
        user: The user who sent it.
        challenge: Value of a Proxy-Authenticate field for the answer, or empty. It is the final token of
            Negotiate, which shows the client that it speaks to the right Px (RFC 4559 5).
    """

    user: str
    challenge: bytes = b""


class Refused(NamedTuple):
    """The request gets a 407.

    Attributes:
        challenges: Values of its Proxy-Authenticate fields.
        reason: Why the login was refused, for the log; empty: the request brought no login that Px offers.
    """

    challenges: list[bytes]
    reason: str = ""


class ClientAuth:
    """What all client connections share: the offered schemes, and what verifies them.

    Args:
        policy: The schemes that the user allows.
        only: The only client that may log in; None: any.
        acceptors: Opens what verifies ``kerberos`` and ``ntlm``, for those that can be verified.
        passwords: Looks up passwords for Digest and Basic; None: Px knows no password.
        nonces: Of Digest.
    """

    def __init__(
        self,
        policy: AuthPolicy,
        only: ClientName | None,
        acceptors: Mapping[str, OpenAcceptor],
        passwords: PasswordLookup | None,
        nonces: DigestNonces,
    ) -> None:
        self.only = only
        self.passwords = passwords
        self.nonces = nonces
        #: Scheme -> the mechanisms that may be used in it.
        self.mechanisms = _choose_mechanisms(policy, acceptors)
        #: The offered schemes that need a password.
        self.password_schemes = [
            name for name in PASSWORD_SCHEMES if passwords is not None and policy.allows(name)
        ]

    @property
    def schemes(self) -> list[str]:
        """The offered schemes, strongest first.

        Px does not offer Negotiate for NTLM alone if it can offer NTLM: many programs that see Negotiate try
        only Kerberos, and ignore the other schemes.
        """
        bound = [scheme for scheme, mechanisms in self.mechanisms.items() if mechanisms]
        if NTLM in bound and KERBEROS not in self.mechanisms["negotiate"]:
            bound = [NTLM]
        return [*bound, *self.password_schemes]

    def format_offers(self, *, is_stale: bool = False) -> list[bytes]:
        """Return a challenge for each offered scheme."""
        offers: list[bytes] = []
        for scheme in self.schemes:
            if scheme == "digest":
                offers += format_challenges(self.nonces.make(), is_stale=is_stale)
            else:
                offers.append(_CHALLENGES[scheme])
        return offers

    def open_login(self) -> ClientLogin:
        """Return the login of a new connection."""
        return ClientLogin(self)

    def __repr__(self) -> str:
        return f"<ClientAuth {', '.join(self.schemes) or 'nothing'} for {self.only or 'all known clients'}>"


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

    async def receive(self, head: RequestHead, field: bytes = b"proxy-authorization") -> Admitted | Refused:
        """Return whether a request may go on.

        Args:
            head: The request.
            field: The field that has the login, in lower case.

        Raises:
            TimeoutError: The login could not be verified; it may be right or wrong.
        """
        values = head.notable.get(field)
        if values is None:
            return Admitted(self._user) if self._user else Refused(self._auth.format_offers())
        found = parse_challenges(values)
        # Which of several logins the client means would be a guess.
        credentials = found[0] if len(found) == 1 else Challenge("", None, {})
        try:
            return await self._check(credentials, head)
        except ClientRefusedError as error:
            self._user, self._negotiation = "", None
            return Refused(self._auth.format_offers(), str(error))

    async def receive_password(self, username: bytes, password: bytes) -> Admitted | Refused:
        """Return whether the password of a SOCKS client (RFC 1929) logs the connection in.

        SOCKS clients send the password as it is, as in Basic. So Px accepts it only where Basic is offered.

        Raises:
            TimeoutError: The login could not be verified; it may be right or wrong.
        """
        passwords = self._auth.passwords
        if passwords is None or "basic" not in self._auth.password_schemes:
            return Refused([], "SOCKS: a password, and no client may log in by Basic")
        try:
            admitted = await self._check_password(passwords, username, password, "SOCKS")
        except ClientRefusedError as error:
            return Refused([], str(error))
        self._user = admitted.user
        return admitted

    async def _check(self, credentials: Challenge, head: RequestHead) -> Admitted | Refused:
        auth, scheme, token = self._auth, credentials.scheme, credentials.token
        if token and auth.mechanisms.get(scheme):
            return await self._check_token(scheme, token)
        if auth.passwords is not None and scheme in auth.password_schemes:
            if scheme == "digest":
                return await self._check_digest(auth.passwords, credentials.params, head)
            return await self._check_basic(auth.passwords, token or b"")
        return Refused(auth.format_offers())

    async def _check_token(self, scheme: str, token: bytes) -> Admitted | Refused:
        negotiation = self._negotiation
        if negotiation is None or negotiation.scheme != scheme:
            negotiation = Negotiation(scheme, self._auth.mechanisms[scheme])
        self._user, self._negotiation = "", None  # after a login that breaks off, the connection is new
        reply, user = await negotiation.step(token)
        if not (reply or user):
            raise ClientRefusedError(f"{scheme}: the login ended, but no user is logged in")
        challenge = format_token(_CHALLENGES[scheme], reply) if reply else b""
        if user:
            admitted = self._admit(user, challenge)
            self._user = user
            return admitted
        self._negotiation = negotiation
        return Refused([challenge])

    def _admit(self, user: str, challenge: bytes = b"") -> Admitted:
        """Return the admission of a client whose login is right.

        Raises:
            ClientRefusedError: This user may not use Px.
        """
        only = self._auth.only
        if not user.isprintable():  # such a name would break lines of logs
            raise ClientRefusedError(f"a user name with control characters, {user!r}")
        if only is not None and not only.matches(ClientName.parse(user)):
            raise ClientRefusedError(f"{user!r} is not {only}")
        return Admitted(user, challenge)

    async def _check_digest(
        self, passwords: PasswordLookup, params: dict[str, str], head: RequestHead
    ) -> Admitted | Refused:
        try:
            answer = parse_answer(params, (head.target, head.origin_target))
        except DigestAnswerError as error:
            raise ClientRefusedError(f"Digest: {error}") from error
        user = answer.username.decode("utf-8", "replace")
        secret = await passwords.look_up(ClientName.parse(user))
        if not answer.is_right(head.method, secret.password):
            raise ClientRefusedError(f"Digest: wrong user or password, as {user!r}")
        if not self._auth.nonces.use(answer.nonce, answer.nonce_count):
            return Refused(self._auth.format_offers(is_stale=True))
        return self._admit(user)

    async def _check_basic(self, passwords: PasswordLookup, token: bytes) -> Admitted:
        username, separator, password = token.partition(b":")
        return await self._check_password(passwords, username if separator else b"", password, "Basic")

    async def _check_password(
        self, passwords: PasswordLookup, username: bytes, password: bytes, scheme: str
    ) -> Admitted:
        user = username.decode("utf-8", "replace")
        secret = await passwords.look_up(ClientName.parse(user))
        # Hashes have one length, so the time of the comparison does not show the length of the password.
        given, wanted = (hmac.digest(b"Px", text, "sha256") for text in (password, secret.password))
        if not (hmac.compare_digest(given, wanted) and user):
            raise ClientRefusedError(f"{scheme}: wrong user or password, as {user!r}")
        return self._admit(user)

    def __repr__(self) -> str:
        state = "logged in" if self._user else "challenged" if self._negotiation else "new"
        return f"<ClientLogin {state}>"
