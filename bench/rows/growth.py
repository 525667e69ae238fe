"""Whether a request costs more when there is more of everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.figures import Metric, spread_target
from bench.lab import Lab, Row
from bench.peers import OPEN, PX
from bench.rounds import Measure
from bench.rows.rates import CLIENTS, CPU, RATE, measure_load

COUNTS = (1, 50, 500, 5000)
RULE_COUNTS = (10, 100, 1000, 10_000)
_METRICS = (Metric(RATE), Metric(CPU, 1, less_is_better=True))


def _prepare_connections(lab: Lab) -> Mapping[str, Measure]:
    px = lab.start(PX)
    return {_connections(count): measure_load(px, "gets", lab.origin.port, count) for count in COUNTS}


def _prepare_rules(lab: Lab) -> Mapping[str, Measure]:
    measures = {}
    for count in RULE_COUNTS:
        place = lab.place(OPEN)
        rules = place.write("px.ini", "[proxy]\nnoproxy = " + ", ".join(_make_rules(count)) + "\n")
        px = lab.start(PX, OPEN, [f"--config={rules}"])
        measures[_rules(count)] = measure_load(px, "gets", lab.origin.port, CLIENTS)
    return measures


def _make_rules(count: int) -> Iterator[str]:
    """Yield names, domains, addresses and networks in turn, none of which is the origin's."""
    for number in range(count):
        high, low = 1 + number // 250, 1 + number % 250
        yield (
            f"host{number}.corp.example",
            f".domain{number}.example",
            f"10.{high}.{low}.7",
            f"172.{high}.{low}.0/24",
        )[number % 4]


def _connections(count: int) -> str:
    return f"{count:,} connections" if count > 1 else "1 connection"


def _rules(count: int) -> str:
    return f"{count:,} rules"


CONNECTIONS = Row(
    "connections",
    "Px: CPU time of a GET, by the number of connections",
    "All of them ask at the same time, direct.",
    _METRICS,
    _prepare_connections,
    (spread_target([_connections(count) for count in COUNTS], CPU, 1.5),),
)
RULES = Row(
    "rules",
    "Px: CPU time of a GET, by the number of noproxy rules",
    "50 connections; no rule matches, so the request goes to an upstream without a login.",
    _METRICS,
    _prepare_rules,
    (spread_target([_rules(count) for count in RULE_COUNTS], CPU, 1.2),),
)
