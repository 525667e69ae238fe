"""The state of all workers as Prometheus reads it.

`prometheus_client` formats it. It is an extra: its import takes 45 ms and 2 MB, which only a Px pays that is
asked for metrics. Its registry, which is global, is not used. docs/monitoring.md explains each metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

#: JSON: the state of all workers.
Status = Mapping[str, Any]

_COUNTERS: Final = (
    ("connections", "px_connections", "Client connections accepted."),
    ("requests", "px_requests", "Requests read, tunnels and pages of Px among them."),
    ("tunnels", "px_tunnels", "Tunnels opened."),
    ("errors", "px_errors", "Requests that Px answered with an error, or had to cut off."),
    ("received_bytes", "px_received_bytes", "Bytes from clients."),
    ("sent_bytes", "px_sent_bytes", "Bytes to clients."),
    ("pages", "px_pages", "Requests for pages of Px itself."),
)
_OPENMETRICS: Final = "application/openmetrics-text"
_LOGINS: Final = (("accepted", "logins_accepted"), ("refused", "logins_refused"))


def format_metrics(status: Status, accept: str) -> tuple[bytes, bytes]:
    """Return the metrics and their Content-Type.

    Args:
        status: The state of all workers.
        accept: The value of Accept, which chooses the format.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    from prometheus_client import core, exposition  # noqa: PLC0415 - an extra, loaded when asked for

    format_all: Callable[[Any], bytes]
    # Never the text of a client: prometheus_client fails at a version like 1.x.
    wanted = f"{_OPENMETRICS}; version=1.0.0" if _OPENMETRICS in accept else ""
    format_all, content_type = exposition.choose_encoder(wanted)
    return format_all(_Collector(core, status)), content_type.encode("ascii")


class _Collector:
    """What the formatter wants of a registry.

    Args:
        core: `prometheus_client.core`.
        status: The state of all workers.
    """

    def __init__(self, core: Any, status: Status) -> None:
        self._core = core
        self._status = status

    def collect(self) -> Iterator[Any]:
        """Yield all metrics."""
        core, status = self._core, self._status
        yield core.InfoMetricFamily(
            "px_build", "The version of Px.", {"version": str(status.get("version", ""))}
        )
        yield self._gauge(
            "px_start_time_seconds", "Unix time of the start.", status.get("started", time.time())
        )
        yield self._gauge("px_workers", "Worker processes.", len(status["workers"]))
        yield self._gauge("px_open_connections", "Client connections now.", status["open_connections"])
        yield self._gauge("px_open_tunnels", "Tunnels now.", status["open_tunnels"])
        yield self._gauge("px_active_requests", "Requests and tunnels under way.", status["active_total"])
        problems = status.get("problems", ())
        yield self._gauge("px_problem_kinds", "Kinds of problems that the status lists.", len(problems))
        counters = status["counters"]
        for key, name, text in _COUNTERS:
            yield core.CounterMetricFamily(name, text, value=counters.get(key, 0))
        logins = core.CounterMetricFamily("px_logins", "Logins at upstreams by result.", labels=["result"])
        for result, key in _LOGINS:
            logins.add_metric([result], counters.get(key, 0))
        yield logins
        yield from self._collect_upstreams(_group(status["upstreams"]))

    def _gauge(self, name: str, text: str, value: float) -> Any:
        return self._core.GaugeMetricFamily(name, text, value=value)

    def _collect_upstreams(self, upstreams: Mapping[str, list[Status]]) -> Iterator[Any]:
        """Yield the metrics of upstreams. Identities are no labels: they are names of people."""
        for name, text, measure in _OF_UPSTREAMS:
            family = self._core.GaugeMetricFamily(name, text, labels=["upstream"])
            for upstream, entries in upstreams.items():
                if (value := measure(entries)) is not None:
                    family.add_metric([upstream], value)
            yield family


def _group(upstreams: Iterable[Status]) -> dict[str, list[Status]]:
    """Return the entries of each upstream: one for each identity."""
    grouped: dict[str, list[Status]] = {}
    for upstream in upstreams:
        grouped.setdefault(upstream["upstream"], []).append(upstream)
    return grouped


def _is_up(entries: list[Status]) -> float:
    return float(all(entry["state"] != "down" for entry in entries))


def _is_in_use(entries: list[Status]) -> float:
    return float(any(entry["state"] == "in use" for entry in entries))


def _has_logged_in(entries: list[Status]) -> float:
    return float(any(entry["has_logged_in"] for entry in entries))


def _is_blocked(entries: list[Status]) -> float:
    return float(any(entry["blocked"] for entry in entries))


def _connect_seconds(entries: list[Status]) -> float | None:
    known = [entry["latency_ms"] for entry in entries if entry.get("latency_ms") is not None]
    return max(known) / 1000 if known else None


_OF_UPSTREAMS: Final[tuple[tuple[str, str, Callable[[list[Status]], float | None]], ...]] = (
    ("px_upstream_up", "1 unless the last connect to the upstream failed.", _is_up),
    ("px_upstream_in_use", "1 for the upstream that served last.", _is_in_use),
    ("px_upstream_connect_seconds", "Median time of the last connects.", _connect_seconds),
    ("px_upstream_logged_in", "1 if the upstream has accepted a login.", _has_logged_in),
    ("px_upstream_login_blocked", "1 while Px sends no logins after refusals.", _is_blocked),
)
