"""Figures of all rounds: medians, ranges, ratios; and the targets for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

#: The result of measuring one subject once: a number for each metric that was measured.
Measurement = Mapping[str, float]


@dataclass
class Figures:
    """All measurements of one row.

    Attributes:
        rounds: Each subject's measurements, one for each round; None where the subject failed.
        failures: The reasons why each subject failed, each text once.
        began: When, ISO 8601.
        load: Load average of the machine before and after.
        foreign: Share of the machine's CPU time that others used meanwhile, 0 to 1.
    """

    rounds: dict[str, list[Measurement | None]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    began: str = ""
    load: tuple[float, float] = (0.0, 0.0)
    foreign: float = 0.0

    def add(self, subject: str, measurement: Measurement | None) -> None:
        """Add the measurement of a subject in one round."""
        self.rounds.setdefault(subject, []).append(measurement)

    def fail(self, subject: str, why: str) -> None:
        """Note that a subject failed in a round."""
        self.add(subject, None)
        reasons = self.failures.setdefault(subject, [])
        if why not in reasons:
            reasons.append(why)

    def values(self, subject: str, metric: str) -> list[float]:
        """Return a metric's values from all rounds that have one."""
        found = self.rounds.get(subject, [])
        return [each[metric] for each in found if each is not None and metric in each]

    def median(self, subject: str, metric: str) -> float | None:
        """Return the median over the rounds; None without any."""
        values = self.values(subject, metric)
        return median(values) if values else None

    def compare(
        self, subject: str, other: str, metric: str, by: Callable[[float, float], float]
    ) -> float | None:
        """Return the median of comparisons within each round: what slows a round slows both subjects."""
        both = zip(self.rounds.get(subject, []), self.rounds.get(other, []), strict=False)
        found = [
            by(one[metric], two[metric])
            for one, two in both
            if one and two and metric in one and metric in two
        ]
        return median(found) if found else None

    def ratio(self, subject: str, other: str, metric: str) -> float | None:
        """Return how many times the other's figure a subject has, by `compare`."""
        return self.compare(subject, other, metric, lambda one, two: one / two if two else float("inf"))

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values, for JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return the figures that `to_json` turned into plain values."""
        return cls(**{**said, "load": tuple(said["load"])})


@dataclass(frozen=True)
class Metric:
    """A column of a row's table.

    Attributes:
        name: Its name and unit.
        digits: Behind the point.
        less_is_better: Whether the smaller of two figures is better.
    """

    name: str
    digits: int = 0
    less_is_better: bool = False


@dataclass(frozen=True)
class Target:
    """A limit that a figure must keep.

    Attributes:
        text: In words.
        value: Returns the figure; None if nothing measured it.
        limit: The least or the most that the figure may be.
        is_most: Whether `limit` is the most.
        digits: Behind the point, for people.
    """

    text: str
    value: Callable[[Figures], float | None]
    limit: float
    is_most: bool = False
    digits: int = 2

    def is_met(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return value <= self.limit if self.is_most else value >= self.limit

    def judge(self, figures: Figures) -> str:
        """Return the figure and the verdict on it, in words."""
        value = self.value(figures)
        if value is None:
            return "not measured"
        shown = f"{value:.{self.digits}f}"
        if self.is_met(value):
            return f"{shown}, met"
        missed = abs(value - self.limit) / self.limit if self.limit else float("inf")
        return f"{shown}, **missed by {missed:.0%}**"


def ratio_target(subject: str, other: str, metric: str, least: float) -> Target:
    """Return the target of at least `least` times the other subject's figure."""
    return Target(
        f"{metric}: at least {least:g} x {other}", lambda all_: all_.ratio(subject, other, metric), least
    )


def most_target(subject: str, metric: str, most: float, digits: int = 2, *, named: bool = False) -> Target:
    """Return the target of at most `most`; `named` puts the subject into the text."""
    text = f"{subject}: at most {most:g}" if named else f"{metric}: at most {most:g}"
    return Target(text, lambda all_: all_.median(subject, metric), most, is_most=True, digits=digits)


def least_target(subject: str, metric: str, least: float, digits: int = 2) -> Target:
    """Return the target of at least `least`."""
    text = f"{metric}: at least {least:g}"
    return Target(text, lambda all_: all_.median(subject, metric), least, digits=digits)


def spread_target(subjects: Sequence[str], metric: str, most: float) -> Target:
    """Return the target that the dearest subject costs at most `most` times the cheapest."""

    def spread(figures: Figures) -> float | None:
        values = [figures.median(subject, metric) for subject in subjects]
        found = [value for value in values if value is not None]
        return max(found) / min(found) if len(found) == len(subjects) else None

    return Target(f"{metric}: the dearest at most {most:g} x the cheapest", spread, most, is_most=True)
