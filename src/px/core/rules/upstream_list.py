"""Splits lists of upstreams, in the form of Px or of other programs.

::

    a:1,b:2                         the form of Px
    a:1;b:2   a:1 b:2               Windows' Internet Options
    http=a:1;https=b:2;socks=c:3    the same, by the scheme of the URLs; socks is for the others
    PROXY a:1; HTTPS b:2            the answer of a PAC script
    "a:1"                           with quotes

A user and password may contain a semicolon or a space, but no comma.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from px.core.quotes import strip_quotes

_SEPARATORS: Final = re.compile(r"[;\s]+")
#: A login up to ``@`` with its host, or an entry without ``@`` after the last login.
_WITH_LOGIN: Final = re.compile(r"(?:[^@]*@)+?[^@;\s]*(?=[;\s]|$)|[^@;\s]+")
_KEY: Final = re.compile(r"(?P<key>https?|socks|ftp|gopher|wss?)=(?P<entry>.*)", re.IGNORECASE | re.DOTALL)
_SPACED_KEY: Final = re.compile(r"\s*=\s*")
#: First word of an entry of a PAC script -> scheme of the upstream. In lower case the word may be a host.
_PAC_WORDS: Final = {
    "PROXY": "http",
    "HTTP": "http",
    "HTTPS": "https",
    "SOCKS": "socks5",
    "SOCKS5": "socks5",
    "SOCKS4": "socks4",
}
_PAC_ENTRY: Final = re.compile(rf"(?<![^,;\s])(?P<word>{'|'.join(_PAC_WORDS)})\s+(?=[^\s,;])")
#: Key -> scheme of the URLs; empty for URLs without a key of their own. URLs of other keys reach Px as http,
#: or not at all.
_URL_SCHEMES: Final = {"http": "http", "https": "https", "socks": ""}


#: What names a PAC script: a ``file:`` URL, or a path, URL or name that ends so.
_PAC_SCRIPT: Final = re.compile(r"file:.*|[^,;\s]+\.(?:pac|dat)(?:[?#][^,;\s]*)?", re.IGNORECASE)
#: A URL of http with a path.
_WITH_PATH: Final = re.compile(r"https?://[^/\s]+/\S+", re.IGNORECASE)
_IS_PAC: Final = "this is a PAC script, and not a proxy; did you mean --pac?"
FORM: Final = "an upstream is [http://|https://|socks5://|socks4://]host[:port]"
_NO_LIST: Final = (
    "an upstream has no space and no path; write HOST:PORT, for example proxy.corp.example:8080; commas "
    "separate several upstreams, and --pac names a PAC script"
)


@dataclass(frozen=True, slots=True)
class ListedUpstream:
    """One entry of a list.

    Attributes:
        text: ``[scheme://][user[:password]@]host[:port]``.
        shown: The name of the entry in messages: not its text if that may contain a password.
        urls: The scheme of the URLs it is for; empty for URLs that no other entry names.
    """

    text: str = field(repr=False)
    shown: str
    urls: str = ""

    def refuse_as_list(self) -> ValueError:
        """Return the error for an entry that is more than an upstream."""
        return ValueError(f"{self.shown}: {_NO_LIST}")


def is_script_location(text: str) -> bool:
    """Return whether a text names a PAC script, and not an upstream: an upstream has no path."""
    bare = strip_quotes(text)
    return bool(_PAC_SCRIPT.fullmatch(bare) or _WITH_PATH.fullmatch(bare))


def split_upstreams(text: str) -> Iterator[ListedUpstream]:
    """Yield the entries of a list, without those for URLs that never reach Px.

    Raises:
        ValueError: A semicolon or a space separates no upstreams, or the text names a PAC script.
    """
    bare = strip_quotes(text)
    may_hold_secret = "@" in bare
    if not may_hold_secret and _PAC_SCRIPT.fullmatch(bare):
        raise ValueError(_IS_PAC)
    if not may_hold_secret:
        bare = _PAC_ENTRY.sub(lambda found: f"{_PAC_WORDS[found['word']]}://", _SPACED_KEY.sub("=", bare))
    for number, part in enumerate(bare.split(","), start=1):
        # A password with a raw comma is cut in two, so no entry is safe to show.
        whole = ListedUpstream(part, f"entry {number}" if may_hold_secret else repr(part.strip()))
        entries = _split_part(part)
        if not _are_upstreams(entries):
            raise whole.refuse_as_list()
        for entry in entries:
            yield from _read_key(entry, whole.shown if may_hold_secret else repr(entry))


def _split_part(part: str) -> list[str]:
    """Split the text between two commas at semicolons and spaces, except inside a password."""
    pieces = _WITH_LOGIN.findall(part) if "@" in part else _SEPARATORS.split(part)
    entries = (strip_quotes(piece.strip("; \t\r\n")) for piece in pieces)
    return [entry for entry in entries if entry]


def _are_upstreams(entries: Sequence[str]) -> bool:
    """Return whether all entries look like upstreams, and none like a word of a comment or part of a host."""
    first, *others = entries or [""]
    have_schemes = all("://" in each for each in others)
    return have_schemes or (all("://" in each or _has_mark(each) for each in others) and _has_mark(first))


def _has_mark(entry: str) -> bool:
    """Return whether the host of an entry has a port, or at least a dot."""
    host = entry.rpartition("@")[2].rpartition("://")[2]
    return ":" in host or "." in host


def _read_key(entry: str, shown: str) -> Iterator[ListedUpstream]:
    found = _KEY.fullmatch(entry)
    if not found:
        yield ListedUpstream(entry, shown)
        return
    key, text = found["key"].lower(), found["entry"]
    if key in _URL_SCHEMES and text:
        # In Windows' lists, socks means version 4, from the time before version 5.
        text = f"socks4://{text}" if key == "socks" and "://" not in text else text
        yield ListedUpstream(text, shown, _URL_SCHEMES[key])
