"""Settings of winfoom: proxy.properties and system.properties, and the JSON that ``foomcli config`` prints.

Both are read into the names of the properties. ``proxy.type`` says which of the others count.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from px.config.imports.draft import Entry, ImportDraft, Rule, drop, ignore, skip, take
from px.config.imports.kept import LOCAL_ACCESS, Defaults

NAME: Final = "settings of winfoom"
#: A line of a Java properties file: the key ends at an ``=``, a ``:`` or a space.
_LINE: Final = re.compile(r"\s*(?P<key>[^\s=:#!]+)\s*[=:\s]\s*(?P<value>.*?)\s*")
_ESCAPE: Final = re.compile(r"\\(?:u(?P<code>[0-9A-Fa-f]{4})|(?P<char>.))")
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_JSON_LINE: Final = re.compile(r'"(?P<key>\w+)"\s*:')
#: The port that winfoom listens on if it is told none.
_PORT: Final = "3129"
#: Value of proxy.type -> the part of the names that count, and the scheme of the upstream.
_TYPES: Final = {
    "HTTP": ("http", "http"),
    "SOCKS4": ("socks4", "socks4"),
    "SOCKS5": ("socks5", "socks5"),
    "PAC": ("pac", ""),
    "DIRECT": ("", ""),
}
_POLICIES: Final = {"NTLM": "NTLM", "BASIC": "BASIC", "KERBEROS": "KERBEROS", "SPNEGO": "NEGOTIATE"}
#: Name in the JSON -> the property, for any type of proxy.
_JSON_NAMES: Final = {
    "proxytype": "proxy.type",
    "proxyhost": "proxy.host",
    "proxyport": "proxy.port",
    "proxyusername": "proxy.username",
    "proxypassword": "proxy.password",
    "proxystorepassword": "proxy.storepassword",
    "proxypacfilelocation": "proxy.pac.filelocation",
    "pachttpauthprotocol": "pac.http.auth.protocol",
    "httpauthprotocol": "http.auth.protocol",
    "usecurrentcredentials": "proxy.http.win.usecurrentcredentials",
    "blacklisttimeout": "blacklist.timeout",
    "localport": "local.port",
    "localaddress": "local.address",
    "proxytesturl": "proxy.test.url",
    "autostart": "autostart",
    "autodetect": "autodetect",
    "apiport": "api.port",
    "appversion": "app.version",
}


def read_entries(text: str) -> Iterator[Entry]:
    """Yield the settings of a properties file, or of JSON.

    Raises:
        ValueError: The JSON has a fault.
    """
    if not text.lstrip().startswith("{"):
        yield from _read_properties(text)
        return
    try:
        yield from _read_json(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _read_properties(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found and found["value"]:
            yield Entry(found["key"], _ESCAPE.sub(_unescape, found["value"]), number)


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found["code"], 16)) if found["code"] else _ESCAPED.get(found["char"], found["char"])


def _read_json(text: str) -> Iterator[Entry]:
    document = json.loads(text)
    lines = {
        found["key"]: number
        for number, line in enumerate(text.splitlines(), start=1)
        for found in _JSON_LINE.finditer(line)
    }
    for key, value in document.items():
        shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if shown:
            yield JsonEntry(key, shown, lines.get(key, 0))


class JsonEntry(Entry):
    """A setting in JSON, which has other names than the properties."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name of the property."""
        return _JSON_NAMES.get(self.key.lower(), self.key.lower())


def count_known(text: str) -> int:
    """Return how many settings of winfoom a text has; JSON may have faults."""
    if text.lstrip().startswith("{"):
        return sum(found["key"].lower() in _JSON_NAMES for found in _JSON_LINE.finditer(text))
    return sum(entry.name in PROPERTIES for entry in _read_properties(text))


def find_defaults(draft: ImportDraft) -> Defaults:
    """Return what a file means that does not have a property; see `px.config.imports.kept`.

    winfoom has two files. The one with timeouts says nothing about the settings of the other one.
    """
    texts = {**LOCAL_ACCESS, "username": "", "auth": "ANY", "noproxy": ""}
    return Defaults("winfoom", texts if draft.first("proxy.type") else {})


def _type_of(draft: ImportDraft) -> tuple[str, str]:
    entry = draft.first("proxy.type")
    if entry and entry.text.upper() not in _TYPES:
        raise draft.refuse(entry, f"unknown; valid is: {', '.join(_TYPES)}")
    return _TYPES[entry.text.upper() if entry else "HTTP"]


def _value_of(draft: ImportDraft, kind: str, name: str) -> Entry | None:
    """Return a setting of the type of proxy; older versions have one setting for all types."""
    return draft.first(f"proxy.{kind}.{name}") or draft.first(f"proxy.{name}")


def _take_type(draft: ImportDraft, entry: Entry) -> None:
    kind, scheme = _type_of(draft)
    if not kind:
        draft.take("noproxy", entry, "*")
    elif scheme:
        _take_upstream(draft, kind, scheme)
    _take_default_port(draft, entry)


def _take_upstream(draft: ImportDraft, kind: str, scheme: str) -> None:
    host, port = _value_of(draft, kind, "host"), _value_of(draft, kind, "port")
    if host is None:
        return
    shown = f"[{host.text}]" if ":" in host.text else host.text
    upstream = f"{shown}:{port.text}" if port else shown
    user = _value_of(draft, kind, "username") if kind == "socks5" else None
    if user:
        from urllib.parse import quote  # noqa: PLC0415 - for one of the types only

        upstream = f"{quote(user.text, safe='')}@{upstream}"
    draft.take("proxy", host, upstream if scheme == "http" else f"{scheme}://{upstream}")


def _take_default_port(draft: ImportDraft, entry: Entry) -> None:
    if not draft.first("local.port"):
        draft.take("port", entry, _PORT)


def _take_user(draft: ImportDraft, entry: Entry) -> None:
    """Take the user of an HTTP proxy or a PAC script; that of a SOCKS proxy stands with the proxy."""
    kind, _ = _type_of(draft)
    if kind not in {"http", "pac"} or entry is not _value_of(draft, kind, "username"):
        return
    if kind == "http" and _logs_in_as_windows(draft):
        draft.skip(entry, "winfoom logs in as the user of Windows instead, and so does Px")
    else:
        draft.take("username", entry, entry.text)


def _drop_password(draft: ImportDraft, entry: Entry) -> None:
    kind, _ = _type_of(draft)
    if entry is _value_of(draft, kind, "password") and not _logs_in_as_windows(draft):
        user = _value_of(draft, kind, "username")
        draft.drop_password(entry, user.text if user and kind == "socks5" else "")


def _logs_in_as_windows(draft: ImportDraft) -> bool:
    is_wanted = draft.text_of("proxy.http.win.usecurrentcredentials").lower() != "false"
    return sys.platform == "win32" and is_wanted and _type_of(draft)[0] == "http"


def _take_pac(draft: ImportDraft, entry: Entry) -> None:
    if _type_of(draft)[0] == "pac":
        draft.take_pac(entry, entry.text)


def _take_auth(draft: ImportDraft, entry: Entry) -> None:
    kind = "pac" if entry.name.startswith("pac.") else "http"
    if _type_of(draft)[0] != kind or _logs_in_as_windows(draft):
        return
    policy = _POLICIES.get(entry.text.upper())
    if policy is None:
        raise draft.refuse(entry, f"unknown; valid is: {', '.join(_POLICIES)}")
    draft.take("auth", entry, policy)


def _check_autostart(draft: ImportDraft, entry: Entry) -> None:
    if entry.text.lower() == "true":
        draft.drop(entry, "px.ini does not say when Px starts", "px --install starts Px at login")


def _check_autodetect(draft: ImportDraft, entry: Entry) -> None:
    if entry.text.lower() == "true" and _type_of(draft)[1]:
        reason = "Px looks for the proxy only where none is named"
        draft.drop(entry, reason, "to have Px look for it, remove server from px.ini")


_NO_LIMIT: Final = skip("Px has no such limit")
_OWN_PACE: Final = skip("Px decides this by itself")
_NO_API: Final = drop("Px has no such interface", "px --status, --reload and --quit command a running Px")

#: Property in lower case -> its rule.
PROPERTIES: Final[Mapping[str, Rule]] = {
    "proxy.type": _take_type,
    **dict.fromkeys(
        [f"proxy.{kind}{name}" for kind in ("", "http.", "socks4.", "socks5.") for name in ("host", "port")],
        ignore,  # the rule of proxy.type reads them
    ),
    **dict.fromkeys([f"proxy.{kind}username" for kind in ("", "http.", "socks5.", "pac.")], _take_user),
    **dict.fromkeys([f"proxy.{kind}password" for kind in ("", "http.", "socks5.", "pac.")], _drop_password),
    "proxy.storepassword": ignore,
    "proxy.http.win.usecurrentcredentials": ignore,
    "proxy.pac.filelocation": _take_pac,
    "http.auth.protocol": _take_auth,
    "pac.http.auth.protocol": _take_auth,
    "local.port": take("port"),
    "local.address": take("listen"),
    "proxy.test.url": drop("Px keeps no address for tests", "give it to px --test=URL"),
    "blacklist.timeout": _OWN_PACE,
    "autostart": _check_autostart,
    "autodetect": _check_autodetect,
    "api.port": _NO_API,
    "api.userpassword": _NO_API,
    "apiserver.request.timeout": _NO_API,
    "app.version": ignore,
    "socket.connecttimeout": take("socktimeout"),
    "socket.sotimeout": take("idle"),
    "maxconnections": _NO_LIMIT,
    "maxconnections.perroute": _NO_LIMIT,
    "internalbuffer.length": _OWN_PACE,
    "connectionmanager.clean.interval": _OWN_PACE,
    "connectionmanager.idletimeout": _OWN_PACE,
    "connection.request.timeout": _OWN_PACE,
    "serversocket.backlog": _OWN_PACE,
    "pacscriptengine.pool.maxtotal": _OWN_PACE,
    "pacscriptengine.pool.minidle": _OWN_PACE,
    "java.net.preferipv6addresses": _OWN_PACE,
    "cache.globpattern.capacity": _OWN_PACE,
    "cache.credentialsprovider.capacity": _OWN_PACE,
    "kerberos.login.mininterval": _OWN_PACE,
}
#: The rule for a property that is not in `PROPERTIES`.
UNKNOWN: Final = drop("Px does not know this property", "look for it in px --help=all")
