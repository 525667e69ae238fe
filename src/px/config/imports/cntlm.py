"""cntlm.conf and cntlm.ini: what becomes of each keyword.

A line is a keyword, white space and a value, in double quotes or up to a ``#``; a line that begins with ``#``
or ``;`` is a comment. Case does not matter in keywords, sections mean nothing. Of a keyword that may stand
only once cntlm uses the first line. cntlm knows no ``=`` or ``:`` behind a keyword, but people write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from px.config.imports.cntlm_access import take_access
from px.config.imports.cntlm_hashes import drop_other_hash, take_hash
from px.config.imports.draft import Entry, ImportDraft, Rule, drop, skip, take, take_pac
from px.config.imports.kept import LOCAL_ACCESS, Defaults
from px.core.rules.host_rules import HostRules

NAME: Final = "a configuration of cntlm"
_LINE: Final = re.compile(
    r'\s*(?P<key>[A-Za-z0-9]+)(?:\s*=\s*|:\s*|\s+)(?:"(?P<quoted>[^"]*)".*|(?P<bare>[^\s#;"][^#]*)(?:#.*)?)'
)
_EVERYWHERE: Final = "*"
_LOCAL: Final = frozenset({"", "localhost", "127.0.0.1"})
_ONE_LIST: Final = "Px listens at the same addresses for all its ports, and this one differs"
#: Value of Auth -> policy of Px, and whether cntlm sends another answer than NTLMv2.
_POLICIES: Final = {
    "gss": ("NEGOTIATE", False),
    "ntlmv2": ("NTLM", False),
    "ntlm2sr": ("NTLM", True),
    "ntlm": ("NTLM", True),
    "nt": ("NTLM", True),
    "lm": ("NTLM", True),
}


def read_entries(text: str) -> Iterator[Entry]:
    """Yield the settings of a file."""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found:
            bare = found["bare"]
            yield Entry(found["key"], found["quoted"] if bare is None else bare.rstrip(), number)


def count_known(text: str) -> int:
    """Return how many lines of a text are settings of cntlm."""
    return sum(entry.name in KEYWORDS for entry in read_entries(text))


def find_defaults(_: ImportDraft) -> Defaults:
    """Return what a file means that does not have a keyword; see `px.config.imports.kept`."""
    login = {"username": "", "auth": "NTLM", "workstation": ""}
    ports = {"port": "3128", "socks": "", "tunnel": ""}
    return Defaults("cntlm", {**LOCAL_ACCESS, **ports, **login, "noproxy": "", "useragent": ""})


# Login


def _take_user(draft: ImportDraft, entry: Entry) -> None:
    domain = draft.text_of("domain")
    draft.take("username", entry, f"{domain}\\{entry.text}" if domain else entry.text)


def _check_domain(draft: ImportDraft, entry: Entry) -> None:
    if not draft.first("username"):
        draft.drop(entry, "there is no Username to go with it", "give --username with --save")


def _drop_password(draft: ImportDraft, entry: Entry) -> None:
    draft.drop_password(entry)


def _take_auth(draft: ImportDraft, entry: Entry) -> None:
    policy = _POLICIES.get(entry.text.lower())
    if policy is None:
        raise draft.refuse(entry, "unknown; valid is: NTLMv2, NTLM2SR, NT, NTLM, LM or GSS")
    draft.take("auth", entry, policy[0])
    if policy[1]:
        reason = f"Px answers with NTLMv2, and not {entry.text}; the proxy needs to accept that"
        draft.drop(entry, reason, "px --test shows whether it does")


# Ports


def _split_port(draft: ImportDraft, entry: Entry) -> tuple[str, int]:
    """Return the address and the port of ``[address:]port``."""
    address, _, port = entry.text.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise draft.refuse(entry, "not a port, or address:port")
    return address.removeprefix("[").removesuffix("]"), int(port)


def _listen_addresses(draft: ImportDraft) -> set[str]:
    """Return where Px is going to listen; `_LOCAL` addresses are an empty text."""
    places = [_split_port(draft, entry) for entry in draft.all("listen")]
    addresses = {address for address, port in places if port == places[0][1]} or {""}
    if addresses == {""} and draft.text_of("gateway").lower() == "yes":
        return {_EVERYWHERE}
    return {_plain(address) for address in addresses}


def _plain(address: str) -> str:
    return "" if address in _LOCAL else address


def _take_listen(draft: ImportDraft, entry: Entry) -> None:
    address, port = _split_port(draft, entry)
    if "port" not in draft.given:
        draft.take("port", entry, str(port))
    if str(port) != draft.given["port"].text:
        reason = f"Px has one port for HTTP clients, which is {draft.given['port'].text}"
        draft.drop(entry, reason, f"let the programs that use port {port} use that one")
    else:
        draft.add("listen", entry, address or "localhost")


def _take_gateway(draft: ImportDraft, entry: Entry) -> None:
    if entry.text.lower() != "yes":
        draft.take("gateway", entry, "0")
    elif _listen_addresses(draft) == {_EVERYWHERE}:
        draft.take("gateway", entry, "1")
    else:
        draft.skip(entry, "Listen names the addresses, and --gateway would open all")


def _is_reachable_alike(draft: ImportDraft, address: str) -> bool:
    """Whether a port with this address (empty: none) is open to the same clients as the port of Px."""
    addresses = _listen_addresses(draft)
    if not address:
        return addresses in ({""}, {_EVERYWHERE})
    return addresses == {_plain(address)}


def _take_socks(draft: ImportDraft, entry: Entry) -> None:
    address, port = _split_port(draft, entry)
    if draft.first("socks5user", "socks5users"):
        return  # the rule of SOCKS5User says so
    if not _is_reachable_alike(draft, address):
        draft.drop(entry, _ONE_LIST, f"if that is fine, give --socks={port} with --save")
    elif "socks" in draft.given:
        draft.drop(entry, "Px has one port for SOCKS5", "let the programs use the first one")
    else:
        draft.take("socks", entry, str(port))


def _drop_socks_user(draft: ImportDraft, entry: Entry) -> None:
    user = entry.text.partition(":")[0]
    if not draft.first("socks5proxy"):
        draft.skip(entry, "there is no SOCKS5Proxy")
        return
    reason = "Px asks all its clients for a login or none, so SOCKS5 stays closed for now"
    open_it = f"--socks={draft.text_of('socks5proxy').rpartition(':')[2]} with --save"
    remedy = (
        f"without a login: give {open_it}; with one for all clients: also --client_auth=BASIC "
        f"--client_username={user}, then px --client-password"
    )
    draft.drop(entry, reason, remedy)


def _take_tunnel(draft: ImportDraft, entry: Entry) -> None:
    parts = entry.text.split(":")
    if len(parts) not in {3, 4}:
        raise draft.refuse(entry, "not of the form [address:]port:host:port")
    address, tunnel = ":".join(parts[:-3]), ":".join(parts[-3:])
    if _is_reachable_alike(draft, address):
        draft.add("tunnel", entry, tunnel)
    else:
        draft.drop(entry, _ONE_LIST, f"if that is fine, give --tunnel={tunnel} with --save")


# Requests


def _take_proxy(draft: ImportDraft, entry: Entry) -> None:
    if draft.first("pac", "pacfile"):
        draft.drop(entry, "the PAC script decides", "without the script, give --proxy with --save")
        return
    proxy = ":".join(entry.text.split())
    if not re.fullmatch(r".*[^:\]]:[0-9]+|\[.*\]:[0-9]+", proxy):
        raise draft.refuse(entry, "not of the form host:port")
    draft.add("proxy", entry, proxy)


def _take_pac_switch(draft: ImportDraft, entry: Entry) -> None:
    if entry.text.lower() not in {"yes", "no"}:  # of versions with PacFile
        draft.take_pac(entry, entry.text)


def _take_direct(draft: ImportDraft, entry: Entry) -> None:
    for pattern in re.split(r"[,\s]+", entry.text):
        if set(pattern) & set("?[];|"):
            reason = f"Px does not read the pattern {pattern!r}, so these targets go through the upstream"
            draft.drop(entry, reason, "add the names with --noproxy and --save")
        elif pattern:
            draft.add_targets(entry, _format_target(pattern))


def _format_target(pattern: str) -> str:
    """Return a rule that matches no more than the pattern: for Px, a plain name includes all below it."""
    rules = HostRules.parse_readable(pattern)
    return f"={pattern}" if "*" not in pattern and pattern in rules.domains else pattern


def _take_header(draft: ImportDraft, entry: Entry) -> None:
    name, _, value = entry.text.partition(":")
    if name.strip().lower() == "user-agent":
        draft.take("useragent", entry, value.strip())
    else:
        draft.drop(entry, "Px sets no other field than User-Agent", "let the programs send it themselves")


def _check_basic(draft: ImportDraft, entry: Entry) -> None:
    if entry.text.lower() == "yes":
        reason = "Px does not log in with what its clients send"
        draft.drop(entry, reason, "let each user run Px, or give --auth=NONE: then the programs log in")


#: The rule for a keyword that is not in `KEYWORDS`.
UNKNOWN: Final = drop("cntlm has no such keyword, and Px has none either", "check its spelling")
_SCANNER: Final = drop(
    "Px does not wait for a virus scanner, but passes its page on",
    "if a program cannot use the page, ask for an exception",
)

#: Keyword in lower case -> its rule.
KEYWORDS: Final[Mapping[str, Rule]] = {
    "username": _take_user,
    "domain": _check_domain,
    "password": _drop_password,
    "passnt": take_hash,
    "passlm": drop_other_hash,
    "passntlmv2": drop_other_hash,
    "auth": _take_auth,
    "flags": skip("Px and the proxy agree on the flags of NTLM by themselves"),
    "workstation": take("workstation"),
    "sspi": skip("on Windows, Px logs in as the user of Windows where no user name is set"),
    "ntlmtobasic": _check_basic,
    "proxy": _take_proxy,
    "pac": _take_pac_switch,
    "pacfile": take_pac,
    "noproxy": _take_direct,
    "listen": _take_listen,
    "gateway": _take_gateway,
    "allow": take_access,
    "deny": take_access,
    "socks5proxy": _take_socks,
    "socks5user": _drop_socks_user,
    "socks5users": _drop_socks_user,
    "tunnel": _take_tunnel,
    "header": _take_header,
    "isascannersize": _SCANNER,
    "isascanneragent": _SCANNER,
}
