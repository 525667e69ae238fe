"""The results as tables: on the terminal, and in docs/performance.md between two marks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench import machine
from bench.figures import Figures, Metric
from bench.lab import Row
from bench.peers import PX
from bench.plots import draw_plots
from bench.rows import ROWS
from bench.tools import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "performance"
BEGIN, END = "<!-- results: begin (written by make bench) -->", "<!-- results: end -->"


def format_row(row: Row, figures: Figures) -> list[str]:
    """Return a row's table and its targets, in Markdown."""
    columns = _columns(row, figures)
    lines = [_format_line(["", *columns]), _format_line(["---", *["---:"] * len(columns)])]
    for subject in figures.rounds:
        cells = [_format_value(figures, subject, metric) for metric in row.metrics]
        lines.append(_format_line([subject, *cells, *_ratios(row, figures, subject)]))
    for subject, texts in figures.failures.items():
        lines += ["", f"{subject} failed: {'; '.join(texts)}."]
    return [*lines, "", *(f"- {target.text}: {target.judge(figures)}" for target in row.targets)]


def _columns(row: Row, figures: Figures) -> list[str]:
    names = [metric.name for metric in row.metrics]
    return [*names, f"{PX} / it: {names[0]}"] if _compares(figures) else names


def _compares(figures: Figures) -> bool:
    return PX in figures.rounds and len(figures.rounds) > 1


def _ratios(row: Row, figures: Figures, subject: str) -> list[str]:
    if not _compares(figures):
        return []
    ratio = figures.ratio(PX, subject, row.metrics[0].name) if subject != PX else None
    return [f"{ratio:.2f}" if ratio is not None else ""]


def _format_value(figures: Figures, subject: str, metric: Metric) -> str:
    values = figures.values(subject, metric.name)
    if not values:
        return "" if any(figures.rounds[subject]) else "failed"
    middle = figures.median(subject, metric.name)
    shown = f"{middle:,.{metric.digits}f}"
    if len(values) > 1:
        shown += f" [{min(values):,.{metric.digits}f} to {max(values):,.{metric.digits}f}]"
    return shown


def _format_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(measured: Mapping[str, Figures], document: Path = DOCUMENT, pictures: Path = PICTURES) -> None:
    """Put figures in place of older ones of the same rows, and write the results and their plots anew."""
    results = pictures / "results.json"
    pictures.mkdir(exist_ok=True)
    kept = json.loads(results.read_text()) if results.exists() else {}
    kept |= {name: {"machine": machine.describe(), **figures.to_json()} for name, figures in measured.items()}
    kept = {name: kept[name] for name in ROWS if name in kept}
    results.write_text(json.dumps(kept, indent=1) + "\n")
    machines = {name: said.pop("machine") for name, said in kept.items()}
    figures = {name: Figures.from_json(said) for name, said in kept.items()}
    before, _, rest = document.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    lines = [BEGIN, "", *_format_results(figures, machines), *draw_plots(figures, pictures), END]
    document.write_text(before + "\n".join(lines) + after)


def _format_results(all_figures: Mapping[str, Figures], machines: Mapping[str, str]) -> list[str]:
    lines = ["### Targets", "", *_format_targets(all_figures), ""]
    for name, figures in all_figures.items():
        row = ROWS[name]
        lines += [
            f"### {row.title}",
            "",
            row.note,
            "",
            *format_row(row, figures),
            "",
            _format_circumstances(figures),
        ]
        lines += [""]
    seen = sorted(set(machines.values()))
    return ["Measured on: " + "; and on: ".join(seen) + ".", "", *lines]


def _format_targets(all_figures: Mapping[str, Figures]) -> list[str]:
    lines = [_format_line(["row", "target", "measured"]), _format_line(["---"] * 3)]
    lines += [
        _format_line([f"`{name}`", target.text, target.judge(figures)])
        for name, figures in all_figures.items()
        for target in ROWS[name].targets
    ]
    return lines


def _format_circumstances(figures: Figures) -> str:
    rounds = max(map(len, figures.rounds.values()))
    before, after = figures.load
    when = figures.began.replace("T", " ").replace("+00:00", " UTC")
    return (
        f"*{when}, {rounds} round{'s' if rounds > 1 else ''};"
        f" load {before:.1f} before, {after:.1f} after; others used {figures.foreign:.0%} of the machine.*"
    )
