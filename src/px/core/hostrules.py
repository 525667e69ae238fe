"""Rules about hosts and addresses: the one language of `allow` and `noproxy`.

What curl, Python, Windows and the original Px accept, in one::

    10.1.2.3  ::1                   an address; IPv4-mapped IPv6 addresses count as IPv4 everywhere
    192.168.0.*  10.*  fe80:*       a glob: stars at the end (short forms as on Windows)
    10.0.0.1-10.0.0.9               a range, both ends included
    192.168.0.1/24  10/8  fd00::/8  a network; bits of the host do not matter; a netmask will do
    corp.example  .corp.example     the name and every name below it (curl, Python)
    *.corp.example                  the names below it only (Windows)
    =corp.example                   the name only (what Windows and macOS mean by ``corp.example``)
    build*.corp.example             any other glob, over the whole name (Windows)
    host:8080  10.1.2.3:8080        the same, for this port only
    <local>                         names without a dot, and loopback addresses (Windows)
    *  *.*.*.*  0.0.0.0/0           everything: IPv6 and names that cannot be resolved too

Separators are ``,`` ``;`` and white space. `px.core.hostrule_parser` reads the language; this module is the
compiled form. Looking up costs the same for ten rules and for ten thousand: addresses are sorted,
merged integer intervals, names a dictionary that is asked for each parent domain. (Only globs inside a name
are tried one by one.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from px.core.host import Address, to_address, to_plain_address, to_plain_name
from px.core.hostrule_parser import Ports, read_rules

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
    """Compiled rules; made by `parse`. Two are equal when they were written alike.

    Attributes:
        text: The rules as written.
        ipv4: Addresses that match, as integers.
        ipv6: Likewise.
        hosts: Names, and addresses with a port, that match themselves -> the ports.
        domains: Names below which every name matches -> the ports.
        globs: Patterns over whole names, each with its ports.
        is_local_included: Whether ``<local>`` is among the rules.
        is_everything: Whether ``*`` is among the rules.
    """

    text: str = ""
    ipv4: Intervals = field(default=Intervals(), repr=False, compare=False)
    ipv6: Intervals = field(default=Intervals(), repr=False, compare=False)
    hosts: Mapping[str, Ports] = field(default_factory=dict, repr=False, compare=False)
    domains: Mapping[str, Ports] = field(default_factory=dict, repr=False, compare=False)
    globs: tuple[tuple[re.Pattern[str], Ports], ...] = field(default=(), repr=False, compare=False)
    is_local_included: bool = field(default=False, repr=False, compare=False)
    is_everything: bool = field(default=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, *, names: bool) -> HostRules:
        """Compile rules.

        Args:
            text: Rules, separated by ``,`` ``;`` or white space; empty matches nothing.
            names: Whether rules about names are understood (not in `allow`: a peer has only an address).

        Raises:
            ValueError: A rule cannot be read; the message names it.
        """
        draft = read_rules(text, names=names)
        return cls(
            text=text.strip(),
            ipv4=Intervals.merge(draft.ipv4),
            ipv6=Intervals.merge(draft.ipv6),
            hosts=draft.hosts,
            domains=draft.domains,
            globs=tuple(draft.globs),
            is_local_included=draft.is_local_included,
            is_everything=draft.is_everything,
        )

    @property
    def matches_everything(self) -> bool:
        """Whether every target matches, IPv6 and names that cannot be resolved too.

        So do rules that together cover every IPv4 address: who wrote ``0.0.0.0/0`` meant "all".
        """
        return self.is_everything or self.ipv4 == _ALL_IPV4

    @property
    def needs_addresses(self) -> bool:
        """Whether a name that `matches_name` does not match may still match by one of its addresses."""
        return bool(self.ipv4 or self.ipv6) and not self.matches_everything

    def matches_address(self, address: str | Address) -> bool:
        """Whether a rule covers the address, on every port.

        Raises:
            ValueError: `address` is a text, but not an IP address, and not everything matches.
        """
        if self.matches_everything:
            return True
        parsed = to_plain_address(ip_address(address) if isinstance(address, str) else address)
        if self.is_local_included and parsed.is_loopback:
            return True
        return int(parsed) in (self.ipv4 if parsed.version == 4 else self.ipv6)  # noqa: PLR2004

    def matches_name(self, host: str, port: int) -> bool:
        """Whether a rule covers the host as it stands in a request: a name or an IP address.

        Nothing is resolved: where this is False and `needs_addresses`, ask `matches_address` for each of
        the name's addresses.

        Args:
            host: A name, in any case, with or without a last dot; an IPv6 address may stand in brackets.
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
