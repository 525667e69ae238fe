"""Digest from the side that challenges and verifies (RFC 7616): SHA-256 and MD5, qop ``auth``, UTF-8.

A nonce is a time and random bytes, signed with a key, so an unused nonce costs no memory. Px remembers each
nonce that was used in a right login, with the counts of its uses: a repeated count is a replay (RFC 7616
3.4). Counts may come out of order within `WINDOW_COUNTS`, as they do from a browser with several connections.

The caller hands in the clock and the random bytes.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from px.core.auth.digest import Algorithm, find_algorithm
from px.core.http.request_repair import drop_fragment, encode_target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: The realm of the passwords; the hash of a client contains it.
REALM = b"Px"
#: A nonce that is older than this is stale, even in a right login.
NONCE_SECONDS = 300.0
#: How far a count may be below the highest one.
WINDOW_COUNTS = 64
#: Most used nonces remembered; the oldest are forgotten, and become stale.
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
        nonce: As it came, perhaps not made by this Px.
        nonce_count: ``nc``, 8 hexadecimal digits.
        cnonce: The client's own nonce.
        uri: The target that the login is for.
        response: The hash that shows that the client knows the password.
    """

    username: bytes
    algorithm: Algorithm
    nonce: str
    nonce_count: str
    cnonce: str
    uri: bytes
    response: bytes

    def is_right(self, method: bytes, password: bytes) -> bool:
        """Whether the response was made with this password (RFC 7616 3.4.1)."""
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
    """Return what Digest credentials say.

    Args:
        params: As `px.core.auth.challenge.parse_challenges` gives them.
        targets: Spellings of the target of the request, as `px.core.http.request_head` has it.

    Raises:
        DigestAnswerError: They do not answer the challenge of this Px.
    """
    name = params.get("algorithm", "MD5").upper()
    algorithm = find_algorithm(name) if name in _ALGORITHMS else None
    if algorithm is None or params.get("qop", "").lower() != "auth":
        raise DigestAnswerError("an algorithm or qop that was not offered")
    if _encode(params.get("realm", "")) != REALM:
        raise DigestAnswerError("a login for another realm")
    uri = _encode(params.get("uri", ""))
    if drop_fragment(encode_target(uri)) not in targets:  # `uri` is as the client wrote it
        raise DigestAnswerError("a login for another target")
    nonce, count, cnonce = (params.get(name, "") for name in ("nonce", "nc", "cnonce"))
    if not (nonce and nonce.isascii() and _COUNT.fullmatch(count) and cnonce):
        raise DigestAnswerError("nonce, nc or cnonce is missing or malformed")
    response = _encode(params.get("response", "").lower())
    return DigestAnswer(_read_username(params), algorithm, nonce, count, cnonce, uri, response)


def _read_username(params: dict[str, str]) -> bytes:
    extended = _EXTENDED.fullmatch(params.get("username*", ""))
    username = unquote_to_bytes(extended[1]) if extended else _encode(params.get("username", ""))
    if not username or params.get("userhash", "").lower() == "true":  # userhash was not offered (3.4.4)
        raise DigestAnswerError("no user name")
    return username


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Uses:
    """The counts of the uses of a nonce: the highest, and the counts shortly below it as bits."""

    __slots__ = ("highest", "seen")

    def __init__(self) -> None:
        self.highest = self.seen = 0

    def add(self, count: int) -> bool:
        """Note a count; return whether it is new."""
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
    """Makes nonces and recognizes them.

    Args:
        key: A secret of this process. A nonce of another process is stale here, as its uses are not known.
        make_bytes: Returns this many unpredictable bytes.
        now: Seconds since a fixed moment.
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
        """Note a right login; return False if the nonce is stale or the login was seen before."""
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
        """Forget nonces that are too old, and the one that was used first if there are still too many."""
        while self._used:
            stamp = next(iter(self._used))
            made_at = _time_of(stamp)
            if self._now() - made_at <= NONCE_SECONDS:
                if len(self._used) < MAX_NONCES:
                    return
                self._forgotten_until = max(self._forgotten_until, made_at)
            del self._used[stamp]

    def _read_stamp(self, nonce: str) -> bytes | None:
        """Return the time and the random bytes of a nonce; None: this process did not make it."""
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
