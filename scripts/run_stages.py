"""Runs targets of the Makefile side by side, since tests mostly wait.

    python -m scripts.run_stages TARGET...

Three at a time, the first ones first. The output of each is shown whole and by itself: the first one's as it
comes, then that of the next. After them, the times of each and what pytest said at its end. Exits with 1 if
one has failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

_AT_ONCE: Final = 3
_POLL_SECONDS: Final = 0.2
#: The last line of a run of pytest, quiet or not.
_SUMMARY: Final = re.compile(
    r"^(?:=+ )?(\d+ (?:passed|failed|errors?|skipped)\b.* in [\d.]+s\b.*?)(?: =+)?$", re.MULTILINE
)


class Stage:
    """One target, and the state of its run.

    Args:
        target: Of the Makefile in the working directory.
        directory: Gets its output.
    """

    def __init__(self, target: str, directory: Path) -> None:
        self.target = target
        self.output = directory / target
        self.output.touch()
        self.seconds = self.cpu_seconds = 0.0
        self.code = -1

    def run(self) -> None:
        """Run the target to its end."""
        started = time.monotonic()
        with self.output.open("wb") as output:
            make = subprocess.Popen(  # noqa: S603 - a target of our own
                ["make", "--no-print-directory", self.target],  # noqa: S607 - as the one that runs this
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(make.pid, 0)
        self.code = make.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - started
        self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def show(self, run: Future[None]) -> None:
        """Print its output as it arrives, until the target has ended."""
        print(f"== {self.target}", flush=True)
        with self.output.open("rb") as output:
            has_ended = False
            while not has_ended:
                has_ended = run.done()
                sys.stdout.buffer.write(output.read())
                sys.stdout.buffer.flush()
                if not has_ended:
                    time.sleep(_POLL_SECONDS)

    def summary(self) -> str:
        """Return the result of the run."""
        said = _SUMMARY.findall(self.output.read_text(errors="replace")) or ["NOTHING was tested: see above"]
        verdict = f"failed with {self.code}" if self.code else "passed"
        return "\n     ".join(
            [f"{self.target}: {verdict}, {self.seconds:.0f} s, {self.cpu_seconds:.0f} s of CPU", *said]
        )


def run_stages(targets: Sequence[str]) -> bool:
    """Run all targets, print the results, and return whether all passed."""
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(_AT_ONCE) as pool:
        stages = [Stage(target, Path(directory)) for target in targets]
        try:
            for stage, run in [(stage, pool.submit(stage.run)) for stage in stages]:
                stage.show(run)
                run.result()
        finally:
            pool.shutdown(cancel_futures=True)
        print("== stages", *(stage.summary() for stage in stages), sep="\n  ", flush=True)
        return all(stage.code == 0 for stage in stages)


if __name__ == "__main__":
    sys.exit(not run_stages(sys.argv[1:]))
