"""The requests and tunnels under way, grouped as ``px --top`` and the status page show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from px.core.host import to_address

#: JSON: a `px.downstream.activity.active_request.ActiveRequest`.
ActiveReport = Mapping[str, Any]


class GroupKey(NamedTuple):
    """What all members of a group have in common; see `ActiveRequest`.

    Attributes:
        kind: ``tunnel`` or ``request``.
        method: The method of requests; empty for tunnels.
        target: The target.
        route: The route.
        client: The address of another computer; empty for this one.
        program: The program, where it is known.
        user: The user, where clients log in.
    """

    kind: str
    method: str
    target: str
    route: str
    client: str
    program: str
    user: str


@dataclass(slots=True)
class ActiveGroup:
    """Requests or tunnels of one program to one target, over one route.

    Attributes:
        key: What they have in common.
        since: When the oldest one began: unix seconds.
        count: How many there are.
        up: Bytes from the client for all of them.
        down: Bytes to the client.
    """

    key: GroupKey
    since: float
    count: int = 0
    up: int = 0
    down: int = 0

    def add(self, each: ActiveReport) -> None:
        """Add a request or tunnel."""
        self.since = min(self.since, each["since"])
        self.count += 1
        self.up += each["up"]
        self.down += each["down"]

    def to_report(self) -> dict[str, Any]:
        """Return the group as JSON."""
        return {
            **self.key._asdict(),
            "since": self.since,
            "count": self.count,
            "up": self.up,
            "down": self.down,
        }


def group_active(active: Iterable[ActiveReport]) -> dict[GroupKey, ActiveGroup]:
    """Return the groups of the ``active`` of a status."""
    groups: dict[GroupKey, ActiveGroup] = {}
    for each in active:
        key = _find_key(each)
        groups.setdefault(key, ActiveGroup(key, each["since"])).add(each)
    return groups


def _find_key(each: ActiveReport) -> GroupKey:
    return GroupKey(
        kind=each["kind"],
        method="" if each["kind"] == "tunnel" else each["method"],
        target=each["target"],
        route=each["route"],
        client=_name_client(each["client"]),
        program=each["program"],
        user=each["user"],
    )


def _name_client(client: str) -> str:
    address = to_address(client)
    return "" if address is not None and address.is_loopback else client
