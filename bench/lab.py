"""The origin, upstreams and peers of a row: started when the row asks for them, ended with the row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bench.figures import Metric, Target
from bench.peers import DIRECT, NONE, NTLM, OPEN, PEERS, Place, Running, best_route, free_port
from bench.rounds import Measure
from bench.tools import MeasureError, Server
from bench.user import USER

_Part = TypeVar("_Part")


class Lab:
    """The parts of one row; a context manager that ends them."""

    def __init__(self) -> None:
        self._parts = ExitStack()

    def keep(self, part: AbstractContextManager[_Part]) -> _Part:
        """Enter a context manager, which ends with the row."""
        return self._parts.enter_context(part)

    @cached_property
    def origin(self) -> Server:
        """An origin."""
        return self.keep(Server())

    @cached_property
    def _open_upstream(self) -> Server:
        return self.keep(Server())

    @cached_property
    def ntlm_upstream(self) -> Server:
        """An upstream that wants NTLM."""
        return self.keep(Server(USER))

    def start(
        self,
        name: str,
        route: str = DIRECT,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a peer with this route; the peer ends with the row."""
        return self.keep(Running(PEERS[name], self.place(route), options, environment))

    def place(self, route: str = DIRECT) -> Place:
        """Return a new place for a peer with this route."""
        directory = self.keep(tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp"))
        Path(directory).chmod(0o711)
        upstreams: dict[str, Callable[[], Server | None]] = {
            DIRECT: lambda: None,
            OPEN: lambda: self._open_upstream,
            NTLM: lambda: self.ntlm_upstream,
        }
        return Place(Path(directory), free_port(), upstreams[route]())

    def each(
        self, names: Iterable[str], route: str, measure: Callable[[str, Running | None], Measure]
    ) -> dict[str, Measure]:
        """Start those of the named peers that are installed, and return what measures each.

        Args:
            names: Of peers; `NONE` is measured without one.
            route: The route of each peer; a peer that cannot log in takes the route without a login.
            measure: Makes what measures a peer.
        """
        measures = {}
        for name in names:
            if name == NONE:
                measures[name] = measure(name, None)
            elif PEERS[name].exists:
                measures[name] = measure(name, self.start(name, best_route(PEERS[name], route)))
        return measures

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()


@dataclass(frozen=True)
class Row:
    """One thing that is measured.

    Attributes:
        name: On the command line.
        title: For people.
        note: What exactly the row does.
        metrics: Columns of its table.
        prepare: Starts what is needed and returns what measures each subject.
        targets: What the figures have to be.
        rounds: Number of rounds, unless the command line gives another.
    """

    name: str
    title: str
    note: str
    metrics: Sequence[Metric]
    prepare: Callable[[Lab], Mapping[str, Measure]]
    targets: Sequence[Target] = ()
    rounds: int = 3


def check(*, holds: bool, text: str) -> None:
    """Raise MeasureError unless a condition holds."""
    if not holds:
        raise MeasureError(text)
