"""Loads the text of a PAC script from a file, by HTTP, or from a data: URL."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import ssl
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from px.core.errors import PacError
from px.core.rules.pac_location import PacLocation, parse_pac_location, shorten_location
from px.routing.pac.download import MAX_BYTES, Download, DownloadError, download

AUTO: Final = "auto"

#: Decoding holds the interpreter lock and so blocks the event loop: 15 ms for a script of 2.4 MB in
#: Windows-1252. So a thread decodes part after part, and sleeps after each to let the event loop run.
PART_BYTES: Final = 64 * 1024
PART_SECONDS: Final = 0.0001

Run = Callable[..., Awaitable[Any]]

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: No script uses these, and decoding them takes time that grows with the square of the length.
_NO_CHARSETS: Final = {"punycode", "idna", "unicode_escape", "raw_unicode_escape"}
_DATA_URL = re.compile(r"(?is)data:(?P<type>[^,]*?)(?P<base64>;\s*base64)?,(?P<data>.*)")
_CHARSET = re.compile(r";\s*charset=\"?([^\";\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class LoadedPac:
    """A PAC script as it was loaded.

    Attributes:
        text: The script.
        location: The location, as given.
        encoding: The encoding, as given.
        etag: A validator of an HTTP answer, or empty.
        last_modified: Another validator, or empty.
    """

    text: str
    location: str
    encoding: str
    etag: str = ""
    last_modified: str = ""

    def __repr__(self) -> str:
        return f"<LoadedPac {shorten_location(self.location)} chars={len(self.text)}>"


class PacLoader:
    """Loads PAC scripts.

    Args:
        run: Calls a blocking function in a thread, with a time limit (`px.io.thread_lane.ThreadLane.run`).
        make_tls_context: Makes the context that verifies a server.
    """

    def __init__(self, run: Run, make_tls_context: Callable[[], ssl.SSLContext]) -> None:
        self._run = run
        self._make_tls_context = make_tls_context

    async def load(self, location: str, encoding: str = AUTO, previous: LoadedPac | None = None) -> LoadedPac:
        """Return the script at a location; `previous` itself if the script has not changed.

        Args:
            location: A path, or a URL with ``file``, ``http``, ``https`` or ``data``.
            encoding: ``auto``, or the name of a codec.
            previous: The script loaded before.

        Raises:
            PacError: The script cannot be loaded, or is not text in that encoding. The cause names the
                location.
        """
        if previous is not None and (previous.location, previous.encoding) != (location, encoding):
            previous = None
        place = parse_pac_location(location, is_windows=sys.platform == "win32")
        try:
            got: Download | None
            got, text = await self._run(self._get_text, place, previous, encoding)
            if got is None:
                assert previous is not None  # noqa: S101 - only `previous` can be unmodified
                return previous
        except TimeoutError:
            raise _fail(location, "it took too long", "Check the network, or the drive.") from None
        except DownloadError as error:
            raise _fail(location, error.reason, error.hint) from error
        if previous is not None and previous.text == text:
            return previous
        return LoadedPac(text, location, encoding, got.etag, got.last_modified)

    def _get_text(
        self, place: PacLocation, previous: LoadedPac | None, encoding: str
    ) -> tuple[Download | None, str]:
        got = self._get(place, previous)
        return got, decode_script(got.data, encoding, got.charset) if got is not None else ""

    def _get(self, place: PacLocation, previous: LoadedPac | None) -> Download | None:
        if place.kind == "file":
            return Download(_read_file(place.value), "", "", "")
        if place.kind == "data":
            return _read_data_url(place.value)
        return download(place.value, self._make_tls_context, _make_conditions(previous))


def _fail(location: str, reason: str, hint: str) -> PacError:
    return PacError(f"The PAC script {shorten_location(location)} cannot be loaded: {reason}.", hint)


def _make_conditions(previous: LoadedPac | None) -> dict[str, str]:
    if previous is None:
        return {}
    fields = {"If-None-Match": previous.etag, "If-Modified-Since": previous.last_modified}
    return {name: value for name, value in fields.items() if value}


def _read_file(name: str) -> bytes:
    try:
        path = Path(name).expanduser()
        status = path.stat()  # opening a pipe would wait for its writer
        if not stat.S_ISREG(status.st_mode):
            raise DownloadError("it is no regular file", "Name a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        hint = f"Check the path; the working directory is {Path.cwd()}."
        raise DownloadError(_explain_unreadable(error), hint) from error
    if len(data) > MAX_BYTES:
        raise DownloadError(f"the file is larger than {MAX_BYTES >> 20} MB", "Name a PAC script.")
    return data


def _explain_unreadable(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "this user may not read it"
    return getattr(error, "strerror", "") or str(error)


def _read_data_url(url: str) -> Download:
    """Return the data of a data: URL (RFC 2397)."""
    found = _DATA_URL.fullmatch(url)
    hint = "A data: URL is data:[type][;base64],DATA."
    if not found:
        raise DownloadError("it has no comma", hint)
    data = unquote_to_bytes(found["data"])
    if found["base64"]:
        compact = b"".join(data.split())
        try:
            data = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
        except binascii.Error as error:
            raise DownloadError("its base64 is broken", hint) from error
    charset = _CHARSET.search(found["type"])
    return Download(data, charset[1] if charset else "", "", "")


def decode_script(data: bytes, encoding: str, charset: str = "") -> str:
    """Return a script as text.

    Args:
        data: The bytes of the script.
        encoding: The name of a codec, or ``auto``, which takes the first that fits: a byte order mark,
            `charset`, UTF-8, Windows-1252, Latin-1. (The mark comes first, as in browsers: it is a part of
            the file.)
        charset: The charset of the Content-Type, or empty.

    Raises:
        DownloadError: The data is not in this encoding, or is a web page.
    """
    if encoding.lower() != AUTO:
        text = _try_codec(data, encoding)
    else:
        marks = [codec for mark, codec in _BOMS if data.startswith(mark)]
        codecs_to_try = [*marks, *([charset] if charset else []), "utf-8", "cp1252", "latin-1"]
        texts = (_try_codec(data, codec) for codec in codecs_to_try)
        text = next(text for text in texts if text is not None)
    if text is None:
        raise DownloadError(f"it is not {encoding}", "Name its encoding by --pac_encoding=, or none.")
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("<") and "FindProxyForURL" not in text:
        raise DownloadError(
            "the location has a web page, no script",
            "Check the location; perhaps the network wants you to log in with a browser first.",
        )
    return text


def _try_codec(data: bytes, codec: str) -> str | None:
    try:
        if codecs.lookup(codec).name.replace("-", "_") in _NO_CHARSETS:
            return None
        decoder = codecs.getincrementaldecoder(codec)()
        b"0".decode(codec, "replace")  # raises LookupError if the codec does not decode text
        parts = []
        for begin in range(0, len(data), PART_BYTES):
            parts.append(decoder.decode(data[begin : begin + PART_BYTES]))
            time.sleep(PART_SECONDS)
        return "".join([*parts, decoder.decode(b"", final=True)])
    except (LookupError, ValueError):  # no such codec, or bytes that do not fit
        return None
