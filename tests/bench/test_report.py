from __future__ import annotations

from bench import report
from bench.figures import Figures
from bench.peers import GO, NONE, PX
from bench.rows import ROWS
from bench.rows.bulk import CPU, SPEED


def make_figures(speed: float) -> Figures:
    figures = Figures(began="2026-11-24T10:00+00:00", load=(1.0, 2.0), foreign=0.1)
    figures.add(NONE, {SPEED: 4000.0})
    figures.add(PX, {SPEED: speed, CPU: 0.3})
    figures.add(PX, {SPEED: speed + 10, CPU: 0.5})
    figures.add(GO, {SPEED: 1000.0, CPU: 0.6})
    return figures


def test_a_row_shows_medians_ranges_and_ratios():
    lines = report.format_row(ROWS["bulk"], make_figures(1500))
    assert "| Px | 1,505 [1,500 to 1,510] | 0.40 [0.30 to 0.50] |  |" in lines
    assert "| Go net/http | 1,000 | 0.60 | 1.50 |" in lines
    assert "- MB/s: at least 1.25 x Go net/http: 1.50, met" in lines


def test_writing_replaces_what_was_measured_and_keeps_all_else(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(f"# Before\n{report.BEGIN}\nold\n{report.END}\n# After\n")
    report.write(
        {"bulk": make_figures(1500), "gets": Figures(rounds={PX: [{"a second": 5.0}]})}, document, tmp_path
    )
    report.write({"bulk": make_figures(900)}, document, tmp_path)
    text = document.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("# After\n")
    assert "old" not in text
    assert "1,505" not in text
    assert "905 [900 to 910]" in text
    assert "Keep-alive GET a second" in text  # the earlier figure is still there
    assert "2026-11-24 10:00 UTC, 2 rounds" in text
    assert "others used 10% of the machine" in text
