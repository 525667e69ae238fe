"""CPU time and memory of a process and all its descendants, from /proc (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _CHILDREN_STIME = 1, 11, 14  # places in /proc/PID/stat behind the name, from the state on


@dataclass(frozen=True)
class Memory:
    """Memory of a process and its descendants, in bytes.

    Attributes:
        pss: Resident, each page shared out among those who map it.
        rss: Resident, shared pages counted for each.
        peak_rss: Largest `rss` since the start, or since `forget_peak`.
    """

    pss: int
    rss: int
    peak_rss: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process, its descendants and their ended children have used."""
    stats = _read_stats()
    ticks = sum(
        sum(int(field) for field in stats[each][_UTIME : _CHILDREN_STIME + 1])
        for each in _family(pid, stats)
        if each in stats
    )
    return ticks / _TICKS_A_SECOND


def machine_cpu_seconds() -> float:
    """Return the CPU time that everything on this machine has used, including what the host took."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_A_SECOND


def memory(pid: int) -> Memory:
    """Return the memory of a process and its descendants."""
    pss = rss = peak = 0
    for each in _family(pid, _read_stats()):
        pss += _read_kilobytes(each, "smaps_rollup", "Pss:")
        rss += _read_kilobytes(each, "status", "VmRSS:")
        peak += _read_kilobytes(each, "status", "VmHWM:")
    return Memory(pss * 1024, rss * 1024, peak * 1024)


def forget_peak(pid: int) -> None:
    """Let `Memory.peak_rss` begin anew from what is resident now (proc(5), clear_refs)."""
    for each in _family(pid, _read_stats()):
        (_PROC / str(each) / "clear_refs").write_text("5")


def processes(pid: int) -> int:
    """Return the number of processes: a process and its descendants."""
    return len(list(_family(pid, _read_stats())))


def descriptors(pid: int) -> int:
    """Return how many files a process and its descendants have open."""
    return sum(len(list((_PROC / str(each) / "fd").iterdir())) for each in _family(pid, _read_stats()))


def _read_stats() -> dict[int, list[str]]:
    stats = {}
    for directory in _PROC.iterdir():
        if directory.name.isdigit():
            try:
                text = (directory / "stat").read_text()
            except OSError:  # it has just ended
                continue
            stats[int(directory.name)] = text.rpartition(")")[2].split()
    return stats


def _family(pid: int, stats: dict[int, list[str]]) -> Iterator[int]:
    children = defaultdict(list)
    for each, stat in stats.items():
        children[int(stat[_PARENT])].append(each)
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += children[each]


def _read_kilobytes(pid: int, file: str, field: str) -> int:
    for line in (_PROC / str(pid) / file).read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0  # a process that has ended and waits for its parent has no memory
