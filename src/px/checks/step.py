"""One step of a check: its verdict, what was found, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from px.core.printable import make_printable
from px.system.process.line_width import break_line


class Verdict(Enum):
    """How a step ended; the value is the word that users see."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a check.

    Attributes:
        name: One word.
        verdict: How the step ended.
        detail: What was found, or the cause of the failure.
        fix: What to do; empty if nothing is to be done.
        seconds: How long the step took; None where that says nothing.
    """

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Make the texts printable: a step quotes what upstreams and sites have said."""
        object.__setattr__(self, "detail", make_printable(self.detail))
        object.__setattr__(self, "fix", make_printable(self.fix))


#: Takes each step as soon as its verdict is known.
Tell = Callable[[Step], object]

_VERDICT_WIDTH: Final = 9
_NAME_WIDTH: Final = 10
_MARGIN: Final = _VERDICT_WIDTH + _NAME_WIDTH


def format_step(step: Step, columns: int | None) -> Iterator[str]:
    """Yield the lines of a step.

    Args:
        step: The step.
        columns: The width of the terminal that shows the lines; None: do not break lines.
    """
    took = "" if step.seconds is None else f" ({format_seconds(step.seconds)})"
    head = f"{step.verdict.value:<{_VERDICT_WIDTH}}{step.name:<{_NAME_WIDTH}}"
    yield from break_line(f"{head}{step.detail}{took}", columns, _MARGIN)
    if step.fix:
        yield from break_line(f"{'':<{_VERDICT_WIDTH}}{'  fix:':<{_NAME_WIDTH}}{step.fix}", columns, _MARGIN)


def make_skipped(name: str, failed: str) -> Step:
    """Return the step that was not tried, because another one failed."""
    return Step(name, Verdict.SKIPPED, f"not tried, because {failed} failed")


def stopwatch() -> Callable[[], float]:
    """Return a function that tells how many seconds have passed since now."""
    begun = time.monotonic()
    return lambda: time.monotonic() - begun


def format_seconds(seconds: float) -> str:
    """Return a time as ``12 ms`` or ``3.4 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
