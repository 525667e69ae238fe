"""The variables that programs read for proxies, and those of alpaca: as they are set now, or in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from px.config.imports.draft import Entry, ImportDraft, Rule, skip
from px.config.imports.kept import Defaults
from px.config.imports.upstreams import take_upstreams
from px.core.host import is_local_target
from px.core.rules.route import parse_upstreams
from px.system.proxy_settings.environment import SCHEMES, find_variable

NAME: Final = "variables of the environment"
_LINE: Final = re.compile(
    r"\s*(?:export\s+|set\s+|\$env:|Environment=[\"']?)?(?P<name>[A-Za-z_]\w*)\s*=\s*"
    r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s;\"']*)).*",
    re.IGNORECASE,
)


def read_variables(environ: Mapping[str, str]) -> Iterator[Entry]:
    """Yield the variables for proxies in an environment: in lower case they come before upper case."""
    for name in [*SCHEMES, "no_proxy"]:
        spelled, value = find_variable(environ, name)
        if value:
            yield Entry(spelled, value)
    for name in ALPACA:
        if environ.get(name.upper()):
            yield Entry(name.upper(), environ[name.upper()])


def read_entries(text: str) -> Iterator[Entry]:
    """Yield the variables that a script or an environment file sets."""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found and found["name"].lower() in VARIABLES:
            value = next(found[group] for group in ("double", "single", "bare") if found[group] is not None)
            if value:
                yield Entry(found["name"], value, number)


def count_known(text: str) -> int:
    """Return how many variables for proxies a text sets."""
    return sum(1 for _ in read_entries(text))


def find_defaults(draft: ImportDraft) -> Defaults:
    """Return what variables mean that are not set; see `px.config.imports.kept`."""
    texts = {"username": "", "noproxy": ""}
    return Defaults("these variables", texts if draft.first(*SCHEMES) else {})


def _take_proxies(draft: ImportDraft, entry: Entry) -> None:
    """Take the proxies of all variables together: the first of them stands for all."""
    found = {name: each for name in SCHEMES if (each := draft.first(name))}
    if entry is not next(iter(found.values())):
        return
    usable = {name: each for name, each in found.items() if _is_usable(draft, each)}
    lists = {SCHEMES[name]: each.text for name, each in usable.items()}
    if lists:
        take_upstreams(draft, next(iter(usable.values())), _join(lists))


def _is_usable(draft: ImportDraft, entry: Entry) -> bool:
    """Return whether a variable names an upstream other than Px itself.

    Raises:
        ConfigError: The value names no upstream.
    """
    try:
        upstreams = parse_upstreams(entry.text)
    except ValueError as error:
        raise draft.refuse(entry, str(error)) from None
    if any(is_local_target(each.host) and each.port == draft.own_port for each in upstreams):
        draft.drop(entry, "it points at Px itself", "name the company's proxy with --proxy and --save")
        return False
    return True


def _join(lists: Mapping[str, str]) -> str:
    """Return upstreams by the scheme of the URLs as one list."""
    rest = lists.get("")
    values = {scheme: lists.get(scheme, rest) for scheme in ("http", "https")}
    if values["http"] == values["https"]:
        return values["http"] or ""
    return ", ".join(f"{scheme}={value}" for scheme, value in values.items() if value)


def _take_targets(draft: ImportDraft, entry: Entry) -> None:
    if entry is draft.first("no_proxy"):
        draft.add_targets(entry, entry.text)


def _take_ntlm(draft: ImportDraft, entry: Entry) -> None:
    """Take ``user@DOMAIN:hash``; the hash is the NT hash."""
    found = re.fullmatch(r"(?P<user>[^@]+)@(?P<domain>[^:]*):(?P<hash>[0-9A-Fa-f]{32})", entry.text)
    if not found:
        raise draft.refuse(entry, "not of the form user@DOMAIN:hash, with 32 hexadecimal digits")
    if draft.first("-d"):
        draft.skip(entry, "alpaca asks for a password instead, because of -d")
        return
    user = f"{found['domain']}\\{found['user']}" if found["domain"] else found["user"]
    if "username" in draft.given and draft.given["username"].text != user:
        draft.drop(entry, "the proxies have another user", "for this user, give --username with --save")
        return
    if "username" not in draft.given:
        draft.take("username", entry, user)
    draft.take("nthash", entry, found["hash"].lower())


def _take_basic(draft: ImportDraft, entry: Entry) -> None:
    if draft.first("-d", "ntlm_credentials"):
        draft.skip(entry, "Px has one user, and there is one for NTLM already")
        return
    user, colon, _ = entry.text.partition(":")
    if not colon:
        raise draft.refuse(entry, "not of the form user:password")
    draft.take("username", entry, user)
    draft.drop_password(entry)


def _part_of_user(other: str, join: Callable[[str, str], str]) -> Rule:
    def rule(draft: ImportDraft, entry: Entry) -> None:
        if not draft.first("-d", "-u", "ntlm_credentials"):
            draft.take("username", entry, join(entry.text, draft.text_of(other)))

    return rule


def _ignore_domain(draft: ImportDraft, entry: Entry) -> None:
    if not draft.first("ntlm_username"):
        draft.drop(entry, "there is no user to go with it", "give --username with --save")


#: Variable of alpaca in lower case -> its rule.
ALPACA: Final[Mapping[str, Rule]] = {
    "ntlm_credentials": _take_ntlm,
    "basic_credentials": _take_basic,
    "ntlm_username": _part_of_user(
        "ntlm_domain", lambda user, domain: f"{domain}\\{user}" if domain else user
    ),
    "ntlm_domain": _ignore_domain,
    "kerberos_spn_allowlist": skip(
        "Px sends tickets only to the proxies that --proxy, the PAC script or the system name"
    ),
}
#: Variable in lower case -> its rule.
VARIABLES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(SCHEMES, _take_proxies),
    "no_proxy": _take_targets,
    **ALPACA,
}
