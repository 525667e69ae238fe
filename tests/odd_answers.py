"""Answers that violate RFC 9112, as broken origins and upstreams send them, by their fault.

`REPAIRED` and `UNTOUCHED` have the bytes that Px receives and the bytes that a client gets; `REFUSED` has
those that Px receives.
"""

from __future__ import annotations

LENGTH = b"Content-Length: 6\r\n"
BODY = b"hello\n"
CODING = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"6\r\nhello\n\r\n0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + LENGTH + b"\r\n" + BODY
CHUNKED = OK + CODING + b"\r\n" + CHUNKS
MANY = b"".join(b"X-%d: a\r\n" % number for number in range(1999))

REPAIRED = {
    "LF": (PLAIN.replace(b"\r", b""), PLAIN),
    "LF from the second line on": (PLAIN[:17] + PLAIN[17:].replace(b"\r", b""), PLAIN),
    "LF in one field": (OK + b"A: b\n" + PLAIN[17:], OK + b"A: b\r\n" + PLAIN[17:]),
    "an empty line of LF": (OK + LENGTH + b"\n" + BODY, PLAIN),
    "LF, then CRLF": (b"HTTP/1.1 200 OK\n" + LENGTH + b"\r\n" + BODY, PLAIN),
    "length and chunked": (OK + LENGTH + CODING + b"\r\n" + CHUNKS, CHUNKED),
    "chunked and length 0": (OK + CODING + b"Content-Length: 0\r\n\r\n" + CHUNKS, CHUNKED),
    "chunked from HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + CODING + b"\r\n" + CHUNKS, CHUNKED),
    "identity with a length": (OK + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY, PLAIN),
    "identity, chunked": (OK + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKS, CHUNKED),
    "padded sizes": (OK + CODING + b"\r\n6  \r\nhello\n\r\n0  \r\n\r\n", CHUNKED),
    "white space around an extension": (OK + CODING + b"\r\n6 ; a = b\r\nhello\n\r\n0 ;a\r\n\r\n", CHUNKED),
    "chunks with LF": (OK + CODING + b"\r\n6\nhello\n\n0\n\n", CHUNKED),
    "nothing but LF": ((OK + CODING + b"\r\n" + CHUNKS).replace(b"\r", b""), CHUNKED),
    "a control character": (OK + b"A: a\x01b\x7f\r\n" + PLAIN[17:], OK + b"A: a b \r\n" + PLAIN[17:]),
    "a space in a name": (OK + b"My Header: 1\r\n" + PLAIN[17:], PLAIN),
    "a name of UTF-8": (OK + b"X-\xc3\xa4: 1\r\n" + PLAIN[17:], PLAIN),
    "no name": (OK + b": 1\r\n" + PLAIN[17:], PLAIN),
    "no colon": (OK + b"some garbage\r\n" + PLAIN[17:], PLAIN),
    "a space before a colon": (OK + b"Content-Length : 6\r\n\r\n" + BODY, PLAIN),
    "a folded first line": (OK + b" A: 1\r\n" + PLAIN[17:], PLAIN),
    "HTTP/1.2": (PLAIN.replace(b"1.1", b"1.2"), PLAIN),
    "lower case": (PLAIN.replace(b"HTTP", b"http"), PLAIN),
    "two spaces": (PLAIN.replace(b"1 2", b"1  2"), PLAIN),
}
UNTOUCHED = {
    "no reason": (PLAIN.replace(b" OK", b""), PLAIN.replace(b"OK", b"")),
    "2000 fields": (OK + MANY + PLAIN[17:], OK + MANY + PLAIN[17:]),
}
REFUSED = {
    "two lengths": OK + b"Content-Length: 7\r\n" + LENGTH + b"\r\n" + BODY,
    "two lengths and chunked": OK + b"Content-Length: 7\r\n" + LENGTH + CODING + b"\r\n" + CHUNKS,
    "chunked twice": OK + CODING + CODING + b"\r\n" + CHUNKS,
    "chunked, then gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "CR in a value": OK + b"A: a\rb\r\n" + LENGTH + b"\r\n" + BODY,
    "CR in place of line ends": PLAIN.replace(b"\n", b""),
    "CR CR LF": OK + b"A: b\r\r\n" + LENGTH + b"\r\n" + BODY,
    "NUL in a value": OK + b"A: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "a control character in a length": OK + b"Content-Length: 6\x0b\r\n\r\n" + BODY,
    "a control character behind the coding's name": OK + b"Transfer-Encoding\x0b: chunked\r\n\r\n" + CHUNKS,
    "a second status line": OK + OK + LENGTH + b"\r\n" + BODY,
    "a length in a folded line": OK + b"Content-Length:\r\n 6\r\n\r\n" + BODY,
    "a coding in a folded line": OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "a folded length": OK + b"A: b\r\n Content-Length: 6\r\n\r\n" + BODY,
    "garbage in the status line": b"HTTP/1.1 200OK\r\n" + LENGTH + b"\r\n" + BODY,
    "another protocol": b"ICY 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "2001 fields": OK + MANY + b"A: b\r\n" + LENGTH + b"\r\n" + BODY,
}
