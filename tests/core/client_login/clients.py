"""A `ClientAuth` and its clients, for tests; pyspnego and Px's own upstream side make the logins."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from itertools import count
from typing import Any

import spnego

from px.core.auth.challenge import Challenge, format_basic, parse_challenges
from px.core.auth.digest import answer_digest, choose_digest
from px.core.auth.policy import AuthPolicy
from px.core.client_login.acceptor import Acceptance, ClientRefusedError, NtlmAcceptor, OpenAcceptor
from px.core.client_login.digest_verifier import DigestNonces
from px.core.client_login.login import Admitted, ClientAuth, ClientLogin, Refused
from px.core.client_login.password_lookup import ClientName, OneClientSecret, PasswordLookup
from px.core.http.request_head import parse_request
from px.core.secret import Secret

USER, PASSWORD = "alice", "clear-Pässword"
URL = b"http://origin.test/path?q"


class Kerberos:
    """Stands for a keytab: a token ``ticket of X`` logs X in."""

    async def step(self, token: bytes) -> Acceptance:
        if not token.startswith(b"ticket of "):
            raise ClientRefusedError("Kerberos: no ticket of ours")
        return Acceptance(b"and I am Px", token.removeprefix(b"ticket of ").decode())


class Desk:
    """A `ClientAuth` whose clock and random bytes the test controls."""

    def __init__(
        self,
        policy: str = "ANY",
        *,
        only: str = "",
        with_password: bool = True,
        acceptors: Mapping[str, OpenAcceptor] | None = None,
    ) -> None:
        self.seconds = 1_800_000_000.0
        self._numbers = count(1)
        name = ClientName.parse(only) if only else None
        store = OneClientSecret(Secret(PASSWORD), ClientName(USER))
        passwords = PasswordLookup(store, name, self.draw) if with_password else None
        usable = dict(acceptors or {})
        if passwords is not None:
            usable.setdefault("ntlm", lambda: NtlmAcceptor(passwords, self.draw, lambda: self.seconds))
        nonces = DigestNonces(bytes(32), self.draw, lambda: self.seconds)
        self.auth = ClientAuth(AuthPolicy.parse_list(policy), name, usable, passwords, nonces)

    def draw(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size, "big")

    def connect(self) -> ClientLogin:
        return self.auth.open_login()


def with_kerberos(policy: str = "ANY", **options: Any) -> Desk:
    return Desk(policy, acceptors={"kerberos": Kerberos}, **options)


async def ask(
    login: ClientLogin, credentials: bytes | None = None, method: bytes = b"GET", target: bytes = URL
) -> Admitted | Refused:
    """Send a request with or without credentials."""
    lines = [] if credentials is None else [b"Proxy-Authorization: " + credentials]
    head = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: origin.test", *lines, b"", b""])
    return await login.receive(parse_request(head))


def challenges(verdict: Admitted | Refused) -> list[Challenge]:
    assert isinstance(verdict, Refused), verdict
    return parse_challenges(verdict.challenges)


def token_of(verdict: Admitted | Refused) -> bytes:
    (challenge,) = challenges(verdict)
    assert challenge.token is not None
    return challenge.token


def credentials(scheme: bytes, token: bytes | None) -> bytes:
    assert token is not None
    return scheme + b" " + b64encode(token)


def ntlm_client(user: str = USER, password: str = PASSWORD, protocol: str = "ntlm") -> Any:
    """Pyspnego as the client."""
    own = spnego.NegotiateOptions
    options = own.use_ntlm if protocol == "ntlm" else own.use_negotiate
    return spnego.client(
        user, password, hostname="px.test", service="HTTP", protocol=protocol, options=options
    )


async def log_in(
    login: ClientLogin, scheme: bytes = b"NTLM", client: Any = None, **request: bytes
) -> Admitted | Refused:
    """Go through a handshake to its verdict."""
    client = client or ntlm_client()
    challenge = token_of(await ask(login, credentials(scheme, client.step()), **request))
    return await ask(login, credentials(scheme, client.step(challenge)), **request)


def basic(user: str = USER, password: str = PASSWORD) -> bytes:
    return format_basic(user, password)


def digest(
    verdict: Admitted | Refused,
    user: str = USER,
    password: str = PASSWORD,
    *,
    method: bytes = b"GET",
    uri: bytes = URL,
    nonce_count: int = 1,
) -> bytes:
    """Answer the Digest challenge of a 407."""
    challenge = choose_digest(challenges(verdict))
    assert challenge is not None
    return answer_digest(
        challenge, method=method, uri=uri, username=user, password=password, nonce_count=nonce_count,
        cnonce="c" * 16,
    )  # fmt: skip


def is_in(verdict: Admitted | Refused) -> bool:
    return isinstance(verdict, Admitted)


def decode_field(value: bytes) -> bytes:
    return b64decode(value.partition(b" ")[2])
