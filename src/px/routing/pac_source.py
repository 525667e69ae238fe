"""Loads the text of a PAC script: from a file, by HTTP, or out of its own URL."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import ssl
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from px.core.errors import PacError
from px.core.pac_location import PacLocation, parse_pac_location, shorten_location
from px.routing.pac_download import MAX_BYTES, Download, DownloadError, download

AUTO: Final = "auto"

Run = Callable[..., Awaitable[Any]]

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: No script is written in these, and the time they take grows with the square of the length.
_NO_CHARSETS: Final = {"punycode", "idna", "unicode_escape", "raw_unicode_escape"}
_DATA_URL = re.compile(r"(?is)data:(?P<type>[^,]*?)(?P<base64>;\s*base64)?,(?P<data>.*)")
_CHARSET = re.compile(r";\s*charset=\"?([^\";\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class LoadedPac:
    """A PAC script as it was loaded.

    Attributes:
        text: The script.
        location: Where it is from, as given.
        encoding: As given.
        etag: Validator of an answer of HTTP, or empty.
        last_modified: Another, or empty.
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
        run: Calls a blocking function in a thread, bounded in time (`px.net.offload.Offload.run`).
        make_tls_context: How to verify a server.
    """

    def __init__(self, run: Run, make_tls_context: Callable[[], ssl.SSLContext]) -> None:
        self._run = run
        self._make_tls_context = make_tls_context

    async def load(self, location: str, encoding: str = AUTO, previous: LoadedPac | None = None) -> LoadedPac:
        """Return the script at a location; `previous` itself where it has not changed.

        Args:
            location: A path, or a URL with ``file``, ``http``, ``https`` or ``data``.
            encoding: ``auto``, or the name of a codec.
            previous: What was loaded before.

        Raises:
            PacError: It cannot be had, or is no text in that encoding. The cause names the location.
        """
        if previous is not None and (previous.location, previous.encoding) != (location, encoding):
            previous = None
        place = parse_pac_location(location, is_windows=sys.platform == "win32")
        try:
            got: Download | None = await self._run(self._get, place, previous)
            if got is None:
                assert previous is not None  # noqa: S101 - nobody else asks whether something has changed
                return previous
            text = decode_script(got.data, encoding, got.charset)
        except TimeoutError:
            raise _fail(location, "it took too long", "Check the network, or the drive.") from None
        except DownloadError as error:
            raise _fail(location, error.reason, error.mend) from error
        if previous is not None and previous.text == text:
            return previous
        return LoadedPac(text, location, encoding, got.etag, got.last_modified)

    def _get(self, place: PacLocation, previous: LoadedPac | None) -> Download | None:
        if place.kind == "file":
            return Download(_read_file(place.value), "", "", "")
        if place.kind == "data":
            return _read_data_url(place.value)
        return download(place.value, self._make_tls_context, _make_conditions(previous))


def _fail(location: str, reason: str, mend: str) -> PacError:
    return PacError(f"The PAC script {shorten_location(location)} cannot be loaded: {reason}.", mend)


def _make_conditions(previous: LoadedPac | None) -> dict[str, str]:
    if previous is None:
        return {}
    fields = {"If-None-Match": previous.etag, "If-Modified-Since": previous.last_modified}
    return {name: value for name, value in fields.items() if value}


def _read_file(name: str) -> bytes:
    try:
        path = Path(name).expanduser()
        status = path.stat()  # opening a pipe would wait for who writes to it
        if not stat.S_ISREG(status.st_mode):
            raise DownloadError("it is no file", "Name a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        mend = f"Check the path; the working directory is {Path.cwd()}."
        raise DownloadError(_say_why_unread(error), mend) from error
    if len(data) > MAX_BYTES:
        raise DownloadError(f"it is larger than {MAX_BYTES >> 20} MB", "Name a PAC script.")
    return data


def _say_why_unread(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "it may not be read by this user"
    return getattr(error, "strerror", "") or str(error)


def _read_data_url(url: str) -> Download:
    """RFC 2397."""
    found = _DATA_URL.fullmatch(url)
    mend = "A data: URL is data:[type][;base64],DATA."
    if not found:
        raise DownloadError("it has no comma", mend)
    data = unquote_to_bytes(found["data"])
    if found["base64"]:
        compact = b"".join(data.split())
        try:
            data = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
        except binascii.Error as error:
            raise DownloadError("its base64 is broken", mend) from error
    charset = _CHARSET.search(found["type"])
    return Download(data, charset[1] if charset else "", "", "")


def decode_script(data: bytes, encoding: str, charset: str = "") -> str:
    """Return a script as text.

    Args:
        data: As it came.
        encoding: The name of a codec; or ``auto``: a byte order mark, `charset`, UTF-8, Windows-1252 and
            Latin-1, the first that fits. (A mark comes first, as in browsers: it is the file's own.)
        charset: What its Content-Type says, or empty.

    Raises:
        DownloadError: It is not in this encoding, or is a page and no script.
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
            "there is a web page, no script",
            "Check the location; perhaps the network wants you to log in with a browser first.",
        )
    return text


def _try_codec(data: bytes, codec: str) -> str | None:
    try:
        return None if codecs.lookup(codec).name.replace("-", "_") in _NO_CHARSETS else data.decode(codec)
    except (LookupError, ValueError):  # no such codec, or not its bytes
        return None
