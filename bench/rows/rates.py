"""Requests and tunnels a second, and the time that one request takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.figures import Figures, Metric, Target, ratio_target
from bench.lab import Lab, Row
from bench.peers import CNTLM, DIRECT, GO, NONE, NTLM, ORIGINAL, PX, SQUID, TINYPROXY, Running
from bench.rounds import Measure
from bench.tools import run_load

RATE, CPU, P50, P99 = "a second", "CPU us each", "p50 ms", "p99 ms"
CLIENTS = 50
RUN_SECONDS = 2.0
_WARM_UP_SECONDS = 0.4


def measure_load(running: Running | None, mode: str, origin: int, clients: int) -> Measure:
    """Return what measures a peer by load.c."""
    proxy = running.port if running else 0
    if mode == "tunnels":  # the other one warms up by itself
        run_load(mode, proxy, origin, clients, _WARM_UP_SECONDS)

    def run() -> dict[str, float]:
        used = [running.cpu_seconds()] if running else []

        def note_cpu() -> None:
            if running:
                used.append(running.cpu_seconds())

        load = run_load(mode, proxy, origin, clients, RUN_SECONDS, on_warm=note_cpu)
        found = {RATE: load.per_second, P50: load.p50_ms, P99: load.p99_ms}
        if running:
            found[CPU] = (running.cpu_seconds() - used[-1]) / load.done * 1e6
        return found

    return run


def _prepare(
    mode: str, route: str, names: Sequence[str], clients: int = CLIENTS
) -> Callable[[Lab], Mapping[str, Measure]]:
    return lambda lab: lab.each(
        names, route, lambda _, running: measure_load(running, mode, lab.origin.port, clients)
    )


_METRICS = (
    Metric(RATE),
    Metric(CPU, less_is_better=True),
    Metric(P50, 2, less_is_better=True),
    Metric(P99, 2, less_is_better=True),
)

TUNNELS = Row(
    "tunnels",
    "New tunnels a second, 50 clients, direct",
    "Each client opens a tunnel, gets 100 bytes through it, closes it, and begins again.",
    _METRICS,
    _prepare("tunnels", DIRECT, (NONE, PX, TINYPROXY, GO, SQUID, CNTLM, ORIGINAL)),
    (ratio_target(PX, TINYPROXY, RATE, 1),),
)
TUNNELS_NTLM = Row(
    "tunnels-ntlm",
    "New tunnels a second, 50 clients, through an NTLM upstream",
    "As before; the upstream verifies an NTLMv2 login on each connection. squid, tinyproxy and Go cannot log"
    " in: their upstream lets everybody in.",
    _METRICS,
    _prepare("tunnels", NTLM, (PX, CNTLM, ORIGINAL, SQUID, TINYPROXY, GO)),
    (ratio_target(PX, CNTLM, RATE, 5), ratio_target(PX, ORIGINAL, RATE, 4)),
)
GETS = Row(
    "gets",
    "Keep-alive GET a second, 50 connections, direct",
    "A request of eight fields, an answer of nine and 100 bytes. tinyproxy keeps no connection alive.",
    _METRICS,
    _prepare("gets", DIRECT, (NONE, PX, GO, SQUID, TINYPROXY, CNTLM, ORIGINAL)),
    (ratio_target(PX, GO, RATE, 1),),
)
GETS_NTLM = Row(
    "gets-ntlm",
    "Keep-alive GET a second, 50 connections, through an NTLM upstream",
    "As before; squid and Go, which cannot log in, have an upstream that lets everybody in.",
    _METRICS,
    _prepare("gets", NTLM, (PX, CNTLM, ORIGINAL, SQUID, GO)),
    (
        ratio_target(PX, SQUID, RATE, 2),
        ratio_target(PX, CNTLM, RATE, 20),
        ratio_target(PX, ORIGINAL, RATE, 20),
    ),
)


def _added(metric: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.compare(PX, NONE, metric, lambda with_px, without: with_px - without)


LATENCY = Row(
    "latency",
    "Time of a keep-alive GET, one connection, direct",
    "One request at a time on connections that are open already.",
    (
        Metric(P50, 3, less_is_better=True),
        Metric(P99, 3, less_is_better=True),
        Metric(CPU, less_is_better=True),
    ),
    _prepare("gets", DIRECT, (NONE, PX, GO, SQUID, CNTLM, ORIGINAL), clients=1),
    (
        Target("p50 ms: at most 0.15 more than without a proxy", _added(P50), 0.15, is_most=True, digits=3),
        Target("p99 ms: at most 1 more than without a proxy", _added(P99), 1, is_most=True, digits=3),
    ),
)
