"""Rules about hosts and addresses: the common language of `allow` and `noproxy`.

The language combines the forms that curl, Python, Windows and the original Px accept::

    10.1.2.3  ::1                   an address; IPv4-mapped IPv6 addresses count as IPv4 everywhere
    192.168.0.*  10.*  fe80:*       a glob: stars at the end (short forms as on Windows)
    192.168.  10.                   the same (hosts.allow)
    10.0.0.1-10.0.0.9  10.0.0.1-9   a range, both ends included
    192.168.0.1/24  10/8  fd00::/8  a network; host bits are ignored; a netmask is fine, too
    corp.example  .corp.example     the name and every name below it (curl, Python)
    *.corp.example                  only the names below it (Windows)
    =corp.example                   only the name (the meaning of ``corp.example`` on Windows and macOS)
    build*.corp.example             any other glob, over the whole name (Windows)
    host:8080  10.1.2.3:8080        the same, for this port only
    <-loopback>                     matches nothing, but sends local targets (`px.core.host.is_local_target`)
                                    to the discovered upstreams, too (Windows, Chromium)
    <local>                         names without a dot, and loopback addresses (Windows)
    *  *.*.*.*  0.0.0.0/0           everything: IPv6 and names that cannot be resolved too

Separators are ``,`` ``;`` ``|`` and white space. Quotes around a rule, a scheme before it and a slash after
it are ignored; ``#`` begins a comment. `px.core.rules.host_rule_parser` parses the language; this module has
the compiled form. A look-up costs the same for ten rules and for ten thousand: addresses are sorted, merged
integer intervals, and names are keys of a dictionary that is searched for each parent domain. (Only globs
inside a name are tried one by one.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from px.core.host import Address, to_address, to_plain_address, to_plain_name
from px.core.rules.host_rule_parser import Ports, read_rules

_IPV4_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Intervals:
    """A set of integers as disjoint intervals, ``starts[n]`` to ``ends[n]``, ascending."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @classmethod
    def merge(cls, pairs: Iterable[tuple[int, int]]) -> Intervals:
        """Return the union of closed intervals that may overlap, in any order."""
        merged: list[list[int]] = []
        for start, end in sorted(pairs):
            if merged and start <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return cls(tuple(start for start, _ in merged), tuple(end for _, end in merged))

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self.starts, number) - 1
        return index >= 0 and number <= self.ends[index]

    def __bool__(self) -> bool:
        return bool(self.starts)


_ALL_IPV4 = Intervals((0,), (_IPV4_MAX,))


@dataclass(frozen=True, slots=True)
class HostRules:
    """Compiled rules; made by `parse`. Two are equal if their texts are equal.

    Attributes:
        text: The rules as written.
        ipv4: The IPv4 addresses that match, as integers.
        ipv6: The IPv6 addresses that match, as integers.
        hosts: Names, and addresses with a port, that match exactly -> the ports.
        domains: Names whose subdomains match -> the ports.
        globs: Patterns for whole names, each with its ports.
        is_local_included: Whether ``<local>`` is among the rules.
        subtracts_loopback: Whether ``<-loopback>`` is among the rules.
        is_everything: Whether ``*`` is among the rules.
        skipped: Why rules were skipped: a text for each, which names the rule.
    """

    text: str = ""
    ipv4: Intervals = field(default=Intervals(), repr=False, compare=False)
    ipv6: Intervals = field(default=Intervals(), repr=False, compare=False)
    hosts: Mapping[str, Ports] = field(default_factory=dict, repr=False, compare=False)
    domains: Mapping[str, Ports] = field(default_factory=dict, repr=False, compare=False)
    globs: tuple[tuple[re.Pattern[str], Ports], ...] = field(default=(), repr=False, compare=False)
    is_local_included: bool = field(default=False, repr=False, compare=False)
    subtracts_loopback: bool = field(default=False, repr=False, compare=False)
    is_everything: bool = field(default=False, repr=False, compare=False)
    skipped: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, *, names: bool) -> HostRules:
        """Return all rules of a text, compiled.

        Args:
            text: Rules, separated by ``,`` ``;`` or white space; an empty text matches nothing.
            names: Whether rules about names are allowed (not in `allow`: a peer has only an address).

        Raises:
            ValueError: A rule cannot be read; the message names it.
        """
        rules = cls.parse_readable(text, names=names)
        if rules.skipped:
            raise ValueError(rules.skipped[0])
        return rules

    @classmethod
    def parse_readable(cls, text: str, *, names: bool = True) -> HostRules:
        """Return the readable rules of a text, compiled; `skipped` names the others. See `parse`."""
        draft = read_rules(text, names=names)
        return cls(
            text=text.strip(),
            ipv4=Intervals.merge(draft.ipv4),
            ipv6=Intervals.merge(draft.ipv6),
            hosts=draft.hosts,
            domains=draft.domains,
            globs=tuple(draft.globs),
            is_local_included=draft.is_local_included,
            subtracts_loopback=draft.subtracts_loopback,
            is_everything=draft.is_everything,
            skipped=tuple(draft.skipped),
        )

    @property
    def matches_everything(self) -> bool:
        """Whether every target matches, including IPv6 and names that cannot be resolved.

        Rules that together cover every IPv4 address match everything: ``0.0.0.0/0`` means "all".
        """
        return self.is_everything or self.ipv4 == _ALL_IPV4

    @property
    def needs_addresses(self) -> bool:
        """Whether a name that `matches_name` does not match may still match by its addresses."""
        return bool(self.ipv4 or self.ipv6) and not self.matches_everything

    def matches_address(self, address: str | Address) -> bool:
        """Return whether a rule covers the address on every port.

        Raises:
            ValueError: `address` is a text that is not an IP address, and the rules do not match everything.
        """
        if self.matches_everything:
            return True
        parsed = to_plain_address(ip_address(address) if isinstance(address, str) else address)
        if self.is_local_included and parsed.is_loopback:
            return True
        return int(parsed) in (self.ipv4 if parsed.version == 4 else self.ipv6)  # noqa: PLR2004

    def matches_name(self, host: str, port: int) -> bool:
        """Return whether a rule covers the host as a request names it: a name or an IP address.

        This method resolves nothing. If it returns False and `needs_addresses` is True, pass each address of
        the name to `matches_address`.

        Args:
            host: A name, in any case, with or without a final dot; an IPv6 address may have brackets.
            port: The TCP port of the target.
        """
        if self.matches_everything:
            return True
        name = to_plain_name(host)
        address = to_address(name)
        if address is not None:
            return _admits(self.hosts, str(address), port) or self.matches_address(address)
        return self._matches_plain_name(name, port)

    def _matches_plain_name(self, name: str, port: int) -> bool:
        if self.is_local_included and "." not in name:
            return True
        if _admits(self.hosts, name, port):
            return True
        if self.domains and any(_admits(self.domains, parent, port) for parent in _parents(name)):
            return True
        return any(glob.fullmatch(name) for glob, ports in self.globs if ports is None or port in ports)

    def __bool__(self) -> bool:
        return bool(
            self.is_everything
            or self.is_local_included
            or self.ipv4
            or self.ipv6
            or self.hosts
            or self.domains
            or self.globs
        )

    def __str__(self) -> str:
        return self.text


def _admits(rules: Mapping[str, Ports], name: str, port: int) -> bool:
    ports = rules.get(name, frozenset())
    return ports is None or port in ports


def _parents(name: str) -> Iterable[str]:
    _, dot, parent = name.partition(".")
    while dot:
        yield parent
        _, dot, parent = parent.partition(".")
