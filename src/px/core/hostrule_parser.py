"""Reader of the language of `px.core.hostrules`, where it is described."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import takewhile

from px.core.host import MAX_PORT, Address, is_host, to_address, to_plain_name

#: Ports a rule about a name is limited to; None: every port.
Ports = frozenset[int] | None

_IPV4_OCTETS = 4
_IPV6_GROUPS = 8
_SEPARATORS = re.compile(r"[,;\s]+")
_SPACED_RANGE = re.compile(r"\s+-\s+")
_GLOB_NAME = re.compile(r"[\w*-]+(?:\.[\w*-]+)*")
_PORT = re.compile(r"(?P<host>[^:]+|\[[^]]+\]):(?P<port>[0-9]{1,5})")
#: The IPv6 addresses that stand for IPv4 ones, ::ffff:0:0/96 (RFC 4291 2.5.5.2).
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass
class RuleDraft:
    """What the rules read so far amount to; the fields are those of `HostRules`, not merged yet."""

    ipv4: list[tuple[int, int]] = field(default_factory=list)
    ipv6: list[tuple[int, int]] = field(default_factory=list)
    hosts: dict[str, Ports] = field(default_factory=dict)
    domains: dict[str, Ports] = field(default_factory=dict)
    globs: list[tuple[re.Pattern[str], Ports]] = field(default_factory=list)
    is_local_included: bool = False
    is_everything: bool = False

    def add_interval(self, first: Address, last: Address) -> None:
        """Add the addresses from first to last; IPv4-mapped ones as the IPv4 addresses they are."""
        start, end = int(first), int(last)
        if isinstance(first, IPv4Address):
            self.ipv4.append((start, end))
        elif first in _MAPPED and last in _MAPPED:
            base = int(_MAPPED.network_address)
            self.ipv4.append((start - base, end - base))
        else:
            self.ipv6.append((start, end))


def read_rules(text: str, *, names: bool) -> RuleDraft:
    """Read rules; see `HostRules.parse`."""
    draft = RuleDraft()
    for rule in split_rules(text):
        _add_rule(draft, rule.lower(), names=names)
    return draft


def split_rules(text: str) -> list[str]:
    """Return rules one by one, as they are written."""
    return [rule for rule in _SEPARATORS.split(_SPACED_RANGE.sub("-", text.strip())) if rule]


def _add_rule(draft: RuleDraft, rule: str, *, names: bool) -> None:
    if "://" in rule:
        raise ValueError(f"{rule!r}: write the host alone, without a scheme")
    if rule == "*":
        draft.is_everything = True
    elif not _add_addresses(draft, rule):
        if not names:
            raise ValueError(f"{rule!r} is no address, glob, range or network")
        _add_name(draft, rule)


# Addresses


def _add_addresses(draft: RuleDraft, rule: str) -> bool:
    """Add a rule about addresses; False: it is none.

    Raises:
        ValueError: It is meant as one, but wrong.
    """
    interval = _parse_address(rule) or _parse_range(rule) or _parse_glob(rule) or _parse_network(rule)
    if interval is None:
        return False
    first, last = interval
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"{rule!r} is no range: it ends before it begins, or mixes IPv4 and IPv6")
    draft.add_interval(first, last)
    return True


def _parse_address(rule: str) -> tuple[Address, Address] | None:
    bracketed = rule.startswith("[") and rule.endswith("]")
    address = _address_or_none(rule[1:-1] if bracketed else rule)
    return (address, address) if address is not None else None


def _parse_range(rule: str) -> tuple[Address, Address] | None:
    start, _, end = rule.partition("-")
    first, last = _address_or_none(start), _address_or_none(end)
    return (first, last) if first is not None and last is not None else None


def _parse_glob(rule: str) -> tuple[Address, Address] | None:
    """Read ``192.168.0.*``, ``10.*`` or ``fe80:*``: stars, and only stars, at the end."""
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
    if "::" not in rule:  # the last star of a short form stands for all that is left
        parts += ["*"] * (parts_count - len(parts))
    lowest, top = (_address_or_none(separator.join(parts).replace("*", number)) for number in ("0", highest))
    return (lowest, top) if lowest is not None and top is not None else None


def _parse_network(rule: str) -> tuple[Address, Address] | None:
    if "/" not in rule:
        return None
    address, _, length = rule.partition("/")
    if ":" not in address:  # the short form 10/8
        address += ".0" * (_IPV4_OCTETS - 1 - address.count("."))
    try:
        network: IPv4Network | IPv6Network = ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        raise ValueError(f"{rule!r} is no network; write address/length, as in 192.168.0.0/24") from None
    return network.network_address, network.broadcast_address


def _address_or_none(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A zone (fe80::1%eth0) means something on one machine only, and a link-local range is what is meant.
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address


# Names


def _add_name(draft: RuleDraft, rule: str) -> None:
    if rule == "<local>":
        draft.is_local_included = True
        return
    if rule == "<-loopback>":
        return  # Windows: no rule of its own for loopback; Px has none
    if rule.startswith("="):
        _add_exact_name(draft, rule, *_split_port(rule[1:]))
        return
    name, ports = _split_port(rule)
    address = to_address(to_plain_name(name))
    if address is not None:
        _admit(draft.hosts, str(address), ports)
    elif "*" in name.removeprefix("*."):
        _add_glob_name(draft, rule, name, ports)
    else:
        _add_plain_name(draft, rule, name, ports)


def _add_plain_name(draft: RuleDraft, rule: str, name: str, ports: Ports) -> None:
    """Add ``host``, ``.dom`` or ``*.dom``."""
    plain = to_plain_name(name.removeprefix("*").removeprefix("."))
    if not is_host(plain) or (name.startswith("*") and not name.startswith("*.")):
        raise ValueError(f"{rule!r} is no host name, domain or address")
    _admit(draft.domains, plain, ports)
    if not name.startswith("*"):
        _admit(draft.hosts, plain, ports)


def _add_exact_name(draft: RuleDraft, rule: str, name: str, ports: Ports) -> None:
    if not is_host(to_plain_name(name)):
        raise ValueError(f"{rule!r} is no host name or address")
    _admit(draft.hosts, to_plain_name(name), ports)


def _add_glob_name(draft: RuleDraft, rule: str, name: str, ports: Ports) -> None:
    if not _GLOB_NAME.fullmatch(name):
        raise ValueError(f"{rule!r} is no host name, domain or address")
    if set(name) <= set("0123456789.*"):
        raise ValueError(f"{rule!r}: in an address, stars stand at the end only, as in 192.168.*.*")
    draft.globs.append((re.compile(re.escape(name).replace(r"\*", ".*")), ports))


def _split_port(rule: str) -> tuple[str, Ports]:
    found = _PORT.fullmatch(rule)
    if not found:
        return rule, None
    port = int(found["port"])
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"{rule!r}: no valid port; ports are 1 to {MAX_PORT}")
    return found["host"], frozenset({port})


def _admit(rules: dict[str, Ports], name: str, ports: Ports) -> None:
    """Add ports to those of a name; every port stays every port."""
    known = rules.get(name, frozenset())
    rules[name] = None if known is None or ports is None else known | ports
