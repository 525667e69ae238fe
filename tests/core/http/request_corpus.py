"""Streams of valid, odd and malicious requests, generated from a seed: the known attacks and accidents.

Each is a few requests in a row, put together from parts that parsers are known to read differently: lengths
and codings, duplicate and folded fields, white space, line ends, chunk sizes, targets, versions, control
characters. Bodies look like requests, so that a reader that finds the wrong end of one sees another request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

_Part = TypeVar("_Part")

_HIDDEN = b"GET http://hidden.example/ HTTP/1.1\r\nHost: hidden.example\r\n\r\n"
_METHODS = [b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"CONNECT", b"get", b"PROPFIND"]
_TARGETS = [
    b"http://a.example",
    b"http://a.example/p?q=/x",
    b"http://a.example/%2e#f",
    b"http://a.example#f",
    b"http://a.example#@b.example/",
    b"http://a.example/\xc3\xbc?\xe4#\xff",
    b"http://\xc3\xbc.example/",
    b'http://a.example:80/{|}\\^`"<>',
    b"http://u:p@a.example/",
    b"http://a.example\\@b.example/",
    b"http://A.example:/x",
    b"ftp://u:p@a.example/f",
    b"https://a.example/",
    b"http://[::1]:8080/",
    b"http://127.1/",
    b"http://a.example/ b",
    b"http://a.example/\t",
    b"http://a.example/\x85",
    b"http:/a.example/",
    b"/p",
    b"*",
    b"a.example:443",
    b"",
]
_VERSIONS = [
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/1.9",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/1.10",
    b"HTTP/01.1",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/1,1",
    b"",
]
_HOSTS = [
    [],
    [b"HOST:a.example"],
    [b"Host: a.example", b"Host: a.example"],
    [b"Host: a.example", b"host: b.example"],
    [b"Host: b.example:81"],
    [b"Host:"],
    [b"Host: a.example/x"],
    [b"Host: a.example, b.example"],
    [b"Host: http://a.example"],
    [b"Host : a.example"],
    [b"Host: a.\r\n example"],
]
_GOOD_FIELDS = [b"Accept: */*", b"X: a\r\n b", b"Cookie: a=b; c=d", b"TE: trailers"]
_FIELDS = [
    b"X-Empty:",
    b"X:\t a \t",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Content-Length",
    b"Connection: host, transfer-encoding",
    b"Proxy-Connection: keep-alive",
    b"Expect: 100-continue",
    b"TE: identity",
    b"TE: trailers, chunked",
    b"Trailer: Content-Length",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Keep-Alive: timeout=5",
    b"X: a\r\n b",
    b"X: a\r\n\tb\r\n  c",
    b"X: a\r\n Content-Length: 5",
    b"X: a\r\n \r\n b",
    b"X: a\r\n",
    b" X: a",
    b"X : a",
    b"X\t: a",
    b"X",
    b": a",
    b"X(: a",
    b"X: \x00",
    b"X: a\x01",
    b"X: a\x0bb",
    b"X: a\x7f",
    b"X: a\rb",
    b"X: a\nb: c",
    b"X: a\r\r\nb: c",
    b"X: \xff\x85\xa0",
    b"Content-Length\x00: 5",
    b"Content\xadLength: 5",
    b"Content_Length: 5",
    b"X-Content-Length: 5",
]
_NUMBERS: list[Callable[[int], bytes]] = [
    lambda n: b"0%d" % n,
    lambda n: b"+%d" % n,
    lambda n: b"-%d" % n,
    lambda n: b"0x%x" % n,
    lambda n: b"%d " % n,
    lambda n: b"\t%d" % n,
    lambda n: b"%d, %d" % (n, n),
    lambda n: b"%d,%d,%d" % (n, n, n),
    lambda n: b"%d, %d" % (n, n + 1),
    lambda n: b"%d," % n,
    lambda n: b",%d" % n,
    lambda n: b"%d.0" % n,
    lambda n: b"%d\x0b" % n,
    lambda n: b"%d;" % n,
    lambda n: b'"%d"' % n,
    lambda n: b"%d 0" % n,
    lambda n: b"\r\n %d" % n,
    lambda n: b"%d\r\n 0" % n,
    lambda n: b"%d" % (n + 2**64),
    lambda n: b"%d" % max(n - 1, 0),
    lambda n: b"%d" % (n + 1),
    lambda _: b"",
    lambda _: b"0",
]
_LENGTH_NAMES = [b"content-length", b"CONTENT-LENGTH", b"Content-Length ", b" Content-Length"]
_CODINGS = [
    b"Chunked",
    b" chunked ",
    b"\tchunked",
    b"chunked\x0b",
    b"\x0bchunked",
    b"identity",
    b"Identity",
    b"identity, chunked",
    b"chunked, identity",
    b"gzip, chunked",
    b"chunked, chunked",
    b"xchunked",
    b"chunked;q=1",
    b'"chunked"',
    b"chunked,",
    b",chunked",
    b"\r\n chunked",
    b"chunked\r\n x",
    b"",
]
_CODING_NAMES = [b"transfer-encoding", b"Transfer-Encoding ", b"Transfer_Encoding"]
_SIZES: list[Callable[[int], bytes]] = [
    lambda n: b"%X" % n,
    lambda n: b"000%x" % n,
    lambda n: b"%017x" % n,
    lambda n: b"%x " % n,
    lambda n: b" %x" % n,
    lambda n: b"0x%x" % n,
    lambda n: b"+%x" % n,
    lambda n: b"%x;a" % n,
    lambda n: b"%x;a=b;c" % n,
    lambda n: b'%x;a="b \\" c"' % n,
    lambda n: b'%x;a="\r\n0\r\n\r\n"' % n,
    lambda n: b"%x ; a" % n,
    lambda n: b"%x;\ta = b ;c" % n,
    lambda n: b"%x;" % n,
    lambda n: b"%x;a\n" % n,
    lambda n: b"%x;a\rb" % n,
    lambda n: b"%x\x00" % n,
    lambda n: b"%x,a" % n,
    lambda n: b"%x" % (n + 1),
    lambda n: b"%x" % (n + 2**64),
    lambda _: b"",
]
_LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b" \r\n"]
_TRAILERS = [b"A: b\r\n", b"Content-Length: 9\r\n", b"Host: x\r\n", b"A\r\n", b" A: b\r\n", b"A: b\n"]
_OCTETS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"\x0b",
    b"\x85",
    b"\xff",
    b"#",
    b"",
]


def make_stream(random: Random) -> bytes:
    """Return a few requests in a row, perhaps with other bytes after them."""
    parts = _Parts(random)
    stream = b"".join(parts.make_request() for _ in range(random.choice((1, 1, 2, 3))))
    if parts.is_odd():
        at = random.randrange(len(stream) + 1)
        stream = stream[:at] + random.choice(_OCTETS) + stream[at + random.choice((0, 0, 1)) :]
    return stream + random.choice((b"", b"", _HIDDEN, b"\r\n", b"\0"))


class _Parts:
    """Makes the parts of one stream, some of them odd: in some streams none, in some many."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._oddity = random.choice((0.0, 0.03, 0.06, 0.15, 0.4))

    def is_odd(self) -> bool:
        return self._random.random() < self._oddity

    def _pick(self, usual: _Part, odd: Sequence[_Part]) -> _Part:
        return self._random.choice(odd) if self.is_odd() else usual

    def make_request(self) -> bytes:
        random = self._random
        kind = random.choice(("none", "length", "chunked", "both" if self.is_odd() else "none"))
        body = b"" if kind == "none" and not self.is_odd() else random.choice((b"", b"abc", _HIDDEN))
        line = b" ".join(
            (
                self._pick(b"GET" if kind == "none" else b"POST", _METHODS),
                self._pick(b"http://a.example/", _TARGETS),
                self._pick(b"HTTP/1.1", _VERSIONS),
            )
        )
        fields = [*self._pick([b"Host: a.example"], _HOSTS)]
        fields += random.choices(_FIELDS if self.is_odd() else _GOOD_FIELDS, k=random.choice((0, 1, 2)))
        if kind in {"length", "both"}:
            fields += self._make_lengths(len(body))
        if kind in {"chunked", "both"}:
            fields += self._make_codings()
            body = self._make_chunks(body)
        random.shuffle(fields)
        head = self._end_lines(b"\r\n".join((line, *fields, b"", b"")))
        return self._pick(b"", (b"\r\n", b"\n", b" ", b"\r\n\r\n")) + head + body

    def _make_lengths(self, octets: int) -> list[bytes]:
        return [
            self._pick(b"Content-Length", _LENGTH_NAMES)
            + b": "
            + self._pick(_write_decimal, _NUMBERS)(octets)
            for _ in range(self._pick(1, (2,)))
        ]

    def _make_codings(self) -> list[bytes]:
        return [
            self._pick(b"Transfer-Encoding", _CODING_NAMES) + b": " + self._pick(b"chunked", _CODINGS)
            for _ in range(self._pick(1, (2,)))
        ]

    def _make_chunks(self, body: bytes) -> bytes:
        coded = b""
        for chunk in (body[: len(body) // 2], body[len(body) // 2 :]):
            if chunk:
                coded += self._pick(_write_hex, _SIZES)(len(chunk)) + self._pick(b"\r\n", _LINE_ENDS) + chunk
                coded += self._pick(b"\r\n", _LINE_ENDS)
        last = self._pick(b"0", (b"00", b"0;a", b"0 ;a", b"-0", b"0 ", b"0\t;a=b", b""))
        end = self._pick(b"\r\n", _LINE_ENDS)
        return coded + last + end + self._pick(b"", _TRAILERS) + self._pick(b"\r\n", _LINE_ENDS)

    def _end_lines(self, head: bytes) -> bytes:
        """Return a head with other line ends: all of them, or one."""
        end = self._pick(b"\r\n", _LINE_ENDS)
        if self._random.random() < 0.5:
            return head.replace(b"\r\n", end)
        at = self._random.choice([at for at in range(len(head)) if head.startswith(b"\r\n", at)])
        return head[:at] + end + head[at + 2 :]


def _write_decimal(number: int) -> bytes:
    return b"%d" % number


def _write_hex(number: int) -> bytes:
    return b"%x" % number
