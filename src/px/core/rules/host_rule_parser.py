"""Parser of the rules that `px.core.rules.host_rules` describes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import takewhile

from px.core.host import MAX_PORT, Address, is_host, to_address, to_plain_name
from px.core.quotes import QUOTES

#: Ports a rule about a name is limited to; None: every port.
Ports = frozenset[int] | None

_IPV4_OCTETS = 4
_MAX_SHOWN_CHARS = 100
_IPV6_GROUPS = 8
_MAX_PORT_DIGITS = len(str(MAX_PORT))
#: ``|`` separates rules in Java's nonProxyHosts. The last two are invisible characters of pasted text.
_SEPARATORS = re.compile(r"[,;|\s\u200b\ufeff]+")
_SPACED_RANGE = re.compile(r"\s+-\s+")
_COMMENT = re.compile(r"(?:^|\s)#[^\n]*")
_SCHEME = re.compile(r"(?:\*|[a-z][a-z0-9+.-]*)://")
#: ``10.`` and ``192.168.``: the numbers written so far, then any others, as in hosts.allow.
_PREFIX = re.compile(r"(?:[0-9]{1,3}\.){1,3}")
#: ``10.0.0.1-9``, whose end is written as its last number only.
_SHORT_RANGE = re.compile(r"(?P<net>(?:[0-9]{1,3}\.){3})(?P<first>[0-9]{1,3})-(?P<last>[0-9]{1,3})")
_GLOB_NAME = re.compile(r"[\w*-]+(?:\.[\w*-]+)*")
_PORT = re.compile(r"(?P<host>[^:]+|\[[^]]+\]):(?P<port>[0-9]*|\*)")
#: The IPv6 addresses that represent IPv4 addresses, ::ffff:0:0/96 (RFC 4291 2.5.5.2).
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass
class RuleDraft:
    """The rules read so far. The fields are those of `HostRules`, not merged yet."""

    ipv4: list[tuple[int, int]] = field(default_factory=list)
    ipv6: list[tuple[int, int]] = field(default_factory=list)
    hosts: dict[str, Ports] = field(default_factory=dict)
    domains: dict[str, Ports] = field(default_factory=dict)
    globs: list[tuple[re.Pattern[str], Ports]] = field(default_factory=list)
    is_local_included: bool = False
    subtracts_loopback: bool = False
    is_everything: bool = False
    #: Why rules were skipped: a text for each, which names the rule.
    skipped: list[str] = field(default_factory=list)

    def add_interval(self, first: Address, last: Address) -> None:
        """Add the addresses from first to last; IPv4-mapped addresses are added as IPv4 addresses."""
        start, end = int(first), int(last)
        if isinstance(first, IPv4Address):
            self.ipv4.append((start, end))
        elif first in _MAPPED and last in _MAPPED:
            base = int(_MAPPED.network_address)
            self.ipv4.append((start - base, end - base))
        else:
            self.ipv6.append((start, end))


def read_rules(text: str, *, names: bool) -> RuleDraft:
    """Return the rules of a text. Unreadable rules are skipped; `RuleDraft.skipped` says why."""
    draft = RuleDraft()
    for rule in split_rules(text):
        try:
            _add_rule(draft, rule.lower().strip(QUOTES), names=names)
        except ValueError as error:
            draft.skipped.append(f"{_quote(rule)} {error}")
    return draft


def split_rules(text: str) -> list[str]:
    """Return the rules of a text, each as it is written."""
    listed = _SEPARATORS.split(_SPACED_RANGE.sub("-", _COMMENT.sub(" ", text).strip()))
    return [rule for rule in listed if rule.strip(QUOTES)]


def _quote(rule: str) -> str:
    """Return a rule for a message, shortened if it is long, without a password it may contain."""
    login, at, host = rule.rpartition("@")
    shown = f"***@{host}" if at and login else rule
    return repr(shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + "...")


def _strip_decoration(rule: str) -> str:
    """Return a rule without the scheme and the final slash that people paste with a name."""
    found = _SCHEME.match(rule)
    rest = rule[found.end() :] if found else rule
    is_name = found or not set(rest) <= set("0123456789./*")  # 10.0.0.0/ may be an incomplete network
    return rest.removesuffix("*").removesuffix("/") if is_name and rest.endswith(("/", "/*")) else rest


def _add_rule(draft: RuleDraft, rule: str, *, names: bool) -> None:
    rule = _strip_decoration(rule) if names else rule  # a rule that admits clients is never guessed
    if rule == "*":
        draft.is_everything = True
    elif not _add_addresses(draft, rule):
        if not names:
            raise ValueError("is not an address, glob, range or network")
        _add_name(draft, rule)


# Addresses


def _add_addresses(draft: RuleDraft, rule: str) -> bool:
    """Add a rule about addresses; return False if the rule is not one.

    Raises:
        ValueError: The rule looks like one but is wrong.
    """
    interval = _parse_address(rule) or _parse_range(rule) or _parse_glob(rule) or _parse_network(rule)
    if interval is None:
        return False
    first, last = interval
    if first.version != last.version or int(first) > int(last):
        raise ValueError("is not a range: it ends before it begins, or mixes IPv4 and IPv6")
    draft.add_interval(first, last)
    return True


def _parse_address(rule: str) -> tuple[Address, Address] | None:
    bracketed = rule.startswith("[") and rule.endswith("]")
    address = _address_or_none(rule[1:-1] if bracketed else rule)
    return (address, address) if address is not None else None


def _parse_range(rule: str) -> tuple[Address, Address] | None:
    start, _, end = rule.partition("-")
    if short := _SHORT_RANGE.fullmatch(rule):
        end = short["net"] + short["last"]
        if _address_or_none(end) is None:
            raise ValueError("is not a range: its last number is over 255")
    first, last = _address_or_none(start), _address_or_none(end)
    return (first, last) if first is not None and last is not None else None


def _parse_glob(rule: str) -> tuple[Address, Address] | None:
    """Parse ``192.168.0.*``, ``10.*``, ``10.`` or ``fe80:*``: stars at the end only."""
    if _PREFIX.fullmatch(rule):
        rule += "*"
    if "*" not in rule or not set(rule) <= set("0123456789abcdef.:*"):
        return None
    if ":" in rule:
        return _fill_glob(rule, ":", _IPV6_GROUPS, "ffff")
    if set(rule) <= set("0123456789.*"):
        return _fill_glob(rule, ".", _IPV4_OCTETS, "255")
    return None


def _fill_glob(rule: str, separator: str, parts_count: int, highest: str) -> tuple[Address, Address] | None:
    parts = rule.split(separator)
    stars = sum(1 for _ in takewhile(lambda part: part == "*", reversed(parts)))
    if not stars or "*" in "".join(parts[: len(parts) - stars]):
        return None
    if "::" not in rule:  # the last star of a short form covers all remaining parts
        parts += ["*"] * (parts_count - len(parts))
    lowest, top = (_address_or_none(separator.join(parts).replace("*", number)) for number in ("0", highest))
    return (lowest, top) if lowest is not None and top is not None else None


def _parse_network(rule: str) -> tuple[Address, Address] | None:
    if "/" not in rule:
        return None
    address, _, length = rule.partition("/")
    if not set(address) <= set("0123456789abcdef.:[]"):
        raise ValueError("has a path, but rules are about whole hosts")
    address = address.removeprefix("[").removesuffix("]")
    if ":" not in address:  # the short form 10/8
        address += ".0" * (_IPV4_OCTETS - 1 - address.count("."))
    try:
        network: IPv4Network | IPv6Network = ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        raise ValueError("is not a network; write address/length, as in 192.168.0.0/24") from None
    return network.network_address, network.broadcast_address


def _address_or_none(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A zone (fe80::1%eth0) is valid on one machine only, and a rule means the link-local range itself.
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address


# Names


def _add_name(draft: RuleDraft, rule: str) -> None:
    if rule == "<local>":
        draft.is_local_included = True
        return
    if rule == "<-loopback>":
        draft.subtracts_loopback = True
        return
    if rule.startswith("="):
        _add_exact_name(draft, *_split_port(rule[1:]))
        return
    name, ports = _split_port(rule)
    address = to_address(to_plain_name(name))
    if address is not None:
        _add_ports(draft.hosts, str(address), ports)
    elif "*" in name.removeprefix("*."):
        _add_glob_name(draft, name, ports)
    else:
        _add_plain_name(draft, name, ports)


def _add_plain_name(draft: RuleDraft, name: str, ports: Ports) -> None:
    """Add ``host``, ``.dom`` or ``*.dom``."""
    plain = to_plain_name(name.removeprefix("*").removeprefix("."))
    if not is_host(plain) or (name.startswith("*") and not name.startswith("*.")):
        raise ValueError("is not a host name, domain or address")
    _add_ports(draft.domains, plain, ports)
    if not name.startswith("*"):
        _add_ports(draft.hosts, plain, ports)


def _add_exact_name(draft: RuleDraft, name: str, ports: Ports) -> None:
    if not is_host(to_plain_name(name)):
        raise ValueError("is not a host name or address")
    _add_ports(draft.hosts, to_plain_name(name), ports)


def _add_glob_name(draft: RuleDraft, name: str, ports: Ports) -> None:
    if not _GLOB_NAME.fullmatch(name):
        raise ValueError("is not a host name, domain or address")
    if set(name) <= set("0123456789.*"):
        raise ValueError("has a star inside an address; stars are allowed only at the end, as in 192.168.*.*")
    draft.globs.append((re.compile(re.escape(name).replace(r"\*", ".*")), ports))


def _split_port(rule: str) -> tuple[str, Ports]:
    found = _PORT.fullmatch(rule)
    if not found:
        return rule, None
    if found["port"] in {"", "*"}:
        return found["host"], None
    port = int(found["port"][: _MAX_PORT_DIGITS + 1])
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"has no valid port; ports are 1 to {MAX_PORT}")
    return found["host"], frozenset({port})


def _add_ports(rules: dict[str, Ports], name: str, ports: Ports) -> None:
    """Add ports to those of a name; "every port" stays "every port"."""
    known = rules.get(name, frozenset())
    rules[name] = None if known is None or ports is None else known | ports
