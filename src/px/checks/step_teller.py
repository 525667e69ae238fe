"""Tells steps in their order, also one whose verdict only a later step shows."""

from __future__ import annotations

from dataclasses import replace

from px.checks.step import Step, Tell, Verdict


class StepTeller:
    """Tells steps.

    Without a ticket Px goes on to another scheme, and without a PAC script requests go directly. Whether that
    matters shows in the next step that is not skipped: if it fails for that cause, the step in doubt has
    failed.

    Args:
        tell: Takes the steps.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._doubtful: Step | None = None
        self._cause = ""
        self._later: list[Step] = []

    def tell(self, step: Step) -> None:
        """Tell a step, or keep it until an earlier one is told."""
        if self._doubtful is None:
            self._tell(step)
            return
        self._later.append(step)
        if step.verdict is not Verdict.SKIPPED:
            self.settle(is_cause=step.verdict is Verdict.FAILED and self._cause in step.detail)

    def tell_doubtful(self, step: Step, cause: str = "") -> None:
        """Tell a step as soon as it is known whether later steps fail because of it.

        Args:
            step: The step if they do not.
            cause: What they say if they do; empty: anything.
        """
        self._doubtful, self._cause = step, cause

    def settle(self, *, is_cause: bool = False) -> None:
        """Tell all steps that are kept; no later step shows more."""
        doubtful, later = self._doubtful, self._later
        self._doubtful, self._later = None, []
        if doubtful is not None:
            self._tell(replace(doubtful, verdict=Verdict.FAILED) if is_cause else doubtful)
        for step in later:
            self._tell(step)
