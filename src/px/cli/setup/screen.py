"""The lines that ``px --setup`` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from px.checks.step import Step, Verdict
from px.system.process.line_width import break_line

_MARGIN: Final = 10


class SetupFailedError(Exception):
    """A check of ``px --setup`` has failed.

    Args:
        steps: Those that failed, the first one first.
        commands: What to paste into the shell then.
    """

    def __init__(self, *steps: Step, commands: Sequence[str] = ()) -> None:
        super().__init__(steps)
        self.steps = steps
        self.commands = commands


class Screen:
    """Shows lines, each with a word at its beginning.

    Args:
        tell: Shows a line.
        note: Shows a note or a warning, besides.
        columns: The width of the terminal; None: do not break lines.
    """

    def __init__(
        self, tell: Callable[[str], object], note: Callable[[str], object], columns: int | None
    ) -> None:
        self.note = note
        self._tell = tell
        self._columns = columns

    def show(self, name: str, text: str) -> None:
        """Show a line."""
        for line in break_line(f"{name:<{_MARGIN}}{text}", self._columns, _MARGIN):
            self._tell(line)

    def show_failures(self, steps: Iterable[Step], commands: Iterable[str] = ()) -> None:
        """Show what failed, and what to do; a command stays on one line, so that it can be pasted."""
        for step in steps:
            self.show(step.name, f"{Verdict.FAILED.value}: {step.detail}")
            if step.fix:
                self.show("  fix:", step.fix)
        for command in commands:
            self._tell(f"{'':<{_MARGIN}}{command}")
