"""New tunnels through an upstream that is far away: what each exchange more costs there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from statistics import median

from bench.far_upstream import FarRelay
from bench.figures import Metric, Target
from bench.lab import Lab, Row
from bench.peers import CNTLM, NTLM, ORIGINAL, PEERS, PX, Running
from bench.rounds import Measure
from bench.rows.exchanges import open_tunnel

P50 = "p50 ms"
ROUND_TRIP_SECONDS = 0.020
#: A prewarmed connection saves one exchange of three.
SHARE = 0.75
_TUNNELS, _AT_ONCE = 30, 6
#: A browser that is at work has opened some before, and they have ended.
_BEFORE, _PAUSE_SECONDS = 12, 0.5


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    relay = lab.keep(FarRelay(lab.ntlm_upstream.port, ROUND_TRIP_SECONDS / 2))
    far = copy(lab.ntlm_upstream)
    far.port = relay.port

    def measure(name: str) -> Measure:
        place = replace(lab.place(NTLM), upstream=far)
        port = lab.keep(Running(PEERS[name], place)).port

        def time_one(_: int) -> float:
            began = time.perf_counter()
            open_tunnel(port, lab.origin.port)
            return time.perf_counter() - began

        def run() -> dict[str, float]:
            with ThreadPoolExecutor(_AT_ONCE) as clients:
                list(clients.map(time_one, range(_BEFORE)))
                time.sleep(_PAUSE_SECONDS)
                return {P50: median(clients.map(time_one, range(_TUNNELS))) * 1e3}

        return run

    return {name: measure(name) for name in (PX, CNTLM, ORIGINAL) if PEERS[name].exists}


def _at_most(other: str) -> Target:
    text = f"{P50}: at most {SHARE:g} x {other}"
    return Target(text, lambda figures: figures.ratio(PX, other, P50), SHARE, is_most=True)


FAR = Row(
    "far",
    "Time of a new tunnel to its first answer, through an NTLM upstream 20 ms away",
    "A burst of 30 tunnels, six at a time, after some before. A relay holds each byte for 10 ms, both ways:"
    " two round trips are the least, one for the CONNECT and one for what is asked through it.",
    (Metric(P50, 1, less_is_better=True),),
    _prepare,
    (_at_most(CNTLM), _at_most(ORIGINAL)),
)
