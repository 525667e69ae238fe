"""Pictures of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figures
from bench.peers import NONE, PX
from bench.rows import bulk, growth, rates

_OURS, _OTHERS, _NOBODY = "#0b6e4f", "#9aa5b1", "#d9dee3"


def draw_plots(figures: Mapping[str, Figures], directory: Path) -> list[str]:
    """Draw the plots that have figures; return the Markdown lines that show the plots."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - of the extra `bench` only
    except ImportError:
        return ["No pictures: matplotlib is not installed.", ""]
    mpl.use("Agg")
    lines = ["### Pictures", ""]
    for name, title, panels in _PICTURES:
        shown = [panel for panel in panels if panel[0] in figures]
        if shown:
            _draw_bars(figures, shown, directory / f"{name}.png")
            lines += [f"![{title}](performance/{name}.png)", ""]
    if {"connections", "rules"} <= figures.keys():
        _draw_growth(figures, directory / "growth.png")
        lines += ["![CPU time of a request by connections and by rules](performance/growth.png)", ""]
    return lines


#: File, title, and of each panel: row, metric, title.
_PICTURES: Sequence[tuple[str, str, Sequence[tuple[str, str, str]]]] = (
    (
        "bulk",
        "Speed and CPU time of one stream",
        (("bulk", bulk.SPEED, "one stream, MB/s"), ("bulk", bulk.CPU, "CPU seconds a GB (less is better)")),
    ),
    (
        "rates",
        "Tunnels and requests a second",
        (
            ("tunnels", rates.RATE, "new tunnels a second, direct"),
            ("tunnels-ntlm", rates.RATE, "new tunnels a second, NTLM upstream"),
            ("gets", rates.RATE, "GET a second, direct"),
            ("gets-ntlm", rates.RATE, "GET a second, NTLM upstream"),
        ),
    ),
)


def _draw_bars(figures: Mapping[str, Figures], panels: Sequence[tuple[str, str, str]], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = (len(panels) + 1) // 2
    figure, grid = plt.subplots(rows, 2, figsize=(11, 2.9 * rows), squeeze=False)
    for axes, (row, metric, title) in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, figures[row], metric, title)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_panel(axes: Any, figures: Figures, metric: str, title: str) -> None:
    middles = {subject: figures.median(subject, metric) for subject in figures.rounds}
    names = [subject for subject, middle in middles.items() if middle is not None]
    values = [middles[name] or 0.0 for name in names]
    spans = [figures.values(name, metric) for name in names]
    errors = [
        [value - min(span) for value, span in zip(values, spans, strict=True)],
        [max(span) - value for value, span in zip(values, spans, strict=True)],
    ]
    colours = [_OURS if name == PX else _NOBODY if name == NONE else _OTHERS for name in names]
    axes.barh(names, values, xerr=errors, color=colours, error_kw={"lw": 1, "ecolor": "#39424e"})
    for place, value in enumerate(values):
        axes.annotate(f" {value:,.3g}" if value < 10 else f" {value:,.0f}", (value, place), va="bottom")  # noqa: PLR2004
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_growth(figures: Mapping[str, Figures], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, grid = plt.subplots(1, 2, figsize=(11, 3.2))
    panels = (("connections", growth.COUNTS, "connections"), ("rules", growth.RULE_COUNTS, "noproxy rules"))
    for axes, (row, counts, label) in zip(grid, panels, strict=True):
        all_values = [figures[row].values(subject, rates.CPU) for subject in figures[row].rounds]
        middles = [figures[row].median(subject, rates.CPU) for subject in figures[row].rounds]
        axes.fill_between(counts, [min(v) for v in all_values], [max(v) for v in all_values], color=_NOBODY)
        axes.plot(counts, middles, marker="o", color=_OURS)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(f"CPU us a GET, by {label}", loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
