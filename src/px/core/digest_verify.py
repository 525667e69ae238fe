"""The side of Digest that challenges and verifies (RFC 7616): SHA-256 and MD5, qop ``auth``, UTF-8.

A nonce is a time and random bytes under a key, so that one that nobody uses costs no memory. One that is used
rightly is remembered with the counts it was used with: a count that comes again is a replay (RFC 7616 3.4).
Counts may come out of order within `WINDOW_COUNTS`, as they do from a browser with several connections.

Nothing here reads a clock or draws random bytes; both are handed in.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from px.core.digest import Algorithm, find_algorithm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: What the passwords are asked for; a part of what a client proves.
REALM = b"Px"
#: A login by a nonce older than this is right, but stale.
NONCE_SECONDS = 300.0
#: How far a count may be behind the highest one.
WINDOW_COUNTS = 64
#: Used nonces remembered at most; the oldest are forgotten, and become stale.
MAX_NONCES = 8192

#: Offered, strongest first (RFC 7616 3.7).
_ALGORITHMS = ("SHA-256", "MD5")
_TIME_BYTES, _RANDOM_BYTES, _MAC_BYTES = 8, 8, 14
_NONCE_BYTES = _TIME_BYTES + _RANDOM_BYTES + _MAC_BYTES
_COUNT = re.compile(r"[0-9a-fA-F]{8}")
_EXTENDED = re.compile(r"(?i:utf-8)'[^']*'(.+)")  # RFC 8187 3.2


class DigestAnswerError(ValueError):
    """Digest credentials that cannot be right; the text says why, for the log."""


class DigestAnswer(NamedTuple):
    """Digest credentials (RFC 7616 3.4) of a client.

    Attributes:
        username: As the client spelt it.
        algorithm: Of the hash.
        nonce: As it came, perhaps none of ours.
        nonce_count: ``nc``, 8 hexadecimal digits.
        cnonce: The client's own nonce.
        uri: What the login is for.
        response: The proof.
    """

    username: bytes
    algorithm: Algorithm
    nonce: str
    nonce_count: str
    cnonce: str
    uri: bytes
    response: bytes

    def is_proof(self, method: bytes, password: bytes) -> bool:
        """Whether the response shows that the client knows a password (RFC 7616 3.4.1)."""
        algorithm = self.algorithm
        ha1 = algorithm.digest(b":".join((self.username, REALM, password)))
        use = [self.nonce.encode(), self.nonce_count.encode(), _encode(self.cnonce), b"auth"]
        expected = algorithm.respond(ha1, use, method + b":" + self.uri)
        return hmac.compare_digest(expected, self.response)


def format_challenges(nonce: str, *, is_stale: bool) -> list[bytes]:
    """Return a challenge for each algorithm that this computer has (FIPS mode lacks MD5)."""
    stale = b", stale=true" if is_stale else b""
    return [
        b'Digest realm="%b", nonce="%b", algorithm=%b, qop="auth", charset=UTF-8%b'
        % (REALM, nonce.encode(), name.encode(), stale)
        for name in _ALGORITHMS
        if find_algorithm(name) is not None
    ]


def parse_answer(params: dict[str, str], targets: Collection[bytes]) -> DigestAnswer:
    """Take credentials apart.

    Args:
        params: As `px.core.challenge.parse_challenges` gives them.
        targets: Texts of ``uri`` that mean the target of the request.

    Raises:
        DigestAnswerError: They are not what was asked for.
    """
    name = params.get("algorithm", "MD5").upper()
    algorithm = find_algorithm(name) if name in _ALGORITHMS else None
    if algorithm is None or params.get("qop", "").lower() != "auth":
        raise DigestAnswerError("an algorithm or qop that was not offered")
    if _encode(params.get("realm", "")) != REALM:
        raise DigestAnswerError("a login for another realm")
    uri = _encode(params.get("uri", ""))
    if uri not in targets:
        raise DigestAnswerError("a login for another target")
    nonce, count, cnonce = (params.get(name, "") for name in ("nonce", "nc", "cnonce"))
    if not (nonce and nonce.isascii() and _COUNT.fullmatch(count) and cnonce):
        raise DigestAnswerError("nonce, nc or cnonce is missing or malformed")
    response = _encode(params.get("response", "").lower())
    return DigestAnswer(_read_username(params), algorithm, nonce, count, cnonce, uri, response)


def _read_username(params: dict[str, str]) -> bytes:
    extended = _EXTENDED.fullmatch(params.get("username*", ""))
    username = unquote_to_bytes(extended[1]) if extended else _encode(params.get("username", ""))
    if not username or params.get("userhash", "").lower() == "true":  # which was not offered (3.4.4)
        raise DigestAnswerError("no user name")
    return username


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Uses:
    """The counts that a nonce was used with: the highest, and those shortly before it as bits."""

    __slots__ = ("highest", "seen")

    def __init__(self) -> None:
        self.highest = self.seen = 0

    def add(self, count: int) -> bool:
        """Note a count; return whether it is a new one."""
        ahead = count - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, WINDOW_COUNTS) | 1) & ((1 << WINDOW_COUNTS) - 1)
            self.highest = count
            return True
        bit = 1 << -ahead if -ahead < WINDOW_COUNTS else 0
        is_new = count > 0 and bit != 0 and not self.seen & bit
        self.seen |= bit
        return is_new


class DigestNonces:
    """Makes nonces and knows them again.

    Args:
        key: Secret, of this process alone: a nonce of another one is stale here, for its uses are not known.
        make_bytes: Returns so many unpredictable bytes.
        now: Seconds since some moment, the same one for all.
    """

    def __init__(self, key: bytes, make_bytes: Callable[[int], bytes], now: Callable[[], float]) -> None:
        self._key = key
        self._make_bytes = make_bytes
        self._now = now
        self._used: dict[bytes, _Uses] = {}
        self._forgotten_until = -1.0

    def make(self) -> str:
        """Return a new nonce."""
        stamp = int(self._now() * 1000).to_bytes(_TIME_BYTES, "big") + self._make_bytes(_RANDOM_BYTES)
        return urlsafe_b64encode(stamp + self._sign(stamp)).decode()

    def use(self, nonce: str, nonce_count: str) -> bool:
        """Note a right login; return False where the nonce is stale or the login was seen before."""
        stamp = self._read_stamp(nonce)
        if stamp is None or not 0 <= self._now() - _time_of(stamp) <= NONCE_SECONDS:
            return False
        uses = self._used.get(stamp)
        if uses is None:
            if _time_of(stamp) <= self._forgotten_until:
                return False
            self._make_room()
            uses = self._used[stamp] = _Uses()
        return uses.add(int(nonce_count, 16))

    def _make_room(self) -> None:
        """Forget what is too old to be used, and the one used first if there are still too many."""
        while self._used:
            stamp = next(iter(self._used))
            made_at = _time_of(stamp)
            if self._now() - made_at <= NONCE_SECONDS:
                if len(self._used) < MAX_NONCES:
                    return
                self._forgotten_until = max(self._forgotten_until, made_at)
            del self._used[stamp]

    def _read_stamp(self, nonce: str) -> bytes | None:
        """Return time and chance of a nonce; None: it was not made here."""
        try:
            data = urlsafe_b64decode(nonce)
        except ValueError:
            return None
        stamp, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if len(data) != _NONCE_BYTES or not hmac.compare_digest(mac, self._sign(stamp)):
            return None
        return stamp

    def _sign(self, stamp: bytes) -> bytes:
        return hmac.digest(self._key, stamp, "sha256")[:_MAC_BYTES]

    def __repr__(self) -> str:
        return f"<DigestNonces {len(self._used)} used>"


def _time_of(stamp: bytes) -> float:
    return int.from_bytes(stamp[:_TIME_BYTES], "big") / 1000
