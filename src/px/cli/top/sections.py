"""The sections of ``px --top``: parts of a status as lines. A line may be too long: the view cuts it."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from px.cli.top.cells import Line, Span, clean, format_bytes, pad
from px.cli.top.table import Column, format_table
from px.cli.top.traffic import draw_plot, find_rate
from px.processes.active_groups import ActiveGroup, group_active
from px.processes.status_texts import STATE_TEXTS, format_age

#: JSON: the answer to ``px --status --json``. A Px of an older version lacks some of its names.
Status = Mapping[str, Any]

_STATE_STYLES: Final = {"in use": "good", "down": "bad"}
_KINDS: Final = ("down", "up", "requests")
_INDENT: Final = "  "
#: Words are not broken into lines that are shorter.
_LEAST_WRAPPED: Final = 20
_NAME_CELLS, _RATE_CELLS, _GAP, _LEAST_PLOT = 8, 9, 2, 20


@dataclass(frozen=True, slots=True)
class Moment:
    """A status, and the one before it.

    Attributes:
        status: The status now.
        before: The status some seconds ago; empty: none yet.
    """

    status: Status
    before: Status = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Unix seconds."""
        return _find_time(self.status)

    @property
    def seconds(self) -> float:
        """The time between both."""
        return self.now - _find_time(self.before) if self.before else 0.0


def _find_time(status: Status) -> float:
    return float(status["started"] + status["uptime_seconds"])


def format_head(moment: Moment, columns: int, hint: str) -> list[Line]:
    """Return what runs since when, and what it has done so far."""
    status = moment.status
    counts: Counter[str] = Counter(status["counters"])
    clock = time.strftime("%H:%M:%S", time.localtime(moment.now))
    right = f"  {clock}  {hint}".rstrip()
    left = f"Px {status['version']}, pid {status['pid']}, up {format_age(status['uptime_seconds'])}, on "
    left += ", ".join(status["listen"])
    asked = counts["requests"] - counts["pages"]
    errors, refused = counts["errors"], counts["logins_refused"]
    so_far = (
        Span(f"{_count(asked, 'request')}, {_count(counts['tunnels'], 'tunnel')}, "),
        Span(_count(errors, "error"), "warn" if errors else ""),
        Span(f" so far; logins: {counts['logins_accepted']} accepted, "),
        Span(f"{refused} refused", "bad" if refused else ""),
    )
    first = (Span(pad(clean(left), max(1, columns - len(right))), "bold"), Span(right, "dim"))
    return [first, so_far]


def format_traffic(moment: Moment, columns: int, levels: str) -> list[Line]:
    """Return the rates now, and the plots of the last hour; nothing if the status has no traffic."""
    traffic = moment.status.get("traffic")
    if not traffic:
        return []
    before = moment.before.get("traffic", {})
    names = [f"{kind:<{_NAME_CELLS}}" for kind in _KINDS]
    rates = [find_rate(kind, traffic, before, moment.seconds) for kind in _KINDS]
    amounts = [_format_amount(kind, rate) for kind, rate in zip(_KINDS, rates, strict=True)]
    starts = [f"{name}{amount:>{_RATE_CELLS}}" for name, amount in zip(names, amounts, strict=True)]
    head = f"{'TRAFFIC':<{_NAME_CELLS}}{'NOW':>{_RATE_CELLS}}"
    cells = columns - _NAME_CELLS - 2 * _RATE_CELLS - 2 * _GAP
    if cells < _LEAST_PLOT:
        return [
            (Span(head, "bold"),),
            *((Span(text),) for text in starts),
        ]
    plots = [draw_plot(kind, traffic, moment.now, cells, levels) for kind in _KINDS]
    width = len(plots[0].text)
    head += f"{'':{_GAP}}{'AN HOUR AGO':<{width - 3}}NOW{'':{_GAP}}{'PEAK':>{_RATE_CELLS}}"
    lines: list[Line] = [(Span(head, "bold"),)]
    for kind, rate, start, plot in zip(_KINDS, rates, starts, plots, strict=True):
        peak = f"{_format_amount(kind, max(rate, plot.peak)):>{_RATE_CELLS}}"
        lines.append(
            (Span(f"{start}{'':{_GAP}}"), Span(plot.text, "good"), Span(f"{'':{_GAP}}{peak}", "dim"))
        )
    return lines


def _format_amount(kind: str, rate: float) -> str:
    return f"{rate:.1f}/s" if kind == "requests" else f"{format_bytes(rate)}/s"


def format_upstreams(moment: Moment, columns: int) -> list[Line]:
    """Return a line for each upstream, and its ticket and its pause below."""
    status = moment.status
    table = [
        Column("UPSTREAM", is_flexible=True),
        Column("STATE", cells=11),
        Column("CONNECTS IN", is_right=True, rank=2),
        Column("LOGIN", rank=1),
        Column("OFFERS", rank=3),
    ]
    upstreams, found = status["upstreams"], status.get("discovered_proxy")
    if not upstreams:
        return [(Span("UPSTREAM", "bold"), Span(f"  {found or 'none so far'}"))]
    lines = format_table(table, [_upstream_row(each) for each in upstreams], columns)
    shown = [lines[0], *([(Span(f"found: {found}", "dim"),)] if found else [])]
    for line, upstream in zip(lines[1:], upstreams, strict=True):
        shown.append(line)
        notes = ((upstream.get("blocked"), "bad"), (upstream.get("ticket"), "dim"))
        shown += [(Span(f"  {note}", style),) for note, style in notes if note]
    return shown


def _upstream_row(upstream: Status) -> list[Span]:
    state = str(upstream["state"])
    login = "no login yet"
    if upstream["has_logged_in"]:
        by = f" by {upstream['method']}" if upstream.get("method") else ""
        login = f"{upstream['identity'] or 'this user'}{by}"
    latency = upstream.get("latency_ms")
    return [
        Span(upstream["upstream"]),
        Span(STATE_TEXTS.get(state, state), _STATE_STYLES.get(state, "")),
        Span("" if latency is None else f"{latency:.0f} ms" if latency >= 1 else "< 1 ms"),
        Span(login),
        Span(", ".join(upstream.get("offers", ()))),
    ]


def format_problems(moment: Moment, columns: int) -> list[Line]:
    """Return what failed and what to do, for each kind of problem. Nothing if there is none."""
    problems = moment.status.get("problems")
    if not problems:
        return []
    lines: list[Line] = [(Span("RECENT PROBLEMS", "bold"),)]
    for problem in problems:
        ago = format_age(moment.now - problem["last"])
        times = f"{problem['count']} times, last " if problem["count"] > 1 else ""
        when = f"{times}{ago} ago: "
        what = f"{problem['status']} " if problem["status"] else ""
        hop = problem["hop"] if problem["hop"] and problem["hop"] not in problem["cause"] else ""
        what += f"{hop}: " if hop else ""
        first, *others = _wrap(f"{when}{what}{problem['cause']}", columns)
        lines.append((Span(first[: len(when)], "warn"), Span(first[len(when) :])))
        lines += [(Span(text),) for text in others]
        lines += [(Span(text, "dim"),) for text in _wrap(problem["hint"], columns, _INDENT)]
    return lines


def _wrap(text: str, columns: int, indent: str = "") -> list[str]:
    width = max(columns, _LEAST_WRAPPED)
    return textwrap.wrap(clean(text), width, initial_indent=indent, subsequent_indent=_INDENT)


def format_active(moment: Moment, columns: int) -> list[Line]:
    """Return the requests and tunnels under way, grouped, those with the most traffic now first."""
    status = moment.status
    if "active" not in status:
        opened = (
            f"{_count(status['open_connections'], 'connection')}, {_count(status['open_tunnels'], 'tunnel')}"
        )
        return [(Span("OPEN", "bold"), Span(f"  {opened}"))]
    if not status["active"]:
        return [(Span(_describe_total(status), "bold"),)]
    groups, before = group_active(status["active"]), group_active(moment.before.get("active", ()))
    rates = {key: _find_rate(group, before.get(key), moment) for key, group in groups.items()}
    keys = sorted(groups, key=lambda key: (rates[key], groups[key].down + groups[key].up), reverse=True)
    table = [
        Column(_describe_total(status), is_flexible=True),
        Column("", is_right=True, rank=3),
        Column("NOW", cells=_RATE_CELLS, is_right=True),
        Column("DOWN", cells=7, is_right=True, rank=2),
        Column("UP", cells=7, is_right=True, rank=4),
        Column("SINCE", cells=6, is_right=True, rank=5),
        Column("PROGRAM", cells=8, rank=1),
        Column("ROUTE", rank=6),
    ]
    rows = [_active_row(groups[key], rates[key], moment.now) for key in keys]
    return format_table(table, rows, columns)


def _find_rate(group: ActiveGroup, before: ActiveGroup | None, moment: Moment) -> float:
    """Return the bytes in a second; a request that has ended meanwhile makes a group smaller."""
    if moment.seconds <= 0:
        return 0.0
    grown = group.up + group.down - (before.up + before.down if before else 0)
    return max(0, grown) / moment.seconds


def _describe_total(status: Status) -> str:
    active = status["active"]
    tunnels = sum(each["kind"] == "tunnel" for each in active)
    total = status.get("active_total", len(active))
    if total > len(active):
        return f"{total} UNDER WAY, THE NEWEST {len(active)}"
    return f"{_count(len(active) - tunnels, 'request')}, {_count(tunnels, 'tunnel')}".upper()


def _active_row(group: ActiveGroup, rate: float, now: float) -> list[Span]:
    key = group.key
    return [
        Span(f"{key.method} {key.target}".lstrip()),
        Span(f"x{group.count}" if group.count > 1 else ""),
        Span(f"{format_bytes(rate)}/s" if rate else "", "good"),
        Span(format_bytes(group.down)),
        Span(format_bytes(group.up)),
        Span(format_age(now - group.since)),
        Span(" ".join(filter(None, (key.program, key.user, key.client)))),
        Span(key.route),
    ]


def _count(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number} {thing}s"
