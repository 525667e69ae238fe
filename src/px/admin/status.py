"""What ``px --status`` tells: the reports of all workers put together, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

#: JSON objects, as `px.app.Px.report` makes them for one worker.
Report = Mapping[str, Any]

#: States of an upstream, as `px.routing.health.UpstreamHealth.state_of`; the later one counts.
_SAID: Final = {"ready": "not used yet", "in use": "in use", "down": "cannot be reached"}
_OF_WORKERS: Final = ("number", "pid", "is_draining", "open_connections", "open_tunnels")
_MARGIN: Final = 12
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def sum_counters(all_counters: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of the counters of each name."""
    sums: Counter[str] = Counter()
    for counters in all_counters:
        sums.update(counters)
    return dict(sums)


def merge_reports(reports: Sequence[Report], past_counters: Mapping[str, int]) -> dict[str, Any]:
    """Return the reports of all workers as one.

    Args:
        reports: One of each worker, with its ``number`` and ``pid``, and whether it ``is_draining``.
        past_counters: Of the workers that have ended.
    """
    workers = [{name: report.get(name, 0) for name in _OF_WORKERS} for report in reports]
    lasting = [report for report in reports if not report["is_draining"]]
    return {
        "workers": workers,
        "way": next((report["way"] for report in lasting if report.get("way")), ""),
        "upstreams": _merge_upstreams(lasting),
        "open_connections": sum(worker["open_connections"] for worker in workers),
        "open_tunnels": sum(worker["open_tunnels"] for worker in workers),
        "counters": sum_counters([past_counters, *(report.get("counters", {}) for report in reports)]),
    }


def _merge_upstreams(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Return what the workers know of each upstream, in the order of the settings."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for seen in (upstream for report in reports for upstream in report.get("upstreams", ())):
        known = merged.setdefault((seen["upstream"], seen["identity"]), dict(seen))
        known["state"] = max(known["state"], seen["state"], key=list(_SAID).index)
        known["has_logged_in"] = known["has_logged_in"] or seen["has_logged_in"]
        known["blocked"] = known["blocked"] or seen["blocked"]
        known["ticket"] = max(known["ticket"], seen["ticket"])  # each has its own; "no ..." sorts last
    return list(merged.values())


def format_status(status: Report) -> str:
    """Return the text of a status."""
    counts: Counter[str] = Counter(status["counters"])
    lines = [
        f"Px {status['version']} runs, pid {status['pid']}, for {_say_duration(status['uptime_seconds'])}.",
        _line("listens on", ", ".join(status["listen"])),
        _line("px.ini", status["config"] or "none"),
        *(_line("worker", _say_worker(worker)) for worker in status["workers"]),
        *([_line("way", status["way"])] if status["way"] else []),
        *(line for upstream in status["upstreams"] for line in _upstream_lines(upstream)),
        _line("open", _say(status, "open_connections", "open_tunnels")),
        _line("so far", _say(counts, "connections", "requests", "tunnels", "errors")),
        _line("logins", f"{counts['logins_accepted']} accepted, {counts['logins_refused']} refused"),
        _line("bytes", f"{counts['received_bytes']} from clients, {counts['sent_bytes']} to clients"),
    ]
    return "\n".join(lines)


def _line(name: str, text: str) -> str:
    return f"  {name:<{_MARGIN}}{text}"


def _say(counts: Report, *names: str) -> str:
    return ", ".join(_count(counts[name], name.removeprefix("open_")) for name in names)


def _count(number: int, things: str) -> str:
    return f"1 {things.removesuffix('s')}" if number == 1 else f"{number} {things}"


def _say_worker(worker: Report) -> str:
    said = f"{worker['number']}, pid {worker['pid']}: {_say(worker, 'open_connections', 'open_tunnels')}"
    return f"{said}; ends when they do" if worker["is_draining"] else said


def _upstream_lines(upstream: Report) -> Iterable[str]:
    said = f"{upstream['upstream']} {_SAID[upstream['state']]}"
    if upstream["has_logged_in"]:
        said += f", logged in as {upstream['identity']}"
    yield _line("upstream", said)
    if upstream["ticket"]:
        yield _line("", upstream["ticket"])
    if upstream["blocked"]:
        yield _line("", upstream["blocked"])


def _say_duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    rest = max(0, round(seconds))
    said: list[str] = []
    for size, unit in _UNITS:
        amount, rest = divmod(rest, size)
        if amount or said or size == 1:
            said.append(f"{amount} {unit}")
    return " ".join(said[:2])
