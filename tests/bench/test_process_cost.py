from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench import process_cost

#: Uses processor time for a given time, prints a line and waits; a running or an ended child does the work.
BURN = "import time\nwhile time.process_time() < 0.4: pass\n"
WAIT = "import sys; print('done', flush=True); sys.stdin.read()"


@contextmanager
def running(code: str, arguments: Sequence[str] = ()) -> Iterator[int]:
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        yield process.pid
        process.communicate()


def test_cpu_time_of_a_child_counts_while_it_runs_and_when_it_has_ended():
    start = "import subprocess, sys\n"
    alive = start + "subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with running(alive, [BURN + WAIT]) as pid:
        assert process_cost.processes(pid) == 2
        assert 0.4 <= process_cost.cpu_seconds(pid) < 0.8
    ended = start + "subprocess.run([sys.executable, '-c', sys.argv[1]])\n" + WAIT
    with running(ended, [BURN]) as pid:
        assert 0.4 <= process_cost.cpu_seconds(pid) < 0.8


def test_memory_counts_children_and_the_peak_what_is_gone():
    take = "data = bytearray(b'x' * 60_000_000)\n"
    with running(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]])", [take + WAIT]
    ) as pid:
        memory = process_cost.memory(pid)
        assert 60e6 < memory.pss <= memory.rss < 140e6
    with running(take + "del data\n" + WAIT) as pid:
        memory = process_cost.memory(pid)
        assert memory.rss < 60e6 < memory.peak_rss
        process_cost.forget_peak(pid)
        assert process_cost.memory(pid).peak_rss < 60e6


def test_open_files_are_counted():
    opening = "import os\nfiles = [open(os.devnull) for _ in range(int(sys.argv[1]))]\n"
    with (
        running("import sys\n" + opening + WAIT, ["0"]) as none,
        running("import sys\n" + opening + WAIT, ["50"]) as more,
    ):
        assert process_cost.descriptors(more) - process_cost.descriptors(none) == 50
