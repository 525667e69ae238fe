"""Adds up the traffic of several workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from px.core.report_limits import MAX_SLOTS

#: JSON: from `px.downstream.activity.traffic.TrafficHistory.report`; empty if a worker has not reported.
Traffic = Mapping[str, Any]

SERIES: Final = ("up", "down", "requests")


def sum_traffic(traffics: Iterable[Traffic]) -> dict[str, Any]:
    """Return the sum of traffics, slot by slot; empty if there are none.

    All slots have the same length and begin at the same moments.
    """
    given = [traffic for traffic in traffics if traffic]
    if not given:
        return {}
    seconds, end = given[0]["seconds"], max(traffic["end"] for traffic in given)
    ages = [(traffic, (end - traffic["end"]) // seconds) for traffic in given]
    size = min(MAX_SLOTS, max(len(traffic["up"]) + age for traffic, age in ages))
    sums = {name: [0] * size for name in SERIES}
    for traffic, age in ages:
        for name in SERIES:
            for index, amount in enumerate(reversed(traffic[name]), start=age + 1):
                if index <= size:
                    sums[name][-index] += amount
    return {"seconds": seconds, "end": end, **sums}
