"""The kinds of problem that Px has met lately: how often, when first and when last.

A kind is what stays the same when the same thing fails again: the next hop, and the cause without its
variable parts. So 10,000 sites that cannot be reached are one kind. The number of kinds is bounded, and so
are their texts, which may contain what an upstream has said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from px.core.printable import make_printable

MAX_KINDS: Final = 50
#: The hop of what a client did wrong: its texts are of its choice, and must not push out what Px met itself.
CLIENT: Final = "client"
#: A kind of problem that goes on is told again after this time.
TELL_SECONDS: Final = 600.0
#: At most this many kinds are told in that time, whatever an upstream makes of the texts.
MAX_TOLD: Final = 200
#: Longer texts are cut: causes of Px itself are shorter.
MAX_TEXT: Final = 400
_MAX_HOP: Final = 120
_CUT: Final = "..."

#: What differs between two events of one kind: quoted text, URLs, names, addresses, numbers.
_VARIABLE = re.compile(
    r"""
      (?<!\w)'[^']*'(?!\w) | "[^"]*"
    | [a-z][a-z0-9+.-]*://[^\s,;)]+
    | \[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*\]?(?::\d+)?
    | [\w-]+(?:\.[\w-]+)*:\d+
    | [\w-]+(?:\.[\w-]+)+
    | \d+
    """,
    re.IGNORECASE | re.VERBOSE,
)

#: A problem as JSON: the fields of `Problem`.
ProblemReport = Mapping[str, Any]


@dataclass(slots=True)
class Problem:
    """A kind of problem, with the texts of its last event.

    Attributes:
        hop: The next hop that failed: ``direct``, or an upstream; `CLIENT`; empty for Px itself.
        status: The status of the last answer to a client; 0 if no client has got one.
        cause: What failed: a sentence.
        hint: What to do: a sentence, or empty.
        kind: The cause without its variable parts.
        count: The number of events.
        first: When the first one happened: seconds since the epoch.
        last: When the last one happened.
    """

    hop: str
    status: int
    cause: str
    hint: str
    kind: str
    count: int
    first: float
    last: float

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the kind."""
        return self.hop, self.kind

    def __str__(self) -> str:
        return f"{self.cause} {self.hint}".rstrip()

    def to_report(self) -> dict[str, Any]:
        """Return the problem as JSON."""
        return asdict(self)


class Problems:
    """The last kinds of problem, at most `MAX_KINDS`."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str], Problem] = {}  # the one seen last is the last one

    def note(
        self, cause: str, now: float, *, hint: str = "", hop: str = "", status: int = 0, target: str = ""
    ) -> Problem:
        """Count an event; return its kind.

        Args:
            cause: What failed.
            now: Seconds since the epoch.
            hint: What to do.
            hop: The next hop that failed.
            status: The status of the answer to the client.
            target: The host that the client wants: a variable part of the cause.
        """
        cause, hop = clean(cause), clean(hop, _MAX_HOP)
        key = hop, fold(cause, target)
        problem = self._problems.pop(key, None) or Problem(hop, status, cause, "", key[-1], 0, now, now)
        problem.cause, problem.hint, problem.last = cause, clean(hint), now
        problem.status = status or problem.status
        problem.count += 1
        self._problems[key] = problem
        _trim(self._problems)
        return problem

    def to_report(self) -> list[ProblemReport]:
        """Return all kinds as JSON, the one seen last first."""
        return [problem.to_report() for problem in reversed(self._problems.values())]

    def __repr__(self) -> str:
        return f"<Problems kinds={len(self._problems)}>"


class News:
    """Tells which problems a person has not heard of lately."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}

    def take(self, problem: Problem) -> bool:
        """Return whether this kind has not been taken for `TELL_SECONDS`."""
        if problem.last < self._told.get(problem.key, float("-inf")) + TELL_SECONDS:
            return False
        self._told = {key: at for key, at in self._told.items() if problem.last < at + TELL_SECONDS}
        if len(self._told) < MAX_TOLD:
            self._told[problem.key] = problem.last
            return True
        return False

    def __repr__(self) -> str:
        return f"<News told={len(self._told)}>"


def merge_problems(reports: Iterable[Iterable[ProblemReport]]) -> list[ProblemReport]:
    """Return what several processes report as one report.

    Args:
        reports: As `Problems.to_report` makes them.
    """
    merged: dict[tuple[str, str], Problem] = {}
    for problem in (Problem(**problem) for report in reports for problem in report):
        known = merged.setdefault(problem.key, problem)
        if known is problem:
            continue
        known.status = known.status or problem.status
        known.count += problem.count
        known.first = min(known.first, problem.first)
        if problem.last > known.last:
            known.cause, known.hint, known.last = problem.cause, problem.hint, problem.last
    kept = dict(sorted(merged.items(), key=lambda item: item[1].last))
    _trim(kept)
    return [problem.to_report() for problem in reversed(kept.values())]


def _trim(problems: dict[tuple[str, str], Problem]) -> None:
    """Drop what is too much: the stalest kinds of the hop that has the most, so that none pushes out others.

    Args:
        problems: The stalest first.
    """
    while len(problems) > MAX_KINDS:
        sizes = Counter(problem.hop for problem in problems.values())
        largest = max(sizes.values())
        del problems[next(key for key, problem in problems.items() if sizes[problem.hop] == largest)]


def clean(text: str, max_length: int = MAX_TEXT) -> str:
    """Return a text in one line, printable and not too long."""
    text = " ".join(text[: 2 * max_length].split())
    text = make_printable(text)
    return text if len(text) <= max_length else text[: max_length - len(_CUT)] + _CUT


def fold(cause: str, target: str = "") -> str:
    """Return a cause without its variable parts.

    Args:
        cause: From `clean`, since the time that this takes grows with the length.
        target: The host that the client wants. A name without dots looks like any other word.
    """
    if target:
        cause = re.sub(rf"(?<![\w-]){re.escape(target)}(?![\w-])", "*", cause, flags=re.IGNORECASE)
    return _VARIABLE.sub("*", cause)
