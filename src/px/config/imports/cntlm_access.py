"""Allow and Deny of cntlm: of an ordered list the first rule that matches counts, and without one, admission.

Px has a set of admitted clients. The rules become that set, as ranges of addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import Final

from px.config.imports.draft import Entry, ImportDraft

_LAST: Final = 2**32 - 1
_EVERYONE: Final = frozenset({"*", "0", "0/0"})
#: First and last address of a range, as integers.
_Range = tuple[int, int]


def take_access(draft: ImportDraft, entry: Entry) -> None:
    """Be the rule for Allow and Deny: the first of these lines stands for all of them."""
    rules = draft.all("allow", "deny")
    if entry is not rules[0]:
        return
    admitted, undecided = list[_Range](), [(0, _LAST)]
    for rule in rules:
        network = _read_network(draft, rule)
        if network is None:
            continue
        if rule.name == "allow":
            admitted += _intersect(undecided, network)
        undecided = list(_subtract(undecided, network))
    admitted += undecided
    if not admitted:
        raise draft.refuse(entry, "no client may use cntlm; leave out the Deny lines, or add an Allow line")
    draft.take("allow", entry, _format(admitted))


def _read_network(draft: ImportDraft, rule: Entry) -> _Range | None:
    """Return the addresses of a rule; None if an Allow line has a name, which Px does not read there."""
    if rule.text in _EVERYONE:
        return 0, _LAST
    if rule.text.lower() == "localhost":
        return _range_of(IPv4Network("127.0.0.1"))
    try:
        return _range_of(IPv4Network(rule.text, strict=False))
    except ValueError:
        if rule.name == "deny" or not set(rule.text) - set("0123456789./"):
            raise draft.refuse(rule, "write a whole IPv4 address, as in 10.0.0.0/8") from None
    draft.drop(rule, "Px admits clients by address, not by name", "add the address with --allow and --save")
    return None


def _range_of(network: IPv4Network) -> _Range:
    return int(network.network_address), int(network.broadcast_address)


def _intersect(ranges: list[_Range], other: _Range) -> Iterator[_Range]:
    for first, last in ranges:
        low, high = max(first, other[0]), min(last, other[1])
        if low <= high:
            yield low, high


def _subtract(ranges: list[_Range], other: _Range) -> Iterator[_Range]:
    for first, last in ranges:
        for low, high in ((first, min(last, other[0] - 1)), (max(first, other[1] + 1), last)):
            if low <= high:
                yield low, high


def _format(ranges: list[_Range]) -> str:
    """Return ranges as rules of Px; all addresses are everyone, over IPv6 too."""
    merged: list[_Range] = []
    for first, last in sorted(ranges):
        if merged and first == merged[-1][1] + 1:
            merged[-1] = merged[-1][0], last
        else:
            merged.append((first, last))
    return "*.*.*.*" if merged == [(0, _LAST)] else ", ".join(map(_format_range, merged))


def _format_range(pair: _Range) -> str:
    first, last = map(IPv4Address, pair)
    networks = list(summarize_address_range(first, last))
    if first == last:
        return str(first)
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"
