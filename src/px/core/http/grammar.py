"""Pieces of the HTTP/1 grammar, as the bytes of regular expressions.

The modules that parse heads, targets and bodies combine them. The repeats are possessive (``++``): these
patterns never backtrack, so their cost grows linearly with the input.
"""

from __future__ import annotations

#: One octet of a token, RFC 9110 5.6.2.
TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
#: A method, a field name, a connection option, a transfer coding.
TOKEN = TCHAR + rb"++"
#: A field value: HTAB, SP, VCHAR and obs-text, RFC 9110 5.5; no other control character.
FIELD_VALUE = rb"[\t -~\x80-\xff]*+"
#: One field line and its CRLF, RFC 9112 5; nothing between name and colon, nothing folded.
FIELD_LINE = TOKEN + rb":" + FIELD_VALUE + rb"\r\n"
#: A quoted string, RFC 9110 5.6.4; obs-text is allowed in it, control characters are not.
QUOTED_STRING = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
#: Empty lines allowed before a request line; RFC 9112 2.2 asks for "at least one".
MAX_EMPTY_LINES = 4
#: Optional white space, RFC 9110 5.6.3, which is stripped from both ends of a value.
OWS = b" \t"
