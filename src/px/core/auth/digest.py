"""Digest credentials (RFC 7616), and the pool of nonces that keeps the counts of nonces ascending.

An upstream may demand that the counts ``nc`` of a nonce arrive in ascending order (RFC 7616 3.4). Two
exchanges over two connections cannot promise that, so a nonce is leased to one exchange at a time.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from px.core.errors import LoginUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from px.core.auth.challenge import Challenge

#: Name in RFC 7616 6.1 to name in hashlib, strongest first.
_HASHES = {"sha-512-256": "sha512_256", "sha-256": "sha256", "md5": "md5"}
_STRENGTH = {name: rank for rank, name in enumerate(_HASHES)}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED = re.compile(rb'(["\\])')
#: Most idle nonces of one upstream and identity, and so most exchanges that can run at once without a 407.
_MAX_IDLE_NONCES = 64


class Algorithm(NamedTuple):
    """How to hash for one challenge.

    Attributes:
        name: The name in the challenge.
        hash_name: The name in hashlib.
        is_session: Whether it is the ``-sess`` form (RFC 7616 3.4.2).
    """

    name: str
    hash_name: str
    is_session: bool

    def digest(self, data: bytes) -> bytes:
        """Return the hash of `data` in lower-case hex, the form in all formulas of RFC 7616."""
        return _new_hash(self.hash_name, data).hexdigest().encode()

    def respond(self, ha1: bytes, use: list[bytes], a2: bytes) -> bytes:
        """Return the response (RFC 7616 3.4.1); `use` is the nonce, its count, cnonce and qop."""
        return self.digest(b":".join([ha1, *use, self.digest(a2)]))


def choose_digest(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return the strongest Digest challenge that Px can answer, the first of equal ones; or None."""
    usable = [(name, each) for each in challenges if (name := _usable_hash(each)) is not None]
    return min(usable, key=lambda pair: _STRENGTH[pair[0]], default=(None, None))[1]


# Excepted: the formula of RFC 7616 3.4.1 has this many inputs.
def answer_digest(  # noqa: PLR0913
    challenge: Challenge,
    *,
    method: bytes,
    uri: bytes,
    username: str,
    password: str,
    nonce_count: int,
    cnonce: str,
) -> bytes:
    """Return complete Digest credentials, the scheme's name included (RFC 7616 3.4).

    Args:
        challenge: One that `choose_digest` returned.
        method: Method of the request.
        uri: The request-target exactly as sent; for CONNECT the authority.
        username: In clear; the answer carries its hash if the challenge asks for ``userhash``.
        password: In clear.
        nonce_count: How often the nonce was used, including this time.
        cnonce: Unpredictable text, the same for every use of one nonce: some upstreams hash ``-sess`` once,
            others with each request, and both get the same result then.

    Raises:
        LoginUnusableError: The challenge cannot be answered, or the user name holds a control character.
    """
    algorithm = _algorithm_of(challenge)
    if algorithm is None or _usable_hash(challenge) is None:
        raise LoginUnusableError("The Digest challenge asks for what Px cannot compute")
    if _CONTROL.search(username):
        raise LoginUnusableError("Digest login cannot carry control characters in the user name")
    params = challenge.params
    realm, nonce = _encode(params["realm"]), _encode(params["nonce"])
    ha1 = _hash_a1(algorithm, (_encode(username), realm, _encode(password)), nonce, cnonce.encode())
    count = b"%08x" % nonce_count
    middle = [count, cnonce.encode(), b"auth"] if _has_qop(challenge) else []
    response = algorithm.respond(ha1, [nonce, *middle], method + b":" + uri)
    fields = [
        *_format_username(algorithm, challenge, username),
        b"realm=" + _quote(realm),
        b"nonce=" + _quote(nonce),
        b"uri=" + _quote(uri),
        b"response=" + _quote(response),
    ]
    if "algorithm" in params:
        fields.append(b"algorithm=" + algorithm.name.encode())
    if "opaque" in params:
        fields.append(b"opaque=" + _quote(_encode(params["opaque"])))
    if middle:
        fields += [b"qop=auth", b"nc=" + count, b"cnonce=" + _quote(cnonce.encode())]
    return b"Digest " + b", ".join(fields)


def _hash_a1(algorithm: Algorithm, login: tuple[bytes, bytes, bytes], nonce: bytes, cnonce: bytes) -> bytes:
    """Return H(A1) of RFC 7616 3.4.2; `login` is user name, realm and password."""
    plain = algorithm.digest(b":".join(login))
    return algorithm.digest(b":".join([plain, nonce, cnonce])) if algorithm.is_session else plain


def _format_username(algorithm: Algorithm, challenge: Challenge, username: str) -> list[bytes]:
    """Return the user name's fields: hashed (RFC 7616 3.4.4), extended (RFC 8187), or as it is."""
    params, encoded = challenge.params, _encode(username)
    if params.get("userhash", "").lower() == "true":
        hashed = algorithm.digest(encoded + b":" + _encode(params["realm"]))
        return [b"username=" + _quote(hashed), b"userhash=true"]
    # RFC 7616 4: only an upstream that announces charset=UTF-8 is known to understand the extended form.
    if params.get("charset", "").lower() == "utf-8" and not encoded.isascii():
        return [b"username*=UTF-8''" + quote(encoded, safe="").encode()]
    return [b"username=" + _quote(encoded)]


def _usable_hash(challenge: Challenge) -> str | None:
    """Return the RFC 7616 name of the hash that a usable Digest challenge asks for, else None."""
    params = challenge.params
    if challenge.scheme != "digest" or "realm" not in params or not params.get("nonce"):
        return None
    algorithm = _algorithm_of(challenge)
    if algorithm is None or not _is_qop_usable(challenge, algorithm):
        return None
    return algorithm.name.lower().removesuffix("-sess")


def _is_qop_usable(challenge: Challenge, algorithm: Algorithm) -> bool:
    """Whether ``qop`` offers ``auth``; without any ``qop`` (RFC 2069) there is no -sess form."""
    offered = re.split(r"[,\s]+", challenge.params.get("qop", "").strip().lower())
    return "auth" in offered or (offered == [""] and not algorithm.is_session)


def _has_qop(challenge: Challenge) -> bool:
    return bool(challenge.params.get("qop", "").strip())


def _algorithm_of(challenge: Challenge) -> Algorithm | None:
    return find_algorithm(challenge.params.get("algorithm", "MD5").strip())


def find_algorithm(name: str) -> Algorithm | None:
    """Return the algorithm of that name (RFC 7616 6.1), in any case; None: this computer lacks it."""
    hash_name = _HASHES.get(name.lower().removesuffix("-sess"))
    if hash_name is None or not _is_hash_available(hash_name):
        return None
    return Algorithm(name, hash_name, name.lower().endswith("-sess"))


def _is_hash_available(hash_name: str) -> bool:
    """Whether this OpenSSL has the hash: some builds lack SHA-512/256, FIPS builds lack MD5."""
    try:
        _new_hash(hash_name, b"")
    except ValueError:
        return False
    return True


def _new_hash(hash_name: str, data: bytes) -> hashlib._Hash:
    return hashlib.new(hash_name, data, usedforsecurity=False)


def _encode(text: str) -> bytes:
    """Return UTF-8; bytes of a challenge that are not UTF-8 stay unchanged (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # `from None`: the exception would carry the text, perhaps the password.
        raise LoginUnusableError("The user name or password holds a character that UTF-8 lacks") from None


def _quote(value: bytes) -> bytes:
    return b'"' + _ESCAPED.sub(rb"\\\1", value) + b'"'


@dataclass(frozen=True, slots=True)
class NonceLease:
    """One use of a nonce by one exchange, with what `answer_digest` needs."""

    challenge: Challenge
    nonce_count: int
    cnonce: str


@dataclass(slots=True)
class _Nonce:
    """A nonce, how often it was used, and how many exchanges hold it now.

    More than one exchange holds a nonce only if the upstream sends the same nonce twice.
    """

    challenge: Challenge
    cnonce: str
    uses: int = 0
    holders: int = 0


class NoncePool:
    """The nonces of one upstream and one identity, for one thread.

    An exchange takes a lease, answers with it, and then calls exactly one of

    - `give_back`: the login was accepted, or the answer never came;
    - `receive_challenge` with ``replaces``: the upstream wants another nonce;
    - `drop`: the login was refused.

    The nonce that was given back last is leased first: the others become stale at the upstream.
    """

    def __init__(self, max_idle: int = _MAX_IDLE_NONCES) -> None:
        self._max_idle = max_idle
        self._idle: OrderedDict[str, _Nonce] = OrderedDict()
        self._leased: dict[str, _Nonce] = {}

    def __repr__(self) -> str:
        return f"<NoncePool {len(self._idle)} idle, {len(self._leased)} leased>"

    def lease(self) -> NonceLease | None:
        """Return a lease of an idle nonce; None: a request without credentials brings a new one."""
        if not self._idle:
            return None
        return self._lease_out(self._idle.popitem()[1])

    def receive_challenge(
        self, challenge: Challenge, *, cnonce: str, replaces: NonceLease | None = None
    ) -> NonceLease:
        """Return a lease of the nonce in a challenge that `choose_digest` chose.

        Args:
            challenge: Fresh, or with ``stale=true``; the difference does not matter here.
            cnonce: Unpredictable text for the life of this nonce, at least 64 bits.
            replaces: The lease whose nonce the upstream did not accept; it is dropped.
        """
        value = challenge.params["nonce"]
        if replaces is not None and _value(replaces.challenge) == value:
            self._end(replaces)  # the same nonce again: its count goes on
        elif replaces is not None:
            self.drop(replaces)
        nonce = self._leased.get(value) or self._idle.pop(value, None) or _Nonce(challenge, cnonce)
        return self._lease_out(nonce)

    def give_back(self, lease: NonceLease, *, next_nonce: str | None = None) -> None:
        """End a lease.

        Args:
            lease: From `lease` or `receive_challenge`; ignored if its nonce was dropped meanwhile.
            next_nonce: ``nextnonce`` of the answer's Proxy-Authentication-Info (RFC 7616 3.5), which replaces
                the leased nonce from now on.
        """
        nonce = self._end(lease)
        if next_nonce:
            self._leased.pop(_value(lease.challenge), None)
            params = {**lease.challenge.params, "nonce": next_nonce}
            challenge = lease.challenge._replace(params=params)
            if next_nonce not in self._leased:
                self._put_idle(_Nonce(challenge, lease.cnonce))
        elif nonce is not None and nonce.holders == 0:
            del self._leased[_value(lease.challenge)]
            self._put_idle(nonce)

    def drop(self, lease: NonceLease) -> None:
        """Forget the nonce of a lease: the upstream no longer accepts it."""
        self._leased.pop(_value(lease.challenge), None)
        self._idle.pop(_value(lease.challenge), None)

    def _lease_out(self, nonce: _Nonce) -> NonceLease:
        nonce.uses += 1
        nonce.holders += 1
        self._leased[_value(nonce.challenge)] = nonce
        return NonceLease(nonce.challenge, nonce.uses, nonce.cnonce)

    def _end(self, lease: NonceLease) -> _Nonce | None:
        nonce = self._leased.get(_value(lease.challenge))
        if nonce is not None:
            nonce.holders -= 1
        return nonce

    def _put_idle(self, nonce: _Nonce) -> None:
        self._idle[_value(nonce.challenge)] = nonce
        while len(self._idle) > self._max_idle:
            self._idle.popitem(last=False)


def _value(challenge: Challenge) -> str:
    return challenge.params["nonce"]
