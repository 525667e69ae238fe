"""One kind of program that ``px --env`` knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from px.cli.env.endpoint import ProxyValues


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of program.

    Attributes:
        use: Returns the lines that make such a program use Px.
        undo: Returns the lines that undo this.
        is_elsewhere: Whether the program, as Px sees it, runs on another computer: in a container or virtual
            machine.
        has_native_lines: Whether its lines end as those of the system do; others end with a line feed alone.
    """

    use: Callable[[ProxyValues], Iterable[str]]
    undo: Callable[[], Iterable[str]]
    is_elsewhere: bool = False
    has_native_lines: bool = False
