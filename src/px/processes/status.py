"""The content of ``px --status``: the merged reports of all workers, as JSON and as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Any, Final

from px.core.problems import ProblemReport, merge_problems
from px.core.report_limits import MAX_ACTIVE
from px.core.startup_errors import NotRunningError
from px.processes.active_groups import group_active
from px.processes.status_texts import STATE_TEXTS, format_duration
from px.processes.traffic_sum import Traffic, sum_traffic
from px.system.process.line_width import break_line

#: JSON objects, as `px.app.px.Px.report` makes them for one worker.
Report = Mapping[str, Any]

_NO_TRAFFIC: Final[Traffic] = {}
_OF_WORKERS: Final = ("number", "pid", "is_draining", "open_connections", "open_tunnels")
_MARGIN: Final = 12
#: The column where the text of a line begins.
_TEXT_COLUMN: Final = 2 + _MARGIN
#: Text shows this many problems.
_SHOWN_PROBLEMS: Final = 5


def format_status_error(message: str, exit_code: int) -> str:
    """Return as JSON why there is no status: programs read standard output, not the error message."""
    is_running = False if exit_code == NotRunningError.exit_code else None
    return json.dumps({"is_running": is_running, "error": message, "exit_code": exit_code}, indent=2)


def sum_counters(all_counters: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return one counter for each name: the sum."""
    sums: Counter[str] = Counter()
    for counters in all_counters:
        sums.update(counters)
    return dict(sums)


def merge_reports(
    reports: Sequence[Report],
    past_counters: Mapping[str, int],
    past_traffic: Traffic = _NO_TRAFFIC,
    past_problems: Sequence[ProblemReport] = (),
) -> dict[str, Any]:
    """Return the reports of all workers as one.

    Args:
        reports: One for each worker, with its ``number`` and ``pid``, and whether it ``is_draining``.
        past_counters: The sums for the workers that have ended.
        past_traffic: The traffic of the workers that have ended.
        past_problems: The problems of the workers that have ended, and of the supervisor.
    """
    workers = [{name: report.get(name, 0) for name in _OF_WORKERS} for report in reports]
    active = _merge_active(reports)
    lasting = [report for report in reports if not report["is_draining"]]
    return {
        "workers": workers,
        "discovered_proxy": next(filter(None, (report.get("discovered_proxy") for report in lasting)), ""),
        "upstreams": _merge_upstreams(lasting),
        "open_connections": sum(worker["open_connections"] for worker in workers),
        "open_tunnels": sum(worker["open_tunnels"] for worker in workers),
        "counters": sum_counters([past_counters, *(report.get("counters", {}) for report in reports)]),
        "active": active,
        "active_groups": [group.to_report() for group in group_active(active).values()],
        "active_total": sum(report.get("active_total", 0) for report in reports),
        "traffic": sum_traffic([past_traffic, *(report.get("traffic", {}) for report in reports)]),
        "problems": merge_problems([past_problems, *(report.get("problems", ()) for report in reports)]),
    }


def _merge_active(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Return the newest requests and tunnels of all workers, the newest first."""
    active = (each for report in reports for each in report.get("active", ()))
    return nlargest(MAX_ACTIVE, active, key=itemgetter("since"))


def _merge_upstreams(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Return one entry for each upstream and identity, in the order of the settings."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for seen in (upstream for report in reports for upstream in report.get("upstreams", ())):
        known = merged.setdefault((seen["upstream"], seen["identity"]), dict(seen))
        known["state"] = max(known["state"], seen["state"], key=list(STATE_TEXTS).index)
        known["has_logged_in"] = known["has_logged_in"] or seen["has_logged_in"]
        known["method"] = known.get("method") or seen.get("method", "")
        known["blocked"] = known["blocked"] or seen["blocked"]
        known["ticket"] = max(
            known["ticket"], seen["ticket"]
        )  # "no ..." is the greatest text: a missing ticket is shown
        known["latency_ms"] = max(known["latency_ms"] or 0, seen["latency_ms"] or 0) or None
        known["offers"] = known["offers"] or seen["offers"]
        known["state_text"] = STATE_TEXTS[known["state"]]
    return list(merged.values())


def render_status(status: Report, columns: int | None, *, as_json: bool) -> str:
    """Return a status as JSON for programs, or as text for a terminal of this width."""
    if as_json:
        return json.dumps(status, indent=2)
    lines = format_status(status).splitlines()
    return "\n".join(part for line in lines for part in break_line(line, columns, _TEXT_COLUMN))


def format_status(status: Report) -> str:
    """Return the text of a status."""
    counts: Counter[str] = Counter(status["counters"])
    counts["requests"] -= counts["pages"]  # as on the status page, which would count itself
    uptime = format_duration(status["uptime_seconds"])
    lines = [
        f"Px {status['version']} runs, pid {status['pid']}, for {uptime}.",
        _line("listens on", ", ".join(status["listen"])),
        *_other_port_lines(status),
        _line("px.ini", status["config"] or "none"),
        *(_line("worker", _describe_worker(worker)) for worker in status["workers"]),
        *([_line("discovered", status["discovered_proxy"])] if status["discovered_proxy"] else []),
        *(line for upstream in status["upstreams"] for line in _upstream_lines(upstream)),
        _line("open", _describe_counts(status, "open_connections", "open_tunnels")),
        _line("so far", _describe_counts(counts, "connections", "requests", "tunnels", "errors")),
        _line("logins", f"{counts['logins_accepted']} accepted, {counts['logins_refused']} refused"),
        _line("bytes", f"{counts['received_bytes']} from clients, {counts['sent_bytes']} to clients"),
        *([_line("warnings", f"are kept in {status['warnings_log']}")] if status.get("warnings_log") else []),
        *_problem_lines(status),
    ]
    return "\n".join(lines)


def _other_port_lines(status: Report) -> Iterable[str]:
    if socks := status.get("socks"):  # a Px of an older version does not report these ports
        yield _line("SOCKS5 on", ", ".join(socks))
    for tunnel in status.get("tunnels", ()):
        yield _line("tunnel", f"{', '.join(tunnel['listen'])} to {tunnel['target']}")


def _line(name: str, text: str) -> str:
    return f"  {name:<{_MARGIN}}{text}"


def _describe_counts(counts: Report, *names: str) -> str:
    return ", ".join(_count(counts[name], name.removeprefix("open_")) for name in names)


def _count(number: int, things: str) -> str:
    return f"1 {things.removesuffix('s')}" if number == 1 else f"{number} {things}"


def _describe_worker(worker: Report) -> str:
    counts = _describe_counts(worker, "open_connections", "open_tunnels")
    text = f"{worker['number']}, pid {worker['pid']}: {counts}"
    return f"{text}; ends when they do" if worker["is_draining"] else text


def _upstream_lines(upstream: Report) -> Iterable[str]:
    text = f"{upstream['upstream']} {STATE_TEXTS[upstream['state']]}"
    if upstream["has_logged_in"]:
        by = f" by {upstream['method']}" if upstream.get("method") else ""
        text += f", logged in as {upstream['identity']}{by}"
    yield _line("upstream", text)
    if upstream["ticket"]:
        yield _line("", upstream["ticket"])
    if upstream["blocked"]:
        yield _line("", upstream["blocked"])


def _problem_lines(status: Report) -> Iterable[str]:
    """Yield the last few problems, the newest first: the end of a text is what a terminal shows."""
    problems = status.get("problems", ())  # a Px of an older version does not report them
    if not problems:
        return
    now = status["started"] + status["uptime_seconds"]
    more = f"; the last {_SHOWN_PROBLEMS}, all in --json" if len(problems) > _SHOWN_PROBLEMS else ""
    yield _line("problems", f"{_count(len(problems), 'kinds')} since the start{more}")
    for problem in problems[:_SHOWN_PROBLEMS]:
        ago = f"{format_duration(now - problem['last'])} ago"
        times = ago if problem["count"] == 1 else f"{problem['count']} times, last {ago}"
        hop = "" if not problem["hop"] or problem["hop"] in problem["cause"] else f" ({problem['hop']})"
        yield _line("", f"{times}: {problem['cause']}{hop} {problem['hint']}".rstrip())
