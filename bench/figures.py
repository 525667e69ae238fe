"""Figures of rounds: medians, ranges, ratios; and the targets they are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

#: What one measurement of one subject came to: a number for each metric that could be had.
Measurement = Mapping[str, float]


@dataclass
class Figures:
    """All measurements of one row.

    Attributes:
        rounds: Of each subject its measurements, a round each; None where it failed.
        failures: Of each subject why it failed, a text once.
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
        """Take in what one round came to for a subject."""
        self.rounds.setdefault(subject, []).append(measurement)

    def fail(self, subject: str, why: str) -> None:
        """Take in that a subject failed in a round."""
        self.add(subject, None)
        reasons = self.failures.setdefault(subject, [])
        if why not in reasons:
            reasons.append(why)

    def values(self, subject: str, metric: str) -> list[float]:
        """Return the values of all rounds that have one."""
        found = self.rounds.get(subject, [])
        return [each[metric] for each in found if each is not None and metric in each]

    def median(self, subject: str, metric: str) -> float | None:
        """Return the median over the rounds; None without any."""
        values = self.values(subject, metric)
        return median(values) if values else None

    def compare(
        self, subject: str, other: str, metric: str, by: Callable[[float, float], float]
    ) -> float | None:
        """Return the median over the rounds of a comparison within each: what slows one round slows both."""
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
        """Return it as plain values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what `to_json` made plain."""
        return cls(**{**said, "load": tuple(said["load"])})


@dataclass(frozen=True)
class Metric:
    """A column of a row's table.

    Attributes:
        name: And its unit.
        digits: Behind the point.
        less_is_better: Of two figures the smaller one is the better one.
    """

    name: str
    digits: int = 0
    less_is_better: bool = False


@dataclass(frozen=True)
class Target:
    """What a figure has to be.

    Attributes:
        text: In words.
        value: The figure; None: it could not be had.
        limit: It has to be at least this, or at most.
        is_most: At most.
        digits: Behind the point, for people.
    """

    text: str
    value: Callable[[Figures], float | None]
    limit: float
    is_most: bool = False
    digits: int = 2

    def is_met(self, value: float) -> bool:
        """Whether that is good enough."""
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
    """At least so many times the other's figure."""
    return Target(
        f"{metric}: at least {least:g} x {other}", lambda all_: all_.ratio(subject, other, metric), least
    )


def most_target(subject: str, metric: str, most: float, digits: int = 2, *, named: bool = False) -> Target:
    """At most that; `named` puts the subject into the text."""
    text = f"{subject}: at most {most:g}" if named else f"{metric}: at most {most:g}"
    return Target(text, lambda all_: all_.median(subject, metric), most, is_most=True, digits=digits)


def least_target(subject: str, metric: str, least: float, digits: int = 2) -> Target:
    """At least that."""
    text = f"{metric}: at least {least:g}"
    return Target(text, lambda all_: all_.median(subject, metric), least, digits=digits)


def spread_target(subjects: Sequence[str], metric: str, most: float) -> Target:
    """The dearest of some costs at most so many times the cheapest."""

    def spread(figures: Figures) -> float | None:
        values = [figures.median(subject, metric) for subject in subjects]
        found = [value for value in values if value is not None]
        return max(found) / min(found) if len(found) == len(subjects) else None

    return Target(f"{metric}: the dearest at most {most:g} x the cheapest", spread, most, is_most=True)
