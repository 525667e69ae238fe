"""`python -m bench [ROW...] [--rounds N] [--write]`: measure, and print; or write docs/performance.md too."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Sequence

from bench import report, tools
from bench.figures import Figures
from bench.lab import Lab, Row
from bench.peers import PEERS
from bench.rounds import run_rounds
from bench.rows import ROWS
from bench.tools import MeasureError


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code: 0, or 1 where something could not be measured."""
    asked = _parse(arguments)
    _raise_descriptor_limit()
    try:
        tools.build()
    except MeasureError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name in missing_peers():
        print(f"bench: {name} is not installed and LEFT OUT (bench/install_peers.sh)", file=sys.stderr)
    chance = random.Random(asked.seed)  # noqa: S311 - draws orders, guards nothing
    print(f"orders are drawn from --seed={asked.seed}")
    for name in asked.rows or ROWS:
        row = ROWS[name]
        began = time.monotonic()
        print(f"{row.title}", flush=True)
        try:
            figures = _measure(row, asked.rounds or row.rounds, chance)
        except MeasureError as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            return 1
        if asked.write:
            report.write({name: figures})
        print("\n".join(["", *report.format_row(row, figures), f"({time.monotonic() - began:.0f} s)", ""]))
    return 0


def missing_peers() -> list[str]:
    """Return the peers that are not there."""
    return [name for name, peer in PEERS.items() if not peer.exists]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, help="in place of each row's own number")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the random order")
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    return parser.parse_args(arguments)


def _measure(row: Row, rounds: int, chance: random.Random) -> Figures:
    with Lab() as lab:
        return run_rounds(row.prepare(lab), rounds, chance, lambda line: print(line, flush=True))


def _raise_descriptor_limit() -> None:
    """Raise this process's limit; child processes inherit it, and rows open thousands of connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
